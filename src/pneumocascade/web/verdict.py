"""The card with a film's verdict, and the bars of both stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pneumocascade.explain.html import render
from pneumocascade.explain.pictures import percent, reasons_of, verdict_of
from pneumocascade.reports.stages import stage_cards, undetermined_fit

if TYPE_CHECKING:
    from pneumocascade.types import StageResult
    from pneumocascade.web.analysis import Analysis


def verdict_card(analysis: Analysis) -> str:
    """Return the card with finding, aetiology and calibrated probability, and both stages' bars."""
    prediction = analysis.prediction
    return render(
        "web/verdict.html.j2",
        analysis=analysis,
        prediction=prediction,
        verdict=verdict_of(prediction),
        reasons=reasons_of(prediction),
        figures=[_figure_of(result) for result in prediction.stages.values()],
        fit=undetermined_fit(prediction),
        stages=stage_cards(prediction),
    )


def _figure_of(result: StageResult) -> tuple[str, str]:
    """Return a probability, and of what: of the label, or of what was held against the threshold."""
    shown, why = result.label, ""
    if result.probabilities[result.label] < max(result.probabilities.values()):
        shown = result.positive
        side = "at or above" if result.label == shown else "below"
        why = f", {side} the threshold of {percent(result.threshold)}"
    return percent(result.probabilities[shown]), shown + why
