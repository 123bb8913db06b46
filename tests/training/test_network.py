from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pneumocascade.errors import TrainingError, UsageError
from pneumocascade.training.backbones import BACKBONES
from pneumocascade.training.network import (
    WithFeatures,
    build_network,
    freeze,
    load_weights,
    train_mode,
    unfold_batch_norm,
)
from pneumocascade.training.starting_weights import find_weights


def test_names_are_torchvisions() -> None:
    names = set(build_network(stride_in_1x1=False).state_dict())
    assert {"conv1.weight", "bn1.running_mean", "layer1.0.downsample.0.weight", "layer4.2.bn3.bias"} <= names
    assert not any("downsample.0.bias" in name for name in names)


@pytest.mark.parametrize("stride_in_1x1", [True, False])
@pytest.mark.parametrize("name", BACKBONES)
def test_features_pooled_and_classified_are_the_logits(name: str, stride_in_1x1: bool) -> None:
    backbone = BACKBONES[name]
    network = build_network(name, stride_in_1x1=stride_in_1x1).eval()
    batch = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        logits, features = WithFeatures(network, name)(batch)
        assert features.shape == (2, backbone.channels, 64 // backbone.reduction, 96 // backbone.reduction)
        torch.testing.assert_close(network(batch), logits, rtol=1e-4, atol=1e-5)
        pooled = backbone.classifier_of(network)(features.mean((2, 3)))
        torch.testing.assert_close(pooled, logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", BACKBONES)
def test_all_but_the_classifier_can_be_frozen(name: str) -> None:
    backbone, network = BACKBONES[name], build_network(name)
    counts = []
    for stages in range(len(backbone.stages) + 1):
        freeze(network, stages, name)
        counts.append(sum(parameter.requires_grad for parameter in network.parameters()))
    assert sorted(counts, reverse=True) == counts
    assert len(set(counts)) == len(counts), "each stage freezes something"
    left = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert left == {f"{backbone.classifier}.weight", f"{backbone.classifier}.bias"}


def test_an_unknown_backbone_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="backbone is 'vgg'; expected one of resnet50, resnet18"):
        build_network("vgg")


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

    weights = find_weights(str(path))
    network = build_network(stride_in_1x1=weights.stride_in_1x1)
    before = network.state_dict()["layer4.0.conv1.weight"].clone()
    report = load_weights(network, weights)

    assert weights.stride_in_1x1
    assert report.stride_in_1x1
    assert network.layer2[0].conv1.stride == (2, 2)  # type: ignore[index, union-attr]
    assert report.modules_afresh() == ["fc", "layer4"]
    assert set(report.loaded) == set(partial)
    torch.testing.assert_close(network.state_dict()["conv1.weight"], partial["conv1.weight"].float())
    torch.testing.assert_close(network.state_dict()["layer4.0.conv1.weight"], before)


def test_foreign_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"encoder.weight": torch.zeros(3)}, path)
    with pytest.raises(TrainingError, match="no weight of a ResNet-50"):
        load_weights(build_network(), find_weights(str(path)))


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


def test_unfolded_batch_norm_computes_the_same_in_training_as_in_evaluation() -> None:
    torch.manual_seed(0)
    network = build_network("resnet18")
    batch = 50 + 40 * torch.randn(16, 3, 64, 64)
    with torch.no_grad():
        expected = network.eval()(batch)
        before = network.train()(batch)
    network = build_network("resnet18")
    torch.manual_seed(0)
    network.load_state_dict(build_network("resnet18").state_dict())
    unfold_batch_norm(network, batch.split(8))
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(batch), expected, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(network.train()(batch), expected, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(before, expected, rtol=0.1), "without it, training computes something else"
