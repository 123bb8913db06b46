"""Temperature and bias, operating points and prediction sets from held-out films.

What is fitted here is stored in the model; :mod:`pneumocascade.calibration` applies it. Held-out films
are seen as they are and, where wanted, changed as in the shift suite: a threshold that is best on
clean films alone does not survive films that were acquired otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from pneumocascade.calibration import DECIMALS, positive_probability
from pneumocascade.errors import TrainingError
from pneumocascade.spec import ModelSpec, OperatingPoint

COVERAGE = 0.9
"""Coverage aimed at by the prediction sets."""

GOAL = 0.98
"""Sensitivity of ``sensitive`` and specificity of ``specific`` on the films they are chosen on."""

CLEAN = "clean"

RESAMPLES = 200
CUTS = 800

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """What a model said of held-out films.

    Attributes
    ----------
    logits : ndarray of float32, shape (N, 2)
    labels : ndarray of int, shape (N,)
        0 for the negative, 1 for the positive class.
    patients : list of str, length N
    conditions : list of str, length N
        ``CLEAN`` for films as they are, else the shift that they were changed by; by default all clean.
    """

    logits: NDArray[np.float32]
    labels: Labels
    patients: list[str]
    conditions: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.conditions:
            self.conditions.extend([CLEAN] * len(self.labels))

    @property
    def clean(self) -> NDArray[np.bool_]:
        """Which rows show films as they are, shape (N,)."""
        return np.array([condition == CLEAN for condition in self.conditions])

    def where(self, chosen: NDArray[np.bool_]) -> Outputs:
        """Return some of the rows."""
        rows = np.flatnonzero(chosen).tolist()
        return Outputs(
            self.logits[rows],
            self.labels[rows],
            [self.patients[row] for row in rows],
            [self.conditions[row] for row in rows],
        )

    def and_also(self, more: Outputs) -> Outputs:
        """Return these rows and those of ``more``."""
        return Outputs(
            np.concatenate([self.logits, more.logits]),
            np.concatenate([self.labels, more.labels]),
            self.patients + more.patients,
            self.conditions + more.conditions,
        )


def calibrate(spec: ModelSpec, outputs: Outputs, data: str, seed: int) -> ModelSpec:
    """Return the specification with calibration, operating points and prediction sets filled in.

    Temperature, bias and the balanced threshold rest on clean and changed films; the goals of the
    other two operating points and the prediction sets on clean films.

    Parameters
    ----------
    spec : ModelSpec
    outputs : Outputs
    data : str
        Name of these films, kept with the operating points.
    seed : int
    """
    temperature, bias = fit_calibration(outputs)
    exact = positive_probability(outputs.logits, temperature, bias)
    balanced = balanced_threshold(exact, outputs, seed)
    clean = outputs.clean
    probability, labels = np.round(exact[clean], DECIMALS), outputs.labels[clean]  # what will be compared
    highest_negative = 1.0 - threshold_for_sensitivity(1.0 - probability, 1 - labels, GOAL)
    above_negatives = min(1.0, highest_negative + 10.0**-DECIMALS)
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
        bias=bias,
        operating_points=points,
        prediction_set_minimum=minimum,
        validation_data=data,
    )


def fit_calibration(outputs: Outputs) -> tuple[float, float]:
    """Return temperature (0.05 to 20) and bias (-10 to 10) of the least negative log-likelihood.

    Clean and changed films weigh alike in sum, however many there are of each.
    """
    clean = outputs.clean
    weights = np.where(clean, 1 / max(1, clean.sum()), 1 / max(1, (~clean).sum()))

    margin = outputs.logits[:, 1].astype(np.float64) - outputs.logits[:, 0]
    sign = np.where(outputs.labels == 1, 1.0, -1.0)

    def loss(parameters: Floats) -> float:
        log_odds = margin / np.exp(parameters[0]) + parameters[1]
        return float((weights * np.logaddexp(0.0, -sign * log_odds)).sum())

    bounds = [(np.log(0.05), np.log(20)), (-10, 10)]
    best = minimize(loss, x0=np.zeros(2), bounds=bounds, method="L-BFGS-B")
    return float(np.exp(best.x[0])), float(best.x[1])


def balanced_threshold(probability: Floats, outputs: Outputs, seed: int) -> float:
    """Return a threshold of high balanced accuracy under all conditions that hangs on no single film.

    What is made as high as can be is the mean of three balanced accuracies: of the clean films, of
    the shifts on average, and of the worst shift; without shifts, the first alone. Many thresholds
    may be equally good on the films at hand: patients are resampled, the middle of the best interval
    (in log-odds) is taken each time, and their median is returned.

    Parameters
    ----------
    probability : ndarray of float, shape (N,)
        Of the positive class.
    outputs : Outputs
    seed : int

    Raises
    ------
    TrainingError
        Where a class has no clean film.
    """
    if len(set(outputs.labels[outputs.clean].tolist())) < 2:
        raise TrainingError("a threshold needs held-out films of both classes")
    scores = _log_odds(probability)
    cuts = np.linspace(scores.min() - 0.1, scores.max() + 0.1, CUTS)
    below = np.searchsorted(cuts, scores, side="right")  # cuts[:below] call the film positive
    names = sorted(set(outputs.conditions), key=lambda name: (name != CLEAN, name))
    condition = np.array([names.index(name) for name in outputs.conditions])
    cell = (condition * 2 + outputs.labels) * (CUTS + 1) + below
    _, patient = np.unique(outputs.patients, return_inverse=True)
    rng = np.random.default_rng(seed)
    middles = []
    for _ in range(RESAMPLES):
        drawn = np.bincount(
            rng.integers(patient.max() + 1, size=patient.max() + 1), minlength=patient.max() + 1
        )
        counts = np.bincount(cell, drawn[patient], len(names) * 2 * (CUTS + 1)).reshape(
            len(names), 2, CUTS + 1
        )
        if counts.sum(axis=2).all():
            middles.append(_best_cut(cuts, counts.astype(np.float64)))
    return float(_logistic(np.median(middles)))


def _best_cut(cuts: Floats, counts: Floats) -> float:
    """Return the middle of the longest run of best cuts.

    ``counts``, shape (conditions, 2, cuts + 1): weight of the negative and of the positive films
    for which so many cuts are at or below the film.
    """
    share_below = np.cumsum(counts, axis=2)[..., :-1] / counts.sum(axis=2, keepdims=True)
    balanced_accuracy = (share_below[:, 0] + 1 - share_below[:, 1]) / 2  # (conditions, cuts)
    quality = balanced_accuracy[0]
    if len(counts) > 1:
        shifted = balanced_accuracy[1:]
        quality = (quality + shifted.mean(axis=0) + shifted.min(axis=0)) / 3
    best = np.flatnonzero(quality >= quality.max() - 1e-9)
    runs = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
    longest = max(runs, key=len)
    return float((cuts[longest[0]] + cuts[longest[-1]]) / 2)


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
