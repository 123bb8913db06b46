"""The card with a film's verdict, and the bars of both stages. What comes from a file is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from pneumocascade.explain.pictures import percent, reasons_of, verdict_of
from pneumocascade.types import DISCLAIMER, NEITHER, NO_STAGE2, UNDETERMINED

if TYPE_CHECKING:
    from pneumocascade.types import Prediction, StageResult
    from pneumocascade.web.analysis import Analysis


def verdict_card(analysis: Analysis) -> str:
    """Return the card with finding, aetiology and calibrated probability, and both stages' bars."""
    prediction = analysis.prediction
    verdict = verdict_of(prediction)
    extra = "".join(f"<li>{escape(warning)}</li>" for warning in prediction.warnings)
    facts = (
        f"Operating point <b>{escape(prediction.operating_point)}</b> · "
        f"{_familiarity(prediction)}"
        f"models {escape(prediction.model_version)} · {prediction.elapsed_ms:.0f} ms"
    )
    tag = f' <span class="pc-tag">{UNDETERMINED}</span>' if prediction.undetermined else ""
    return (
        f'<section class="pc-card pc-tone-{verdict.tone}">'
        f'<p class="pc-source">{escape(analysis.name)}</p>'
        f'<h2 class="pc-verdict">{escape(verdict.title)}{tag}</h2>'
        f"{_headline(prediction)}{_undetermined_note(prediction)}{_reference(analysis)}"
        f'<p class="pc-facts">{facts}</p>'
        f"{f'<ul>{extra}</ul>' if extra else ''}"
        f'<p class="pc-small">{escape(DISCLAIMER)}</p></section>'
        f'<div class="pc-stages">{_stage1_bars(prediction)}{_stage2_bars(prediction)}</div>'
    )


def _familiarity(prediction: Prediction) -> str:
    if prediction.familiarity is None:
        return ""
    return f"familiarity <b>{prediction.familiarity:.2f}</b> · "


def _headline(prediction: Prediction) -> str:
    if prediction.stage1 is None:
        items = "".join(
            f"<li>{escape(reason.message)} <code>{escape(reason.code)}</code></li>"
            for reason in reasons_of(prediction)
        )
        return f'<ul class="pc-reasons">{items}</ul>'
    figures = [_figure_of(prediction.stage1)]
    if prediction.stage2 is not None:
        figures.append(_figure_of(prediction.stage2))
    return f'<div class="pc-figures">{"".join(figures)}</div>'


def _figure_of(result: StageResult) -> str:
    """Return the probability of the label; where another is likelier, what the threshold was held against."""
    shown, why = result.label, ""
    if result.probabilities[result.label] < max(result.probabilities.values()):
        shown = result.positive
        side = "at or above" if result.label == shown else "below"
        why = f", {side} the threshold of {percent(result.threshold)}"
    return (
        f"<div><strong>{escape(percent(result.probabilities[shown]))}</strong>"
        f"<span>calibrated probability of {escape(shown + why)}</span></div>"
    )


def _undetermined_note(prediction: Prediction) -> str:
    if prediction.stage2 is None or not prediction.undetermined:
        return ""
    fits = "fits bacterial and viral pneumonia alike"
    if not prediction.stage2.prediction_set:
        fits = "fits neither bacterial nor viral pneumonia"
    return (
        f'<p class="pc-undetermined"><b>{UNDETERMINED.capitalize()}:</b> at a coverage of 90 % the film '
        f"{fits}. <i>{escape(prediction.aetiology or '')}</i> only says on "
        "which side of the threshold its probability lies.</p>"
    )


def _reference(analysis: Analysis) -> str:
    if not analysis.reference:
        return ""
    agrees = analysis.prediction.outcome == analysis.reference
    verdict = "the answer agrees" if agrees else "the answer differs"
    return f'<p class="pc-reference">Reference standard: <b>{escape(analysis.reference)}</b> ({verdict}).</p>'


def _stage1_bars(prediction: Prediction) -> str:
    title = "Stage 1: normal or pneumonia"
    if prediction.stage1 is None:
        return _not_run(title, f"No answer: the film was {_obstacle(prediction)}.")
    return _bars(title, prediction.stage1)


def _stage2_bars(prediction: Prediction) -> str:
    title = "Stage 2: bacterial or viral"
    if prediction.stage2 is not None:
        return _bars(title, prediction.stage2)
    if prediction.stage1 is None:
        return _not_run(title, f"Did not run: the film was {_obstacle(prediction)}.")
    positive = prediction.stage1.positive
    if prediction.finding == positive:
        return _not_run(title, NO_STAGE2)
    return _not_run(
        title,
        f"Did not run: the probability of {positive} "
        f"({percent(prediction.stage1.probabilities[positive])}) is below the threshold of the "
        f"{prediction.operating_point} operating point ({percent(prediction.stage1.threshold)}), "
        "so there is no aetiology to tell.",
    )


def _obstacle(prediction: Prediction) -> str:
    return "refused" if prediction.status == "refused" else "not readable"


def _not_run(title: str, why: str) -> str:
    return f'<section class="pc-stage pc-not-run"><h3>{escape(title)}</h3><p>{escape(why)}</p></section>'


def _bars(title: str, result: StageResult) -> str:
    rows = []
    for label, value in result.probabilities.items():
        mark = ""
        if label == result.positive:
            where = f"{100 * result.threshold:.2f}%"
            mark = f'<i style="left:{where}" title="threshold {escape(percent(result.threshold))}"></i>'
        rows.append(
            f'<div class="pc-bar pc-tone-{escape(label)}{" pc-chosen" if label == result.label else ""}">'
            f"<span>{escape(label)}</span>"
            f'<div class="pc-track"><div style="width:{100 * value:.2f}%"></div>{mark}</div>'
            f"<b>{escape(percent(value))}</b></div>"
        )
    members = " and ".join(escape(label) for label in result.prediction_set) or NEITHER
    return (
        f'<section class="pc-stage"><h3>{escape(title)}</h3>{"".join(rows)}'
        f'<p class="pc-small">The line marks the threshold: {escape(result.positive)} from '
        f"{escape(percent(result.threshold))}. 90 % prediction set: {members}.</p></section>"
    )
