from __future__ import annotations

import json
import time

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import beta, binomtest

from pneumocascade.errors import UsageError
from pneumocascade.evaluation.bootstrap import Estimate, bootstrap, exact_interval
from pneumocascade.evaluation.metrics import cascade_figures, share, stage_figures

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def films(n: int, seed: int = 0) -> tuple[Ints, Floats]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    return labels, np.clip(0.35 * labels + 0.65 * rng.random(n), 0, 1)


def test_all_films_of_a_patient_are_drawn_together() -> None:
    patients = ["b", "a", "b", "c", "a", "b"]
    seen: list[Floats] = []

    def measure(weights: Floats) -> dict[str, float]:
        seen.append(weights)
        return {"films": float(weights.sum())}

    bootstrap(measure, patients, {}, resamples=30)
    assert len(seen) == 31  # the films themselves, too
    for weights in seen:
        of_patient = {
            name: {weight for weight, own in zip(weights, patients, strict=True) if own == name}
            for name in "abc"
        }
        assert all(len(values) == 1 for values in of_patient.values())
        assert (
            sum(value for values in of_patient.values() for value in values) == 3
        )  # as many patients as there are


def test_duplicating_every_film_changes_nothing_but_their_number() -> None:
    labels, probability = films(60)
    patients = [f"p{number % 25}" for number in range(60)]
    once = stage_figures(labels, probability, 0.5, patients, resamples=200, seed=3)
    twice = stage_figures(
        np.tile(labels, 2), np.tile(probability, 2), 0.5, patients * 2, resamples=200, seed=3
    )
    for name, figure in once.items():
        assert twice[name].value == pytest.approx(figure.value)
        assert twice[name].ci95 == pytest.approx(figure.ci95)
        assert twice[name].n == 2 * figure.n


def test_intervals_are_wider_where_films_share_patients() -> None:
    labels, probability = films(50)
    labels, probability = np.tile(labels, 4), np.tile(probability, 4)
    names = [f"p{number}" for number in range(200)]
    apart = stage_figures(labels, probability, 0.5, names, resamples=400)["accuracy"].ci95
    together = stage_figures(labels, probability, 0.5, names[:50] * 4, resamples=400)["accuracy"].ci95
    assert apart is not None
    assert together is not None
    assert together[1] - together[0] > 1.6 * (apart[1] - apart[0])  # twice as wide, in expectation


def test_interval_of_a_share_is_as_wide_as_the_normal_approximation() -> None:
    right = np.arange(400) % 5 != 0  # four in five

    def measure(weights: Floats) -> dict[str, float]:
        return {"share": float(weights @ right / weights.sum())}

    figure = bootstrap(measure, [str(number) for number in range(400)], {}, resamples=2000)["share"]
    assert figure.value == pytest.approx(0.8)
    half = 1.96 * np.sqrt(0.8 * 0.2 / 400)
    assert figure.ci95 == pytest.approx((0.8 - half, 0.8 + half), abs=0.005)


def test_the_seed_decides() -> None:
    labels, probability = films(40)
    patients = [str(number) for number in range(40)]
    first, again, other = (
        stage_figures(labels, probability, 0.5, patients, resamples=100, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first["brier"].ci95 != other["brier"].ci95


def test_resamples_without_a_figure_are_left_out_and_counted() -> None:
    labels = np.array([1, 0, 0])
    figures = stage_figures(labels, np.array([0.9, 0.2, 0.3]), 0.5, ["a", "b", "c"], resamples=900)
    # The one positive patient is missing from (2/3)^3 of the resamples.
    assert figures["sensitivity"].left_out == pytest.approx(900 * 8 / 27, rel=0.2)
    assert figures["sensitivity"].ci95 == pytest.approx((0.025, 1.0)), "of one patient little is known"
    assert figures["accuracy"].left_out == 0


def test_there_is_no_interval_where_most_resamples_are_left_out() -> None:
    truth = np.array([0, 1, 2])
    figure = cascade_figures(truth, truth, ("n", "b", "v"), ["a", "b", "c"], resamples=300)["macro_f1"]
    assert figure.value == 1
    assert figure.left_out > 150  # all three are drawn in 6 of 27
    assert figure.ci95 is None


def test_one_patient_tells_nothing_of_others() -> None:
    labels, probability = films(10)
    figures = stage_figures(labels, probability, 0.5, ["a"] * 10, resamples=50)
    assert figures["accuracy"].value is not None
    assert all(figure.ci95 is None for figure in figures.values())


def test_no_resamples_no_intervals() -> None:
    labels, probability = films(10)
    figures = stage_figures(labels, probability, 0.5, [str(number) for number in range(10)], resamples=0)
    assert all(figure.ci95 is None for figure in figures.values())


def test_fewer_than_no_resamples_are_refused() -> None:
    with pytest.raises(UsageError, match="resamples is -1"):
        bootstrap(lambda _: {}, [], {}, resamples=-1)


def test_figure_as_json_and_as_text() -> None:
    figure = Estimate(0.12345678, (0.1, 0.2000000001), 12)
    assert json.dumps(figure.to_dict()) == '{"value": 0.123457, "ci95": [0.1, 0.2], "n": 12}'
    assert str(figure) == "0.123 (95 % CI 0.100 to 0.200)"
    assert str(Estimate(0.5, None, 1)) == "0.500 (no interval)"
    assert str(Estimate(None, None, 0)) == "not defined"


def test_a_thousand_films_take_seconds() -> None:
    labels, probability = films(1000)
    patients = [str(number // 2) for number in range(1000)]
    started = time.process_time()
    stage_figures(labels, probability, 0.5, patients, resamples=1000)
    assert time.process_time() - started < 10


@pytest.mark.parametrize("count", [1, 5, 40, 1000])
def test_the_exact_interval_is_clopper_and_pearsons(count: int) -> None:
    low, high = exact_interval(1, count)
    assert high == 1
    assert low == pytest.approx(beta.ppf(0.025, count, 1))
    assert exact_interval(0, count) == pytest.approx((0, 1 - low))
    half = binomtest(count // 2, count).proportion_ci()
    assert exact_interval(count // 2 / count, count) == pytest.approx((half.low, half.high))


def test_a_share_of_all_films_has_an_interval_over_its_patients() -> None:
    labels = np.array([0] * 30 + [1] * 20)
    probability = labels * 0.8 + 0.1
    patients = [f"n{index // 3}" for index in range(30)] + [f"p{index // 2}" for index in range(20)]
    figures = stage_figures(labels, probability, 0.5, patients, resamples=50)
    assert figures["specificity"].ci95 == pytest.approx(exact_interval(1, 10))
    assert figures["sensitivity"].ci95 == pytest.approx(exact_interval(1, 10))
    assert figures["accuracy"].ci95 == pytest.approx(exact_interval(1, 20))
    worst = stage_figures(labels, 1 - probability, 0.5, patients, resamples=50)
    assert worst["sensitivity"].ci95 == pytest.approx(exact_interval(0, 10))
    assert stage_figures(labels, probability, 0.5, patients, resamples=0)["accuracy"].ci95 is None


def test_no_interval_is_a_point() -> None:
    labels = np.array([0] * 35 + [1] * 35)
    patients = [str(number) for number in range(70)]
    figures = stage_figures(labels, labels * 0.8 + 0.1, 0.5, patients, resamples=40)
    ninety = 0.025 ** (1 / 35)  # the lower bound of 35 of 35
    assert ninety == pytest.approx(0.9, abs=5e-4)
    for name in ("sensitivity", "specificity", "balanced_accuracy"):
        assert figures[name].ci95 == pytest.approx((ninety, 1.0)), name
    for name in ("auroc", "brier"):
        assert (figures[name].value is not None, figures[name].ci95) == (True, None), name
    three = cascade_figures(labels, labels, ("n", "b"), patients, resamples=40)
    assert three["recall_b"].ci95 == pytest.approx((ninety, 1.0))
    assert three["accuracy"].ci95 == pytest.approx((0.025 ** (1 / 70), 1.0))
    assert three["macro_f1"].ci95 is None


def test_a_share_that_is_the_same_for_every_patient_is_of_as_many_patients() -> None:
    right = np.tile([0.0, 1.0], 10)
    patients = [f"p{number // 2}" for number in range(20)]
    figures = bootstrap(
        lambda weights: {"share": share(right, weights)}, patients, {}, shares={"share": 10}, resamples=20
    )
    expected = binomtest(5, 10).proportion_ci()
    assert figures["share"].ci95 == pytest.approx((expected.low, expected.high))
