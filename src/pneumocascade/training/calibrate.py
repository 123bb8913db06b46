"""Temperature, operating points and prediction sets from held-out films.

What is fitted here is stored in the model; :mod:`pneumocascade.calibration` applies it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from pneumocascade.calibration import DECIMALS, positive_probability
from pneumocascade.spec import ModelSpec, OperatingPoint

COVERAGE = 0.9
"""Coverage aimed at by the prediction sets."""

GOAL = 0.98
"""Sensitivity of ``sensitive`` and specificity of ``specific`` on the films they are chosen on."""

RESAMPLES = 200

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def calibrate(
    spec: ModelSpec,
    logits: NDArray[np.float32],
    labels: Labels,
    patients: Sequence[str],
    data: str,
    seed: int,
) -> ModelSpec:
    """Return the specification with temperature, operating points and prediction sets filled in.

    Parameters
    ----------
    spec : ModelSpec
    logits : ndarray of float32, shape (N, 2)
        Of held-out films.
    labels : ndarray of int, shape (N,)
        0 for the negative, 1 for the positive class.
    patients : sequence of str, length N
        Resampled as a whole when the balanced threshold is chosen.
    data : str
        Name of these films, kept with the operating points.
    seed : int
    """
    temperature = fit_temperature(logits, labels)
    exact = positive_probability(logits, temperature)
    balanced = balanced_threshold(exact, labels, patients, seed)
    probability = np.round(exact, DECIMALS)  # what a threshold will be compared with
    above_negatives = 1.0 - threshold_for_sensitivity(1.0 - probability, 1 - labels, GOAL) + 10.0**-DECIMALS
    thresholds = {
        "balanced": balanced,
        "sensitive": min(balanced, threshold_for_sensitivity(probability, labels, GOAL)),
        "specific": max(balanced, above_negatives),
    }
    points = {name: _operating_point(value, probability, labels, data) for name, value in thresholds.items()}
    minimum = {
        spec.labels[0]: prediction_set_minimum(1.0 - probability[labels == 0]),
        spec.labels[1]: prediction_set_minimum(probability[labels == 1]),
    }
    return replace(
        spec,
        temperature=temperature,
        operating_points=points,
        prediction_set_minimum=minimum,
        validation_data=data,
    )


def fit_temperature(logits: NDArray[np.float32], labels: Labels) -> float:
    """Return the temperature, 0.05 to 20, of the least negative log-likelihood (Guo et al. 2017)."""

    def loss(log_temperature: float) -> float:
        probability = positive_probability(logits, float(np.exp(log_temperature)))
        right = np.where(labels == 1, probability, 1 - probability)
        return float(-np.log(np.clip(right, 1e-12, 1)).mean())

    best = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded")
    return float(np.exp(best.x))


def balanced_threshold(probability: Floats, labels: Labels, patients: Sequence[str], seed: int) -> float:
    """Return a threshold of the highest balanced accuracy that does not hang on single films.

    Where two classes hardly overlap, many thresholds are equally good on the films at hand. Patients
    are resampled, the middle of the best interval (in log-odds) is taken each time, and their
    median is returned.
    """
    rng = np.random.default_rng(seed)
    members: dict[str, list[int]] = {}
    for index, patient in enumerate(patients):
        members.setdefault(patient, []).append(index)
    groups = [np.array(group) for group in members.values()]
    middles = []
    for _ in range(RESAMPLES):
        chosen = np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))])
        if 0 < labels[chosen].sum() < len(chosen):
            middles.append(_best_cut(_log_odds(probability[chosen]), labels[chosen]))
    return float(_logistic(np.median(middles)))


def _best_cut(scores: Floats, labels: Labels) -> float:
    """Return the middle of the widest interval of cuts with the highest balanced accuracy."""
    order = np.argsort(scores)
    ordered, positive = scores[order], labels[order] == 1
    # Cut i puts the first i films below: their negatives are right, the others' positives are.
    specificity = np.concatenate([[0], np.cumsum(~positive)]) / (~positive).sum()
    sensitivity = 1 - np.concatenate([[0], np.cumsum(positive)]) / positive.sum()
    gaps = np.diff(ordered, prepend=ordered[0] - 1, append=ordered[-1] + 1)
    quality = np.where(gaps > 0, specificity + sensitivity, -1.0)
    best = np.flatnonzero(quality >= quality.max() - 1e-9)
    cut = int(best[np.argmax(gaps[best])])
    edges = np.concatenate([[ordered[0] - 1], ordered, [ordered[-1] + 1]])
    return float((edges[cut] + edges[cut + 1]) / 2)


def threshold_for_sensitivity(probability: Floats, labels: Labels, goal: float) -> float:
    """Return the highest threshold at which at least ``goal`` of the positives are found."""
    positives = np.sort(probability[labels == 1])
    missed = int(np.floor((1 - goal) * len(positives) + 1e-9))
    return float(positives[missed])


def prediction_set_minimum(own_probability: Floats) -> float:
    """Return the probability that a film's own label reaches in at least 90 % of cases.

    Split conformal with the finite-sample correction: of N calibration films, the
    floor((N + 1) (1 - coverage))-th smallest; 0 where there are too few films.
    """
    rank = int(np.floor((len(own_probability) + 1) * (1 - COVERAGE)))
    return float(np.sort(own_probability)[rank - 1]) if rank >= 1 else 0.0


def _operating_point(threshold: float, probability: Floats, labels: Labels, data: str) -> OperatingPoint:
    threshold = round(threshold, DECIMALS)
    positive = probability >= threshold
    return OperatingPoint(
        threshold,
        sensitivity=float(np.mean(positive[labels == 1])),
        specificity=float(np.mean(~positive[labels == 0])),
        data=data,
    )


def _log_odds(probability: Floats) -> Floats:
    clipped = np.clip(probability, 1e-9, 1 - 1e-9)
    odds: Floats = np.log(clipped / (1 - clipped))
    return odds


def _logistic(value: float | np.floating) -> float:
    return float(1 / (1 + np.exp(-value)))
