"""The recipes of docs/formats.md on small data sets in the published layouts."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pneumocascade.cli import app
from pneumocascade.datasets.films import LabelledFilms, LabelOptions, load_films, load_training_films
from tests.datasets import layouts
from tests.tiny_models import write_tiny_models


def labels_of(found: LabelledFilms) -> list[tuple[str, str, str]]:
    return [(film.name, film.category, film.patient) for film in found.films]


def test_kermany(tmp_path: Path) -> None:
    found = load_films(layouts.kermany(tmp_path))
    assert labels_of(found) == [
        ("IM-0001-0001", "normal", "IM-0001"),
        ("NORMAL2-IM-0002-0001", "normal", "NORMAL2-IM-0002"),
        ("person1_bacteria_1", "bacterial", "person1"),
        ("person1_bacteria_2", "bacterial", "person1"),
        ("person2_virus_3", "viral", "person2"),
        ("IM-0003-0001", "normal", "IM-0003"),
    ]
    assert found.to_dict() == {
        "patients_from": {"name": 6},
        "left_out": {
            "n": 1,
            "by_reason": {"not_a_film": 1},
            "first": {"not_a_film": ["train/.DS_Store"]},
        },
    }
    assert {film.data_set for film in found.films} == {tmp_path.name}
    trained = load_training_films(tmp_path)
    assert len(trained.films) == 5
    assert trained.left_out.counts["other_split"] == 1


def test_nih(tmp_path: Path) -> None:
    options = LabelOptions(
        layouts.nih(tmp_path) / "Data_Entry_2017.csv",
        ("path=Image Index,finding=Finding Labels,patient=Patient ID",),
    )
    found = load_films(tmp_path, options)
    assert labels_of(found) == [
        ("00000001_000", "normal", "1"),
        ("00000001_001", "pneumonia", "1"),
        ("00000002_000", "pneumonia", "2"),
        ("00000004_000", "normal", "4"),
    ]
    assert found.left_out.to_dict()["first"] == {
        "other_label": ["line 5, column Finding Labels 'Effusion': 00000003_000.png"]
    }
    assert found.patient_sources == {"labels": 4}
    assert {film.data_set for film in found.films} == {tmp_path.name}


def test_rsna_by_boxes(tmp_path: Path) -> None:
    root = layouts.rsna(tmp_path)
    options = LabelOptions(
        root / "stage_2_train_labels.csv", ("path=patientId,finding=Target,patient=patientId",)
    )
    found = load_films(root, options)
    assert [film.category for film in found.films] == ["normal", "pneumonia", "pneumonia"]
    assert [film.patient for film in found.films] == [film.path.stem for film in found.films]
    assert found.left_out.to_dict()["by_reason"] == {"no_label": 1, "not_a_film": 1, "repeated_row": 1}
    assert not found.left_out.incomplete


def test_rsna_by_detailed_classes(tmp_path: Path) -> None:
    root = layouts.rsna(tmp_path)
    options = LabelOptions(
        root / "stage_2_detailed_class_info.csv",
        ("path=patientId,finding=class,patient=patientId",),
        ("pneumonia=Lung Opacity",),
    )
    found = load_films(root / "stage_2_train_images", options)
    assert [film.category for film in found.films] == ["normal", "pneumonia"]
    assert found.left_out.to_dict()["by_reason"] == {"other_label": 1, "repeated_row": 1}


def test_chexpert_by_its_pneumonia_column(tmp_path: Path) -> None:
    root = layouts.chexpert(tmp_path / "CheXpert-v1.0-small")
    options = LabelOptions(root / "train.csv", ("finding=Pneumonia",), patients=r"(patient\d+)")
    found = load_films(root, options)
    assert [(film.category, film.patient) for film in found.films] == [
        ("pneumonia", "patient00002"),
        ("normal", "patient00003"),
    ]
    assert found.films[0].name == "CheXpert-v1.0-small/train/patient00002/study1/view1_frontal"
    assert found.left_out.to_dict()["by_reason"] == {"uncertain_label": 1, "no_label": 2}
    assert found.patient_sources == {"pattern": 2}
    assert len(load_training_films(root, options).films) == 2, "names are told apart by their folders"


@pytest.mark.parametrize("folder", ["CheXpert-v1.0-small", "renamed"])
def test_chexpert_by_two_columns_and_in_a_folder_of_another_name(folder: str, tmp_path: Path) -> None:
    root = layouts.chexpert(tmp_path / folder)
    options = LabelOptions(
        root / "train.csv", ("normal=No Finding,pneumonia=Pneumonia",), patients=r"(patient\d+)"
    )
    found = load_films(None, options)
    assert [(film.category, film.patient) for film in found.films] == [
        ("normal", "patient00001"),
        ("pneumonia", "patient00002"),
    ]
    assert found.left_out.to_dict()["by_reason"] == {"uncertain_label": 1, "other_label": 1, "no_label": 1}
    assert len(found.remarks) == (folder == "renamed")


def test_vindr_pcxr(tmp_path: Path) -> None:
    root = layouts.vindr_pcxr(tmp_path)
    options = LabelOptions(
        root / "image_labels_train.csv",
        ("path=image_id,normal=No finding,pneumonia=Pneumonia,pneumonia=Brocho-pneumonia",),
    )
    found = load_films(root, options)
    assert [film.category for film in found.films] == ["normal", "pneumonia", "pneumonia"]
    assert found.left_out.to_dict()["by_reason"] == {"other_label": 1}
    assert found.patient_sources == {"dicom": 3}


def documented_commands() -> list[list[str]]:
    """Return the arguments of the commands of docs/formats.md."""
    text = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
    block = text.split("<!-- layouts -->\n```console\n")[1].split("```")[0]
    return [shlex.split(line)[2:] for line in block.replace("\\\n", " ").splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "counts"),
    [
        (0, {"normal": 1}),
        (1, {"normal": 2, "pneumonia": 2}),
        (2, {"normal": 1, "pneumonia": 2}),
        (3, {"normal": 1, "pneumonia": 1}),
        (4, {"normal": 1, "pneumonia": 1}),
        (5, {"normal": 1, "pneumonia": 1}),
        (6, {"normal": 1, "pneumonia": 2}),
    ],
)
def test_the_documented_commands(
    number: int, counts: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layouts.kermany(tmp_path / "chest_xray")
    layouts.nih(tmp_path / "nih")
    layouts.rsna(tmp_path / "rsna")
    layouts.chexpert(tmp_path / "CheXpert-v1.0-small")
    layouts.vindr_pcxr(tmp_path / "vindr-pcxr")
    (tmp_path / "models").mkdir()
    write_tiny_models(tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    command = documented_commands()[number]
    result = CliRunner().invoke(app, [*command, "--models", "models"])
    assert result.exit_code == 0, result.output
    metrics = json.loads((tmp_path / "evaluation" / "metrics.json").read_text())
    assert metrics["films"]["by_category"] == counts
