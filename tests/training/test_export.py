"""Export of a small network, trained for an epoch on phantoms."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from pneumocascade import Cascade
from pneumocascade.cli import app
from pneumocascade.datasets.films import find_films
from pneumocascade.errors import TrainingError
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.model.preprocess import prepare
from pneumocascade.training import export
from pneumocascade.training.network import build_network
from pneumocascade.training.starting_weights import metadata_of
from tests.tiny_models import write_tiny_models
from tests.training.conftest import SMALL, SMALL_CHANNELS, write_films

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_of_everything")]

runner = CliRunner()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 phantoms of 30 patients."""
    return write_films(tmp_path_factory.mktemp("films") / "train", 10, side=112).parent


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random starting weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    metadata = metadata_of(SMALL, (80.0, 40.0, 20.0), (60.0, 60.0, 60.0), stride_in_1x1=False)
    state = build_network(SMALL).state_dict()
    save_file({name: value.contiguous() for name, value in state.items()}, path, metadata)
    return path


@pytest.fixture(scope="module")
def run(few_of_everything: None, data: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both stages."""
    folder = tmp_path_factory.mktemp("run")
    trained(data, weights, folder)
    return folder


def trained(data: Path, weights: Path, output: Path) -> str:
    """Train for an epoch with the command and return what it said."""
    options = {
        "--output": output,
        "--backbone": SMALL,
        "--backbone-weights": weights,
        "--schedule": "32x1",
        "--batch-size": 8,
        "--workers": 0,
    }
    pairs = [str(part) for option in options.items() for part in option]
    result = runner.invoke(app, ["train", str(data), *pairs])
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def exported(run: Path, output: Path, *options: str) -> Cascade:
    """Return what the command exports."""
    result = runner.invoke(app, ["export", str(run), "--output", str(output), "--version", "9.9.9", *options])
    assert result.exit_code == 0, result.output
    return Cascade.load(output, threads=1)


@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_models_of_each_precision_answer_alike_and_say_what_it_costs(
    run: Path, data: Path, tmp_path: Path, precision: str
) -> None:
    cascade = exported(run, tmp_path, "--precision", precision)
    report = json.loads((tmp_path / "export.json").read_text())
    films = [film.path for film in find_films(data)]
    assert cascade.predict(films[0], gate=False).status == "ok"
    assert [spec.backbone for spec in cascade.specs] == [SMALL, SMALL]
    assert cascade.embed([]).shape == (0, SMALL_CHANNELS)
    assert cascade.embed([films[0]]).shape == (1, SMALL_CHANNELS)
    network = build_network(SMALL).eval()
    network.load_state_dict(load_file(run / "stage1" / "weights.safetensors"))
    spec = cascade.stage1.spec
    batch = np.concatenate([prepare(read_radiograph(path), spec) for path in films[:8]])
    with torch.inference_mode():
        expected = network(torch.from_numpy(batch)).numpy()
    tolerance = {"float16": 0.1, "float32": 1e-3}[precision]
    np.testing.assert_allclose(cascade.stage1.run(batch).logits, expected, atol=tolerance)
    size = (tmp_path / "stage1.onnx").stat().st_size / sum(each.numel() for each in network.parameters())
    assert spec.precision == precision
    assert 0 < size - {"float16": 2, "float32": 4}[precision] < 1
    if precision == "float32":
        assert "precision_cost" not in report["stage1"]
        return
    for stage in ("stage1", "stage2"):
        cost = report[stage]["precision_cost"]
        assert cost["auroc"] == report[stage]["auroc_float16"]
        assert cost["auroc_change"]["value"] == pytest.approx(
            cost["auroc"]["value"] - cost["auroc_float32"]["value"], abs=2e-6
        )
        assert cost["probability_shift"]["largest"] < 0.05


def test_an_export_that_fails_halfway_leaves_the_folder_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(_run: Path, path: Path, *_arguments: object, **_options: object) -> dict[str, object]:
        path.write_bytes(b"half of the new models")
        return {}

    def fail(*_arguments: object) -> None:
        raise TrainingError("the disk is on fire")

    monkeypatch.setattr(export, "export_stage", write)
    monkeypatch.setattr(export, "fit_gate_of", fail)
    run = tmp_path / "run"
    for stage in ("stage1", "stage2"):
        (run / stage).mkdir(parents=True)
        (run / stage / "weights.safetensors").touch()
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    new, old = outputs / "new", write_tiny_models(outputs / "old", gate=True)
    before = {path.name: path.read_bytes() for path in old.iterdir()}
    for output in (new, old):
        with pytest.raises(TrainingError, match="on fire"):
            export.export_run(run, output, "1", lambda _line: None)
    assert {path.name: path.read_bytes() for path in old.iterdir()} == before
    assert [path.name for path in outputs.iterdir()] == ["old"]
    assert Cascade.load(old).version == "tiny"


def test_films_without_aetiology_make_a_stage_one_that_is_exported_alone(
    data: Path, weights: Path, tmp_path: Path
) -> None:
    root = tmp_path / "films"
    for film in find_films(data):
        path = root / film.finding.upper() / f"{film.patient}-{film.name[-1]}x.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(film.path, path)
    said = trained(root, weights, tmp_path / "run")
    assert "no film has an aetiology: stage 1 is trained alone" in said
    assert not (tmp_path / "run" / "stage2").exists()
    cascade = exported(tmp_path / "run", tmp_path / "models", "--precision", "float32")
    assert cascade.stage2 is None
    assert cascade.gate is not None
    assert {path.name for path in (tmp_path / "models").iterdir()} == {
        "stage1.onnx",
        "gate.npz",
        "manifest.json",
        "export.json",
    }
    assert cascade.predict(find_films(root)[0].path, gate=False).stage2 is None
    (tmp_path / "run" / "stage2").mkdir()
    with pytest.raises(TrainingError, match=r"no trained stage in .*stage2"):
        export.export_run(tmp_path / "run", tmp_path / "models", "1")
