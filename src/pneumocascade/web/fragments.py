"""Pieces of the page made from answers; the templates escape whatever comes from a file."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pneumocascade.explain.html import environment
from pneumocascade.explain.plots import distribution_plots
from pneumocascade.explain.verdict import percent, verdict_of
from pneumocascade.output.rows import to_csv
from pneumocascade.types import reasons_of

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
    """Return the film beside the picture the model is given."""
    return piece("film_and_processed", analysis)


def steps(analysis: Analysis) -> str:
    """Return the steps of preprocessing."""
    return piece("steps", analysis)


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
    return piece("plots", measure, distribution_plots(analysis.steps, measure))


def gallery(analyses: Sequence[Analysis]) -> str:
    """Return a tile to click for each film, with its verdict banner."""
    return piece("gallery", [(analysis, verdict_of(analysis.prediction)) for analysis in analyses])


def results(analyses: Sequence[Analysis]) -> str:
    """Return the table of answers with the link that saves them as CSV."""
    predictions = [analysis.prediction for analysis in analyses]
    csv = base64.b64encode(to_csv(predictions).encode()).decode()
    return piece("results", [_result_row(prediction) for prediction in predictions], csv)


def _result_row(prediction: Prediction) -> tuple[str, ...]:
    shares = {
        label: percent(value)
        for stage in prediction.stages.values()
        for label, value in stage.probabilities.items()
    }
    remarks = [f"{reason.code}: {reason.message}" for reason in reasons_of(prediction)]
    figures = (shares.get(label, "—") for label in ("pneumonia", "bacterial", "viral"))
    remarks += prediction.warnings
    return prediction.source, verdict_of(prediction).title, *figures, " ".join(remarks)
