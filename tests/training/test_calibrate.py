from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pneumocascade.calibration import positive_probability
from pneumocascade.spec import OPERATING_POINTS, for_recipe
from pneumocascade.training.calibrate import (
    GOAL,
    balanced_threshold,
    calibrate,
    fit_temperature,
    prediction_set_minimum,
    threshold_for_sensitivity,
)


def logits_of(margin: np.ndarray) -> np.ndarray:
    return np.column_stack([np.zeros_like(margin), margin]).astype(np.float32)


def drawn_from(margin: np.ndarray, temperature: float, seed: int = 0) -> np.ndarray:
    """Labels drawn with the probabilities that these margins mean at a temperature."""
    chance = positive_probability(logits_of(margin), temperature)
    return (np.random.default_rng(seed).random(len(margin)) < chance).astype(np.int64)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 3.0])
def test_temperature_is_found_again(temperature: float) -> None:
    margin = np.random.default_rng(1).normal(0, 4 * temperature, 20_000)
    labels = drawn_from(margin, temperature)
    assert fit_temperature(logits_of(margin), labels) == pytest.approx(temperature, rel=0.06)


def test_balanced_threshold_lies_in_the_gap_between_separate_classes() -> None:
    probability = np.array([0.01, 0.02, 0.1, 0.7, 0.9, 0.99])
    labels = np.array([0, 0, 0, 1, 1, 1])
    threshold = balanced_threshold(probability, labels, list("abcdef"), seed=0)
    assert 0.1 < threshold < 0.7


def test_balanced_threshold_does_not_hang_on_one_film() -> None:
    rng = np.random.default_rng(3)
    probability = np.concatenate([rng.uniform(0, 0.2, 200), [0.97], rng.uniform(0.8, 1, 200)])
    labels = np.array([0] * 201 + [1] * 200)
    patients = [str(index) for index in range(401)]
    assert 0.2 < balanced_threshold(probability, labels, patients, seed=0) < 0.8


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=80),
    st.lists(st.floats(0, 1), min_size=1, max_size=80),
    st.sampled_from([0.5, 0.9, 0.98, 1.0]),
)
def test_sensitivity_reaches_the_goal_and_no_higher_threshold_does(
    positives: list[float], negatives: list[float], goal: float
) -> None:
    probability = np.array(positives + negatives)
    labels = np.array([1] * len(positives) + [0] * len(negatives))
    threshold = threshold_for_sensitivity(probability, labels, goal)
    own = probability[labels == 1]
    assert np.mean(own >= threshold) >= goal - 1e-9
    assert np.mean(own > threshold) < goal or np.isclose(np.mean(own > threshold), goal)


def test_prediction_sets_cover_new_films() -> None:
    rng = np.random.default_rng(5)
    covered = [
        np.mean(rng.beta(5, 2, 2000) >= prediction_set_minimum(rng.beta(5, 2, 300))) for _ in range(50)
    ]
    assert np.mean(covered) == pytest.approx(0.9, abs=0.01)


def test_too_few_films_give_sets_that_leave_nothing_out() -> None:
    assert prediction_set_minimum(np.array([0.4, 0.9])) == 0.0


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10_000))
def test_operating_points_keep_their_promises(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 400)
    margin = rng.normal(0, 1.5, 400) + 2.0 * (2 * labels - 1)
    patients = [str(index // 2) for index in range(400)]
    spec = calibrate(for_recipe(1, "clahe-hot"), logits_of(margin), labels, patients, "drawn", seed)
    points = spec.operating_points
    assert tuple(points) == OPERATING_POINTS
    assert points["sensitive"].sensitivity >= GOAL
    assert points["specific"].specificity >= GOAL
    assert points["sensitive"].threshold <= points["balanced"].threshold <= points["specific"].threshold
    assert spec.validation_data == "drawn" == points["balanced"].data
