"""Figures of a variant of stage 1: each source by itself, clean, and over the shifts."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.stage1_variants import ATYPICAL, best_threshold, measured
from pneumocascade.training.calibrate import CLEAN, StageOutputs
from pneumocascade.training.config import TrainingConfig


def test_the_best_threshold_lies_between_the_classes() -> None:
    labels = np.repeat([0, 1], 1000)
    margin = np.random.default_rng(0).normal(np.where(labels == 1, 3.0, -1.0), 1.0)
    assert best_threshold(margin, labels) == pytest.approx(1.0, abs=0.15)


def test_figures_are_of_each_source_and_shift() -> None:
    rows = [
        (domain, condition, label, patient)
        for domain in ("", "nih")
        for condition in (CLEAN, "blur 3", "noise 16")
        for label in (0, 1)
        for patient in range(30)
    ]
    domains, conditions, labels, patients = (np.array(column) for column in zip(*rows, strict=True))
    margin = np.where(labels == 1, 2.0, -2.0) + np.random.default_rng(0).normal(0, 0.1, len(rows))
    margin[(domains == "nih") & (conditions == "noise 16")] *= -1
    # A film in three has the detail of the other class: of these, patient 0 alone is answered wrongly.
    names = [f"{domain}{label}-{patient}" for domain, _, label, patient in rows]
    details = {
        name: 6.0 if (label == 0) != (patient % 3 == 0) else 3.0
        for name, (_, _, label, patient) in zip(names, rows, strict=True)
    }
    margin[(domains == "") & (conditions == CLEAN) & (patients == 0)] *= -2
    outputs = StageOutputs.of(
        np.column_stack([np.zeros(len(rows)), margin]).astype(np.float32),
        labels,
        names,
        conditions=conditions.tolist(),
        domains=domains.tolist(),
        films=names,
    )
    figures = measured(outputs, TrainingConfig(1), details)
    assert figures["children: AUROC"] == pytest.approx(1 - (2 * 29 + 1) / 900, abs=1e-5)
    assert figures[f"{ATYPICAL}: AUROC"] == pytest.approx(1 - (2 * 9 + 1) / 100)
    assert figures[f"{ATYPICAL}: sensitivity"] == figures[f"{ATYPICAL}: specificity"] == 0.9
    assert figures["children: AUROC, worst shift"] == 1
    assert figures["NIH: AUROC"] == figures["NIH: balanced accuracy"] == 1
    assert figures["NIH: AUROC, mean of the shifts"] == 0.5
    assert figures["NIH: AUROC, worst shift"] == figures["NIH: balanced accuracy, worst shift"] == 0
