from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pneumocascade.errors import TrainingError
from pneumocascade.training.network import (
    WithFeatures,
    build_network,
    find_backbone,
    freeze,
    load_backbone,
    train_mode,
)


def test_names_are_torchvisions() -> None:
    names = set(build_network(stride_in_1x1=False).state_dict())
    assert {"conv1.weight", "bn1.running_mean", "layer1.0.downsample.0.weight", "layer4.2.bn3.bias"} <= names
    assert not any("downsample.0.bias" in name for name in names)


@pytest.mark.parametrize("stride_in_1x1", [True, False])
def test_features_pooled_and_classified_are_the_logits(stride_in_1x1: bool) -> None:
    network = build_network(stride_in_1x1=stride_in_1x1).eval()
    batch = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        logits, features = WithFeatures(network)(batch)
        assert features.shape == (2, 2048, 2, 3)
        torch.testing.assert_close(network(batch), logits, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(network.fc(features.mean((2, 3))), logits, rtol=1e-4, atol=1e-5)  # type: ignore[operator]


def test_partial_weights_say_what_starts_afresh(tmp_path: Path) -> None:
    torch.manual_seed(0)
    donor = build_network(stride_in_1x1=True).state_dict()
    partial = {
        name: value.half() if value.ndim == 4 else value
        for name, value in donor.items()
        if not name.startswith(("layer4", "fc")) and "num_batches" not in name
    }
    path = tmp_path / "partial.safetensors"
    save_file(
        {name: value.contiguous() for name, value in partial.items()}, path, {"stride": "in the first 1x1"}
    )

    backbone = find_backbone(str(path))
    network = build_network(stride_in_1x1=backbone.stride_in_1x1)
    before = network.state_dict()["layer4.0.conv1.weight"].clone()
    report = load_backbone(network, path)

    assert backbone.stride_in_1x1
    assert network.layer2[0].conv1.stride == (2, 2)  # type: ignore[index, union-attr]
    assert report.modules_afresh() == ["fc", "layer4"]
    assert set(report.loaded) == set(partial)
    torch.testing.assert_close(network.state_dict()["conv1.weight"], partial["conv1.weight"].float())
    torch.testing.assert_close(network.state_dict()["layer4.0.conv1.weight"], before)


def test_foreign_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"encoder.weight": torch.zeros(3)}, path)
    with pytest.raises(TrainingError, match="no weight of a ResNet-50"):
        load_backbone(build_network(stride_in_1x1=False), path)


def test_garbage_is_no_backbone(tmp_path: Path) -> None:
    path = tmp_path / "garbage.safetensors"
    path.write_bytes(b"\x80 not tensors" * 9)
    with pytest.raises(TrainingError, match="not a whole safetensors file"):
        find_backbone(str(path))


@pytest.mark.parametrize(
    "metadata", [{"mean": "1 2"}, {"mean": "a b c"}, {"std": "1 1 1 1"}, {"std": "1 0 1"}, {"std": "1 nan 1"}]
)
def test_nonsense_in_the_metadata_is_refused(tmp_path: Path, metadata: dict[str, str]) -> None:
    path = tmp_path / "backbone.safetensors"
    save_file({"conv1.weight": torch.zeros(3)}, path, metadata)
    with pytest.raises(TrainingError, match=f"{path}.* (mean|std)"):
        find_backbone(str(path))


def test_missing_weights_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no backbone weights"):
        find_backbone(str(tmp_path / "none.safetensors"))


def test_frozen_modules_do_not_move() -> None:
    torch.manual_seed(0)
    network = build_network(stride_in_1x1=True)
    freeze(network, 2)
    train_mode(network, 2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], 0.1)
    loss = torch.nn.functional.cross_entropy(network(torch.randn(4, 3, 64, 64)), torch.tensor([0, 1, 0, 1]))
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    moved = {
        name.split(".")[0]
        for name, value in network.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert moved == {"layer2", "layer3", "layer4", "fc"}
