"""Export of a small network, trained for an epoch on phantoms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from pneumocascade import Cascade
from pneumocascade.cli import app
from pneumocascade.datasets.films import find_films
from pneumocascade.training import cross_fitting, duplicates, export
from pneumocascade.training import fit_gate as gate
from pneumocascade.training.network import build_network, metadata_of
from tests.training.conftest import write_films

pytestmark = pytest.mark.slow

runner = CliRunner()


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    """Phantoms are all alike, and few of everything is enough here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "NEAR_BITS", -1)
        patch.setattr(cross_fitting, "SHIFTED_FILMS", 24)
        patch.setattr(gate, "FILMS", 12)
        patch.setattr(gate, "DRAWN_EACH", 2)
        patch.setattr(gate, "PROJECTED_EACH", 20)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 phantoms of 30 patients."""
    return write_films(tmp_path_factory.mktemp("films") / "train", 10, side=112).parent


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both stages of a ResNet-18."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    weights = folder / "weights.safetensors"
    metadata = metadata_of("resnet18", (80.0, 40.0, 20.0), (60.0, 60.0, 60.0), stride_in_1x1=False)
    save_file(
        dict(build_network("resnet18").to(memory_format=torch.contiguous_format).state_dict()),
        weights,
        metadata,
    )
    options = {
        "--output": folder / "run",
        "--backbone": "resnet18",
        "--backbone-weights": weights,
        "--schedule": "32x1",
        "--batch-size": 8,
        "--workers": 0,
    }
    result = runner.invoke(
        app, ["train", str(data), *(str(part) for option in options.items() for part in option)]
    )
    assert result.exit_code == 0, result.output
    return folder / "run"


def exported(run: Path, output: Path, *options: str) -> Cascade:
    """Return what the command exports."""
    result = runner.invoke(app, ["export", str(run), "--output", str(output), "--version", "9.9.9", *options])
    assert result.exit_code == 0, result.output
    return Cascade.load(output, threads=1)


def test_a_backbone_chosen_by_name_is_trained_exported_and_used(
    run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MAX_INT8_COST", 1.0)  # of networks that have hardly learnt
    cascade = exported(run, tmp_path / "models")
    assert (cascade.stage1.spec.backbone, cascade.stage2.spec.backbone) == ("resnet18", "resnet18")
    assert cascade.embed([]).shape == (0, 512)
    film = find_films(data)[0].path
    assert cascade.embed([film]).shape == (1, 512)
    assert cascade.predict(film, gate=False).status == "ok"
