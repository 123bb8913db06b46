"""Figures of merit of the two stages and of the cascade, with intervals over patients.

A measure takes a weight per film. All ones give the figure itself; in a bootstrap resample the
weight is how often the film's patient was drawn. Every measure is NaN where it is not defined (no
film, or none of a class it needs). The tests hold them against scikit-learn's, which would take
milliseconds for each resample.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pneumocascade.evaluation.bootstrap import RESAMPLES, Estimate, bootstrap

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence
    from typing import TypeAlias

    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Ints: TypeAlias = NDArray[np.int64]

ECE_BINS = 15
"""Bins of the expected calibration error, as in Guo et al. 2017."""


def auroc(labels: Ints, probability: Floats, weights: Floats) -> float:
    """Return the area under the ROC curve: how often a positive film outranks a negative one.

    The Mann-Whitney statistic; ties count half.

    Parameters
    ----------
    labels : ndarray of int, shape (N,)
        1 for the positive class, else 0.
    probability : ndarray of float, shape (N,)
        Of the positive class.
    weights : ndarray of float, shape (N,)
        How often each film counts; may be 0.
    """
    _, rank = np.unique(probability, return_inverse=True)
    positive = np.bincount(rank, weights * labels)
    negative = np.bincount(rank, weights * (1 - labels))
    outranked = np.cumsum(negative) - negative / 2
    return _ratio(float(positive @ outranked), positive.sum() * negative.sum())


def brier(labels: Ints, probability: Floats, weights: Floats) -> float:
    """Return the mean squared difference between probability and label (Brier 1950).

    Parameters as for :func:`auroc`.
    """
    return _ratio(float(weights @ (probability - labels) ** 2), weights.sum())


def calibration_bins(
    labels: Ints, probability: Floats, weights: Floats, bins: int = ECE_BINS
) -> tuple[Floats, Floats]:
    """Return mean probability and share of positives in bins of equal mass.

    Films are put in order of their probability and cut into bins of equal weight. A film that a
    cut goes through counts to both sides in proportion; films of one probability are not told
    apart, so that their order does not matter.

    Parameters
    ----------
    labels, probability, weights : ndarray, shape (N,)
        As for :func:`auroc`; some weight is above 0.
    bins : int

    Returns
    -------
    mean_probability, positive_share : ndarray of float, shape (bins,)
    """
    drawn = weights > 0
    _, rank = np.unique(probability[drawn], return_inverse=True)
    mass, predicted, positive = (
        np.concatenate([[0.0], np.cumsum(np.bincount(rank, values[drawn]))])
        for values in (weights, weights * probability, weights * labels)
    )
    cuts = np.linspace(0.0, mass[-1], bins + 1)
    in_bin = mass[-1] / bins
    mean_probability: Floats = np.diff(np.interp(cuts, mass, predicted)) / in_bin
    positive_share: Floats = np.diff(np.interp(cuts, mass, positive)) / in_bin
    return mean_probability, positive_share


def ece(labels: Ints, probability: Floats, weights: Floats) -> float:
    """Return the expected calibration error of the positive class's probability.

    The mean, over :data:`ECE_BINS` bins, of the absolute difference between mean probability and
    share of positives. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, but with
    bins of equal mass instead of equal width (see :func:`calibration_bins`), so that no bin hangs
    on a few films. It is biased upwards where there are few films, and its
    interval more so.

    Parameters as for :func:`auroc`.
    """
    if not weights.sum() > 0:
        return math.nan
    mean_probability, positive_share = calibration_bins(labels, probability, weights)
    return float(np.mean(np.abs(mean_probability - positive_share)))


def confusion_matrix(truth: Ints, answer: Ints, weights: Floats, classes: int) -> Floats:
    """Return how many films of each class (rows) were answered as each (columns).

    Parameters
    ----------
    truth, answer : ndarray of int, shape (N,)
        0..classes - 1.
    weights : ndarray of float, shape (N,)
    classes : int

    Returns
    -------
    ndarray of float, shape (classes, classes)
    """
    cells = np.bincount(truth * classes + answer, weights, classes**2).astype(np.float64)
    return cells.reshape(classes, classes)


def accuracy(matrix: Floats) -> float:
    """Return the share of films answered rightly, from a confusion matrix."""
    return _ratio(np.trace(matrix), matrix.sum())


def recall(matrix: Floats, category: int) -> float:
    """Return the share of a class's films that were answered as such, from a confusion matrix.

    Of a stage, this is the sensitivity (class 1) or the specificity (class 0).
    """
    return _ratio(matrix[category, category], matrix[category].sum())


def balanced_accuracy(matrix: Floats) -> float:
    """Return the mean recall of all classes; not defined where a class has no film."""
    return sum(recall(matrix, category) for category in range(len(matrix))) / len(matrix)


def macro_f1(matrix: Floats) -> float:
    """Return the mean F1 of all classes; not defined where a class has no film."""
    films = matrix.sum(axis=1)
    if not films.all():
        return math.nan
    return float(np.mean(2 * np.diag(matrix) / (films + matrix.sum(axis=0))))


def stage_values(labels: Ints, probability: Floats, answer: Ints, weights: Floats) -> dict[str, float]:
    """Return the figures of one stage by name, without intervals.

    Parameters
    ----------
    labels, probability, weights : ndarray, shape (N,)
        As for :func:`auroc`.
    answer : ndarray of int, shape (N,)
        1 where a film is called positive, else 0.
    """
    matrix = confusion_matrix(labels, answer, weights, 2)
    return {
        "auroc": auroc(labels, probability, weights),
        "accuracy": accuracy(matrix),
        "sensitivity": recall(matrix, 1),
        "specificity": recall(matrix, 0),
        "balanced_accuracy": balanced_accuracy(matrix),
        "ece": ece(labels, probability, weights),
        "brier": brier(labels, probability, weights),
    }


def stage_groups(labels: Ints) -> dict[str, NDArray[np.bool_]]:
    """Return which films each share of a stage rests on."""
    everyone = np.ones(len(labels), np.bool_)
    return {"accuracy": everyone, "sensitivity": labels == 1, "specificity": labels == 0}


def stage_figures(
    labels: Ints,
    probability: Floats,
    threshold: float | Floats,
    patients: Sequence[str],
    *,
    film_weights: Floats | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Measure one stage.

    Parameters
    ----------
    labels, probability : ndarray, shape (N,)
        As for :func:`auroc`.
    threshold : float or ndarray of float, shape (N,)
        A film is called positive where its probability is at or above it, or above its own.
    patients : sequence of str, length N
    film_weights : ndarray of float, shape (N,), optional
        How much each film counts; by default all the same.
    resamples, seed : int
        See :func:`~pneumocascade.evaluation.bootstrap.bootstrap`.

    Returns
    -------
    dict of str to Estimate
        ``auroc``, ``accuracy``, ``sensitivity``, ``specificity``, ``balanced_accuracy``, ``ece``
        and ``brier``.
    """
    answer = (probability >= threshold).astype(np.int64)

    def measure(drawn: Floats) -> dict[str, float]:
        return stage_values(
            labels, probability, answer, drawn if film_weights is None else drawn * film_weights
        )

    groups = stage_groups(labels)
    n = {name: int(films.sum()) for name, films in groups.items()}
    shares = patients_of(patients, groups)
    figures = bootstrap(measure, patients, n, shares=shares, resamples=resamples, seed=seed)
    return {**figures, "balanced_accuracy": _with_bounds(figures)}


def _with_bounds(figures: Mapping[str, Estimate]) -> Estimate:
    """Return the balanced accuracy; where it has no interval of its own, with that of its two parts.

    Where sensitivity and specificity are both 0 or 1 each has an exact interval: the means of their lower
    and of their upper bounds hold the balanced accuracy in at least 95 % of cases.
    """
    balanced, parts = figures["balanced_accuracy"], (figures["sensitivity"], figures["specificity"])
    intervals = [part.ci95 for part in parts if part.ci95 is not None and part.value in (0.0, 1.0)]
    if balanced.ci95 is not None or len(intervals) < len(parts):
        return balanced
    low, high = np.mean(intervals, axis=0).tolist()
    return replace(balanced, ci95=(low, high))


def patients_of(patients: Sequence[str], groups: Mapping[str, NDArray[np.bool_]]) -> dict[str, int]:
    """Return by name of a group of films how many patients they are of."""
    names = np.asarray(patients, dtype=np.str_)
    return {name: len(set(names[films].tolist())) for name, films in groups.items()}


def cascade_values(truth: Ints, answer: Ints, categories: Sequence[str], weights: Floats) -> dict[str, float]:
    """Return the figures of the three-way answer by name, without intervals.

    Parameters as for :func:`cascade_figures`; ``weights``, shape (N,): how often each film counts.
    """
    matrix = confusion_matrix(truth, answer, weights, len(categories))
    recalls = {f"recall_{name}": recall(matrix, index) for index, name in enumerate(categories)}
    return {"accuracy": accuracy(matrix), "macro_f1": macro_f1(matrix), **recalls}


def cascade_groups(truth: Ints, categories: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Return which films each share of the three-way answer rests on."""
    everyone = np.ones(len(truth), np.bool_)
    return {
        "accuracy": everyone,
        **{f"recall_{name}": truth == index for index, name in enumerate(categories)},
    }


def cascade_figures(
    truth: Ints,
    answer: Ints,
    categories: Sequence[str],
    patients: Sequence[str],
    *,
    film_weights: Floats | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Measure both stages together, as the answer that a reader gets.

    Parameters
    ----------
    truth, answer : ndarray of int, shape (N,)
        Positions in ``categories``.
    categories : sequence of str
    patients : sequence of str, length N
    film_weights : ndarray of float, shape (N,), optional
        How much each film counts; by default all the same.
    resamples, seed : int
        See :func:`~pneumocascade.evaluation.bootstrap.bootstrap`.

    Returns
    -------
    dict of str to Estimate
        ``accuracy``, ``macro_f1`` and one ``recall_...`` for each category.
    """

    def measure(drawn: Floats) -> dict[str, float]:
        weights = drawn if film_weights is None else drawn * film_weights
        return cascade_values(truth, answer, categories, weights)

    groups = cascade_groups(truth, categories)
    n = {name: int(films.sum()) for name, films in groups.items()}
    shares = patients_of(patients, groups)
    return bootstrap(measure, patients, n, shares=shares, resamples=resamples, seed=seed)


def predictive_values(sensitivity: float, specificity: float, prevalence: float) -> tuple[float, float]:
    """Return the positive and the negative predictive value at a prevalence; all are shares, 0..1.

    By Bayes' rule. NaN where nothing is called positive, or nothing negative.
    """
    true, false = prevalence * sensitivity, (1 - prevalence) * (1 - specificity)
    missed, right = prevalence * (1 - sensitivity), (1 - prevalence) * specificity
    return _ratio(true, true + false), _ratio(right, right + missed)


def share(held: Floats | NDArray[np.bool_], weights: Floats) -> float:
    """Return the share of films of which something holds.

    Parameters
    ----------
    held : ndarray of float or bool, shape (N,)
        1 where it holds, else 0.
    weights : ndarray of float, shape (N,)
    """
    return _ratio(float(weights @ held), weights.sum())


def group_weights(keys: Sequence[Hashable]) -> Floats:
    """Return weights of films with which each group counts once, however many films it has.

    Parameters
    ----------
    keys : sequence, length N
        Of each film, what its group is told by, such as patient and category.

    Returns
    -------
    ndarray of float, shape (N,)
        1 over the films of the same group.
    """
    members = Counter(keys)
    return np.array([1 / members[key] for key in keys], np.float64)


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else math.nan
