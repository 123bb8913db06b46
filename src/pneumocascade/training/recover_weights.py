"""The weights of exported models as tensors to train from: dequantised, with batch norm folded.

What INT8 rounded stays rounded: 7 bits a weight, with a scale for each output channel. Batch norm was folded
into the convolutions at export and cannot be told from them: here each convolution holds both, and its batch
norm does nothing but add the bias.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx.numpy_helper import to_array
from torch import Tensor, nn

from pneumocascade.errors import ModelError, TrainingError
from pneumocascade.model.spec import ModelSpec
from pneumocascade.model.store import load_classifier, read_manifest
from pneumocascade.training.backbones import Backbone, backbone_of

_LAYER = re.compile(r"network\.(.+)\.weight")
"""Name of a layer in the name of its weight, which the exporter and the quantiser lengthen."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class RecoveredWeights:
    """What :func:`recover` found in a model.

    Attributes
    ----------
    spec : ModelSpec
    tensors : dict of str to Tensor
        Every parameter and buffer of the network, float32.
    stride_in_1x1 : bool
        See :class:`~pneumocascade.training.starting_weights.StartingWeights`.
    """

    spec: ModelSpec
    tensors: dict[str, Tensor]
    stride_in_1x1: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    weight: Floats
    bias: Floats | None
    strides: tuple[int, ...]


def recover(models: Path, stage: str) -> RecoveredWeights:
    """Return the weights of one stage of exported models, of whatever precision.

    Parameters
    ----------
    models : Path
        Folder of models.
    stage : {"stage1", "stage2"}

    Raises
    ------
    ModelError
        Where the models cannot be loaded, or are a stage 1 alone and ``stage`` is the other.
    TrainingError
        Where the file is none that this package exported from one of its backbones.
    """
    manifest = read_manifest(models)
    if stage not in manifest.files:
        raise ModelError(f"{models} holds a stage 1 alone: there is no stage 2")
    spec = load_classifier(models, manifest, stage).spec
    path = models / manifest.files[stage]
    layers = _layers(onnx.load(path))
    backbone = backbone_of(spec.backbone)
    for stride_in_1x1 in (False, True):
        network = backbone.build(stride_in_1x1).eval()
        if _fits(network, backbone, layers):
            return RecoveredWeights(spec, _filled(network, layers), stride_in_1x1)
    raise TrainingError(
        f"{path} does not hold the layers of a {backbone.title} as this package exports them: no weights "
        "can be recovered"
    )


def _layers(model: onnx.ModelProto) -> dict[str, _Layer]:
    """Return the convolutions and the classifier of an ONNX file by name."""
    constants = {each.name: to_array(each) for each in model.graph.initializer}
    layers = {}
    for node in model.graph.node:
        attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        if node.op_type == "DequantizeLinear" and node.input[0] in constants:
            stored, scale, zero = (constants[name] for name in node.input)
            shape = [1] * stored.ndim
            if scale.ndim:
                shape[attributes.get("axis", 1)] = -1
            whole = stored.astype(np.float32) - zero.astype(np.float32).reshape(shape)
            constants[node.output[0]] = whole * scale.reshape(shape)
        elif node.op_type in ("Conv", "Gemm") and (found := _LAYER.match(node.input[1])):
            weight, *bias = (constants[name].astype(np.float32) for name in node.input[1:])
            weight = weight if node.op_type == "Conv" or attributes.get("transB") else weight.T
            strides = tuple(attributes.get("strides", ()))
            layers[found.group(1)] = _Layer(np.array(weight), bias[0] if bias else None, strides)
    return layers


def _fits(network: nn.Module, backbone: Backbone, layers: dict[str, _Layer]) -> bool:
    """Return whether a network has these layers, with these shapes and strides."""
    own: dict[str, Any] = {
        name: module for name, module in network.named_modules() if isinstance(module, nn.Conv2d)
    }
    own[backbone.classifier] = backbone.classifier_of(network)
    return own.keys() == layers.keys() and all(
        module.weight.shape == layers[name].weight.shape
        and getattr(module, "stride", ()) == layers[name].strides
        for name, module in own.items()
    )


def _filled(network: nn.Module, layers: dict[str, _Layer]) -> dict[str, Tensor]:
    """Return the state of a network that holds the layers; batch norm adds the biases alone."""
    norm_of = _norms_behind(network)
    state = network.state_dict()
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            state[f"{name}.weight"] = torch.ones(module.num_features)
            state[f"{name}.bias"] = torch.zeros(module.num_features)
            state[f"{name}.running_mean"] = torch.zeros(module.num_features)
            state[f"{name}.running_var"] = torch.full((module.num_features,), 1 - module.eps)
    for name, layer in layers.items():
        state[f"{name}.weight"] = torch.from_numpy(layer.weight)
        if layer.bias is not None:
            state[f"{norm_of.get(name, name)}.bias"] = torch.from_numpy(layer.bias.copy())
    return {name: value.contiguous() for name, value in state.items()}


def _norms_behind(network: nn.Module) -> dict[str, str]:
    """Return by the name of a convolution that of the batch norm that takes its output."""
    made: list[tuple[Tensor, str]] = []
    found = {}

    def remember(name: str) -> Any:
        return lambda _module, _given, output: made.append((output, name))

    def look_up(name: str) -> Any:
        def hook(_module: nn.Module, given: tuple[Tensor, ...]) -> None:
            found.update({source: name for output, source in made if output is given[0]})

        return hook

    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(remember(name))
        elif isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(look_up(name))
    with torch.inference_mode():
        network(torch.zeros(1, 3, 64, 64))
    return found
