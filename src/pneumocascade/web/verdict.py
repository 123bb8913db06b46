"""The card with a film's verdict, and the bars of both stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pneumocascade.explain.html import render
from pneumocascade.explain.verdict import percent, verdict_of
from pneumocascade.reports.stages import stage_cards
from pneumocascade.types import reasons_of

if TYPE_CHECKING:
    from pneumocascade.types import Prediction
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
        figures=_figures_of(prediction),
        stages=stage_cards(prediction),
    )


def _figures_of(prediction: Prediction) -> list[tuple[str, str]]:
    """Return the probability of pneumonia and, where stage 2 ran, that of its label, and what each is of."""
    figures = []
    if prediction.stage1 is not None:
        positive = prediction.stage1.positive
        figures.append((percent(prediction.stage1.probabilities[positive]), positive))
    if prediction.stage2 is not None:
        label = prediction.stage2.label
        figures.append((percent(prediction.stage2.probabilities[label]), f"{label}, if it is pneumonia"))
    return figures
