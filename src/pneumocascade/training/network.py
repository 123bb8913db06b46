"""ResNet-50 (He, Zhang, Ren, Sun 2016), its starting weights, and its two-output form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.networks.nets.resnet import resnet50
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from pneumocascade.errors import TrainingError
from pneumocascade.model.spec import IMAGENET_RGB_MEAN

HUB_WEIGHTS = ("timm/resnet50.tv_in1k", "model.safetensors")
"""Full ImageNet weights by name: repository and file on the Hugging Face hub (BSD-3, torchvision's)."""

FREEZABLE = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")

Mean = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Backbone:
    """Starting weights and the input they were trained on.

    Attributes
    ----------
    path : Path
        safetensors file with torchvision's parameter names; may be partial.
    stride_in_1x1 : bool
        Whether a stage halves its resolution in the first 1 x 1 convolution (the paper's layout)
        rather than in the 3 x 3 (torchvision's).
    mean, std : tuple of float
        RGB normalisation in grey values 0..255.
    """

    path: Path
    stride_in_1x1: bool
    mean: Mean
    std: Mean


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What starting weights filled.

    Attributes
    ----------
    loaded, fresh : tuple of str
        Parameters and buffers taken from the file, and those initialised afresh.
    """

    loaded: tuple[str, ...]
    fresh: tuple[str, ...]

    def modules_afresh(self) -> list[str]:
        """Return the top-level modules that start afresh, for people to read."""
        return sorted({name.split(".")[0] for name in self.fresh})


def find_backbone(weights: str) -> Backbone:
    """Locate starting weights.

    Parameters
    ----------
    weights : str
        Path of a safetensors file, or ``"imagenet"`` to fetch the full weights by name.

    Raises
    ------
    TrainingError
        Where the file is missing or damaged, or the network does not give the weights.
    """
    if weights == "imagenet":
        path = _fetch_imagenet()
        return Backbone(path, False, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    path = Path(weights)
    if not path.is_file():
        raise TrainingError(
            f"there are no backbone weights at {path}; give a safetensors file, or 'imagenet'"
        )
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise TrainingError(f"{path} is not a whole safetensors file: {error}") from error
    mean = _triple(metadata.get("mean"), IMAGENET_RGB_MEAN, path)
    std = _triple(metadata.get("std"), (1.0, 1.0, 1.0), path)
    if not all(part > 0 for part in std):
        raise TrainingError(f"{path} says that its input was divided by std = {std}; expected values above 0")
    return Backbone(path, "first 1x1" in metadata.get("stride", ""), mean, std)


def _triple(text: str | None, default: Mean, path: Path) -> Mean:
    """Read three numbers of a file's metadata, such as ``"123.7 116.3 103.5"``."""
    if text is None:
        return default
    try:
        red, green, blue = map(float, text.split())
    except ValueError as error:
        raise TrainingError(
            f"the metadata of {path} has {text!r} for mean or std; expected three numbers, one a channel"
        ) from error
    return red, green, blue


def _fetch_imagenet() -> Path:
    try:
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(*HUB_WEIGHTS))
    except Exception as error:  # offline, proxy, missing package: many kinds, one advice
        raise TrainingError(
            f"the ImageNet weights {HUB_WEIGHTS[0]} could not be fetched ({error}); "
            "fetch them elsewhere and give the file with --backbone-weights FILE"
        ) from error


def build_network(*, stride_in_1x1: bool) -> nn.Module:
    """Return a ResNet-50 with two classes; parameter names are torchvision's.

    Parameters
    ----------
    stride_in_1x1 : bool
        See :class:`Backbone`.
    """
    network: nn.Module = resnet50(
        spatial_dims=2, n_input_channels=3, num_classes=2, conv1_t_stride=2, bias_downsample=False
    )
    if stride_in_1x1:
        for stage in (network.layer2, network.layer3, network.layer4):
            block: Any = stage[0]  # type: ignore[index]
            block.conv1.stride, block.conv2.stride = (2, 2), (1, 1)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def load_backbone(network: nn.Module, path: Path) -> LoadReport:
    """Fill a network with the weights of a file, as far as names and shapes agree.

    The classifier ``fc`` always starts afresh: its classes are the task's own.

    Raises
    ------
    TrainingError
        Where nothing agrees.
    """
    given = load_file(path)
    own = network.state_dict()
    take = {
        name: value.to(own[name].dtype)
        for name, value in given.items()
        if name in own and own[name].shape == value.shape and not name.startswith("fc.")
    }
    if not take:
        raise TrainingError(f"{path} holds no weight of a ResNet-50 (names as in torchvision were expected)")
    network.load_state_dict(take, strict=False)
    fresh = tuple(name for name in own if name not in take and not name.endswith("num_batches_tracked"))
    return LoadReport(tuple(take), fresh)


def freeze(network: nn.Module, stages: int) -> None:
    """Exclude the first modules from training.

    Their batch norm keeps the statistics it came with, as long as :func:`train_mode` is used.

    Parameters
    ----------
    network : nn.Module
    stages : int
        0 none, 1 the stem, 2 the stem and ``layer1``, up to 5: all but the classifier.
    """
    for module in frozen_modules(network, stages):
        module.requires_grad_(False)


def frozen_modules(network: nn.Module, stages: int) -> list[nn.Module]:
    """Return the modules that :func:`freeze` excludes."""
    names = FREEZABLE[: stages + 1] if stages else ()
    return [getattr(network, name) for name in names]


def train_mode(network: nn.Module, frozen_stages: int) -> None:
    """Set training mode, but leave frozen modules in evaluation mode."""
    network.train()
    for module in frozen_modules(network, frozen_stages):
        module.eval()


class WithFeatures(nn.Module):
    """A ResNet-50 that also returns its last feature map.

    Parameters
    ----------
    network : nn.Module
        From :func:`build_network`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, 2) and feature map (N, 2048, S/32, S/32) of a batch (N, 3, S, S)."""
        net = self.network
        x = net.maxpool(net.act(net.bn1(net.conv1(batch))))  # type: ignore[operator]
        features: Tensor = net.layer4(net.layer3(net.layer2(net.layer1(x))))  # type: ignore[operator]
        pooled = features.mean(dim=(2, 3))  # (N, 2048)
        logits: Tensor = net.fc(pooled)  # type: ignore[operator]
        return logits, features
