"""From a trained network to an ONNX file: float32, static INT8, and the specification inside."""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

from pneumocascade.model.onnx_classifier import MAP_OUTPUT
from pneumocascade.model.spec import METADATA_KEY, ModelSpec
from pneumocascade.training.network import WithFeatures

RANGE_PERCENTILE = 99.99
"""Share of an activation's values, in percent, that its 8 bits reach over.

With the largest value instead, logits of stage 2 had a correlation of .975 with those of float32 and a bias
of -.85; with this, .996 and -.05 (one fold, 700 films).
"""


def to_onnx(network: nn.Module, spec: ModelSpec, path: Path) -> None:
    """Write a network as float32 ONNX: ``input`` (N, 3, S, S) to ``logits`` and ``features``.

    Batch norm is folded into the convolutions by the exporter.
    """
    model = WithFeatures(network, spec.backbone).eval().to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    example = torch.zeros(2, 3, spec.input_size, spec.input_size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's exporter warns of its own deprecated parts
        program = torch.onnx.export(
            model,
            (example,),
            input_names=["input"],
            output_names=["logits", "features"],
            dynamic_shapes={"batch": {0: torch.export.Dim("batch")}},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.save(path)
    write_spec(path, spec)


class _Films(CalibrationDataReader):  # type: ignore[misc]
    """Model inputs (1, 3, S, S), one at a time, for the range calibration."""

    def __init__(self, inputs: Iterable[NDArray[np.float32]]) -> None:
        self._inputs = iter(inputs)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next input, or ``None`` at the end."""
        batch = next(self._inputs, None)
        return None if batch is None else {"input": batch}


def quantise(float_model: Path, path: Path, inputs: Iterable[NDArray[np.float32]]) -> None:
    """Write a static INT8 version of a float32 ONNX file.

    Unsigned activations and signed weights per channel, as quantise/dequantise pairs. Weights keep
    7 bits: with 8, processors without VNNI saturate when they add two products, and the same film
    would get another answer on another machine.

    Parameters
    ----------
    float_model, path : Path
    inputs : iterable of ndarray, shape (1, 3, S, S)
        Films to find the range of each activation on.
    """
    # ONNX Runtime prints how it finds the ranges.
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(float_model, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            path,
            _Films(inputs),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={"CalibPercentile": RANGE_PERCENTILE},
        )


def to_float16(float_model: Path, path: Path) -> None:
    """Write a float16 version of a float32 ONNX file: half the size; input and outputs stay float32.

    A provider without float16 arithmetic, as the CPU, computes in float32 with the rounded weights.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16  # importing it lengthens sys.path
    from onnxruntime.transformers.onnx_model import OnnxModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of weights that are too small for float16 and become 0
        model = OnnxModel(convert_float_to_float16(onnx.load(float_model), keep_io_types=True))
    model.topological_sort()  # the casts of the input come last
    onnx.save(model.model, path)


def add_activation_map(path: Path, classifier: NDArray[np.float32]) -> None:
    """Give a model a third output: the class-activation map of the difference of its logits.

    Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016: exact, because
    the classifier is linear on the mean of the features.

    Parameters
    ----------
    path : Path
        Of an ONNX file with the output ``features``.
    classifier : ndarray of float32, shape (2, C)
        Weights of the classifier.
    """
    model = onnx.load(path)
    weight = (classifier[1] - classifier[0])[None, :, None, None]  # (1, C, 1, 1)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, f"{MAP_OUTPUT}_weight"))
    node = onnx.helper.make_node("Conv", ["features", f"{MAP_OUTPUT}_weight"], [MAP_OUTPUT], MAP_OUTPUT)
    model.graph.node.append(node)
    shape: list[str | int | None] = ["batch", 1, "rows", "columns"]
    model.graph.output.append(onnx.helper.make_tensor_value_info(MAP_OUTPUT, onnx.TensorProto.FLOAT, shape))
    onnx.checker.check_model(model)
    onnx.save(model, path)


def read_spec(path: Path) -> ModelSpec:
    """Return the specification of an ONNX file."""
    properties = {each.key: each.value for each in onnx.load(path).metadata_props}
    return ModelSpec.from_json(properties[METADATA_KEY])


def write_spec(path: Path, spec: ModelSpec) -> None:
    """Put a specification into an ONNX file's metadata, in place of all that it holds.

    The exporter notes for each node the lines of code that made it, with the paths of the machine.
    """
    model = onnx.load(path)
    graph = model.graph
    for part in (
        model,
        graph,
        *graph.node,
        *graph.input,
        *graph.output,
        *graph.value_info,
        *graph.initializer,
    ):
        del part.metadata_props[:]
    onnx.helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    onnx.save(model, path)
