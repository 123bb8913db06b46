"""Two tiny ONNX models whose answer is known beforehand: a film's finding follows from its brightness."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from pneumocascade.model.gate import UPRIGHT, FeatureGate
from pneumocascade.model.onnx_classifier import MAP_OUTPUT
from pneumocascade.model.spec import METADATA_KEY, OPERATING_POINTS, ModelSpec, OperatingPoint, for_recipe
from pneumocascade.model.store import GATE_FILE, write_manifest

PNEUMONIA_FROM = 90.0
"""Mean grey value (0..255) from which the tiny stage 1 says pneumonia."""

VIRAL_FROM = 150.0
"""Mean grey value from which the tiny stage 2 says viral."""

INVERTED_FROM = 200.0
"""Mean grey value from which the tiny gate takes a film for a negative."""

SCALE = 10.0
"""Grey values for one unit of the difference of the logits."""


def tiny_spec(stage: int) -> ModelSpec:
    """Return the baseline recipe with thresholds .5, .3 and .7; sets hold what has a probability of .3."""
    points = {
        name: OperatingPoint(threshold, 0.9, 0.9, "phantoms")
        for name, threshold in zip(OPERATING_POINTS, (0.5, 0.3, 0.7), strict=True)
    }
    recipe = for_recipe(stage, "baseline")
    minima = {"": dict.fromkeys(recipe.labels, 0.3)}
    return replace(recipe, version="tiny", operating_points=points, prediction_set_minimum=minima)


def tiny_model(
    stage: int, spec: ModelSpec | None = None, outputs: tuple[str, str] = ("logits", "features")
) -> bytes:
    """Return an ONNX file; without ``spec`` its metadata is empty."""
    spec_used = spec or tiny_spec(stage)
    cut = PNEUMONIA_FROM if stage == 1 else VIRAL_FROM
    # The first channel is (grey - mean) / std; the second logit is (mean grey - cut) / SCALE.
    weight = np.zeros((2, 3), np.float32)
    weight[1, 0] = spec_used.std[0] / SCALE
    bias = np.array([0.0, (spec_used.mean[0] - cut) / SCALE], np.float32)
    nodes = [
        helper.make_node("AveragePool", ["input"], [outputs[1]], kernel_shape=[32, 32], strides=[32, 32]),
        helper.make_node("GlobalAveragePool", [outputs[1]], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weight", "bias"], [outputs[0]], transB=1),
        helper.make_node("Conv", [outputs[1], "map_weight"], [MAP_OUTPUT]),
    ]
    side = spec_used.input_size
    graph = helper.make_graph(
        nodes,
        f"stage{stage}",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, side, side])],
        [
            helper.make_tensor_value_info(outputs[0], TensorProto.FLOAT, ["batch", 2]),
            helper.make_tensor_value_info(
                outputs[1], TensorProto.FLOAT, ["batch", 3, side // 32, side // 32]
            ),
            helper.make_tensor_value_info(
                MAP_OUTPUT, TensorProto.FLOAT, ["batch", 1, side // 32, side // 32]
            ),
        ],
        [
            numpy_helper.from_array(weight, "weight"),
            numpy_helper.from_array(bias, "bias"),
            numpy_helper.from_array((weight[1] - weight[0])[None, :, None, None], "map_weight"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if spec is not None:
        helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    return bytes(model.SerializeToString())


def tiny_gate(stage1_sha256: str = "") -> FeatureGate:
    """Return a gate that takes films brighter than INVERTED_FROM for negatives, and checks nothing else."""
    mean = tiny_spec(1).mean[0]
    root = np.sqrt(np.float32(INVERTED_FROM - mean))  # of the first pooled feature, there
    steep = 100.0
    return FeatureGate(
        stage1_sha256,
        (UPRIGHT, "inverted"),
        ("", "adults"),
        mean=np.zeros(3, np.float32),
        projection=np.eye(3, 1, dtype=np.float32),
        weights=np.array([[0, steep]], np.float32),
        bias=np.array([0, -steep * root], np.float32),
        view_weights=np.zeros(1, np.float32),
        view_bias=np.zeros(1, np.float32),
        domain_weights=np.zeros((1, 2), np.float32),
        domain_bias=np.array([1, 0], np.float32),
        chest_mean=np.zeros(3, np.float32),
        chest_directions=np.eye(3, 1, dtype=np.float32),
        distances=np.array([[0, 20], [0, 20]], np.float32),
        minimum_leads=np.zeros(2, np.float32),
        minimum_upright=0.5,
    )


def write_tiny_models(folder: Path, *, gate: bool = False) -> Path:
    """Write both models and their manifest, and a gate where one is asked for."""
    folder.mkdir(exist_ok=True)
    for stage in (1, 2):
        (folder / f"stage{stage}.onnx").write_bytes(tiny_model(stage, tiny_spec(stage)))
    if gate:
        digest = hashlib.sha256((folder / "stage1.onnx").read_bytes()).hexdigest()
        (folder / GATE_FILE).write_bytes(tiny_gate(digest).to_bytes())
    write_manifest(folder, "tiny")
    return folder
