"""Reports as one HTML page that needs no other file; the same template is printed as PDF."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, TypeAlias

from pneumocascade import __version__
from pneumocascade.errors import UsageError
from pneumocascade.explain.html import environment
from pneumocascade.explain.verdict import OUTCOMES, OUTCOMES_ALONE
from pneumocascade.reports.pages import FilmPage, make_page
from pneumocascade.reports.stages import model_card, saliency_legend, stage_figures
from pneumocascade.types import Prediction, Radiograph

if TYPE_CHECKING:
    from pneumocascade.inference.cascade import Cascade

Item: TypeAlias = tuple[Prediction, Radiograph | None]
"""An answer, and its film; ``None`` for a film that could not be read."""

SCREEN = ("page.css", "screen.css", "paper.css")
"""Style sheets of a report that is read in a browser, or printed from there."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that the template is given, but for constants.

    Attributes
    ----------
    films : tuple of FilmPage
    counts : tuple of tuple
        Tone, outcome and number of films, of every outcome.
    operating_points : tuple of str
    figures : tuple of tuple of str
        See :func:`pneumocascade.reports.stages.stage_figures`.
    model_card : str
    made : datetime
        In UTC.
    """

    films: tuple[FilmPage, ...]
    counts: tuple[tuple[str, str, int], ...]
    operating_points: tuple[str, ...]
    figures: tuple[tuple[str, ...], ...]
    model_card: str
    made: datetime


def make_report(items: Iterable[Item], cascade: Cascade, made: datetime | None = None) -> Report:
    """Draw and count films; of each, only small pictures are kept.

    Parameters
    ----------
    items : iterable of (Prediction, Radiograph or None)
        Taken one at a time.
    cascade : Cascade
        That answered.
    made : datetime, optional
        When the report was made, by default now; without a time zone, it is local time.

    Raises
    ------
    UsageError
        Where there is no film, or other models answered.
    """
    films = tuple(
        make_page(number, prediction, radiograph, cascade)
        for number, (prediction, radiograph) in enumerate(items, start=1)
    )
    if not films:
        raise UsageError("a report needs at least one film; none was given")
    counted = Counter(film.verdict.tone for film in films)
    outcomes = OUTCOMES if cascade.stage2 is not None else OUTCOMES_ALONE
    points = tuple(dict.fromkeys(film.operating_point for film in films))
    return Report(
        films,
        tuple((tone, outcome, counted[tone]) for tone, outcome in outcomes.items()),
        points,
        tuple(stage_figures(cascade, points)),
        model_card(cascade),
        (made or datetime.now(timezone.utc)).astimezone(timezone.utc),
    )


def html_parts(report: Report, styles: tuple[str, ...] = SCREEN) -> Iterator[str]:
    """Yield a report as HTML, piece by piece: the whole is as large as all its pictures.

    Parameters
    ----------
    report : Report
    styles : tuple of str
        Names of the style sheets, in the folder of the template.

    Raises
    ------
    MissingExtraError
        Where Jinja2 is not installed.
    """
    template = environment().get_template("report.html.j2")
    return template.generate(
        report=report,
        styles=styles,
        legend=saliency_legend(),
        version=__version__,
    )


def report_html(items: Iterable[Item], cascade: Cascade, *, made: datetime | None = None) -> str:
    """Return a report as one HTML page that needs no other file and runs no script.

    Parameters
    ----------
    items : iterable of (Prediction, Radiograph or None)
        ``None`` for a film that could not be read.
    cascade : Cascade
        That answered.
    made : datetime, optional
        When the report was made, by default now; the same films at the same time give the same text.

    Raises
    ------
    MissingExtraError
        Where Jinja2 is not installed.
    UsageError
        Where there is no film, or other models answered.
    """
    return "".join(html_parts(make_report(items, cascade, made)))
