"""What a precision costs, of drawn outputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pneumocascade.errors import TrainingError
from pneumocascade.training.calibrate import StageOutputs
from pneumocascade.training.precision_cost import precision_cost
from tests.tiny_models import tiny_spec

SPEC = replace(tiny_spec(1), precision="int8")


def judged(margin: np.ndarray, labels: np.ndarray) -> StageOutputs:
    """Two films a patient."""
    logits = np.column_stack([np.zeros_like(margin), margin]).astype(np.float32)
    count = len(labels)
    return StageOutputs.of(
        logits, labels, [f"p{n // 2}" for n in range(count)], films=[f"f{n}" for n in range(count)]
    )


@pytest.fixture
def labels() -> np.ndarray:
    return np.repeat(np.arange(200) % 2, 2)


@pytest.fixture
def margin(labels: np.ndarray) -> np.ndarray:
    return np.asarray(np.random.default_rng(0).normal(2.0 * labels - 1.0, 1.0))


def test_a_small_change_is_within_the_interval(labels: np.ndarray, margin: np.ndarray) -> None:
    noisy = margin + np.random.default_rng(1).normal(0, 0.05, len(margin))
    cost = precision_cost(SPEC, judged(margin, labels), judged(noisy, labels))
    assert cost.within
    expected = roc_auc_score(labels, noisy) - roc_auc_score(labels, margin)
    assert cost.change.value == pytest.approx(expected, abs=1e-6)
    assert cost.change.ci95 is not None
    assert cost.float32.ci95 is not None
    assert np.diff(cost.change.ci95)[0] < np.diff(cost.float32.ci95)[0] / 5, "pairs tell more"
    assert "within the 95 % interval of float32" in str(cost)
    assert "400 films of 200 patients" in str(cost)
    cost.check()


def test_a_large_loss_is_refused_in_words(labels: np.ndarray, margin: np.ndarray) -> None:
    noisy = margin + np.random.default_rng(1).normal(0, 3.0, len(margin))
    cost = precision_cost(SPEC, judged(margin, labels), judged(noisy, labels))
    assert cost.to_dict()["within_interval"] is False
    with pytest.raises(TrainingError, match=r"INT8 changes stage 1's AUROC by -0\.\d+ .* outside the 95 %"):
        cost.check()
    better = precision_cost(SPEC, judged(noisy, labels), judged(margin, labels))
    assert better.within is False
    better.check()


def test_findings_are_counted_at_the_balanced_threshold() -> None:
    labels = np.array([0, 0, 1, 1])
    before, after = np.array([-2.0, -0.1, 0.1, 2.0]), np.array([-2.0, 0.1, 0.1, 2.0])
    cost = precision_cost(SPEC, judged(before, labels), judged(after, labels))
    assert cost.findings_changed == 1
    assert cost.largest_shift == pytest.approx(2 * (1 / (1 + np.exp(-0.1)) - 0.5), abs=1e-6)
    assert cost.mean_shift == pytest.approx(cost.largest_shift / 4)


def test_one_patient_allows_no_interval() -> None:
    labels, margin = np.array([0, 1]), np.array([-1.0, 1.0])
    cost = precision_cost(SPEC, judged(margin, labels), judged(-margin, labels))
    assert cost.within is None
    assert "cannot be told from 2 films of 1 patients" in str(cost)
    cost.check()
