from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pneumocascade.errors import StorageError, TrainingError
from pneumocascade.model.calibration import positive_probability
from pneumocascade.model.spec import OPERATING_POINTS, for_recipe
from pneumocascade.training.calibrate import (
    GOAL,
    StageOutputs,
    balanced_threshold,
    calibrate,
    fit_calibration,
    prediction_set_minimum,
    row_weights,
    set_minima,
    threshold_for_sensitivity,
)


def logits_of(margin: np.ndarray) -> np.ndarray:
    return np.column_stack([np.zeros_like(margin), margin]).astype(np.float32)


def drawn_from(margin: np.ndarray, temperature: float, bias: float, seed: int = 0) -> np.ndarray:
    """Labels drawn with the probabilities that these margins mean at a temperature and a bias."""
    chance = positive_probability(logits_of(margin), temperature, bias)
    return (np.random.default_rng(seed).random(len(margin)) < chance).astype(np.int64)


def outputs_of(
    probability: np.ndarray, labels: np.ndarray, conditions: list[str] | None = None
) -> StageOutputs:
    """One film a patient, with logits that mean these probabilities."""
    margin = np.log(probability / (1 - probability))
    return StageOutputs.of(
        logits_of(margin), labels, [str(n) for n in range(len(labels))], conditions=conditions or ()
    )


@pytest.mark.parametrize("bias", [-1.5, 0.0, 2.0])
@pytest.mark.parametrize("temperature", [0.3, 1.0, 3.0])
def test_temperature_and_bias_are_found_again(temperature: float, bias: float) -> None:
    margin = np.random.default_rng(1).normal(0, 4 * temperature, 20_000)
    labels = drawn_from(margin, temperature, bias)
    found = fit_calibration(StageOutputs.of(logits_of(margin), labels, [str(n) for n in range(20_000)]))
    assert found[0] == pytest.approx(temperature, rel=0.06)
    odds = labels.mean() / (1 - labels.mean())
    assert found[1] == pytest.approx(bias - np.log(odds), abs=0.12), "for as many films of either class"


def test_probabilities_have_a_prior_of_one_half_whatever_that_of_the_films() -> None:
    rng = np.random.default_rng(2)
    labels = (rng.random(8000) < 0.8).astype(np.int64)
    margin = rng.normal(0, 1, 8000) + 2.0 * (2 * labels - 1) - np.log(4)
    outputs = StageOutputs.of(logits_of(margin), labels, [str(n) for n in range(8000)])
    probability = positive_probability(outputs.logits, *fit_calibration(outputs))
    means = [probability[labels == label].mean() for label in (0, 1)]
    assert np.mean(means) == pytest.approx(0.5, abs=0.01)


def test_each_domain_weighs_the_same() -> None:
    weights = row_weights(
        StageOutputs.of(
            np.zeros((6, 2), np.float32),
            np.array([0, 0, 1, 0, 1, 1]),
            list("abcdef"),
            domains=["", "", "", "nih", "nih", "nih"],
        )
    )
    np.testing.assert_allclose(weights, [1 / 8, 1 / 8, 1 / 4, 1 / 4, 1 / 8, 1 / 8])


def test_clean_and_changed_films_weigh_alike() -> None:
    """Ten times as many changed films, which all lean to the positive side."""
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 2, 400)
    clean = outputs_of(np.clip(0.5 + (labels - 0.5) * 0.6 + rng.normal(0, 0.15, 400), 0.01, 0.99), labels)
    changed = StageOutputs.of(
        clean.logits + np.array([0, 2.0], np.float32),
        labels,
        clean.patients.tolist(),
        conditions=["lighter 1"] * 400,
    )
    once, often = clean.and_also(changed), clean
    for _ in range(10):
        often = often.and_also(changed)
    assert fit_calibration(often) == pytest.approx(fit_calibration(once), abs=0.01)


def test_balanced_threshold_lies_in_the_gap_between_separate_classes() -> None:
    probability = np.array([0.01, 0.02, 0.1, 0.7, 0.9, 0.99])
    outputs = outputs_of(probability, np.array([0, 0, 0, 1, 1, 1]))
    assert 0.1 < balanced_threshold(probability, outputs, seed=0) < 0.7


def test_balanced_threshold_does_not_hang_on_one_film() -> None:
    rng = np.random.default_rng(3)
    probability = np.concatenate([rng.uniform(0.01, 0.2, 200), [0.97], rng.uniform(0.8, 0.99, 200)])
    outputs = outputs_of(probability, np.array([0] * 201 + [1] * 200))
    assert 0.2 < balanced_threshold(probability, outputs, seed=0) < 0.8


def test_balanced_threshold_survives_a_shift() -> None:
    """Clean films put it anywhere in a wide gap; normal films that move up narrow the gap."""
    rng = np.random.default_rng(5)
    labels = np.array([0] * 200 + [1] * 200)
    clean = np.concatenate([rng.uniform(0.01, 0.1, 200), rng.uniform(0.9, 0.99, 200)])
    moved = np.concatenate([rng.uniform(0.3, 0.7, 200), rng.uniform(0.9, 0.99, 200)])
    alone, shifted = outputs_of(clean, labels), outputs_of(moved, labels, ["markers 3"] * 400)
    assert balanced_threshold(clean, alone, seed=0) == pytest.approx(0.5, abs=0.1)
    both = balanced_threshold(np.concatenate([clean, moved]), alone.and_also(shifted), seed=0)
    assert 0.7 < both < 0.9


def test_too_few_films_of_a_condition_are_an_error() -> None:
    labels = np.array([0] * 50 + [1] * 50)
    probability = np.linspace(0.1, 0.9, 100)
    negatives_alone = outputs_of(probability[:50], labels[:50], ["blur 3"] * 50)
    outputs = outputs_of(probability, labels).and_also(negatives_alone)
    with pytest.raises(TrainingError, match="too few for a threshold: 100 patients"):
        balanced_threshold(np.concatenate([probability, probability[:50]]), outputs, seed=0)


def test_a_worse_shift_counts_more_than_an_easy_one() -> None:
    labels = np.array([0] * 100 + [1] * 100)
    clean = np.concatenate([np.linspace(0.05, 0.2, 100), np.linspace(0.8, 0.95, 100)])
    hard = np.concatenate([np.linspace(0.3, 0.6, 100), np.linspace(0.5, 0.95, 100)])
    outputs = outputs_of(clean, labels)
    for name, probability in (("easy", clean), ("also easy", clean), ("hard", hard)):
        outputs = outputs.and_also(outputs_of(probability, labels, [name] * 200))
    threshold = balanced_threshold(positive_probability(outputs.logits, 1.0), outputs, seed=0)
    assert 0.5 < threshold < 0.61


def test_a_second_domain_moves_the_threshold() -> None:
    rng = np.random.default_rng(6)
    labels = np.array([0] * 200 + [1] * 200)
    here = np.concatenate([rng.uniform(0.01, 0.1, 200), rng.uniform(0.9, 0.99, 200)])
    there = np.concatenate([rng.uniform(0.3, 0.7, 200), rng.uniform(0.9, 0.99, 200)])
    alone = outputs_of(here, labels)
    other = outputs_of(there, labels)
    both = alone.and_also(
        StageOutputs.of(other.logits, labels, other.patients.tolist(), domains=["nih"] * 400)
    )
    assert 0.7 < balanced_threshold(np.concatenate([here, there]), both, seed=0) < 0.9


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


@pytest.mark.parametrize(("films", "rank"), [(8, 0), (9, 1), (18, 1), (19, 2), (998, 99), (999, 100)])
def test_the_limit_of_a_set_is_that_of_split_conformal_prediction(films: int, rank: int) -> None:
    probabilities = np.arange(1, films + 1) / (films + 1)
    assert prediction_set_minimum(probabilities[::-1]) == pytest.approx(rank / (films + 1))


def test_too_few_films_give_sets_that_leave_nothing_out() -> None:
    assert prediction_set_minimum(np.array([0.4, 0.9])) == 0.0


@settings(max_examples=10)
@given(st.integers(0, 10_000))
def test_operating_points_keep_their_promises(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 400)
    margin = rng.normal(0, 1.5, 400) + 2.0 * (2 * labels - 1)
    patients = [str(index // 2) for index in range(400)]
    spec = calibrate(
        for_recipe(1, "clahe-hot"), StageOutputs.of(logits_of(margin), labels, patients), "drawn", seed
    )
    points = spec.operating_points
    assert tuple(points) == OPERATING_POINTS
    assert points["sensitive"].sensitivity >= GOAL
    assert points["specific"].specificity >= GOAL
    assert points["sensitive"].threshold <= points["balanced"].threshold <= points["specific"].threshold
    assert spec.validation_data == "drawn" == points["balanced"].data
    assert points["balanced"].threshold == spec.prior == 0.5


def test_stage_two_has_one_operating_point() -> None:
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 2, 300)
    margin = rng.normal(0, 1.5, 300) + 1.0 * (2 * labels - 1) + 3.0
    outputs = StageOutputs.of(logits_of(margin), labels, [str(n) for n in range(300)])
    spec = calibrate(for_recipe(2, "clahe-hot"), outputs, "drawn", 0)
    assert {point.threshold for point in spec.operating_points.values()} == {0.5}
    point = spec.operating_points["balanced"]
    assert point.sensitivity == pytest.approx(point.specificity, abs=0.2), (
        "the bias moved the threshold to .5"
    )


def test_sets_hold_in_each_domain() -> None:
    rng = np.random.default_rng(8)
    labels = np.tile([0, 1], 500)
    easy, hard = (rng.normal(0, 1, 1000) + gap * (2 * labels - 1) for gap in (4.0, 1.0))
    outputs = StageOutputs.of(logits_of(easy), labels, [f"a{n}" for n in range(1000)])
    outputs = outputs.and_also(
        StageOutputs.of(logits_of(hard), labels, [f"b{n}" for n in range(1000)], domains=["nih"] * 1000)
    )
    minima = set_minima(for_recipe(1, "clahe-hot"), outputs, 1.0, 0.0)
    assert set(minima) == {"", "nih"}
    assert minima["nih"]["normal"] < 0.5 < minima[""]["normal"]
    for domain, margin in (("", easy), ("nih", hard)):
        positive = positive_probability(logits_of(margin), 1.0)
        for label, own in (("normal", 1 - positive[labels == 0]), ("pneumonia", positive[labels == 1])):
            assert np.mean(own >= minima[domain][label]) == pytest.approx(0.9, abs=0.01)


def test_outputs_are_saved_and_read_again(tmp_path: Path) -> None:
    labels = np.array([0, 1, 1])
    given = StageOutputs.of(
        logits_of(np.array([-1.5, 0.25, 3.0])), labels, ["p", "q", "q"], films=["a", "b", "c,d"]
    )
    given = given.and_also(
        StageOutputs.of(
            given.logits,
            labels,
            given.patients.tolist(),
            conditions=["blur 3"] * 3,
            domains=["nih"] * 3,
            films=list("xyz"),
        )
    )
    given.save(tmp_path / "outputs.csv")
    again = StageOutputs.load(tmp_path / "outputs.csv")
    for name in ("patients", "conditions", "domains", "films", "renderings"):
        assert getattr(again, name).tolist() == getattr(given, name).tolist()
    np.testing.assert_array_equal(again.labels, given.labels)
    np.testing.assert_allclose(np.diff(again.logits), np.diff(given.logits), atol=1e-4)


def test_a_full_disk_leaves_the_outputs_that_were_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "outputs.csv"
    outputs_of(np.array([0.2, 0.8]), np.array([0, 1])).save(path)
    before = path.read_bytes()

    def full(_number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"outputs\.csv cannot be written: No space left"):
        outputs_of(np.array([0.1, 0.9]), np.array([0, 1])).save(path)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {path.name: before}


def test_names_that_are_not_utf_8_are_saved_escaped(tmp_path: Path) -> None:
    name = os.fsdecode(b"f\xfcnf")
    StageOutputs.of(np.zeros((1, 2), np.float32), np.array([1]), [name], films=[name]).save(
        tmp_path / "o.csv"
    )
    assert StageOutputs.load(tmp_path / "o.csv").films.tolist() == ["f\\udcfcnf"]


@pytest.mark.parametrize(
    "content",
    ["", "film,label\n", "film,domain,patient,condition,rendering,label,margin\na,,p,clean,,one,2\n"],
)
def test_what_is_no_outputs_is_an_error(content: str, tmp_path: Path) -> None:
    (tmp_path / "outputs.csv").write_text(content)
    with pytest.raises(TrainingError, match="does not hold outputs"):
        StageOutputs.load(tmp_path / "outputs.csv")
