"""``OnnxClassifier``: what it loads, what it refuses, what it returns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from pneumocascade import Cascade
from pneumocascade.errors import ModelError, ModelSpecError, UsageError
from pneumocascade.model.onnx_classifier import PROVIDERS, OnnxClassifier
from tests.tiny_models import PNEUMONIA_FROM, SCALE, tiny_model, tiny_spec


@pytest.mark.parametrize(
    "content", [b"", b"not a model", b"\x08\x07" * 100, tiny_model(1, tiny_spec(1))[:200]]
)
def test_bytes_that_are_no_onnx_file_are_a_model_error(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"broken\.onnx is not a model that ONNX Runtime can load"):
        OnnxClassifier(content, "broken.onnx")


def test_a_model_without_specification_is_refused() -> None:
    with pytest.raises(ModelSpecError, match=r"bare.onnx has no entry 'pneumocascade\.spec' in its metadata"):
        OnnxClassifier(tiny_model(1), "bare.onnx")


def test_the_specification_comes_from_the_file() -> None:
    spec = replace(tiny_spec(2), temperature=1.25, size=96, input_size=96)
    assert OnnxClassifier(tiny_model(2, spec)).spec == spec


@pytest.mark.parametrize("films", [1, 3])
def test_run_returns_logits_and_the_last_feature_map(films: int) -> None:
    spec = tiny_spec(1)
    classifier = OnnxClassifier(tiny_model(1, spec), threads=1)
    greys = np.linspace(20, 220, films, dtype=np.float32)
    batch = np.empty((films, 3, 224, 224), np.float32)
    batch[:] = greys[:, None, None, None] - np.float32(spec.mean[0])
    logits, features, maps = classifier.run(batch)
    assert logits == pytest.approx(
        np.stack([np.zeros(films), (greys - PNEUMONIA_FROM) / SCALE], axis=1), abs=1e-3
    )
    assert features.shape == (films, 3, 7, 7)
    assert maps is not None
    assert maps.shape == (films, 7, 7)
    offset = (spec.mean[0] - PNEUMONIA_FROM) / SCALE  # the classifier's own bias
    assert maps.mean(axis=(1, 2)) + offset == pytest.approx(logits[:, 1] - logits[:, 0], abs=1e-3)


def test_the_bundled_models_have_the_promised_outputs(cascade: Cascade) -> None:
    for stage in (1, 2):
        classifier = cascade.model_of(stage)
        side = classifier.spec.input_size
        logits, features, _ = classifier.run(np.zeros((2, 3, side, side), np.float32))
        assert classifier.spec.stage == stage
        assert logits.shape == (2, 2)
        assert features.shape == (2, 2048, side // 32, side // 32)
        assert logits.dtype == features.dtype == np.float32
        assert np.isfinite(logits).all()


@pytest.mark.parametrize("threads", [-1, 1.5, "2"])
def test_threads_are_a_whole_number(threads: Any) -> None:
    with pytest.raises(UsageError, match="expected a whole number, 0 or more"):
        OnnxClassifier(tiny_model(1, tiny_spec(1)), threads=threads)


def test_a_provider_that_is_not_there_is_told_with_the_package_that_has_it() -> None:
    there = ort.get_available_providers()
    missing = [name for name, (wanted, _) in PROVIDERS.items() if wanted not in there]
    assert missing, "no machine has both CUDA and OpenVINO builds"
    for name in missing:
        with pytest.raises(UsageError, match=rf"with {name}: install {PROVIDERS[name][1]} "):
            OnnxClassifier(tiny_model(1, tiny_spec(1)), provider=name)
    with pytest.raises(UsageError, match="provider is 'abacus'; expected one of cpu, cuda, openvino"):
        OnnxClassifier(tiny_model(1, tiny_spec(1)), provider="abacus")


def test_what_runs_the_model_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    real = ort.InferenceSession

    def record(model: bytes, options: object, providers: list[str]) -> object:
        asked.append(providers)
        return real(model, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(ort, "InferenceSession", record)
    monkeypatch.setattr(ort, "get_available_providers", lambda: [name for name, _ in PROVIDERS.values()])
    OnnxClassifier(tiny_model(1, tiny_spec(1)), provider="cpu")
    with pytest.raises(UsageError, match="openvino is in this ONNX Runtime, but could not be started"):
        OnnxClassifier(tiny_model(1, tiny_spec(1)), provider="openvino")  # the CPU went in its place
    assert asked == [["CPUExecutionProvider"], ["OpenVINOExecutionProvider", "CPUExecutionProvider"]]
