"""Which engine is had by which name, and what is said where one is missing."""

from __future__ import annotations

import importlib.util

import onnxruntime as ort
import pytest

from pneumocascade import Cascade
from pneumocascade.errors import MissingExtraError, UsageError
from pneumocascade.model.engines import ORT_PROVIDERS, PROVIDERS, available_providers, check_provider
from pneumocascade.model.engines import auto as auto_module
from pneumocascade.model.engines.auto import measured, resolve
from pneumocascade.model.engines.processor import INSTRUCTIONS, fastest_instructions, instructions
from pneumocascade.model.onnx_classifier import OnnxClassifier
from tests.tiny_models import tiny_model, tiny_spec

Rows = tuple[dict[str, object], ...]


def test_a_provider_that_is_no_part_of_this_onnx_runtime_is_told_with_its_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(UsageError, match="with cuda: install onnxruntime-gpu in place of onnxruntime"):
        OnnxClassifier(tiny_model(1, tiny_spec(1)), provider="cuda")


def test_an_unknown_provider_is_told_with_those_that_are_known() -> None:
    with pytest.raises(UsageError, match="is 'abacus'; expected one of cpu, cuda, openvino, auto"):
        OnnxClassifier(tiny_model(1, tiny_spec(1)), provider="abacus")


def test_a_missing_openvino_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "openvino" else real(name, *rest)
    )
    with pytest.raises(MissingExtraError, match=r"openvino needs .* pip install 'pneumocascade\[openvino\]'"):
        Cascade.load(provider="openvino")
    assert "openvino" not in available_providers()


def test_what_runs_the_model_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    real = ort.InferenceSession

    def record(model: bytes, options: object, providers: list[str]) -> object:
        asked.append(providers)
        return real(model, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(ort, "InferenceSession", record)
    monkeypatch.setattr(ort, "get_available_providers", lambda: [name for name, _ in ORT_PROVIDERS.values()])
    assert OnnxClassifier(tiny_model(1, tiny_spec(1)), provider="cpu").provider == "cpu"
    with pytest.raises(UsageError, match="cuda is in this ONNX Runtime, but could not be started"):
        OnnxClassifier(tiny_model(1, tiny_spec(1)), provider="cuda")  # the CPU went in its place
    assert asked == [["CPUExecutionProvider"], ["CUDAExecutionProvider", "CPUExecutionProvider"]]


def choose(monkeypatch: pytest.MonkeyPatch, rows: Rows, there: tuple[str, ...] = PROVIDERS) -> str:
    """Return what ``auto`` is on a processor with VNNI, by a table."""
    monkeypatch.setattr(auto_module, "measured", lambda: rows)
    monkeypatch.setattr(auto_module, "fastest_instructions", lambda: "avx512_vnni")
    monkeypatch.setattr(auto_module, "available_providers", lambda: there)
    return resolve("auto").provider


def test_auto_is_the_fastest_that_was_measured_on_such_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    faster: Rows = ({"instructions": "avx512_vnni", "ms": {"cpu": 10.0, "openvino": 6.0}},)
    assert choose(monkeypatch, faster) == "openvino"
    assert choose(monkeypatch, faster, there=("cpu",)) == "cpu"
    assert (
        choose(monkeypatch, ({"instructions": "avx512_vnni", "ms": {"cpu": 10.0, "openvino": 9.5}},)) == "cpu"
    )
    assert choose(monkeypatch, ({"instructions": "avx2", "ms": {"cpu": 10.0, "openvino": 1.0}},)) == "cpu"
    assert choose(monkeypatch, ()) == "cpu"


def test_any_other_provider_stays_what_it_is() -> None:
    assert [resolve(name).provider for name in PROVIDERS] == list(PROVIDERS)


def test_the_table_that_ships_names_known_instructions_and_providers() -> None:
    assert measured()
    for row in measured():
        assert row["instructions"] in INSTRUCTIONS
        assert set(row["ms"]) <= set(PROVIDERS)
        assert "cpu" in row["ms"]


def test_a_cascade_says_what_auto_chose() -> None:
    cascade = Cascade.load(provider="auto")
    assert cascade.stage1.provider in available_providers()
    assert repr(cascade).endswith(f"provider {cascade.stage1.provider}, chosen by auto>")


def test_the_best_instructions_of_a_processor_are_found(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("proc")
    for text, best in {
        "flags\t\t: fpu avx2 avx512f avx512_vnni amx_int8": "amx_int8",
        "flags\t\t: fpu avx2": "avx2",
        "Features\t: fp asimd asimddp": "asimddp",
        "flags\t\t: fpu sse2": "",
    }.items():
        path = folder / f"cpuinfo-{best}"
        path.write_text(f"processor\t: 0\n{text}\n")
        assert fastest_instructions(path) == best
        assert instructions(path) == set(text.partition(": ")[2].split())
    assert fastest_instructions(folder / "none") == ""
    assert instructions(folder / "none") == frozenset()


def test_the_cpu_can_always_be_had() -> None:
    check_provider("cpu")
    assert available_providers()[0] == "cpu"
