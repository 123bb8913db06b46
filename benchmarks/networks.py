"""The networks alone: against other engines, and against the peak of the processor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper

from benchmarks.contest import Contestant, contest, seconds_by_turn
from benchmarks.timing import Judge, Row, spread
from pneumocascade import Cascade
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.model.engines import available_providers
from pneumocascade.model.preprocess import prepare
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


def int8_gemm(side: int) -> Judge:
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
    return lambda _: session.run(None, given)


def stage1(provider: str, films: Sequence[Path]) -> Judge:
    """Return a pass of stage 1 on films that are prepared beforehand."""
    model = Cascade.load(provider=provider).stage1
    batch = np.concatenate([prepare(read_radiograph(path), model.spec) for path in films])
    return lambda _: model.run(batch)


def float32(path: Path, films: Sequence[Path]) -> Judge:
    """Return a pass of a float32 network on films that are prepared beforehand."""
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    spec = Cascade.load().stage1.spec
    batch = np.concatenate([prepare(read_radiograph(each), spec) for each in films])
    return lambda _: session.run(None, {"input": batch})


def roofline(films: Sequence[Path]) -> Row:
    """Return the share of the peak of INT8 matrix products that stage 1 reaches, by the best turn of each.

    Whatever else the machine does for a moment costs neither its best turn.
    """
    macs = network_macs(Cascade.load().stage1.spec.input_size)
    contestants = {
        "network": Contestant(stage1, ("cpu", films)),
        "product": Contestant(int8_gemm, (GEMM_SIDE,)),
    }
    taken = seconds_by_turn(contestants, [films] * (ROUNDS + 1))
    reached = macs * len(films) / min(taken["network"])
    peak = GEMM_SIDE**3 / 1e9 / min(taken["product"])
    return {
        "network_gmac": round(macs, 3),
        "reached_gmac_per_s": round(reached, 1),
        "gemm_gmac_per_s": round(peak, 1),
        "share": round(reached / peak, 3),
        **{f"{name}_turn": spread(seconds) for name, seconds in taken.items()},
    }


def networks(films: Sequence[Path], folder: Path, rounds: int) -> dict[str, Row]:
    """Time one pass of one network on a batch of films, per film, in turns."""
    path = folder / "float32-small.onnx"
    to_onnx(build_network(stride_in_1x1=True).eval(), Cascade.load().stage1.spec, path)
    contestants = {
        "ONNX Runtime, INT8": Contestant(stage1, ("cpu", films)),
        "ONNX Runtime, float32": Contestant(float32, (path, films)),
    }
    if "openvino" in available_providers():
        contestants["OpenVINO, INT8"] = Contestant(stage1, ("openvino", films))
    return contest(contestants, films, len(films), rounds)
