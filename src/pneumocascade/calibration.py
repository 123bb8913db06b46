"""From logits to calibrated probabilities, a label and a prediction set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pneumocascade.errors import UsageError
from pneumocascade.records import StageResult
from pneumocascade.spec import ModelSpec

DECIMALS = 6
"""Probabilities are rounded to this many decimals before anything is decided by them, so that
every door shows the very number that was compared with the threshold."""


def positive_probability(
    logits: NDArray[np.floating], temperature: float, bias: float = 0.0
) -> NDArray[np.float64]:
    """Return the calibrated probability of the positive (second) class.

    Temperature scaling (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017) with a
    bias (Platt, "Probabilistic Outputs for Support Vector Machines", 1999).

    Parameters
    ----------
    logits : ndarray of float, shape (N, 2)
    temperature : float
        Greater than 0.
    bias : float
        Added to the log-odds.

    Returns
    -------
    ndarray of float64, shape (N,)
        0..1.
    """
    log_odds = (logits[:, 1].astype(np.float64) - logits[:, 0]) / temperature + bias
    # The logistic function by way of tanh: no overflow at either end.
    probability: NDArray[np.float64] = 0.5 * (1.0 + np.tanh(0.5 * log_odds))
    return probability


def judge(logits: NDArray[np.floating], spec: ModelSpec, operating_point: str) -> StageResult:
    """Turn one film's logits into a stage's answer.

    Parameters
    ----------
    logits : ndarray of float, shape (2,)
    spec : ModelSpec
        Of the model that gave them.
    operating_point : str
        Name of one stored in ``spec``.

    Raises
    ------
    UsageError
        Where the model stores no such operating point.
    """
    if operating_point not in spec.operating_points:
        raise UsageError(
            f"operating point is {operating_point!r}; stage {spec.stage} stores "
            f"{', '.join(spec.operating_points)}"
        )
    positive = round(float(positive_probability(logits[None], spec.temperature, spec.bias)[0]), DECIMALS)
    negative = round(1.0 - positive, DECIMALS)
    probabilities = dict(zip(spec.labels, (negative, positive), strict=True))
    threshold = spec.operating_points[operating_point].threshold
    label = spec.labels[1] if positive >= threshold else spec.labels[0]
    return StageResult(probabilities, label, threshold, _prediction_set(probabilities, label, spec))


def _prediction_set(probabilities: dict[str, float], label: str, spec: ModelSpec) -> tuple[str, ...]:
    """Labels whose probability reaches their minimum, and the answer; all where none reaches it.

    Class-conditional split conformal prediction: Vovk, "Conditional validity of inductive
    conformal predictors", ACML 2012. Where the classes are far apart, a film between them conforms
    to neither: then nothing can be ruled out. Both additions only raise the coverage.
    """
    members = [
        name for name in spec.labels if probabilities[name] >= spec.prediction_set_minimum.get(name, 0.0)
    ]
    return tuple(name for name in spec.labels if name in members or name == label or not members)
