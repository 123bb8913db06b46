"""Pieces of HTML made from answers. Whatever comes from a file is escaped here."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pneumocascade.explain.html import data_uri
from pneumocascade.explain.pictures import percent, reasons_of, verdict_of
from pneumocascade.explain.plots import distribution_plots
from pneumocascade.output.rows import to_csv
from pneumocascade.types import UNDETERMINED

if TYPE_CHECKING:
    from pneumocascade.explain.quality import Quality
    from pneumocascade.types import Prediction
    from pneumocascade.web.analysis import Analysis

_QUALITY_ROWS = (
    ("Mean", "mean", "{:.1f}"),
    ("Standard deviation", "deviation", "{:.1f}"),
    ("Entropy, bits", "entropy", "{:.2f}"),
    ("Michelson contrast, 1st to 99th percentile", "michelson", "{:.3f}"),
)


def figure(picture: NDArray[np.uint8], caption: str, kind: str = "WEBP") -> str:
    """Return a picture with its caption."""
    text = escape(caption)
    return (
        f'<figure><div class="pc-frame"><img src="{data_uri(picture, kind)}" alt="{text}"></div>'
        f"<figcaption>{text}</figcaption></figure>"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]], css_class: str = "") -> str:
    """Return a table whose first column heads its rows; cells are escaped."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    # Where rows are stacked on narrow pages, each cell names its column by itself.
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(
            f'<td data-label="{escape(name)}">{escape(cell)}</td>'
            for name, cell in zip(header[1:], row[1:], strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="pc-scroll {css_class}"><table class="pc-table"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def note(text: str, kind: str = "plain") -> str:
    """Return a short message; ``kind`` is ``"plain"`` or ``"warning"``."""
    return f'<p class="pc-note pc-{kind}">{escape(text)}</p>'


def film_and_processed(analysis: Analysis) -> str:
    """Return the film beside the picture the model is given."""
    if analysis.film is None:
        return note("There is no picture to show: the file could not be read.")
    last = analysis.steps[-1]
    side = f"{last.picture.shape[1]} x {last.picture.shape[0]} pixels"
    return (
        '<div class="pc-pair">'
        + figure(analysis.film, f"Original, {analysis.width} x {analysis.height} pixels")
        + figure(last.picture, f"Preprocessed: {last.caption}, {side}", "PNG")
        + "</div>"
    )


def steps(analysis: Analysis) -> str:
    """Return the steps of preprocessing."""
    if not analysis.steps:
        return note("No step was taken: the file could not be read.")
    figures = [
        figure(step.picture, f"{number}. {step.caption}", "PNG")
        for number, step in enumerate(analysis.steps, start=1)
    ]
    text = ""
    if analysis.prediction.status == "refused":
        text = note("The film was refused: no finding rests on these pictures.")
    return f'<div class="pc-steps">{"".join(figures)}</div>{text}'


def quality(analysis: Analysis) -> str:
    """Return the table of image quality, original against processed."""
    if not analysis.quality:
        return note("Nothing was measured: the file could not be read.")
    before, after = analysis.quality
    rows = [_quality_row(title, form, before, after, field) for title, field, form in _QUALITY_ROWS]
    return table(("Grey values 0 to 255", "Original", "Processed", "Change"), rows, "pc-numbers")


def _quality_row(title: str, form: str, before: Quality, after: Quality, field: str) -> tuple[str, ...]:
    first, second = getattr(before, field), getattr(after, field)
    change = form.replace(":", ":+").format(second - first)
    if float(change) == 0:  # "+0.00" and "-0.00" are no changes
        change = form.format(0.0)
    return title, form.format(first), form.format(second), change


def plots(analysis: Analysis, measure: str) -> str:
    """Return the distribution of a measure in each step."""
    if not analysis.steps:
        return note("Nothing was measured: the file could not be read.")
    cells = "".join(f"<div>{svg}</div>" for svg in distribution_plots(analysis.steps, measure))
    return f'<div class="pc-plots" data-measure="{escape(measure)}">{cells}</div>'


def gallery(analyses: Sequence[Analysis]) -> str:
    """Return a tile to click for each film, with its verdict banner."""
    tiles = "".join(
        f'<button type="button" class="pc-tile" data-index="{index}" '
        f'aria-pressed="{"true" if index == 0 else "false"}">'
        f'<img src="{data_uri(analysis.tile, "WEBP")}" '
        f'alt="{escape(analysis.name)}: {escape(verdict_of(analysis.prediction).title)}">'
        f"<span>{escape(analysis.name)}</span>"
        f"{f'<span>{UNDETERMINED.capitalize()}</span>' if analysis.prediction.undetermined else ''}</button>"
        for index, analysis in enumerate(analyses)
    )
    return f'<div class="pc-gallery">{tiles}</div>'


def results(analyses: Sequence[Analysis]) -> str:
    """Return the table of answers with the link that saves them as CSV."""
    predictions = [analysis.prediction for analysis in analyses]
    header = ("Film", "Verdict", "Pneumonia", "Bacterial", "Viral", "Remarks")
    csv = base64.b64encode(to_csv(predictions).encode()).decode()
    return (
        table(header, [_result_row(prediction) for prediction in predictions], "pc-stacked")
        + f'<a class="pc-download" download="predictions.csv" href="data:text/csv;base64,{csv}">'
        "Download CSV</a>"
    )


def _result_row(prediction: Prediction) -> tuple[str, ...]:
    shares = {
        label: percent(value)
        for stage in prediction.stages.values()
        for label, value in stage.probabilities.items()
    }
    remarks = [f"{reason.code}: {reason.message}" for reason in reasons_of(prediction)]
    figures = (shares.get(label, "—") for label in ("pneumonia", "bacterial", "viral"))
    verdict = verdict_of(prediction).title
    verdict += f" ({UNDETERMINED})" if prediction.undetermined else ""
    return prediction.source, verdict, *figures, " ".join([*remarks, *prediction.warnings])
