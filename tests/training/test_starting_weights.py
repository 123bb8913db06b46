"""Where starting weights are looked for, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pneumocascade.errors import TrainingError
from pneumocascade.training.network import build_network
from pneumocascade.training.starting_weights import WEIGHTS, find_weights, has_stage, metadata_of
from tests.tiny_models import write_tiny_models


def test_weights_of_another_backbone_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    metadata = metadata_of("resnet18", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), stride_in_1x1=False)
    save_file({"conv1.weight": torch.zeros(64, 3, 7, 7)}, path, metadata)
    assert find_weights(str(path), "resnet18").mean == (0.0, 0.0, 0.0)
    with pytest.raises(TrainingError, match="weights of resnet18, but the backbone is resnet50"):
        find_weights(str(path))


def test_garbage_is_no_backbone(tmp_path: Path) -> None:
    path = tmp_path / "garbage.safetensors"
    path.write_bytes(b"\x80 not tensors" * 9)
    with pytest.raises(TrainingError, match="not a whole safetensors file"):
        find_weights(str(path))


@pytest.mark.parametrize(
    "metadata", [{"mean": "1 2"}, {"mean": "a b c"}, {"std": "1 1 1 1"}, {"std": "1 0 1"}, {"std": "1 nan 1"}]
)
def test_nonsense_in_the_metadata_is_refused(tmp_path: Path, metadata: dict[str, str]) -> None:
    path = tmp_path / "backbone.safetensors"
    save_file({"conv1.weight": torch.zeros(3)}, path, metadata)
    with pytest.raises(TrainingError, match=f"{path}.* (mean|std)"):
        find_weights(str(path))


def test_missing_weights_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no starting weights"):
        find_weights(str(tmp_path / "none.safetensors"))


def test_a_run_gives_the_weights_of_its_stage_with_the_classifier(tmp_path: Path) -> None:
    (tmp_path / "stage1").mkdir()
    metadata = metadata_of("resnet18", (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), stride_in_1x1=False)
    state = {name: value.contiguous() for name, value in build_network("resnet18").state_dict().items()}
    save_file(state, tmp_path / "stage1" / WEIGHTS, metadata)
    found = find_weights(str(tmp_path), "resnet18")
    assert (found.same_task, found.folded, found.std) == (True, False, (4.0, 5.0, 6.0))
    assert not find_weights(str(tmp_path / "stage1" / WEIGHTS), "resnet18").same_task
    assert (has_stage(str(tmp_path), 1), has_stage(str(tmp_path), 2)) == (True, False)
    with pytest.raises(TrainingError, match="has no stage 2: no model of it"):
        find_weights(str(tmp_path), "resnet18", 2)


def test_stages_of_models_are_those_of_their_manifest(tmp_path: Path) -> None:
    models = write_tiny_models(tmp_path / "models")
    assert has_stage(str(models), 2)
    assert has_stage("bundled", 2)
    assert not has_stage("imagenet", 1)
    with pytest.raises(TrainingError, match="does not hold the layers of a ResNet-50"):
        find_weights(str(models))
