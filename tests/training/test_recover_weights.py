"""Exported models as weights to train from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn
from typer.testing import CliRunner

from pneumocascade import Cascade, ModelError, prepare, read_radiograph
from pneumocascade.cli import app
from pneumocascade.datasets.films import find_films
from pneumocascade.model.calibration import positive_probability
from pneumocascade.model.spec import ModelSpec
from pneumocascade.model.store import bundled_models, write_manifest
from pneumocascade.training import duplicates
from pneumocascade.training.config import TrainingConfig
from pneumocascade.training.network import build_network
from pneumocascade.training.onnx_export import quantise, to_float16, to_onnx, write_spec
from pneumocascade.training.recover_weights import recover
from pneumocascade.training.run import train
from pneumocascade.training.sources import Sources
from tests.conftest import EXAMPLES
from tests.tiny_models import tiny_spec

PROBABILITY_TOLERANCE = 0.02
"""Between the bundled INT8 models and float32 with their dequantised weights."""


def lively_network() -> nn.Module:
    """A ResNet-18 whose batch norm is that of trained weights: neither 0 nor 1."""
    torch.manual_seed(0)
    network = build_network("resnet18")
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    with torch.no_grad():
        network(60 * torch.randn(16, 3, 64, 64))
    return network.eval()


def spec_of_network() -> ModelSpec:
    return replace(tiny_spec(1), backbone="resnet18", input_size=64, precision="float32", std=(60.0,) * 3)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stage 1 alone, a ResNet-18 in float32."""
    folder = tmp_path_factory.mktemp("models")
    to_onnx(lively_network(), spec_of_network(), folder / "stage1.onnx")
    write_manifest(folder, "1")
    return folder


@pytest.mark.parametrize("stage", [1, 2])
def test_recovered_weights_give_the_answers_of_the_bundled_models(cascade: Cascade, stage: int) -> None:
    found = recover(bundled_models(), f"stage{stage}")
    model, spec = cascade.model_of(stage), found.spec
    assert found.stride_in_1x1, "as the model card says"
    network = build_network(spec.backbone, stride_in_1x1=True).eval()
    network.load_state_dict(found.tensors)
    batch = np.concatenate([prepare(read_radiograph(path), spec) for path in EXAMPLES])
    with torch.inference_mode():
        logits = network(torch.from_numpy(batch)).numpy()
    expected = model.run(batch).logits
    recovered, shipped = (
        positive_probability(each, spec.temperature, spec.bias) for each in (logits, expected)
    )
    np.testing.assert_allclose(recovered, shipped, atol=PROBABILITY_TOLERANCE)


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("float16", 0.02), ("int8", 0.5)])
def test_every_precision_gives_its_weights_back(
    models: Path, tmp_path: Path, precision: str, tolerance: float
) -> None:
    batch = 60 * torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    path = tmp_path / "stage1.onnx"
    if precision == "float32":
        path.write_bytes((models / "stage1.onnx").read_bytes())
    elif precision == "float16":
        to_float16(models / "stage1.onnx", path)
    else:
        quantise(models / "stage1.onnx", path, (batch[:1].numpy() for _ in range(2)))
    write_spec(path, replace(spec_of_network(), precision=precision))
    write_manifest(tmp_path, "1")
    network = build_network("resnet18").eval()
    network.load_state_dict(recover(tmp_path, "stage1").tensors)
    with torch.inference_mode():
        expected, found = lively_network()(batch), network(batch)
    assert expected.std() > 0.2
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


def test_a_stage_that_is_not_there_is_named(models: Path) -> None:
    with pytest.raises(ModelError, match="holds a stage 1 alone"):
        recover(models, "stage2")


def test_the_command_writes_weights_that_say_what_they_are(models: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    result = CliRunner().invoke(app, ["weights", "--models", str(models), "--output", str(path)])
    assert result.exit_code == 0, result.output
    assert load_file(path).keys() == build_network("resnet18").state_dict().keys()
    with safe_open(path, "pt") as file:
        assert file.metadata() == {
            "backbone": "resnet18",
            "stride": "3x3",
            "mean": "123.68 116.779 103.939",
            "std": "60.0 60.0 60.0",
            "batch_norm": "folded",
            "model_version": "tiny",
        }


@pytest.mark.slow
def test_training_that_learns_nothing_gives_the_model_back(
    models: Path, films_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a learning rate of 0, what batch norm does in training is all that could move the answers."""
    monkeypatch.setattr(duplicates, "NEAR_BITS", -1)
    config = TrainingConfig(
        1,
        backbone="resnet18",
        recipe="baseline",
        schedule=((64, 1),),
        batch_size=16,
        learning_rate=0.0,
        fresh_learning_rate=0.0,
        frozen_stages=0,
        workers=0,
    )
    said: list[str] = []
    train(Sources(films_folder, str(models)), config, tmp_path, said.append)
    assert any("stage 1 of models tiny; initialised afresh: nothing" in line for line in said)
    network = build_network("resnet18").eval()
    network.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    stage1 = Cascade.load(models, threads=1).stage1
    films = [read_radiograph(film.path) for film in find_films(films_folder)]
    batch = np.concatenate([prepare(film, stage1.spec) for film in films])
    with torch.inference_mode():
        found = network(torch.from_numpy(batch)).numpy()
    expected = stage1.run(batch).logits
    # Its statistics are estimated anew at the end, as means over batches: of 4 places in each of 16 films.
    np.testing.assert_allclose(found, expected, atol=0.1)
    assert np.abs(expected).max() > 0.2
