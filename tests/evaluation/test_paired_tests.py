from __future__ import annotations

import json
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, norm

from pneumocascade.evaluation.metrics import auroc
from pneumocascade.evaluation.paired_tests import delong_covariance, delong_test, mcnemar_test

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def plain_delong(labels: Ints, probabilities: list[Floats]) -> tuple[list[float], list[list[float]]]:
    """DeLong's method as the paper of 1988 writes it down: every pair of films, without ranks."""

    def outranks(positive: float, negative: float) -> float:
        return 1.0 if positive > negative else 0.5 if positive == negative else 0.0

    areas, of_positives, of_negatives = [], [], []
    for values in probabilities:
        pairs = [[outranks(x, y) for y in values[labels == 0]] for x in values[labels == 1]]
        m, n = len(pairs), len(pairs[0])
        of_positives.append([sum(row) / n for row in pairs])
        of_negatives.append([sum(row[j] for row in pairs) / m for j in range(n)])
        areas.append(sum(map(sum, pairs)) / (m * n))

    def covariance(first: list[float], area: float, second: list[float], other: float) -> float:
        products = [(x - area) * (y - other) for x, y in zip(first, second, strict=True)]
        return sum(products) / (len(products) - 1) / len(products)

    count = range(len(probabilities))
    return areas, [
        [
            covariance(of_positives[r], areas[r], of_positives[s], areas[s])
            + covariance(of_negatives[r], areas[r], of_negatives[s], areas[s])
            for s in count
        ]
        for r in count
    ]


@pytest.mark.parametrize("decimals", [1, 6])
def test_delong_is_that_of_the_paper(decimals: int) -> None:
    """With one decimal many films are tied."""
    rng = np.random.default_rng(4)
    labels = np.array([1] * 23 + [0] * 31)
    first = np.round(0.3 * labels + rng.random(54), decimals)
    second = np.round(0.5 * labels + 0.4 * first + rng.random(54), decimals)
    areas, expected = plain_delong(labels, [first, second])
    found, covariance = delong_covariance(labels, np.stack([first, second]))
    assert found == pytest.approx(areas)
    assert covariance == pytest.approx(np.array(expected))
    assert areas[0] == pytest.approx(auroc(labels, first, np.ones(54)))
    test = delong_test(labels, first, second)
    assert test is not None
    error = math.sqrt(expected[0][0] + expected[1][1] - 2 * expected[0][1])
    z = (areas[1] - areas[0]) / error
    assert (test.difference, test.standard_error, test.z) == pytest.approx((areas[1] - areas[0], error, z))
    assert test.p == pytest.approx(2 * norm.sf(abs(z)))
    assert test.ci95 == pytest.approx(
        (test.difference - 1.959964 * error, test.difference + 1.959964 * error)
    )


def test_delong_by_hand() -> None:
    labels = np.array([1, 1, 0, 0])
    first, second = np.array([0.9, 0.4, 0.5, 0.1]), np.array([0.9, 0.8, 0.2, 0.1])
    # First: positives outrank 1 and 1/2 of the negatives; negatives are below 1/2 and 1 of the positives.
    areas, covariance = delong_covariance(labels, np.stack([first, second]))
    assert areas == pytest.approx([0.75, 1.0])
    assert covariance == pytest.approx(np.array([[0.125, 0.0], [0.0, 0.0]]))
    test = delong_test(labels, first, second)
    assert test is not None
    assert (test.difference, test.standard_error) == pytest.approx((0.25, math.sqrt(0.125)))


def test_delong_of_equal_models_has_no_p_value() -> None:
    labels, first = np.array([1, 1, 0, 0]), np.array([0.9, 0.4, 0.5, 0.1])
    test = delong_test(labels, first, first)
    assert test is not None
    assert test.to_dict() == {"difference": 0, "standard_error": 0, "ci95": [0, 0], "z": None, "p": None}
    assert delong_test(np.array([1, 0, 0]), np.ones(3), np.ones(3)) is None


def test_delong_keeps_its_level() -> None:
    """Two models of equal worth differ at the level of 5 % in about 5 % of draws."""
    rng = np.random.default_rng(0)
    labels = np.array([1] * 40 + [0] * 40)
    found = 0
    for _ in range(400):
        shared = labels + rng.normal(size=80)
        first, second = (shared + rng.normal(size=80) for _ in range(2))
        test = delong_test(labels, first, second)
        assert test is not None
        assert test.p is not None
        found += test.p < 0.05
    assert 8 <= found <= 34  # 20 expected; four standard deviations either way are 3 and 37


def test_mcnemar_by_hand() -> None:
    #                        both    first alone  second alone  neither
    first = np.array([True] * 20 + [True] * 2 + [False] * 9 + [False] * 4)
    second = np.array([True] * 20 + [False] * 2 + [True] * 9 + [False] * 4)
    test = mcnemar_test(first, second)
    counts = (test.both_right, test.only_a_right, test.only_b_right, test.both_wrong)
    assert counts == (20, 2, 9, 4)
    # Of 11 coins at most 2 heads: (1 + 11 + 55) / 2048, on both sides.
    assert test.p == pytest.approx(2 * 67 / 2048)
    assert test.p == pytest.approx(2 * binom.cdf(2, 11, 0.5))
    assert json.loads(json.dumps(test.to_dict()))["p"] == 0.06543


def test_mcnemar_without_a_difference() -> None:
    right = np.array([True, False, True])
    assert mcnemar_test(right, right).p == 1.0
    assert mcnemar_test(np.array([], bool), np.array([], bool)).p == 1.0
