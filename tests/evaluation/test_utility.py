from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve

from pneumocascade.errors import UsageError
from pneumocascade.evaluation.bootstrap import exact_interval
from pneumocascade.evaluation.metrics import confusion_matrix, predictive_values, stage_figures
from pneumocascade.evaluation.results import MeasuredStage
from pneumocascade.evaluation.utility import (
    THRESHOLDS,
    average_precision,
    check_prevalences,
    measure_utility,
    net_benefit,
    treat_all,
)
from pneumocascade.evaluation.utility_charts import decision_curve, precision_recall

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def stage_of(labels: Ints, probability: Floats, resamples: int = 60) -> MeasuredStage:
    patients = tuple(f"p{number}" for number in range(len(labels)))
    figures = stage_figures(labels, probability, 0.5, patients, resamples=resamples)
    matrix = confusion_matrix(labels, (probability >= 0.5).astype(np.int64), np.ones(len(labels)), 2)
    return MeasuredStage(1, ("normal", "pneumonia"), labels, probability, 0.5, matrix, figures, patients)


def drawn(count: int, seed: int = 0) -> tuple[Ints, Floats]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(count) < 0.4).astype(np.int64)
    return labels, np.clip(0.3 * labels + 0.7 * rng.random(count), 0, 1)


def written(drawing: Figure) -> str:
    (axes,) = drawing.axes
    told = axes.get_legend()
    legend = [] if told is None else [text.get_text() for text in told.get_texts()]
    return "\n".join([*(text.get_text() for text in axes.texts), *legend, axes.get_title(loc="left")])


def test_net_benefit_by_hand() -> None:
    # Ten films, four ill: called from .2 on: 3 of the ill, 2 of the well.
    labels = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    probability = np.array([0.9, 0.6, 0.2, 0.1, 0.5, 0.2, 0.1, 0.1, 0.0, 0.0])
    benefit = dict(zip(THRESHOLDS.tolist(), net_benefit(labels, probability, np.ones(10)), strict=True))
    assert benefit[0.2] == pytest.approx(3 / 10 - 2 / 10 * 0.2 / 0.8)
    assert benefit[0.5] == pytest.approx(2 / 10 - 1 / 10)
    assert benefit[0.95] == 0
    assert treat_all(0.4, 0.2) == pytest.approx(0.4 - 0.6 / 4)
    assert np.isnan(net_benefit(labels, probability, np.zeros(10))).all()


def test_net_benefit_is_that_of_counting_at_every_threshold() -> None:
    labels, probability = drawn(80)
    weights = np.random.default_rng(1).integers(0, 4, 80).astype(np.float64)
    expected = []
    for threshold in THRESHOLDS:
        called = probability >= threshold
        true, false = (float(weights[called & (labels == label)].sum()) for label in (1, 0))
        expected.append((true - false * threshold / (1 - threshold)) / weights.sum())
    assert net_benefit(labels, probability, weights) == pytest.approx(np.array(expected))


def test_average_precision_is_scikit_learns() -> None:
    labels, probability = drawn(50)
    weights = np.arange(50) % 3
    repeated = np.repeat(np.arange(50), weights)
    assert average_precision(labels, probability, weights.astype(np.float64)) == pytest.approx(
        average_precision_score(labels[repeated], probability[repeated])
    )
    assert math.isnan(average_precision(labels, probability, labels.astype(np.float64)))


def test_predictive_values_with_intervals() -> None:
    labels, probability = drawn(300)
    stage = stage_of(labels, probability, resamples=200)
    utility = measure_utility(stage, (0.05, 0.5), resamples=200)
    sensitivity, specificity = (stage.figures[name] for name in ("sensitivity", "specificity"))
    assert sensitivity.value is not None
    assert specificity.value is not None
    for at in utility.predictive_values:
        expected = predictive_values(sensitivity.value, specificity.value, at.prevalence)
        assert (at.ppv.value, at.npv.value) == pytest.approx(expected)
        for found in (at.ppv, at.npv):
            assert found.ci95 is not None
            assert found.value is not None
            assert found.ci95[0] < found.value < found.ci95[1]
            assert found.n == 300
    rare, even = utility.predictive_values
    assert rare.ppv.value is not None
    assert even.ppv.value is not None
    assert rare.ppv.value < even.ppv.value
    # At the share of these films, they are what was counted.
    share = float(labels.mean())
    (own,) = measure_utility(stage, (share,), resamples=0).predictive_values
    called = probability >= 0.5
    assert own.ppv.value == pytest.approx(labels[called].mean())
    assert own.npv.value == pytest.approx(1 - labels[~called].mean())
    assert own.ppv.ci95 is None


def test_a_predictive_value_of_one_has_an_interval() -> None:
    labels = np.array([0] * 35 + [1] * 35)
    stage = stage_of(labels, labels * 0.8 + 0.1)
    (at,) = measure_utility(stage, (0.2,), resamples=60).predictive_values
    low = exact_interval(1, 35)[0]
    assert at.ppv.value == 1
    assert at.ppv.ci95 == pytest.approx((predictive_values(low, low, 0.2)[0], 1.0))
    assert at.npv.ci95 == pytest.approx((predictive_values(low, low, 0.2)[1], 1.0))


def test_nothing_is_defined_without_films() -> None:
    utility = measure_utility(stage_of(np.array([], np.int64), np.array([], np.float64)), resamples=5)
    told = utility.to_dict()
    assert told["positive_share"] is None
    assert told["average_precision"] == {"value": None, "ci95": None, "n": 0}
    assert all(at["ppv"]["value"] is None for at in told["predictive_values"])
    assert all(row["net_benefit"]["value"] is None for row in told["decision_curve"])


def test_prevalences_are_added_to_those_always_given() -> None:
    assert check_prevalences([0.3, 0.2]) == (0.05, 0.2, 0.3, 0.5)
    for wrong in (0.0, 1.0, -0.1, 20, math.nan):
        with pytest.raises(UsageError, match="expected a share above 0 and below 1"):
            check_prevalences([wrong])


def test_precision_recall_curve_and_what_guessing_gives() -> None:
    labels, probability = drawn(60)
    drawing = precision_recall(labels, probability, 0.5, "Stage 1", subtitle="AP")
    guessing, curve, point = drawing.axes[0].lines
    precision, recall, _ = precision_recall_curve(labels, probability)
    assert np.array_equal(curve.get_xdata(), recall)
    assert np.array_equal(curve.get_ydata(), precision)
    assert guessing.get_ydata() == [labels.mean()] * 2
    called = probability >= 0.5
    assert np.asarray(point.get_xdata()) == pytest.approx(called[labels == 1].mean())
    assert np.asarray(point.get_ydata()) == pytest.approx(labels[called].mean())
    assert f"the share of positives, {labels.mean():.3f}" in written(drawing)
    # Where none is called positive there is no operating point to show.
    assert len(precision_recall(labels, probability, 1.1, "Stage 1").axes[0].lines) == 2


def test_decision_curve_shows_both_other_strategies() -> None:
    labels, probability = drawn(60)
    utility = measure_utility(stage_of(labels, probability), resamples=40)
    drawing = decision_curve(utility, 0.5, "Stage 1", subtitle="share")
    model, everyone, nobody, threshold = drawing.axes[0].lines
    assert np.asarray(model.get_ydata()) == pytest.approx(net_benefit(labels, probability, np.ones(60)))
    assert np.asarray(everyone.get_ydata())[19] == pytest.approx(treat_all(float(labels.mean()), 0.2))
    assert nobody.get_ydata() == [0, 0]
    assert threshold.get_xdata() == [0.5, 0.5]
    assert len(drawing.axes[0].collections) == 1  # the intervals
    assert "all called positive" in written(drawing)


def test_one_class_alone_is_said_in_the_pictures() -> None:
    labels, probability = np.ones(3, np.int64), np.array([0.2, 0.6, 0.9])
    utility = measure_utility(stage_of(labels, probability), resamples=5)
    for drawing in (precision_recall(labels, probability, 0.5, ""), decision_curve(utility, 0.5, "")):
        assert "not defined" in written(drawing)
