"""The same weights, another margin, and everything that was fitted on held-out films fitted anew."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from pneumocascade import Cascade, DataSetError, UsageError, read_radiograph
from pneumocascade.cli import app
from pneumocascade.datasets.films import Split, find_films, patient_of
from pneumocascade.model.preprocess import inner, prepare
from pneumocascade.training import fit_gate as gate
from pneumocascade.training.calibrate_models import CalibrationFilms, recalibrate
from tests.tiny_models import write_tiny_models
from tests.training.conftest import write_films


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> CalibrationFilms:
    """Phantoms whose brightness goes along with their class, in part."""
    root = write_films(tmp_path_factory.mktemp("films"), 10, side=112)
    rng = np.random.default_rng(0)
    for film in find_films(root):
        pixels = read_radiograph(film.path).pixels.astype(np.float32)
        brightness = {"normal": 70, "bacterial": 130, "viral": 150}[film.category] + rng.normal(0, 15)
        cv2.imwrite(
            str(film.path), np.clip((pixels - pixels.mean()) * 0.3 + brightness, 0, 255).astype(np.uint8)
        )
    names = [film.name for film in find_films(root)]
    held = {name for name in names if int(patient_of(name)[-1]) % 2}
    return CalibrationFilms(root, Split(frozenset(set(names) - held), frozenset(held)))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_models(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def small_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("DRAWN_EACH", 3), ("PROJECTED_EACH", 20)):
        monkeypatch.setattr(gate, name, value)


@pytest.mark.slow
@pytest.mark.usefixtures("small_gate")
def test_weights_stay_and_what_is_fitted_is_new(films: CalibrationFilms, tiny: Path, tmp_path: Path) -> None:
    films.split.save(tmp_path / "split.json")
    output = tmp_path / "new"
    command = ["calibrate", str(films.data), "--output", str(output), "--split", str(tmp_path / "split.json")]
    command += ["--models", str(tiny), "--stage1-margin", "0.1"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output

    old, new = Cascade.load(tiny, threads=1), Cascade.load(output, threads=1)
    assert re.fullmatch(r"0\.0\.0\+\d{8}\.\d{6}", new.version), "no models without a name share a version"
    assert {spec.version for spec in new.specs} == {new.version}
    assert [spec.margin for spec in new.specs] == [0.1, 0.0]
    assert new.gate is not None
    assert isinstance(films.data, Path)
    film = read_radiograph(find_films(films.data)[0].path)
    seen = read_radiograph(np.ascontiguousarray(inner(film.pixels, 0.1)))
    np.testing.assert_array_equal(
        new.stage1.run(prepare(film, new.stage1.spec)).logits,
        old.stage1.run(prepare(seen, old.stage1.spec)).logits,
    )
    report = json.loads((output / "calibration.json").read_text())
    for stage, spec, old_spec in zip(("stage1", "stage2"), new.specs, old.specs, strict=True):
        assert spec.temperature == report[stage]["temperature"] != 1.0
        assert spec.training_data == old_spec.training_data
        assert spec.validation_data.startswith("films calibrated on anew: ")
        measured = report[stage]["cross_fitted"]["main"]
        assert f"in {measured['auroc']['n']} renderings" in spec.validation_data
        with_interval = {name: figure for name, figure in measured.items() if figure["ci95"] is not None}
        assert {"accuracy", "sensitivity", "specificity"} <= with_interval.keys()
        for name, figure in with_interval.items():
            assert spec.metrics[name] == pytest.approx(figure["value"], abs=1e-6)
    assert report["gate"]["held_out"]["tried"] > 0


def test_the_models_to_start_from_are_not_written_over(films: CalibrationFilms, tiny: Path) -> None:
    before = {path.name: path.read_bytes() for path in tiny.iterdir()}
    with pytest.raises(UsageError, match="give another folder"):
        recalibrate(tiny, tiny, films, "2")
    assert {path.name: path.read_bytes() for path in tiny.iterdir()} == before


def test_films_of_another_split_are_told(films: CalibrationFilms, tiny: Path, tmp_path: Path) -> None:
    one_side = CalibrationFilms(
        films.data, Split(films.split.train | films.split.validation, frozenset({"elsewhere"}))
    )
    with pytest.raises(DataSetError, match="no film of the validation side of the split for stage 1"):
        recalibrate(tiny, tmp_path / "new", one_side, "2")
    assert not (tmp_path / "new").exists()
