"""Pieces of the page made from answers; the templates escape whatever comes from a file."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pneumocascade.explain.html import environment
from pneumocascade.explain.plots import distribution_plots
from pneumocascade.explain.reasons import reason_text
from pneumocascade.explain.verdict import percent, verdict_of
from pneumocascade.i18n import decimal, gettext_noop, translated
from pneumocascade.i18n import gettext as _
from pneumocascade.types import reasons_of
from pneumocascade.web.dicom_panel import dicom_panel
from pneumocascade.web.glossary import terms_line

if TYPE_CHECKING:
    from pneumocascade.explain.quality import Quality
    from pneumocascade.types import Prediction
    from pneumocascade.web.analysis import Analysis

_QUALITY_ROWS = (
    (gettext_noop("Mean"), "mean", "{:.1f}"),
    (gettext_noop("Standard deviation"), "deviation", "{:.1f}"),
    (gettext_noop("Entropy, bits"), "entropy", "{:.2f}"),
    (gettext_noop("Michelson contrast, 1st to 99th percentile"), "michelson", "{:.3f}"),
)


RESULT_COLUMNS = (
    gettext_noop("Film"),
    gettext_noop("Verdict"),
    gettext_noop("Pneumonia"),
    gettext_noop("Bacterial"),
    gettext_noop("Viral"),
    gettext_noop("Remarks"),
)
"""Of the table of a batch; films are sorted by the order in which they were given."""

_RUNS = itertools.count()
"""Numbers what is drawn: the browser draws again only what differs."""


def piece(name: str, *values: Any) -> str:
    """Return what a macro of ``web/fragments.html.j2`` makes of values."""
    return str(getattr(environment().get_template("web/fragments.html.j2").module, name)(*values))


def table(header: Sequence[str], rows: Sequence[Sequence[str]], css_class: str = "") -> str:
    """Return a table whose first column heads its rows."""
    return piece("table", header, rows, css_class)


def note(text: str, kind: str = "plain") -> str:
    """Return a short message; ``kind`` is ``"plain"`` or ``"warning"``."""
    return piece("note", text, kind)


def film_and_processed(analysis: Analysis) -> str:
    """Return the film beside the picture the model is given and, of a DICOM object, what its header says."""
    return piece("film_and_processed", analysis) + dicom_panel(analysis.prediction.acquisition)


def steps(analysis: Analysis) -> str:
    """Return the steps of preprocessing."""
    return piece("steps", analysis)


def quality(analysis: Analysis) -> str:
    """Return the table of image quality, original against processed."""
    if not analysis.quality:
        return note(_("Nothing was measured: the file could not be read."))
    before, after = analysis.quality
    rows = [_quality_row(title, form, before, after, field) for title, field, form in _QUALITY_ROWS]
    header = (_("Grey values 0 to 255"), _("Original"), _("Processed"), _("Change"))
    return table(header, rows, "pc-numbers") + terms_line("michelson_contrast", "entropy")


def _quality_row(title: str, form: str, before: Quality, after: Quality, field: str) -> tuple[str, ...]:
    first, second = (float(form.format(getattr(each, field))) for each in (before, after))
    change = form.replace(":", ":+").format(second - first)  # of the values as they are shown
    if float(change) == 0:  # "+0.00" and "-0.00" are no changes
        change = form.format(0.0)
    return _(title), *map(decimal, (form.format(first), form.format(second), change))


def plots(analysis: Analysis, measure: str) -> str:
    """Return the distribution of a measure in each step."""
    if not analysis.steps:
        return note(_("Nothing was measured: the file could not be read."))
    return piece("plots", measure, distribution_plots(analysis.steps, measure))


def gallery(analyses: Sequence[Analysis], chosen: int = 0) -> str:
    """Return a tile to click for each film: its picture, name and headline."""
    films = [(analysis.name, analysis.thumbnail, verdict_of(analysis.prediction)) for analysis in analyses]
    return piece("gallery", films, chosen, next(_RUNS))


def results(analyses: Sequence[Analysis], chosen: int = 0) -> str:
    """Return the table of answers, whose rows can be sorted and clicked."""
    rows = [_result_row(number, analysis.prediction) for number, analysis in enumerate(analyses, start=1)]
    return piece("results", [_(column) for column in RESULT_COLUMNS], rows, chosen, next(_RUNS))


def _result_row(number: int, prediction: Prediction) -> list[tuple[str, str]]:
    """Return the text of each cell, and what it is sorted by."""
    shares = {
        label: value for stage in prediction.stages.values() for label, value in stage.probabilities.items()
    }
    title = verdict_of(prediction).title
    remarks = [f"{reason.code}: {reason_text(reason)}" for reason in reasons_of(prediction)]
    remark = " ".join([*remarks, *map(translated, prediction.warnings)])
    figures = [
        (percent(shares[label]), f"{shares[label]:.6f}") if label in shares else ("—", "")
        for label in ("pneumonia", "bacterial", "viral")
    ]
    return [(prediction.source, f"{number:03d}"), (title, title), *figures, (remark, remark)]
