"""An answer judged again at another operating point or prior, from what its models said already."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pneumocascade.errors import UsageError
from pneumocascade.inference.cascade import neither_fits, set_warnings, stage_result
from pneumocascade.model.calibration import check_prior, judge
from pneumocascade.model.gate import CHILDREN_ONLY, stage2_domain, stage2_warnings
from pneumocascade.model.preprocess import prepare

if TYPE_CHECKING:
    from pneumocascade.inference.cascade import Cascade
    from pneumocascade.model.spec import ModelSpec
    from pneumocascade.types import Prediction, StageResult

_OF_STAGES = frozenset({neither_fits(1), neither_fits(2), CHILDREN_ONLY})
"""Warnings that depend on what the stages answer; all others are of the film."""


def rejudged(
    cascade: Cascade, prediction: Prediction, operating_point: str | None, prior: float | None
) -> Prediction:
    """Return what ``Cascade.rejudge`` returns, not yet recorded."""
    started = time.perf_counter()
    point = prediction.operating_point if operating_point is None else operating_point
    stored = cascade.stage1.spec.prior
    if prior is None and prediction.prior != stored:
        prior = prediction.prior
    _check(cascade, prediction, point, prior)
    kept = replace(prediction, operating_point=point, prior=stored if prior is None else prior, rejudged=True)
    if prediction.stage1 is not None:
        kept = _with_stage1(cascade, kept, prediction.stage1, prior)
        if kept.finding == cascade.stage1.spec.labels[1]:
            kept = _with_stage2(cascade, kept)
    return replace(kept, elapsed_ms=round(1000 * (time.perf_counter() - started), 3))


def _check(cascade: Cascade, prediction: Prediction, point: str, prior: float | None) -> None:
    known = cascade.stage1.spec.operating_points
    if point not in known:
        raise UsageError(f"operating point is {point!r}; the models store {', '.join(known)}")
    if prior is not None:
        check_prior(prior)
    if prediction.model_version != cascade.version:
        raise UsageError(
            f"the answer is of models {prediction.model_version}, the cascade has {cascade.version}; "
            "judge the film itself"
        )


def _with_stage1(cascade: Cascade, kept: Prediction, before: StageResult, prior: float | None) -> Prediction:
    """Return the answer with stage 1's result, and without stage 2's where stage 1 now says normal."""
    result = _again(before, cascade.stage1.spec, kept.operating_point, prior)
    of_film = tuple(warning for warning in kept.warnings if warning not in _OF_STAGES)
    changes: dict[str, Any] = {
        "finding": result.label,
        "stage1": result,
        "warnings": of_film + set_warnings(1, result),
    }
    if result.label != result.positive:
        changes.update(aetiology=None, stage2=None)
    return replace(kept, **changes)


def _with_stage2(cascade: Cascade, kept: Prediction) -> Prediction:
    """Return the answer with stage 2's result; where it has not run yet, it runs on the display copy."""
    assert kept.stage1 is not None, "stage 1 said pneumonia"
    model = cascade.stage2
    if model is None:
        return kept
    domain = stage2_domain(kept.stage1.domain, kept.acquisition)
    if kept.stage2 is not None:
        result = _again(kept.stage2, model.spec, kept.operating_point, None)
    elif kept.display is None:
        raise UsageError(
            "at this operating point stage 2 answers, too, and the answer has no film for it; "
            "predict(..., display=True) keeps one"
        )
    else:
        output = model.run(prepare(kept.display, model.spec))
        result = stage_result(model, output, 0, kept.operating_point, domain=domain)
    warnings = kept.warnings + stage2_warnings(domain) + set_warnings(2, result)
    return replace(kept, aetiology=result.label, stage2=result, warnings=warnings)


def _again(before: StageResult, spec: ModelSpec, point: str, prior: float | None) -> StageResult:
    """Return a stage's answer at another operating point or prior; its map stays."""
    if before.logits is None:
        raise UsageError(f"the answer holds no logits of stage {spec.stage}; judge the film itself")
    result = judge(np.asarray(before.logits), spec, point, prior=prior, domain=before.domain)
    return replace(result, activation_map=before.activation_map, margin=before.margin)
