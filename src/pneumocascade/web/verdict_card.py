"""The card with a film's verdict, and the bars of both stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pneumocascade.explain.html import render
from pneumocascade.explain.reasons import reason_text
from pneumocascade.explain.verdict import percent, verdict_of
from pneumocascade.i18n import decimal, gettext_noop, translated
from pneumocascade.i18n import gettext as _
from pneumocascade.imaging.dicom.suitability import OTHER_AGE
from pneumocascade.inference.repair import REPAIRS
from pneumocascade.model.gate import CHILDREN_ONLY, UNCHECKED, UNFAMILIAR
from pneumocascade.model.spec import STAGE2_LABELS
from pneumocascade.reports.stages import stage_cards
from pneumocascade.types import reasons_of
from pneumocascade.web.files import offered
from pneumocascade.web.glossary import terms_line
from pneumocascade.web.rejudging import may_be_forced, repair_code
from pneumocascade.web.threshold_diagram import threshold_diagram

if TYPE_CHECKING:
    from pneumocascade.types import Prediction
    from pneumocascade.web.analysis import Analysis


BANNERS = {
    gettext_noop("The gate was switched off"): (UNCHECKED,),
    gettext_noop("This picture was changed"): tuple(
        warning for warnings in REPAIRS.values() for warning in warnings
    ),
    gettext_noop("The models may not know such films"): (UNFAMILIAR, OTHER_AGE),
    gettext_noop("Stage 2 may not know such films"): (CHILDREN_ONLY,),
}
"""Title of a banner, and the warnings that stand in it; all other warnings are a list."""

REPAIR_LABELS = {
    "rotated": gettext_noop("Turn upright and analyse"),
    "inverted": gettext_noop("Invert and analyse"),
}
"""Label of the button that puts a film right, by the gate's code."""


def verdict_card(analysis: Analysis) -> str:
    """Return the card with finding, aetiology and calibrated probability, and both stages' bars."""
    prediction = analysis.prediction
    verdict = verdict_of(prediction)
    return render(
        "web/verdict.html.j2",
        analysis=analysis,
        prediction=prediction,
        verdict=verdict,
        reasons=[(reason.code, reason_text(reason)) for reason in reasons_of(prediction)],
        figures=_figures_of(prediction, verdict.tone),
        banners=_banners(prediction),
        remarks=_remarks(prediction),
        actions=_actions(prediction),
        files=offered(analysis),
        stages=stage_cards(prediction),
        agreement=_agreement(prediction, analysis.reference),
        thresholds=threshold_diagram(prediction, analysis.specs) if prediction.stage1 is not None else "",
        terms=terms_line("prediction_set", "coverage", "aetiology", "prior"),
    )


def _agreement(prediction: Prediction, reference: str) -> str:
    """Return how an answer compares with the reference standard, by what its headline says."""
    tone = verdict_of(prediction).tone
    if prediction.finding is None:
        return _("no answer")
    if tone == "borderline":
        return _("the answer is borderline")
    if tone == reference or reference == prediction.finding:
        return _("the answer agrees")
    if tone == "pneumonia" and reference in STAGE2_LABELS:
        return _("the finding agrees; the type is undetermined")
    return _("the answer differs")


def _figures_of(prediction: Prediction, tone: str) -> list[tuple[str, str]]:
    """Return the probability of pneumonia and, where the headline names a type, that of it, and meanings."""
    figures = []
    if prediction.stage1 is not None:
        positive = prediction.stage1.positive
        meaning = _(
            "[calibrated probability] of %(label)s, assuming that %(share)s %% of such films show it",
            label=_(positive),
            share=decimal(f"{100 * prediction.prior:g}"),
        )
        figures.append((percent(prediction.stage1.probabilities[positive]), meaning))
    if tone in STAGE2_LABELS and prediction.stage2 is not None:
        label = prediction.stage2.label
        meaning = _("[calibrated probability] of %(label)s, if it is pneumonia", label=_(label))
        figures.append((percent(prediction.stage2.probabilities[label]), meaning))
    return figures


def _banners(prediction: Prediction) -> list[tuple[str, list[str]]]:
    """Return each banner's title and sentences, of those that there is cause for."""
    found = [
        (_(title), [translated(warning) for warning in prediction.warnings if warning in warnings])
        for title, warnings in BANNERS.items()
    ]
    return [(title, sentences) for title, sentences in found if sentences]


def _remarks(prediction: Prediction) -> list[str]:
    """Return the warnings that no banner holds."""
    in_banners = {warning for warnings in BANNERS.values() for warning in warnings}
    return [translated(warning) for warning in prediction.warnings if warning not in in_banners]


def _actions(prediction: Prediction) -> list[tuple[str, str]]:
    """Return name and label of what can be done about a refusal."""
    code = repair_code(prediction)
    actions = [("repair", _(REPAIR_LABELS[code]))] if code is not None else []
    return actions + ([("force", _("Analyse anyway"))] if may_be_forced(prediction) else [])
