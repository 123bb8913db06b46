"""A gate fitted on phantoms knows phantoms it never saw, and what was done to them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pneumocascade.datasets.films import find_films
from pneumocascade.model.gate import FeatureGate, Scores
from pneumocascade.model.onnx_classifier import OnnxClassifier
from pneumocascade.model.preprocess import prepare
from pneumocascade.model.spec import METADATA_KEY
from pneumocascade.model.store import GATE_FILE
from pneumocascade.training import fit_gate as room
from pneumocascade.training.data import Sample
from pneumocascade.training.gate_examples import AS_IT_IS
from pneumocascade.training.synthetic_pictures import document, inverted, turned
from pneumocascade.types import Radiograph
from tests.conftest import draw_chest
from tests.tiny_models import tiny_spec
from tests.training.conftest import write_films

CHANNELS = 96


def random_features() -> bytes:
    """Return a stage 1 whose features are random filters of 9 x 9, rectified, summed over places."""
    spec, rng = tiny_spec(1), np.random.default_rng(0)
    filters = rng.standard_normal((CHANNELS, 3, 9, 9)).astype(np.float32) / 100
    filters += (rng.standard_normal((CHANNELS, 1, 1, 1)) / 300).astype(np.float32)
    # Filters that see where they are: each looks at one of the quarters of the film, or at all of it.
    masks = np.zeros((CHANNELS, 14, 14), np.float32)
    quarters = [(slice(0, 7), slice(0, 14)), (slice(7, 14), slice(0, 14)), (slice(0, 14), slice(0, 7))]
    for channel in range(CHANNELS):
        masks[channel][quarters[channel % 3]] = 1
    side = spec.input_size
    nodes = [
        helper.make_node("Conv", ["input", "filters"], ["seen"], strides=[16, 16], pads=[4, 4, 4, 4]),
        helper.make_node("Relu", ["seen"], ["positive"]),
        helper.make_node("Mul", ["positive", "masks"], ["masked"]),
        helper.make_node("AveragePool", ["masked"], ["features"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["features"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weight"], ["logits"], transB=1),
    ]
    float_type = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "random",
        [helper.make_tensor_value_info("input", float_type, ["batch", 3, side, side])],
        [
            helper.make_tensor_value_info("logits", float_type, ["batch", 2]),
            helper.make_tensor_value_info("features", float_type, ["batch", CHANNELS, 7, 7]),
        ],
        [
            numpy_helper.from_array(filters, "filters"),
            numpy_helper.from_array(masks, "masks"),
            numpy_helper.from_array(np.zeros((2, CHANNELS), np.float32), "weight"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    return bytes(model.SerializeToString())


def samples_in(root: Path) -> list[Sample]:
    labels = ("normal", "pneumonia")
    return [Sample(film, labels.index(film.finding), (film.path,)) for film in find_films(root)]


Fitted = tuple[FeatureGate, OnnxClassifier, dict[str, Any], Path]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """A gate of 60 patients' phantoms, fitted with few drawings."""
    folder = tmp_path_factory.mktemp("gate")
    learnt, held_out = (write_films(folder / name, count, 160) for name, count in (("a", 20), ("b", 4)))
    samples = samples_in(learnt)
    half = {sample.film.patient for sample in samples[::4]}
    samples = [
        replace(sample, film=replace(sample.film, domain="adults")) if sample.film.patient in half else sample
        for sample in samples
    ]
    stage1 = folder / "stage1.onnx"
    stage1.write_bytes(random_features())
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "DRAWN_EACH", 6)
        patch.setattr(room, "PROJECTED_EACH", 20)
        patch.setattr(room, "DIRECTIONS", 40)
        patch.setattr(room, "CHEST_DIRECTIONS", 20)
        report = room.fit_gate(stage1, samples, samples_in(held_out), 0, lines.append)
    assert len(lines) == 2
    gate = FeatureGate.from_bytes((folder / GATE_FILE).read_bytes())
    return gate, OnnxClassifier(stage1.read_bytes()), report, stage1


def codes(fitted: Fitted, films: list[NDArray[np.uint8]]) -> list[str | None]:
    gate, model, _, _ = fitted
    radiographs = [Radiograph(np.ascontiguousarray(film), "film") for film in films]
    batch = np.concatenate([prepare(radiograph, model.spec) for radiograph in radiographs])
    found = gate.assess(model.run(batch).features, [None] * len(radiographs))
    return [film.reasons[0].code if film.reasons else None for film in found]


def new_phantoms(count: int = 30) -> list[NDArray[np.uint8]]:
    return [draw_chest(90_000 + seed, 160, 160, opacity=0.5 * (seed % 3)) for seed in range(count)]


def test_phantoms_never_seen_pass(fitted: Fitted) -> None:
    assert codes(fitted, new_phantoms()).count(None) >= 28
    assert codes(fitted, [film[:, ::-1] for film in new_phantoms()]).count(None) >= 28


def test_negatives_are_found_again(fitted: Fitted) -> None:
    assert codes(fitted, [inverted(film) for film in new_phantoms()]).count("inverted") >= 28


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_turned_films_are_found_again(fitted: Fitted, quarters: int) -> None:
    assert codes(fitted, [turned(film, quarters) for film in new_phantoms()]).count("rotated") >= 27


def test_familiarity_is_even_on_films_like_those_learnt_from_and_nothing_on_others(fitted: Fitted) -> None:
    gate, model, _, _ = fitted

    def familiarity(films: list[NDArray[np.uint8]]) -> list[float]:
        batch = np.concatenate([prepare(Radiograph(np.ascontiguousarray(f), "f"), model.spec) for f in films])
        found = gate.assess(model.run(batch).features, [None] * len(films))
        return [film.familiarity for film in found if film.familiarity is not None]

    assert 0.25 < np.median(familiarity(new_phantoms(120))) < 0.75
    assert max(familiarity([document(np.random.default_rng(seed)) for seed in range(5)])) < 0.05


def test_documents_are_refused(fitted: Fitted) -> None:
    pages = [document(np.random.default_rng(500 + seed)) for seed in range(20)]
    assert codes(fitted, pages).count(None) == 0


def test_the_gate_belongs_to_the_file_it_was_fitted_on(fitted: Fitted) -> None:
    gate, _, _, stage1 = fitted
    assert gate.stage1_sha256 == hashlib.sha256(stage1.read_bytes()).hexdigest()


def test_the_least_lead_leaves_out_the_share_of_films_that_resemble_their_domain_least() -> None:
    count = 100
    described = room.Described(
        np.full(count, "upright"), np.full(count, AS_IT_IS), np.full(count, "p"), np.full(count, "adults"),
        np.zeros((count, 1), np.float32),
    )  # fmt: skip
    nothing, leads = np.zeros(count, np.float32), np.arange(count, dtype=np.float32)
    right = np.arange(count) < 98
    for domains, expected in ((np.ones(count), 5.0), (right, 3.0), (np.zeros(count), 0.0)):
        scores = Scores(nothing[:, None], nothing, nothing, domains.astype(np.int64), leads)
        assert room.UNCERTAIN == 0.05
        assert room.least_lead(described, scores, "adults", ["", "adults"]) == expected
    assert room.least_lead(described, scores, "", [""]) == 0


def test_the_report_counts_what_was_tried(fitted: Fitted) -> None:
    gate, _, report, _ = fitted
    assert list(report["minimum_leads"].values()) == pytest.approx(gate.minimum_leads.tolist())
    assert report["limits"] == {
        name: pytest.approx(getattr(gate, name))
        for name in ("minimum_upright", "maximum_lateral", "maximum_distance")
    }
    for sort in ("as it is", "changed"):
        assert report["sorts"][sort]["tried"] + report["sorts"][f"{sort}, adults"]["tried"] == 60
    assert report["held_out"]["tried"] == 12
    assert report["held_out"]["refused"] <= 1
    assert all(0 <= sort["refused"] <= sort["tried"] for sort in report["sorts"].values())
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_a_limit_refuses_no_more_than_its_share() -> None:
    scores = np.random.default_rng(0).permutation(np.arange(4000)).astype(np.float32)
    limit = room.lower_limit(scores)
    assert np.sum(scores < limit) == int(4000 * room.FALSE_REFUSALS)
    few = np.array([3, 1, 2], np.float32)
    assert np.sum(few < room.lower_limit(few)) == 0
