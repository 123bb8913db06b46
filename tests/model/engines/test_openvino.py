"""OpenVINO: the same files, and answers that differ from ONNX Runtime's by rounding alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pneumocascade import Cascade, Prediction
from pneumocascade.errors import ModelError, ModelSpecError
from pneumocascade.model.onnx_classifier import OnnxClassifier
from pneumocascade.model.store import bundled_models
from tests.conftest import EXAMPLES, vary_example
from tests.tiny_models import tiny_model, tiny_spec

pytest.importorskip("openvino", reason="needs the extra [openvino]")

from pneumocascade.model.engines import openvino as engine_module
from pneumocascade.model.engines.compiled_cache import CompiledCache

ROOT = Path(__file__).parents[3]

PROBABILITY = 0.03
"""By which a probability may differ: an INT8 step of a logit is 0.0187 (stage 1) or 0.0113 (stage 2), and the
engines round at other places (docs/performance.md)."""


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of this file's own."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("PNEUMOCASCADE_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def other(cache: Path) -> Cascade:
    """The bundled models in OpenVINO."""
    return Cascade.load(provider="openvino")


@pytest.fixture(scope="module")
def films() -> list[NDArray[np.uint8] | str]:
    return [*map(str, EXAMPLES), *(vary_example(seed, 224 + 40 * seed, 224) for seed in range(4))]


def probabilities(prediction: Prediction) -> dict[str, float]:
    return {
        label: value for stage in prediction.stages.values() for label, value in stage.probabilities.items()
    }


def test_both_engines_judge_alike(
    cascade: Cascade, other: Cascade, films: list[NDArray[np.uint8] | str]
) -> None:
    for one, two in zip(cascade.predict_many(films), other.predict_many(films), strict=True):
        assert one.status == two.status == "ok"
        assert one.finding == two.finding
        assert probabilities(two) == pytest.approx(probabilities(one), abs=PROBABILITY)


def test_features_and_maps_differ_by_rounding(cascade: Cascade, other: Cascade) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.5, (2, 3, 224, 224)).astype(np.float32)
    for stage in (1, 2):
        one, two = cascade.model_of(stage), other.model_of(stage)
        ours, theirs = one.run(noise), two.run(noise)
        assert ours.activation_maps is not None
        assert theirs.activation_maps is not None
        for mine, its in (
            (ours.features, theirs.features),
            (ours.activation_maps, theirs.activation_maps),
        ):
            assert mine.shape == its.shape
            assert its.dtype == np.float32
            assert np.sqrt(np.mean((mine - its) ** 2)) < 0.2 * np.sqrt(np.mean(mine**2))


def test_a_float32_network_answers_the_same() -> None:
    spec = tiny_spec(1)
    batch = np.random.default_rng(0).normal(size=(3, 3, 224, 224)).astype(np.float32)
    kept = batch.copy()
    ours, theirs = (
        OnnxClassifier(tiny_model(1, spec), provider=provider).run(batch) for provider in ("cpu", "openvino")
    )
    assert theirs.logits == pytest.approx(ours.logits, abs=1e-4)
    assert theirs.features == pytest.approx(ours.features, abs=1e-4)
    assert theirs.activation_maps == pytest.approx(ours.activation_maps, abs=1e-4)
    assert np.array_equal(batch, kept)


@pytest.mark.parametrize("threads", [0, 1])
def test_many_threads_and_batches_get_what_one_gets(threads: int) -> None:
    """More than one stream gave wrong answers; whatever way the engine is set, these must be the same."""
    model = (bundled_models() / "stage1.onnx").read_bytes()
    classifier = OnnxClassifier(model, threads=threads, provider="openvino")
    batch = np.random.default_rng(0).normal(size=(4, 3, 224, 224)).astype(np.float32)
    kept = batch.copy()
    alone = [classifier.run(batch[index : index + 1]) for index in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda index: classifier.run(batch[index % 4][None]), range(16)))
    for index, output in enumerate(together):
        assert np.array_equal(output.logits, alone[index % 4].logits)
        assert np.array_equal(output.features, alone[index % 4].features)
    assert np.array_equal(classifier.run(batch).logits, np.concatenate([each.logits for each in alone]))
    assert np.array_equal(batch, kept)


def test_what_was_compiled_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = tiny_model(1, tiny_spec(1)), np.ones((1, 3, 224, 224), np.float32)
    first = engine_module.OpenVinoEngine(model, "tiny", 1, CompiledCache(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(
            engine_module, "_metadata_of", None
        )  # what only a network that is compiled anew asks for
        again = engine_module.OpenVinoEngine(model, "tiny", 1, CompiledCache(tmp_path))
    assert again.metadata == first.metadata
    assert np.array_equal(again.run(["logits"], batch)[0], first.run(["logits"], batch)[0])


def test_a_compiled_network_that_answers_otherwise_is_made_again(tmp_path: Path) -> None:
    model, batch = tiny_model(1, tiny_spec(1)), np.ones((1, 3, 224, 224), np.float32)
    cache = CompiledCache(tmp_path)
    right = engine_module.OpenVinoEngine(model, "tiny", 1, cache).run(["logits"], batch)[0]
    (path,) = tmp_path.iterdir()
    wrong = engine_module.OpenVinoEngine(
        tiny_model(2, tiny_spec(2)), "other", 1, CompiledCache(tmp_path / "b")
    )
    (other,) = (tmp_path / "b").iterdir()
    compiled = CompiledCache(tmp_path / "b").get(other.stem)
    mine = cache.get(path.stem)
    assert compiled is not None
    assert mine is not None
    cache.put(path.stem, compiled._replace(answers=mine.answers))
    assert not np.array_equal(wrong.run(["logits"], batch)[0], right)
    again = engine_module.OpenVinoEngine(model, "tiny", 1, cache)
    assert np.array_equal(again.run(["logits"], batch)[0], right)


@pytest.mark.parametrize("content", [b"", b"not a model", tiny_model(1, tiny_spec(1))[:200]])
def test_bytes_that_are_no_onnx_file_are_a_model_error(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"broken\.onnx is not a model that OpenVINO can load"):
        OnnxClassifier(content, "broken.onnx", provider="openvino")


def test_the_specification_comes_from_the_file() -> None:
    spec = replace(tiny_spec(2), temperature=1.25)
    assert OnnxClassifier(tiny_model(2, spec), provider="openvino").spec == spec
    with pytest.raises(ModelSpecError, match=r"has no entry 'pneumocascade\.spec'"):
        OnnxClassifier(tiny_model(1), provider="openvino")


def test_threads_that_load_and_run_first_do_not_wait_for_each_other() -> None:
    code = """
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from pneumocascade.model.engines.openvino import OpenVinoEngine
from tests.tiny_models import tiny_model, tiny_spec
batch = np.ones((1, 3, 224, 224), np.float32)
def work(stage):
    return OpenVinoEngine(tiny_model(stage, tiny_spec(stage)), "tiny", 1).run(["logits"], batch)[0].shape
with ThreadPoolExecutor(4) as pool:
    print(set(pool.map(work, [1, 2, 1, 2])))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120, cwd=ROOT
    )
    assert done.stdout.strip() == "{(1, 2)}"


def test_nothing_that_reports_to_its_makers_is_imported() -> None:
    code = """
import sys
from pneumocascade import Cascade
Cascade.load(provider="openvino")
import openvino.tools.ovc.telemetry_utils as used
print(used.tm.__name__, "openvino_telemetry" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == ["openvino.tools.ovc.telemetry_stub", "False"]
