"""Models that are whole, altered, missing, or give another answer."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from pathlib import Path

import pytest

from pneumocascade import Cascade
from pneumocascade.doctor import models
from pneumocascade.doctor.models import (
    EXPECTED,
    EXPECTED_OF,
    Expected,
    check_models,
    example,
)
from pneumocascade.inference.cascade import DEFAULT_OPERATING_POINT
from pneumocascade.model.engines import available_providers
from pneumocascade.model.store import bundled_models
from tests.tiny_models import write_tiny_models

GOLDEN = Path(__file__).parents[1] / "golden" / "examples.json"


def flip_last_byte(path: Path) -> tuple[str, str]:
    """Alter a file; return its SHA-256 before and after."""
    data = bytearray(path.read_bytes())
    before = hashlib.sha256(data).hexdigest()
    data[-1] ^= 1
    path.write_bytes(data)
    return before, hashlib.sha256(data).hexdigest()


def test_the_bundled_models_are_whole_and_answer_as_they_should() -> None:
    checks = check_models(None)
    assert [check.status for check in checks] == ["ok"] * 3, checks
    assert "as it should be" in checks[-1].found


def test_the_expected_answers_are_those_that_were_written_down(cascade: Cascade) -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert cascade.version == EXPECTED_OF == golden["model_version"], "doctor/models.py holds old answers"
    for name, expected in EXPECTED.items():
        answer = golden["answers"][DEFAULT_OPERATING_POINT][name]
        stage = answer["stage2"] or answer["stage1"]
        assert expected == Expected(
            answer["finding"], expected.label, stage["probabilities"][expected.label]
        ), name


def test_an_altered_file_is_named_with_both_hashes(tmp_path: Path) -> None:
    folder = write_tiny_models(tmp_path, gate=True)
    before, after = flip_last_byte(folder / "stage2.onnx")
    (check,) = check_models(folder)
    assert (check.name, check.status) == ("model files", "problem")
    assert all(part in check.found for part in ("stage2.onnx", before, after))
    assert "stage1.onnx" not in check.found
    assert str(folder) in check.advice


def test_a_missing_file_and_a_missing_manifest_are_named(tmp_path: Path) -> None:
    folder = write_tiny_models(tmp_path)
    (folder / "stage1.onnx").unlink()
    (check,) = check_models(folder)
    assert check.status == "problem"
    assert "stage1.onnx cannot be read" in check.found
    (folder / "manifest.json").unlink()
    (check,) = check_models(folder)
    assert "manifest.json is missing" in check.found


def test_other_models_need_not_give_these_answers(tmp_path: Path) -> None:
    checks = check_models(write_tiny_models(tmp_path))
    assert {check.status for check in checks} == {"ok"}, checks
    assert all(EXPECTED_OF in check.found for check in checks[1:])


def test_another_answer_of_the_released_models_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    name, expected = next(iter(EXPECTED.items()))
    moved = expected._replace(probability=expected.probability + 2 * models.TOLERANCE)
    monkeypatch.setattr(models, "EXPECTED", {name: moved})
    _, check = check_models(None)
    assert check.status == "problem"
    assert f"{moved.probability:.4f}" in check.found
    assert "pip install" in check.advice


def test_numbers_that_are_none_and_films_that_are_refused_are_problems(
    cascade: Cascade, tmp_path: Path
) -> None:
    name, expected = next(iter(EXPECTED.items()))
    refused = cascade.predict(tmp_path / "missing.png")
    assert "error" in models._what_is_wrong(refused, expected, golden=False)
    answer = cascade.predict(example(name))
    assert models._what_is_wrong(answer, expected, golden=True) == ""
    assert answer.stage1 is not None
    dict.update(answer.stage1.probabilities, {"pneumonia": math.nan})
    for golden in (True, False):
        assert models._what_is_wrong(answer, expected, golden=golden) != ""


def test_a_copy_of_the_bundled_models_answers_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    shutil.copytree(bundled_models(), folder)
    assert [check.status for check in check_models(folder)] == ["ok"] * 3


def test_the_cpu_is_a_provider() -> None:
    check, *engines = models.check_providers()
    assert [each.name for each in engines if each.status != "ok"] == []
    assert len(engines) == ("openvino" in available_providers())
    assert check.status == "ok"
    assert check.found.startswith("cpu")
