"""The networks that a stage can be trained with, by name: this file alone says how they differ.

To add one, give :data:`BACKBONES` an entry. All that is asked of a network: it takes a batch (N, 3, S, S),
and its logits are a linear layer on the mean of its last feature map over the positions, so that the
class-activation map is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from monai.networks.nets import resnet
from torch import Tensor, nn

from pneumocascade.errors import UsageError


@dataclass(frozen=True, slots=True)
class Backbone:
    """How a network is built and what its parts are called.

    Attributes
    ----------
    title : str
        What people read.
    build : callable
        Returns the network with two classes; takes ``stride_in_1x1``, see
        :class:`~pneumocascade.training.starting_weights.StartingWeights`.
    features : callable
        Returns the last feature map (N, ``channels``, S / ``reduction``, S / ``reduction``), rounded up, of
        a network and a batch (N, 3, S, S).
    channels : int
        Of the last feature map.
    reduction : int
        Pixels of the input, across and down, that a position of the last feature map stands for. An input of
        another size changes the size of that map and nothing else.
    stages : tuple of tuple of str
        The modules that can be frozen, from the input on: those of ``frozen_stages`` 1, of 2, and so on.
    classifier : str
        The linear layer.
    imagenet : tuple of str
        Full ImageNet weights: repository and file on the Hugging Face hub; names are those of ``build``.
    """

    title: str
    build: Callable[[bool], nn.Module]
    features: Callable[[Any, Tensor], Tensor]
    channels: int
    reduction: int
    stages: tuple[tuple[str, ...], ...]
    classifier: str
    imagenet: tuple[str, str]

    def classifier_of(self, network: nn.Module) -> nn.Linear:
        """Return the linear layer of a network."""
        layer = network.get_submodule(self.classifier)
        assert isinstance(layer, nn.Linear)
        return layer


def _resnet(build: Callable[..., nn.Module], stride_in_1x1: bool) -> nn.Module:
    """Return a ResNet with torchvision's parameter names."""
    network: Any = build(
        spatial_dims=2, n_input_channels=3, num_classes=2, conv1_t_stride=2, bias_downsample=False
    )
    if stride_in_1x1:
        for stage in (network.layer2, network.layer3, network.layer4):
            stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    made: nn.Module = network
    return made


def _resnet_features(network: Any, batch: Tensor) -> Tensor:
    x = network.maxpool(network.act(network.bn1(network.conv1(batch))))
    features: Tensor = network.layer4(network.layer3(network.layer2(network.layer1(x))))
    return features


_RESNET_STAGES = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))

BACKBONES = {
    "resnet50": Backbone(  # He, Zhang, Ren, Sun 2016
        title="ResNet-50",
        build=partial(_resnet, resnet.resnet50),
        features=_resnet_features,
        channels=2048,
        reduction=32,
        stages=_RESNET_STAGES,
        classifier="fc",
        imagenet=("timm/resnet50.tv_in1k", "model.safetensors"),
    ),
    "resnet18": Backbone(
        title="ResNet-18",
        build=partial(_resnet, resnet.resnet18),
        features=_resnet_features,
        channels=512,
        reduction=32,
        stages=_RESNET_STAGES,
        classifier="fc",
        imagenet=("timm/resnet18.tv_in1k", "model.safetensors"),
    ),
}
"""By the name that ``train --backbone`` takes and a model's specification keeps."""


def backbone_of(name: str) -> Backbone:
    """Return the backbone of a name.

    Raises
    ------
    UsageError
        Where there is none.
    """
    if name not in BACKBONES:
        raise UsageError(f"backbone is {name!r}; expected one of {', '.join(BACKBONES)}")
    return BACKBONES[name]
