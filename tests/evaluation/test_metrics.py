from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics as reference
from numpy.typing import NDArray

from pneumocascade.evaluation.metrics import (
    accuracy,
    auroc,
    balanced_accuracy,
    brier,
    calibration_bins,
    cascade_figures,
    confusion_matrix,
    ece,
    macro_f1,
    predictive_values,
    recall,
    stage_figures,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def drawn_films(seed: int, classes: int = 2) -> tuple[Ints, Floats, Floats]:
    """Labels, probabilities with many ties, and weights with zeros."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, 120)
    probability = np.round(0.3 * labels + 0.7 * rng.random(120), 2).astype(np.float64) / classes
    return labels, probability, rng.integers(0, 4, 120).astype(np.float64)


@pytest.mark.parametrize("seed", range(5))
def test_figures_of_a_stage_equal_those_of_scikit_learn(seed: int) -> None:
    labels, probability, weights = drawn_films(seed)
    answer = (probability >= 0.5).astype(np.int64)
    matrix = confusion_matrix(labels, answer, weights, 2)
    drawn = {"sample_weight": weights}
    assert auroc(labels, probability, weights) == pytest.approx(
        reference.roc_auc_score(labels, probability, **drawn)
    )
    assert brier(labels, probability, weights) == pytest.approx(
        reference.brier_score_loss(labels, probability, **drawn)
    )
    assert matrix.tolist() == reference.confusion_matrix(labels, answer, **drawn).tolist()
    assert accuracy(matrix) == pytest.approx(reference.accuracy_score(labels, answer, **drawn))
    assert recall(matrix, 1) == pytest.approx(reference.recall_score(labels, answer, **drawn))
    assert recall(matrix, 0) == pytest.approx(reference.recall_score(labels, answer, pos_label=0, **drawn))
    assert balanced_accuracy(matrix) == pytest.approx(
        reference.balanced_accuracy_score(labels, answer, **drawn)
    )


@pytest.mark.parametrize("seed", range(5))
def test_figures_of_the_cascade_equal_those_of_scikit_learn(seed: int) -> None:
    truth, _, weights = drawn_films(seed, classes=3)
    answer = np.where(np.random.default_rng(seed).random(120) < 0.6, truth, 2)
    matrix = confusion_matrix(truth, answer, weights, 3)
    assert matrix.tolist() == reference.confusion_matrix(truth, answer, sample_weight=weights).tolist()
    assert macro_f1(matrix) == pytest.approx(
        reference.f1_score(truth, answer, average="macro", sample_weight=weights)
    )


@pytest.mark.parametrize("measure", [auroc, brier, ece])
@pytest.mark.parametrize("seed", range(3))
def test_a_weight_is_a_number_of_copies(measure: object, seed: int) -> None:
    assert callable(measure)
    labels, probability, weights = drawn_films(seed)
    copies = weights.astype(int)
    many = np.ones(copies.sum())
    expected = measure(np.repeat(labels, copies), np.repeat(probability, copies), many)
    assert measure(labels, probability, weights) == pytest.approx(expected)


def test_figures_worked_out_by_hand() -> None:
    labels = np.array([0, 0, 1, 1])
    probability = np.array([0.1, 0.4, 0.35, 0.8])
    figures = stage_figures(labels, probability, 0.4, ["a", "b", "c", "d"], resamples=0)
    assert figures["auroc"].value == 0.75  # three of four pairs in the right order
    assert figures["accuracy"].value == 0.5
    assert figures["sensitivity"].value == 0.5
    assert figures["specificity"].value == 0.5  # the film at the threshold is called positive
    assert figures["balanced_accuracy"].value == 0.5
    assert figures["brier"].value == pytest.approx((0.01 + 0.16 + 0.4225 + 0.04) / 4)
    assert {name: figure.n for name, figure in figures.items()} == {
        "auroc": 4,
        "accuracy": 4,
        "sensitivity": 2,
        "specificity": 2,
        "balanced_accuracy": 4,
        "ece": 4,
        "brier": 4,
    }


def test_macro_f1_worked_out_by_hand() -> None:
    truth = np.array([0, 0, 0, 1, 1, 2, 2])
    answer = np.array([0, 0, 1, 1, 0, 2, 0])
    figures = cascade_figures(truth, answer, ("n", "b", "v"), list("abcdefg"), resamples=0)
    assert figures["accuracy"].value == pytest.approx(4 / 7)
    assert figures["macro_f1"].value == pytest.approx((4 / 7 + 1 / 2 + 2 / 3) / 3)
    assert (figures["recall_b"].value, figures["recall_b"].n) == (0.5, 2)


def test_calibration_error_is_the_mean_gap_of_bins_of_equal_mass() -> None:
    rng = np.random.default_rng(1)
    probability = np.sort(rng.random(45))
    labels = (rng.random(45) < probability).astype(np.int64)
    gaps = np.abs(probability.reshape(15, 3).mean(axis=1) - labels.reshape(15, 3).mean(axis=1))
    assert ece(labels, probability, np.ones(45)) == pytest.approx(gaps.mean())


def test_a_film_on_a_cut_counts_to_both_bins_in_proportion() -> None:
    labels, probability = np.array([0, 1, 1]), np.array([0.1, 0.6, 0.9])
    mean_probability, share = calibration_bins(labels, probability, np.ones(3), bins=2)
    assert mean_probability == pytest.approx([(0.1 + 0.3) / 1.5, (0.3 + 0.9) / 1.5])
    assert share == pytest.approx([0.5 / 1.5, 1.0])


def test_order_does_not_matter_among_films_of_one_probability() -> None:
    probability = np.full(20, 0.25)
    labels = np.array([1] * 5 + [0] * 15)
    assert ece(labels, probability, np.ones(20)) == pytest.approx(0)
    assert ece(labels[::-1], probability, np.ones(20)) == pytest.approx(0)


def test_probabilities_that_are_always_right_have_no_calibration_error() -> None:
    labels = np.array([0, 1, 0, 1, 1])
    assert ece(labels, labels.astype(np.float64), np.ones(5)) == pytest.approx(0)
    assert ece(labels, 1.0 - labels, np.ones(5)) == pytest.approx(1)


def test_figures_that_need_both_classes_are_not_defined_for_one() -> None:
    labels, probability = np.zeros(3, np.int64), np.array([0.2, 0.4, 0.9])
    figures = stage_figures(labels, probability, 0.5, ["a", "b", "c"], resamples=50)
    undefined = {name for name, figure in figures.items() if figure.value is None}
    assert undefined == {"auroc", "sensitivity", "balanced_accuracy"}
    assert all(figures[name].ci95 is None for name in undefined)
    assert figures["sensitivity"].n == 0
    assert figures["specificity"].value == pytest.approx(2 / 3)


def test_no_figure_is_defined_without_films() -> None:
    nothing = np.array([], np.int64)
    stage = stage_figures(nothing, np.array([], np.float64), 0.5, [], resamples=10)
    both = cascade_figures(nothing, nothing, ("n", "b", "v"), [], resamples=10)
    for figure in (*stage.values(), *both.values()):
        assert figure.to_dict() == {"value": None, "ci95": None, "n": 0}


def test_macro_f1_needs_films_of_every_class() -> None:
    assert math.isnan(macro_f1(np.array([[3.0, 0, 1], [0, 0, 0], [0, 0, 2]])))
    # A class that has films but is never answered is defined: its F1 is 0.
    assert macro_f1(np.array([[2.0, 0], [2.0, 0]])) == pytest.approx((4 / 6) / 2)


def test_predictive_values_are_shares_of_what_was_called() -> None:
    # Of 1,000: 200 ill, of whom 160 are found; 800 well, of whom 720 are called so.
    ppv, npv = predictive_values(0.8, 0.9, 0.2)
    assert ppv == pytest.approx(160 / (160 + 80))
    assert npv == pytest.approx(720 / (720 + 40))
    assert math.isnan(predictive_values(0.0, 1.0, 0.2)[0])
    assert math.isnan(predictive_values(1.0, 0.0, 0.2)[1])
