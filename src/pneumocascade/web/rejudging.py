"""A film judged again: at other settings, with the gate switched off, or put right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from pneumocascade.errors import FilmError, UsageError
from pneumocascade.i18n import gettext as _
from pneumocascade.i18n import gettext_noop
from pneumocascade.inference.repair import REPAIRS, judge_repaired
from pneumocascade.model.gate import NEVER_JUDGED
from pneumocascade.types import Prediction, Reason
from pneumocascade.web.analysis import Analysis, analyse, drawn
from pneumocascade.web.inputs import EXPIRED

if TYPE_CHECKING:
    from pneumocascade.inference.cascade import Cascade

AGAIN = gettext_noop("With these settings the film must be read again: please analyse it once more.")

UNREADABLE = Reason("unreadable_file", "The film can no longer be read.")
"""Why a film has no display copy where its reader does not say it."""

NO_REPAIR = gettext_noop(
    "No such change makes this an upright chest film for the gate: please change the film yourself."
)


def judge_again(
    cascade: Cascade, analysis: Analysis, operating_point: str, prior: float, *, record: bool = True
) -> Analysis:
    """Return an analysis at another operating point or prior; its film is not read again.

    The recorder is given the answer where the operating point changed: a prior changes no finding.

    Raises
    ------
    gradio.Error
        Where stage 2 must run and takes other pictures than stage 1, or the setting is none.
    """
    before = analysis.prediction
    if (operating_point, prior) == (before.operating_point, before.prior):
        return analysis
    changed = operating_point != before.operating_point
    try:
        prediction = cascade.rejudge(
            before, operating_point=operating_point, prior=prior, record=record and changed
        )
    except UsageError as error:
        raise gr.Error(_(AGAIN), print_exception=False) from error
    return replace(analysis, prediction=prediction)


def may_be_forced(prediction: Prediction) -> bool:
    """Return whether a refused film can be judged all the same, with the gate switched off."""
    codes = {reason.code for reason in prediction.reasons}
    return prediction.status == "refused" and not codes & NEVER_JUDGED


def repair_code(prediction: Prediction) -> str | None:
    """Return the code of a refusal for which the film can be put right by turning or inverting it."""
    return next((reason.code for reason in prediction.reasons if reason.code in REPAIRS), None)


def take_action(cascade: Cascade, analysis: Analysis, action: str) -> Analysis:
    """Return the analysis of a refused film after the button ``action`` of its card was clicked.

    Parameters
    ----------
    cascade : Cascade
    analysis : Analysis
    action : str
        ``"force"``: with the gate switched off; ``"repair"``: turned or inverted.

    Raises
    ------
    gradio.Error
        Where the card has no such button, its film was deleted, or no repair passes the gate.
    """
    before = analysis.prediction
    if not Path(analysis.path).is_file():
        raise gr.Error(_(EXPIRED), print_exception=False)
    if action == "force" and may_be_forced(before):
        made = analyse(cascade, analysis.path, before.operating_point, before.prior, gate=False)
    elif action == "repair" and (code := repair_code(before)) is not None:
        made = _repaired(cascade, analysis, code)
    else:
        raise gr.Error(_(EXPIRED), print_exception=False)
    prediction = replace(made.prediction, source=before.source)
    return replace(made, prediction=prediction, path=analysis.path, reference=analysis.reference)


def _repaired(cascade: Cascade, analysis: Analysis, code: str) -> Analysis:
    before = analysis.prediction
    # Read again at full size by the cascade's reader, which may be a process of its own; no model runs.
    read = cascade.reader((analysis.path, before.source), specs=cascade.specs, gate=False, display=True)
    if read.display is None:
        error = read.error or UNREADABLE
        failure = FilmError(error.code, error.message)
        point, prior = before.operating_point, before.prior
        return Analysis(cascade.unread(before.source, failure, operating_point=point, prior=prior))
    prediction = judge_repaired(
        cascade,
        read.display,
        code,
        name=before.source,
        operating_point=before.operating_point,
        prior=before.prior,
    )
    if prediction is None:
        raise gr.Error(_(NO_REPAIR), print_exception=False)
    return drawn(cascade, prediction)
