"""``evaluate`` with files of labels and patients, as people call it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pneumocascade.cli import app
from tests.conftest import draw_chest
from tests.datasets.layouts import write_dicom, write_film
from tests.tiny_models import write_tiny_models

pytestmark = pytest.mark.usefixtures("charts_undrawn")

runner = CliRunner()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_models(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Six films in one folder, one of them DICOM, and a file of labels beside it."""
    for number in range(5):
        write_film(tmp_path / "films" / f"p{number // 2}_{number}.png", draw_chest(number, 120, 120))
    write_dicom(tmp_path / "films" / "object", "SECRET", draw_chest(5, 120, 120))
    (tmp_path / "films" / "notes.txt").write_text("seen")
    (tmp_path / "labels.csv").write_text(
        "path,finding,aetiology\nfilms/p0_0.png,normal,\nfilms/p0_1.png,pneumonia,viral\n"
        "films/p1_2.png,pneumonia,bacterial\nfilms/p1_3.png,edema,\nfilms/object,normal,\n"
    )
    return tmp_path


def evaluate(films: Path, tiny: Path, *options: str) -> tuple[Result, dict[str, Any]]:
    output = films / "out"
    command = ["evaluate", *options, "--models", str(tiny), "--output", str(output)]
    result = runner.invoke(app, command)
    written = output / "metrics.json"
    return result, json.loads(written.read_text())["films"] if written.exists() else {}


def test_labels_and_what_is_left_out(films: Path, tiny: Path) -> None:
    result, counted = evaluate(
        films, tiny, str(films / "films"), "--labels", str(films / "labels.csv"), "--patients", r"^(p\d)_"
    )
    assert result.exit_code == 0, result.output
    assert counted["n"] == 4
    assert counted["patients"] == 3
    assert counted["by_category"] == {"bacterial": 1, "normal": 2, "viral": 1}
    assert counted["patients_from"] == {"dicom": 1, "pattern": 3}
    assert counted["left_out"]["by_reason"] == {"other_label": 1, "no_label": 1, "not_a_film": 1}
    for line in (
        "1 label is neither normal nor pneumonia: line 5, column finding 'edema': films/p1_3.png",
        "1 film has no label: p2_4.png",
        "1 file is no film: notes.txt",
    ):
        assert line in result.stderr.splitlines()
        assert line not in result.stdout
    written = "".join(path.read_text() for path in (films / "out").glob("*.[cj]s*"))
    assert "SECRET" not in written
    with (films / "out" / "predictions.csv").open(encoding="utf-8", newline="") as file:
        assert [row["patient"] for row in csv.DictReader(file)][:3] == ["p0", "p0", "p1"]


def test_guessed_patients_are_said(films: Path, tiny: Path) -> None:
    result, counted = evaluate(films, tiny, "--labels", str(films / "labels.csv"))
    assert result.exit_code == 0, result.output
    assert counted["patients_from"] == {"dicom": 1, "film": 3}
    assert "the patients of 3 of 4 films are guessed (3 as a patient each)" in result.stderr


def test_a_missing_labelled_film_ends_with_status_1(films: Path, tiny: Path) -> None:
    (films / "films" / "p0_0.png").unlink()
    result, counted = evaluate(films, tiny, "--labels", str(films / "labels.csv"))
    assert result.exit_code == 1
    assert counted["n"] == 3
    assert "1 labelled film is missing: line 2: films/p0_0.png" in result.stderr


def test_a_split_is_checked_by_the_patients_given(films: Path, tiny: Path) -> None:
    split = films / "split.json"
    split.write_text(json.dumps({"train": ["p0_0"], "validation": ["p0_1", "p1_2"]}))
    result, counted = evaluate(films, tiny, "--labels", str(films / "labels.csv"), "--split", str(split))
    assert result.exit_code == 0, result.output
    assert counted["n"] == 2
    result, _ = evaluate(
        films,
        tiny,
        "--labels",
        str(films / "labels.csv"),
        "--split",
        str(split),
        "--patients",
        r"(p\d)_",
    )
    assert result.exit_code == 1
    assert "1 patients stand on both sides, such as p0" in str(result.exception)


def test_columns_and_values_have_other_names(films: Path, tiny: Path) -> None:
    (films / "own.csv").write_text("File;Dx\np0_0;clear\np0_1;ill\np1_2;ill\n")
    result, counted = evaluate(
        films,
        tiny,
        str(films / "films"),
        "--labels",
        str(films / "own.csv"),
        "--label-columns",
        "path=File,finding=Dx",
        "--label-values",
        "normal=clear,pneumonia=ill",
    )
    assert result.exit_code == 0, result.output
    assert counted["by_category"] == {"normal": 1, "pneumonia": 2}
