"""A cascade whose answers follow from the brightness of a film, and films of known brightness."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from pneumocascade import Cascade
from pneumocascade.model.onnx_classifier import ModelOutput, OnnxClassifier
from pneumocascade.model.spec import METADATA_KEY, ModelSpec, OperatingPoint

SIZE = 32
STEEPNESS = 20.0

PNEUMONIA_FROM = 0.5
"""Mean brightness, 0..1, from which stage 1 says pneumonia."""

VIRAL_FROM = 0.75
"""Mean brightness, 0..1, from which stage 2 says viral."""


class CountingClassifier(OnnxClassifier):
    """A classifier that knows how many films it was given."""

    films = 0

    def run(self, batch: NDArray[np.float32]) -> ModelOutput:
        self.films += len(batch)
        return super().run(batch)


def brightness_classifier(stage: int, boundary: float) -> CountingClassifier:
    """Return a model with logits (0, 20 (mean brightness - boundary)): 0.5 is at the boundary."""
    nodes = [
        helper.make_node("ReduceMean", ["film", "axes"], ["mean"], keepdims=0),
        helper.make_node("Sub", ["mean", "boundary"], ["above"]),
        helper.make_node("Unsqueeze", ["above", "last"], ["column"]),
        helper.make_node("Mul", ["column", "slopes"], ["logits"]),
        helper.make_node("Identity", ["film"], ["features"]),
    ]
    constants: dict[str, NDArray[Any]] = {
        "axes": np.array([1, 2, 3], np.int64),
        "boundary": np.array(boundary, np.float32),
        "last": np.array([1], np.int64),
        "slopes": np.array([0.0, STEEPNESS], np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("film", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 3, SIZE, SIZE]),
        ],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    spec = brightness_spec(stage)
    helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    return CountingClassifier(model.SerializeToString(), f"brightness {stage}", threads=1)


def brightness_spec(stage: int) -> ModelSpec:
    labels = ("normal", "pneumonia") if stage == 1 else ("bacterial", "viral")
    points = {
        name: OperatingPoint(threshold, 0.9, 0.9, "drawn films")
        for name, threshold in (("balanced", 0.5), ("sensitive", 0.1), ("specific", 0.9))
    }
    return ModelSpec(
        stage,
        labels,
        size=SIZE,
        input_size=SIZE,
        smoothing_sigma=0,
        clahe_clip_limit=None,
        colour_map=None,
        mean=(0.0, 0.0, 0.0),
        std=(255.0, 255.0, 255.0),
        operating_points=points,
    )


def draw_film(path: Path, brightness: float, contrast: int = 12, side: int = 128) -> None:
    """Write a film that brightens from left to right around a mean brightness of 0..1."""
    ramp = np.linspace(-1.5 * contrast, 1.5 * contrast, side).round().astype(np.int64)
    film = round(brightness * 255) + np.tile(ramp, (side, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), film.astype(np.uint8))


def lay_out_films(root: Path) -> Path:
    """Write eight films that are answered, two that the gate refuses, two that cannot be read."""
    for name, brightness in (
        ("NORMAL/IM-0001-0001.png", 0.2),
        ("NORMAL/IM-0001-0002.png", 0.3),
        ("NORMAL/IM-0002-0001.png", 0.6),
        ("PNEUMONIA/person1_bacteria_1.png", 0.6),
        ("PNEUMONIA/person1_bacteria_2.png", 0.4),
        ("PNEUMONIA/person2_virus_1.png", 0.9),
        ("PNEUMONIA/person3_virus_2.png", 0.3),
        ("PNEUMONIA/person4_unknown_3.png", 0.8),
    ):
        draw_film(root / name, brightness)
    draw_film(root / "PNEUMONIA/person5_virus_1.png", 0.5, contrast=1)
    draw_film(root / "NORMAL/IM-0003-0001.png", 0.5, contrast=1, side=40)
    (root / "NORMAL/IM-0004-0001.jpeg").write_bytes(b"not an image")
    (root / "PNEUMONIA/person6_virus_1.jpeg").write_bytes(b"")
    return root


def make_cascade() -> Cascade:
    """Return a cascade that says pneumonia from a brightness of 0.5, viral from 0.75."""
    return Cascade(brightness_classifier(1, PNEUMONIA_FROM), brightness_classifier(2, VIRAL_FROM), "7.8.9")


@pytest.fixture
def bright_cascade() -> Cascade:
    """A cascade whose answers follow from the brightness."""
    return make_cascade()


@pytest.fixture
def bright_films(tmp_path: Path) -> Path:
    """The folder of films of known brightness."""
    return lay_out_films(tmp_path / "films")
