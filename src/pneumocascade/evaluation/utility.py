"""What the answers of a stage are worth to whoever acts on them: predictive values, net benefit.

Sensitivity, specificity and AUROC say nothing of how often a positive answer is right: that depends on how
common the positive class is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pneumocascade.errors import UsageError
from pneumocascade.evaluation.bootstrap import DECIMALS, RESAMPLES, Estimate, bootstrap
from pneumocascade.evaluation.metrics import confusion_matrix, predictive_values, recall

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    from numpy.typing import NDArray

    from pneumocascade.evaluation.results import MeasuredStage

    Floats: TypeAlias = NDArray[np.float64]
    Ints: TypeAlias = NDArray[np.int64]

PREVALENCES = (0.05, 0.2, 0.5)
"""Shares of the positive class at which predictive values are always given."""

THRESHOLDS = np.arange(1, 100) / 100
"""Threshold probabilities of a decision curve."""

CURVE_STEP = 5
"""``metrics.json`` holds every fifth of ``THRESHOLDS``."""


@dataclass(frozen=True, slots=True)
class PredictiveValues:
    """How often a positive and a negative answer are right at a prevalence.

    Attributes
    ----------
    prevalence : float
        Share of the positive class, above 0 and below 1.
    ppv, npv : Estimate
    """

    prevalence: float
    ppv: Estimate
    npv: Estimate


@dataclass(frozen=True, slots=True)
class MeasuredUtility:
    """What a stage's answers are good for.

    Attributes
    ----------
    predictive_values : tuple of PredictiveValues
        By ascending prevalence.
    average_precision : Estimate
        Depends on the share of positives in the data set.
    positive_share : float or None
        That share; ``None`` without a film.
    net_benefit : tuple of Estimate
        At each of ``THRESHOLDS``, for the share of positives in the data set.
    """

    predictive_values: tuple[PredictiveValues, ...]
    average_precision: Estimate
    positive_share: float | None
    net_benefit: tuple[Estimate, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the utility's part of a stage in ``metrics.json``."""
        share = self.positive_share
        return {
            "average_precision": self.average_precision.to_dict(),
            "positive_share": None if share is None else round(share, DECIMALS),
            "predictive_values": [
                {"prevalence": at.prevalence, "ppv": at.ppv.to_dict(), "npv": at.npv.to_dict()}
                for at in self.predictive_values
            ],
            "decision_curve": [
                {
                    "threshold_probability": round(float(threshold), 2),
                    "net_benefit": benefit.to_dict(),
                    "treat_all": None if share is None else round(treat_all(share, threshold), DECIMALS),
                }
                for threshold, benefit in list(zip(THRESHOLDS, self.net_benefit, strict=True))[
                    CURVE_STEP - 1 :: CURVE_STEP
                ]
            ],
        }


def check_prevalences(prevalences: Sequence[float]) -> tuple[float, ...]:
    """Return ``PREVALENCES`` and those given, ascending.

    Raises
    ------
    UsageError
        For one that is not above 0 and below 1.
    """
    for prevalence in prevalences:
        if not 0 < prevalence < 1:
            raise UsageError(f"prevalence is {prevalence:g}; expected a share above 0 and below 1")
    return tuple(sorted({*PREVALENCES, *prevalences}))


def measure_utility(
    stage: MeasuredStage,
    prevalences: Sequence[float] = PREVALENCES,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> MeasuredUtility:
    """Measure predictive values, average precision and net benefit of one stage.

    Parameters
    ----------
    stage : MeasuredStage
    prevalences : sequence of float
        Each above 0 and below 1.
    resamples, seed : int
        See :func:`~pneumocascade.evaluation.bootstrap.bootstrap`.
    """
    labels, probability = stage.labels, stage.probability
    called = (probability >= stage.threshold).astype(np.int64)

    def measure(weights: Floats) -> dict[str, float]:
        matrix = confusion_matrix(labels, called, weights, 2)
        sensitivity, specificity = recall(matrix, 1), recall(matrix, 0)
        values = {"average_precision": average_precision(labels, probability, weights)}
        for at in prevalences:
            values[f"ppv {at}"], values[f"npv {at}"] = predictive_values(sensitivity, specificity, at)
        benefits = net_benefit(labels, probability, weights).tolist()
        return values | {f"benefit {index}": benefit for index, benefit in enumerate(benefits)}

    n = {"average_precision": len(labels)}
    estimates = bootstrap(measure, stage.patients, n, resamples=resamples, seed=seed)
    return MeasuredUtility(
        tuple(_predictive(estimates, stage.figures, at) for at in prevalences),
        estimates["average_precision"],
        float(labels.mean()) if len(labels) else None,
        tuple(estimates[f"benefit {index}"] for index in range(len(THRESHOLDS))),
    )


def _predictive(
    estimates: Mapping[str, Estimate], figures: Mapping[str, Estimate], at: float
) -> PredictiveValues:
    """Return the predictive values at a prevalence, with an interval also where every resample agrees.

    Both grow with sensitivity and specificity: where these are 0 or 1 and have exact intervals, the bounds of
    both give bounds that hold in at least 95 % of cases.
    """
    values = [estimates[f"{name} {at}"] for name in ("ppv", "npv")]
    sensitivity, specificity = figures["sensitivity"], figures["specificity"]
    exact = {sensitivity.value, specificity.value} & {0.0, 1.0}
    if exact and sensitivity.ci95 is not None and specificity.ci95 is not None:
        low, high = (
            predictive_values(sensitivity.ci95[bound], specificity.ci95[bound], at) for bound in range(2)
        )
        for index, value in enumerate(values):
            if value.value is not None and value.ci95 is None:
                values[index] = replace(value, ci95=(low[index], high[index]))
    return PredictiveValues(at, *values)


def average_precision(labels: Ints, probability: Floats, weights: Floats) -> float:
    """Return the average precision as scikit-learn defines it; NaN without a positive or a negative film.

    The mean precision over the positive films, each at the threshold of its own probability. Computed here
    because the bootstrap asks for it a thousand times, for each of which scikit-learn checks its input anew.

    Parameters
    ----------
    labels : ndarray of int, shape (N,)
        1 for the positive class, else 0.
    probability, weights : ndarray of float, shape (N,)
    """
    _, rank = np.unique(-probability, return_inverse=True)  # ties are called together
    positive = np.bincount(rank, weights * labels)
    found, called = np.cumsum(positive), np.cumsum(np.bincount(rank, weights))
    if not len(labels) or not 0 < found[-1] < called[-1]:
        return math.nan
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    return float(positive @ precision / found[-1])


def net_benefit(labels: Ints, probability: Floats, weights: Floats) -> Floats:
    """Return the net benefit of calling films positive from each of ``THRESHOLDS`` on.

    The share of true positives, less that of false positives times the odds of the threshold: whoever acts
    from a probability of 0.1 on accepts nine false positives for one true positive. Vickers and Elkin,
    "Decision Curve Analysis", Medical Decision Making 2006.

    Parameters as for :func:`average_precision`.

    Returns
    -------
    ndarray of float, shape (99,)
        NaN where there is no film.
    """
    whole = weights.sum()
    if not whole > 0:
        return np.full(len(THRESHOLDS), np.nan)
    order = np.argsort(probability)
    first = np.searchsorted(probability[order], THRESHOLDS)  # films from here on are called positive
    true, false = (
        np.append(np.cumsum((weights * of)[order][::-1])[::-1], 0.0)[first] for of in (labels, 1 - labels)
    )
    benefit: Floats = (true - false * THRESHOLDS / (1 - THRESHOLDS)) / whole
    return benefit


def treat_all(positive_share: float, threshold: float) -> float:
    """Return the net benefit of calling every film positive.

    Parameters
    ----------
    positive_share : float
        0..1.
    threshold : float
        Threshold probability, 0 or above and below 1.
    """
    return float(positive_share - (1 - positive_share) * threshold / (1 - threshold))
