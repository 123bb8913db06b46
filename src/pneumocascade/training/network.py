"""A backbone with its starting weights, and its two-output form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from pneumocascade.errors import TrainingError
from pneumocascade.model.spec import DEFAULT_BACKBONE, IMAGENET_RGB_MEAN
from pneumocascade.training.backbones import backbone_of

Mean = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class StartingWeights:
    """Weights to start from and the input they were trained on.

    Attributes
    ----------
    path : Path
        safetensors file with torchvision's parameter names; may be partial.
    stride_in_1x1 : bool
        Whether a stage of a ResNet-50 halves its resolution in the first 1 x 1 convolution (the paper's
        layout) rather than in the 3 x 3 (torchvision's).
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
    stride_in_1x1 : bool
        Layout of the network, kept with its trained weights.
    """

    loaded: tuple[str, ...]
    fresh: tuple[str, ...]
    stride_in_1x1: bool = False

    def modules_afresh(self) -> list[str]:
        """Return the top-level modules that start afresh, for people to read."""
        return sorted({name.split(".")[0] for name in self.fresh})


def find_weights(weights: str, backbone: str = DEFAULT_BACKBONE) -> StartingWeights:
    """Locate starting weights of a backbone.

    Parameters
    ----------
    weights : str
        Path of a safetensors file, or ``"imagenet"`` to fetch the full weights by name.
    backbone : str
        See :data:`~pneumocascade.training.backbones.BACKBONES`.

    Raises
    ------
    TrainingError
        Where the file is missing, damaged or of another backbone, or the network does not give the weights.
    UsageError
        For an unknown backbone.
    """
    backbone_of(backbone)
    if weights == "imagenet":
        path = _fetch_imagenet(backbone)
        return StartingWeights(path, False, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
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
    if metadata.get("backbone", backbone) != backbone:
        raise TrainingError(
            f"{path} holds weights of {metadata['backbone']}, but the backbone is {backbone}: give "
            f"--backbone {metadata['backbone']}, or other weights"
        )
    mean = _triple(metadata.get("mean"), IMAGENET_RGB_MEAN, path)
    std = _triple(metadata.get("std"), (1.0, 1.0, 1.0), path)
    if not all(part > 0 for part in std):
        raise TrainingError(f"{path} says that its input was divided by std = {std}; expected values above 0")
    return StartingWeights(path, "first 1x1" in metadata.get("stride", ""), mean, std)


def metadata_of(backbone: str, mean: Mean, std: Mean, *, stride_in_1x1: bool) -> dict[str, str]:
    """Return what :func:`find_weights` reads of a safetensors file's metadata."""
    return {
        "backbone": backbone,
        "stride": "first 1x1" if stride_in_1x1 else "3x3",
        "mean": " ".join(map(str, mean)),
        "std": " ".join(map(str, std)),
    }


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


def _fetch_imagenet(backbone: str) -> Path:
    repository, file = backbone_of(backbone).imagenet
    try:
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(repository, file))
    except Exception as error:  # offline, proxy, missing package: many kinds, one advice
        raise TrainingError(
            f"the ImageNet weights {repository} could not be fetched ({error}); "
            "fetch them elsewhere and give the file with --backbone-weights FILE"
        ) from error


def build_network(backbone: str = DEFAULT_BACKBONE, *, stride_in_1x1: bool = False) -> nn.Module:
    """Return a backbone with two classes; a ResNet's parameter names are torchvision's.

    Parameters
    ----------
    backbone : str
        See :data:`~pneumocascade.training.backbones.BACKBONES`.
    stride_in_1x1 : bool
        See :class:`StartingWeights`.

    Raises
    ------
    UsageError
        For an unknown backbone.
    """
    network = backbone_of(backbone).build(stride_in_1x1)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def load_weights(
    network: nn.Module, weights: StartingWeights, backbone: str = DEFAULT_BACKBONE
) -> LoadReport:
    """Fill a network with starting weights, as far as names and shapes agree.

    The classifier always starts afresh: its classes are the task's own.

    Raises
    ------
    TrainingError
        Where nothing agrees.
    """
    kind = backbone_of(backbone)
    own = network.state_dict()
    take = {
        name: value.to(own[name].dtype)
        for name, value in load_file(weights.path).items()
        if name in own and own[name].shape == value.shape and not name.startswith(f"{kind.classifier}.")
    }
    if not take:
        raise TrainingError(
            f"{weights.path} holds no weight of a {kind.title} (names as in torchvision were expected)"
        )
    network.load_state_dict(take, strict=False)
    fresh = tuple(name for name in own if name not in take and not name.endswith("num_batches_tracked"))
    return LoadReport(tuple(take), fresh, weights.stride_in_1x1)


def freeze(network: nn.Module, stages: int, backbone: str = DEFAULT_BACKBONE) -> None:
    """Exclude the first modules from training.

    Their batch norm keeps the statistics it came with, as long as :func:`train_mode` is used.

    Parameters
    ----------
    network : nn.Module
    stages : int
        0 none, 1 the stem, 2 the stem and the next stage (``layer1``), up to 5: all but the classifier.
    backbone : str
    """
    for module in frozen_modules(network, stages, backbone):
        module.requires_grad_(False)


def frozen_modules(network: nn.Module, stages: int, backbone: str = DEFAULT_BACKBONE) -> list[nn.Module]:
    """Return the modules that :func:`freeze` excludes."""
    groups = backbone_of(backbone).stages[:stages]
    return [network.get_submodule(name) for group in groups for name in group]


def train_mode(network: nn.Module, frozen_stages: int, backbone: str = DEFAULT_BACKBONE) -> None:
    """Set training mode, but leave frozen modules in evaluation mode."""
    network.train()
    for module in frozen_modules(network, frozen_stages, backbone):
        module.eval()


class WithFeatures(nn.Module):
    """A network that also returns its last feature map.

    Parameters
    ----------
    network : nn.Module
        From :func:`build_network`.
    backbone : str
    """

    def __init__(self, network: nn.Module, backbone: str = DEFAULT_BACKBONE) -> None:
        super().__init__()
        self.network = network
        self.backbone = backbone_of(backbone)

    def forward(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, 2) and feature map (N, C, S/32, S/32) of a batch (N, 3, S, S)."""
        features = self.backbone.features(self.network, batch)
        pooled = features.mean(dim=(2, 3))  # (N, C)
        logits: Tensor = self.backbone.classifier_of(self.network)(pooled)
        return logits, features
