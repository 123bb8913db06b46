"""The networks alone: against other engines, and against the peak of the processor."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.timing import Row, seconds_of, spread
from pneumocascade import Cascade
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.model.preprocess import prepare
from pneumocascade.model.store import bundled_models, read_manifest
from pneumocascade.training.network import build_network
from pneumocascade.training.onnx_export import to_onnx

GEMM_SIDE = 1536
"""Rows and columns of the matrices whose product stands for the processor's peak."""

ROUNDS = 25


def network_macs(size: int) -> float:
    """Return the multiply-accumulates of one pass of the network, in units of 1e9."""
    network = build_network(stride_in_1x1=True).eval()
    total = 0

    def count(module: torch.nn.Module, _given: object, output: torch.Tensor) -> None:
        nonlocal total
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        total += output[0].numel() * weight[0].numel()

    for module in network.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            module.register_forward_hook(count)
    with torch.inference_mode():
        network(torch.zeros(1, 3, size, size))
    return total / 1e9


def int8_gemm(side: int) -> Callable[[], object]:
    """Return ONNX Runtime's INT8 product of two square matrices, which are there already."""
    nodes = [helper.make_node("MatMulInteger", ["a", "b"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "gemm",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [side, side])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [side, side])],
        [numpy_helper.from_array(np.full((side, side), 3, np.int8), "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    given = {"a": np.full((side, side), 5, np.uint8)}
    return lambda: session.run(None, given)


def roofline(cascade: Cascade, films: Sequence[Path]) -> Row:
    """Return the share of the peak of INT8 matrix products that stage 1 reaches, by the best run of each.

    They take turns for some seconds: whatever else the machine does for a moment costs neither its best run.
    """
    spec = cascade.stage1.spec
    batch = np.concatenate([prepare(read_radiograph(path), spec) for path in films])
    multiply, macs = int8_gemm(GEMM_SIDE), network_macs(spec.input_size)
    turns = [(seconds_of(cascade.stage1.run, batch), seconds_of(multiply)) for _ in range(ROUNDS)]
    taken, gemm = map(min, zip(*turns, strict=True))
    reached, peak = macs * len(films) / taken, GEMM_SIDE**3 / 1e9 / gemm
    return {
        "network_gmac": round(macs, 3),
        "reached_gmac_per_s": round(reached, 1),
        "gemm_gmac_per_s": round(peak, 1),
        "share": round(reached / peak, 3),
    }


def openvino(cascade: Cascade, batch: NDArray[np.float32]) -> Callable[[], object] | None:
    """Return a pass of the same INT8 model by OpenVINO, where it is installed."""
    try:
        core = importlib.import_module("openvino").Core()
    except ModuleNotFoundError:
        return None
    folder = bundled_models()
    compiled = core.compile_model(core.read_model(folder / read_manifest(folder).files["stage1"]), "CPU")
    assert cascade.stage1.spec.input_size == batch.shape[-1]
    return lambda: compiled(batch)


def networks(cascade: Cascade, films: Sequence[Path], folder: Path, rounds: int) -> dict[str, Row]:
    """Time one pass of one network on a batch of films, per film, in turns."""
    spec = cascade.stage1.spec
    batch = np.concatenate([prepare(read_radiograph(path), spec) for path in films])
    path = folder / "float32-small.onnx"
    to_onnx(build_network(stride_in_1x1=True).eval(), spec, path)
    float32 = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    ways: dict[str, Callable[[], object] | None] = {
        "ONNX Runtime, INT8": lambda: cascade.stage1.run(batch),
        "ONNX Runtime, float32": lambda: float32.run(None, {"input": batch}),
        "OpenVINO, INT8": openvino(cascade, batch),
    }
    there = {name: way for name, way in ways.items() if way is not None}
    found: dict[str, list[float]] = {name: [] for name in there}
    for number in range(rounds + 1):
        for name, way in there.items():
            taken = seconds_of(way) / len(films)
            if number:
                found[name].append(taken)
    return {name: spread(values) for name, values in found.items()}
