"""What the documents say of the models is what the models say of themselves."""

from __future__ import annotations

import re
from pathlib import Path

import figures
import pytest

from pneumocascade import Cascade, errors
from pneumocascade.types import ROW_COLUMNS

ROOT = Path(__file__).parents[1]


def test_every_figure_is_the_measured_one(cascade: Cascade) -> None:
    for name in figures.DOCUMENTS:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert figures.BLOCK.search(text), f"{name} has no figures"
        assert figures.filled(text, cascade) == text, f"run: python tools/figures.py ({name} is out of date)"


def test_the_kept_evaluations_are_of_the_bundled_models(cascade: Cascade) -> None:
    """Those of films that a model must not have seen are of the pair that held out the first fold.

    A version's last number stands for another gate: the networks are the same.
    """
    for name in (*figures.EVALUATIONS.values(), "shift.json", "failure-modes.json"):
        number, _, fold = figures.load(name)["model_version"].partition("+")
        assert (number.split(".")[:2], fold) == (cascade.version.split(".")[:2], "fold1"), name
    for file, tables in {
        "gate.json": {"held-out films": "fold1", "altered films": "fold1", "domains": "", "other-films": ""},
        "saliency.json": {"curves": "fold1", "lungs": "fold1"},
    }.items():
        for name, fold in tables.items():
            number, _, found = figures.load(file)[name]["models"].partition("+")
            assert (number.split(".")[:2], found) == (cascade.version.split(".")[:2], fold), (file, name)


def test_a_figure_that_was_changed_by_hand_is_found(cascade: Cascade) -> None:
    text = (ROOT / "MODEL_CARD.md").read_text(encoding="utf-8")
    auroc = figures.written(figures.cross_fitted("stage1", "main")["auroc"])
    assert auroc in text
    flattered = text.replace(auroc, "1.000 (1.000 to 1.000)")
    assert figures.filled(flattered, cascade) == text


def test_the_figures_of_the_models_are_those_of_the_record(cascade: Cascade) -> None:
    for stage, spec in zip(("stage1", "stage2"), cascade.specs, strict=True):
        measured = figures.cross_fitted(stage, "main")
        for name in ("auroc", "accuracy", "sensitivity", "specificity"):
            assert spec.metrics[name] == pytest.approx(measured[name]["value"], abs=1e-5)


def test_every_code_of_a_film_that_cannot_be_read_is_in_the_table() -> None:
    assert errors.__doc__ is not None
    tree = errors.__doc__.partition("ModelError")[0]
    codes = set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", tree))
    table = (ROOT / "docs" / "usage.md").read_text(encoding="utf-8").partition("could not be read:\n")[2]
    assert len(codes) > 20
    assert set(re.findall(r"`([a-z_]+)`", table.partition("\n## ")[0])) == codes


def test_the_columns_of_an_answer_stand_in_their_order() -> None:
    text = (ROOT / "docs" / "usage.md").read_text(encoding="utf-8")
    columns = text.partition(f"as {len(ROW_COLUMNS)} columns: ")[2].partition("To join")[0]
    assert tuple(re.findall(r"`([a-z0-9_]+)`", columns)) == ROW_COLUMNS
