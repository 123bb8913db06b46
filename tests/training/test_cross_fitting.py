"""Cross-fitted figures of drawn outputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pneumocascade.model.spec import for_recipe
from pneumocascade.training.calibrate import StageOutputs
from pneumocascade.training.cross_fitting import (
    MAIN,
    CrossJudged,
    _half,
    auroc_figure,
    cross_fitted,
    cross_judge,
    three_way,
)


def drawn(
    films: int, patients: int, seed: int = 0, shift: float = 0.0, condition: str = "clean", one_in: int = 3
) -> StageOutputs:
    """Films of patients of one class each, one in so many negative; classes stand two deviations apart."""
    rng = np.random.default_rng(seed)
    patient = rng.integers(patients, size=films)
    labels = (patient % one_in > 0).astype(np.int64)
    margin = rng.normal(0, 1, films) + 2.0 * labels - 1.0 + shift
    logits = np.column_stack([np.zeros(films), margin]).astype(np.float32)
    return StageOutputs.of(logits, labels, [f"p{n}" for n in patient], conditions=[condition] * films)


def test_halves_share_no_patient_and_hold_both_classes_alike() -> None:
    outputs = drawn(1200, 300)
    first = _half(outputs, seed=1)
    patients = np.array(outputs.patients)
    assert not set(patients[first]) & set(patients[~first])
    for half in (first, ~first):
        assert outputs.labels[half].mean() == pytest.approx(2 / 3, abs=0.05)
    assert len(set(patients[first])) == pytest.approx(len(set(patients)) / 2, abs=2)


@pytest.mark.parametrize("seed", range(4))
def test_small_domains_have_films_of_all_kinds_in_both_halves(seed: int) -> None:
    logits, labels, patients = drawn(6, 6).logits, np.array([0, 1] * 3), list("abcdef")
    few = StageOutputs.of(logits, labels, patients, domains=["nih"] * 6)
    changed = StageOutputs.of(
        logits[:4], labels[:4], patients[:4], domains=["nih"] * 4, conditions=["blur 3"] * 4
    )
    outputs = drawn(600, 151).and_also(few).and_also(changed)
    first = _half(outputs, seed)
    for half in (first, ~first):
        for rows in (outputs.clean, ~outputs.clean):
            assert set(outputs.labels[half & rows & (outputs.domains == "nih")].tolist()) == {0, 1}
    judged = cross_judge(for_recipe(1, "clahe-hot"), outputs, seed)
    assert np.isfinite(judged.probability).all()


def test_figures_are_those_of_the_distribution() -> None:
    outputs = drawn(3000, 1000, one_in=2)  # the prior of the probabilities is one half
    figures = cross_fitted(for_recipe(1, "clahe-hot"), outputs, seed=0)
    assert set(figures) == {MAIN, f"{MAIN} by patient"}
    clean = figures[MAIN]
    assert clean["auroc"].value == pytest.approx(0.921, abs=0.015)  # of two normals two deviations apart
    assert clean["balanced_accuracy"].value == pytest.approx(0.841, abs=0.02)
    assert clean["ece"].value is not None
    assert clean["ece"].value < 0.03
    for label in ("normal", "pneumonia"):
        assert clean[f"coverage_{label}"].value == pytest.approx(0.9, abs=0.03)
    assert clean["coverage_normal"].n == int((outputs.labels == 0).sum())


def test_shifted_films_are_measured_apart() -> None:
    both = drawn(2000, 500).and_also(drawn(2000, 500, seed=1, shift=1.5, condition="lighter 0.2"))
    figures = cross_fitted(for_recipe(1, "clahe-hot"), both, seed=0)
    clean, shifted = figures[MAIN], figures[f"{MAIN} shifted"]
    assert clean["auroc"].n == shifted["auroc"].n == 2000
    assert clean["specificity"].value is not None
    assert shifted["specificity"].value is not None
    assert shifted["specificity"].value < clean["specificity"].value


def test_domains_are_measured_apart() -> None:
    first, other = drawn(1500, 500), drawn(1500, 500, seed=1, shift=0.4)
    moved = StageOutputs.of(
        other.logits, other.labels, [f"q{p}" for p in other.patients], domains=["nih"] * 1500
    )
    figures = cross_fitted(for_recipe(1, "clahe-hot"), first.and_also(moved), seed=0)
    assert set(figures) == {MAIN, "nih", f"{MAIN} by patient", "nih by patient"}
    for name in (MAIN, "nih"):
        measured = figures[name]
        assert measured["auroc"].n == 1500
        for label in ("normal", "pneumonia"):
            assert measured[f"coverage_{label}"].value == pytest.approx(0.9, abs=0.04)


def test_the_auroc_needs_no_calibration() -> None:
    outputs = drawn(1000, 400)
    stretched = StageOutputs.of(outputs.logits * 7, outputs.labels, outputs.patients.tolist())
    assert auroc_figure(stretched).value == pytest.approx(auroc_figure(outputs).value)


def test_renderings_are_measured_apart_and_patients_weigh_the_same() -> None:
    small = drawn(1200, 300, one_in=2)
    large = StageOutputs.of(small.logits, small.labels, small.patients.tolist(), renderings=["large"] * 1200)
    both = replace(small, renderings=np.full(1200, "small")).and_also(large)
    figures = cross_fitted(for_recipe(1, "clahe-hot"), both, seed=0)
    names = {MAIN, f"{MAIN} small", f"{MAIN} large", f"{MAIN} by patient"}
    assert set(figures) == names
    for size in ("small", "large"):
        assert figures[f"{MAIN} {size}"]["auroc"].n == 1200
        assert figures[f"{MAIN} {size}"]["auroc"].value == pytest.approx(figures[MAIN]["auroc"].value)
    assert "undetermined" not in figures[f"{MAIN} by patient"]


def judged_as(probability: list[float], labels: list[int], films: list[str]) -> CrossJudged:
    count = len(labels)
    outputs = StageOutputs.of(
        np.zeros((count, 2), np.float32), np.array(labels), [f"p{film}" for film in films], films=films
    )
    return CrossJudged(outputs, np.array(probability), np.ones((count, 2), np.bool_))


def test_the_three_way_answer_needs_both_stages() -> None:
    #                          right,  missed, right,  wrong type, called pneumonia, unknown aetiology
    first = judged_as([0.1, 0.3, 0.9, 0.9, 0.8, 0.9], [0, 1, 1, 1, 0, 1], list("abcdef"))
    second = judged_as([0.9, 0.9, 0.2], [1, 1, 1], ["b", "c", "d"])
    figures = three_way(first, second, seed=0)
    assert figures["accuracy"].n == 5
    assert figures["accuracy"].value == pytest.approx(2 / 5)
    assert figures["recall_normal"].value == pytest.approx(1 / 2)
    assert figures["recall_viral"].value == pytest.approx(1 / 3)
    assert figures["recall_bacterial"].value is None, "there is none"
    assert "macro_f1" not in figures
