from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from pneumocascade import Cascade, ModelError
from pneumocascade.cli import app
from pneumocascade.datasets.films import find_films
from pneumocascade.datasets.perceptual_hash import bits_apart
from pneumocascade.evaluation.evaluate import evaluate
from pneumocascade.evaluation.learnt_films import (
    LEARNT_FILE,
    NO_RECORD,
    count_learnt,
    name_hash,
    read_learnt_films,
    write_learnt_films,
)
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.model.store import bundled_models, write_manifest
from tests.conftest import vary_example
from tests.tiny_models import tiny_model, tiny_spec

pytestmark = pytest.mark.usefixtures("charts_undrawn")

ROOT = Path(__file__).parents[2]
NAMES = ("NORMAL/IM-0001-0001", "PNEUMONIA/person1_bacteria_1", "PNEUMONIA/person2_virus_1")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder of tiny models with their manifest."""
    folder = tmp_path / "models"
    folder.mkdir()
    for stage in (1, 2):
        (folder / f"stage{stage}.onnx").write_bytes(tiny_model(stage, tiny_spec(stage)))
    write_manifest(folder, "tiny")
    return folder


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A folder of three films."""
    for number, name in enumerate(NAMES):
        path = tmp_path / "films" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(vary_example(number)).save(path)
    return tmp_path / "films"


def test_a_film_is_known_by_name_and_by_picture(models: Path, films: Path, tmp_path: Path) -> None:
    learnt, *_, other = find_films(films)
    assert write_learnt_films(models, find_films(films)[:2]) == 2
    record = read_learnt_films(models)
    assert record is not None
    radiograph, unlike = read_radiograph(learnt.path), read_radiograph(other.path)
    assert record.known(learnt.name, radiograph) == ("name", "picture")
    assert record.known("renamed", radiograph) == ("picture",)
    assert record.known(learnt.name, unlike) == ("name",)
    assert record.known(learnt.name, None) == ("name",)
    assert record.known(other.name, unlike) == ()
    smaller = cv2.resize(radiograph.pixels, (224, 224), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(tmp_path / "copy.jpeg"), smaller, [cv2.IMWRITE_JPEG_QUALITY, 80])
    assert record.known("copy", read_radiograph(tmp_path / "copy.jpeg")) == ("picture",)


def test_the_hash_of_a_name_is_the_start_of_its_sha256() -> None:
    assert f"{name_hash('IM-0001-0001'):08x}" == hashlib.sha256(b"IM-0001-0001").hexdigest()[:8]
    assert name_hash(os.fsdecode(b"IM-\xff")) != name_hash(os.fsdecode(b"IM-\xfe")), "names need not be UTF-8"


def test_evaluate_says_which_films_were_learnt_from(models: Path, films: Path, tmp_path: Path) -> None:
    write_learnt_films(models, find_films(films)[:2])
    where = ["evaluate", str(films), "--models", str(models), "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(app, where)
    assert result.exit_code == 0, result.output
    said = "2 of 3 films are training films: these figures are not a test"
    assert said in result.stdout
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["learnt_from"] == {"n": 2, "by_name": 2, "by_picture": 2}
    assert said in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        known = [row["learnt_from"] for row in csv.DictReader(file)]
    assert sorted(known) == ["", "name picture", "name picture"]


def test_models_without_a_record_say_that_it_is_not_known(models: Path, films: Path) -> None:
    metrics = evaluate(films, Cascade.load(models), resamples=0)
    expected = {"n": None, "by_name": None, "by_picture": None, "reason": NO_RECORD}
    assert metrics["learnt_from"] == expected == count_learnt(None)


def test_a_record_that_is_damaged_or_of_other_models_is_refused(models: Path, films: Path) -> None:
    assert read_learnt_films(models) is None
    write_learnt_films(models, find_films(films))
    shutil.copy(models / LEARNT_FILE, models / "kept.npz")
    (models / LEARNT_FILE).write_bytes(b"no record")
    with pytest.raises(ModelError, match="is no record of films"):
        read_learnt_films(models)
    np.savez(models / LEARNT_FILE, models=[""], names=np.zeros(2), pictures=np.zeros((2, 8), np.uint8))
    with pytest.raises(ModelError, match=r"expected uint32 of shape \(N,\)"):
        read_learnt_films(models)
    shutil.copy(models / "kept.npz", models / LEARNT_FILE)
    (models / "stage2.onnx").write_bytes(tiny_model(2, tiny_spec(2)) + b"\0")
    write_manifest(models, "other")
    with pytest.raises(ModelError, match="a record of other models"):
        read_learnt_films(models)


def test_the_record_of_the_bundled_models_is_that_of_their_folds() -> None:
    record = read_learnt_films(bundled_models())
    assert record is not None
    folds = json.loads((ROOT / "docs" / "data" / "folds.json").read_text())
    assert record.names.tolist() == sorted(map(name_hash, folds))
    assert (bundled_models() / LEARNT_FILE).stat().st_size < 200_000
    # No two of the pictures are near one another: duplicates were dropped before training.
    sample = record.pictures[::50]
    assert min(np.partition(bits_apart(each, record.pictures), 1)[1] for each in sample) > 12


def test_the_examples_of_the_package_were_not_learnt_from(cascade: Cascade) -> None:
    record = read_learnt_films(bundled_models())
    assert record is not None
    assert cascade.folder == bundled_models().resolve()
    examples = sorted((Path(bundled_models()).parents[1] / "examples").glob("*.jpeg"))
    assert len(examples) == 4
    assert [record.known(path.stem, read_radiograph(path)) for path in examples] == [()] * 4


def test_the_tool_writes_the_films_of_the_folds(
    models: Path, films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folds = {Path(name).name: number for number, name in enumerate(NAMES, 1)}
    (tmp_path / "folds.json").write_text(json.dumps(folds))
    given = [str(tmp_path / "folds.json"), str(films), "--models", str(models)]
    from learnt_films import main

    main([*given, "--without-fold", "1"])
    assert "2 films" in capsys.readouterr().out
    record = read_learnt_films(models)
    assert record is not None
    assert record.names.tolist() == sorted(name_hash(Path(name).name) for name in NAMES[1:])
    (tmp_path / "folds.json").write_text(json.dumps({**folds, "lost": 1}))
    with pytest.raises(SystemExit, match="1 of 4 films are in none of the folders, such as lost"):
        main(given)
