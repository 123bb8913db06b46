from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pneumocascade import Cascade, ModelSpec
from pneumocascade.dataset import find_films
from pneumocascade.errors import TrainingError
from pneumocascade.preprocess import prepare
from pneumocascade.reading import read_radiograph
from pneumocascade.spec import OPERATING_POINTS
from pneumocascade.training import duplicates
from pneumocascade.training.config import TrainingConfig
from pneumocascade.training.export import export_run
from pneumocascade.training.network import build_network
from pneumocascade.training.run import Sources, train_stage

pytestmark = pytest.mark.slow

CONFIG = TrainingConfig(1, schedule=((32, 1), (64, 1)), batch_size=8, validation_share=0.25, workers=0)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random starting weights without layer4 and fc, in the paper's layout."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "backbone.safetensors"
    state = build_network(stride_in_1x1=True).state_dict()
    partial = {
        name: value.contiguous() for name, value in state.items() if not name.startswith(("layer4", "fc"))
    }
    save_file(partial, path, {"stride": "in the first 1x1 convolution"})
    return path


@pytest.fixture(scope="module")
def run(films_folder: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both stages, trained for two epochs on phantoms (all alike: none is dropped as a duplicate)."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "NEAR_BITS", -1)
        for stage in (1, 2):
            train_stage(Sources(films_folder, str(weights)), replace(CONFIG, stage=stage), folder)
    return folder


def rows_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_run_leaves_everything_behind(run: Path) -> None:
    for stage in ("stage1", "stage2"):
        files = {path.name for path in (run / stage).iterdir()}
        assert {"run.json", "split.json", "duplicates.json", "metrics.jsonl", "best.safetensors"} <= files
        assert {"validation.csv", "curves.png", "roc.png", "confusion.png"} <= files
        assert [row["size"] for row in rows_of(run / stage)] == [32, 64]
    record = json.loads((run / "stage1" / "run.json").read_text())
    assert record["config"]["seed"] == CONFIG.seed
    assert record["packages"]["torch"] == torch.__version__
    assert len(record["spec"]["data_fingerprint"]) == 64


def test_stage2_takes_split_and_backbone_of_stage1(run: Path) -> None:
    assert (run / "stage1" / "split.json").read_text() == (run / "stage2" / "split.json").read_text()
    first, second = (load_file(run / stage / "best.safetensors") for stage in ("stage1", "stage2"))
    torch.testing.assert_close(first["conv1.weight"], second["conv1.weight"])


def test_a_finished_run_is_not_trained_again(run: Path, films_folder: Path, weights: Path) -> None:
    before = (run / "stage1" / "metrics.jsonl").read_text()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "NEAR_BITS", -1)
        train_stage(Sources(films_folder, str(weights)), CONFIG, run)
    assert (run / "stage1" / "metrics.jsonl").read_text() == before


def test_another_configuration_does_not_overwrite_a_run(run: Path, films_folder: Path, weights: Path) -> None:
    with pytest.raises(TrainingError, match="another config"):
        train_stage(Sources(films_folder, str(weights)), replace(CONFIG, seed=1), run)


def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(
    run: Path, films_folder: Path, weights: Path, tmp_path: Path
) -> None:
    sources = Sources(films_folder, str(weights))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "NEAR_BITS", -1)
        train_stage(sources, CONFIG, tmp_path)
        stage = tmp_path / "stage1"
        (stage / "checkpoint-002.safetensors").unlink()
        (stage / "best.safetensors").unlink()
        train_stage(sources, CONFIG, tmp_path)
    torch.testing.assert_close(
        load_file(stage / "best.safetensors"),
        load_file(run / "stage1" / "best.safetensors"),
        rtol=1e-4,
        atol=1e-5,
    )


def test_exported_models_agree_with_pytorch(run: Path, films_folder: Path, tmp_path: Path) -> None:
    export_run(run, tmp_path, "9.9.9", lambda _line: None)

    cascade = Cascade.load(tmp_path)
    assert cascade.version == "9.9.9"
    films = find_films(films_folder)
    for model, stage in ((cascade.stage1, "stage1"), (cascade.stage2, "stage2")):
        network = build_network(stride_in_1x1=True).eval()
        network.load_state_dict(load_file(run / stage / "best.safetensors"))
        batch = np.concatenate([prepare(read_radiograph(film.path), model.spec) for film in films])
        with torch.inference_mode():
            expected = network(torch.from_numpy(batch)).numpy()
        logits, features = model.run(batch)
        assert np.abs(logits - expected).mean() < 0.1 * np.abs(expected).mean(), "INT8 is close to float32"
        assert features.shape == (len(films), 2048, 2, 2)
        assert tuple(model.spec.operating_points) == OPERATING_POINTS
        assert isinstance(model.spec, ModelSpec)
        assert model.spec.metrics["auroc"] == pytest.approx(
            json.loads((tmp_path / "export.json").read_text())[stage]["auroc_int8"]["value"], abs=1e-4
        )
    prediction = cascade.predict(films[0].path)
    assert prediction.status == "refused", "phantoms of 96 pixels are too small to judge"


def test_nothing_trained_nothing_exported(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no trained stage"):
        export_run(tmp_path, tmp_path / "out", "1", lambda _line: None)
