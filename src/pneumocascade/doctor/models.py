"""The models: whether they are those of the manifest, load, and answer as they should."""

from __future__ import annotations

import math
import time
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pneumocascade.doctor.check import Check, pip, tilde
from pneumocascade.errors import ModelError, UsageError
from pneumocascade.types import reasons_of

if TYPE_CHECKING:
    from pneumocascade.inference.cascade import Cascade
    from pneumocascade.types import Prediction


class Expected(NamedTuple):
    """What a film is answered: its finding, and the calibrated probability of a label of the last stage."""

    finding: str
    label: str
    probability: float


EXPECTED_OF = "2.0.1"
"""Version of the models whose answers ``EXPECTED`` holds."""

EXPECTED = {
    "NORMAL2-IM-1442-0001.jpeg": Expected("normal", "pneumonia", 0.083695),
    "person1946_bacteria_4874.jpeg": Expected("pneumonia", "viral", 0.472098),
}
"""Answers at the balanced operating point for two of the bundled example films, one for each stage; these
probabilities are far from 0 and 1, where a change would show least."""

TOLERANCE = 1e-3
"""Between processors: sums are rounded in another order."""

ENGINE_TOLERANCE = 0.03
"""Between engines: INT8 values are rounded at other places (docs/performance.md)."""


def check_models(folder: Path | None) -> list[Check]:
    """Check that the models load, each file with the SHA-256 of the manifest, and what they answer.

    Parameters
    ----------
    folder : Path or None
        ``None`` for the bundled models.
    """
    from pneumocascade.inference.cascade import Cascade

    started = time.perf_counter()
    try:
        cascade = Cascade.load(folder)
    except ModelError as error:
        return [Check("model files", "problem", tilde(str(error)), _mend(folder))]
    spent = 1000 * (time.perf_counter() - started)
    alone = "" if cascade.stage2 else ", stage 1 alone"
    found = f"version {cascade.version}{alone}, SHA-256 as in the manifest, loaded in {spent:.0f} ms"
    answers = [_answer(cascade, name, expected, folder) for name, expected in EXPECTED.items()]
    return [Check("model files", "ok", found), *answers]


def _answer(cascade: Cascade, name: str, expected: Expected, folder: Path | None) -> Check:
    title = f"example film, {expected.finding}"
    prediction = cascade.predict(example(name))
    wrong = _what_is_wrong(prediction, expected, golden=cascade.version == EXPECTED_OF)
    if wrong:
        return Check(title, "problem", f"{name}: {wrong}", _mend(folder))
    label = expected.label if prediction.stage2 or expected.label == "pneumonia" else "pneumonia"
    shown = f"P({label}) {_probability(prediction, label):.3f}"
    took = f"in {prediction.elapsed_ms:.0f} ms"
    if cascade.version == EXPECTED_OF:
        return Check(title, "ok", f"{shown}, as it should be, {took}")
    return Check(title, "ok", f"{shown} {took}; what it should be is known of models {EXPECTED_OF} alone")


def _what_is_wrong(prediction: Prediction, expected: Expected, *, golden: bool) -> str:
    """Return what is wrong with an answer, empty where nothing is; of other models only what must hold."""
    if prediction.status == "error" or (golden and prediction.status != "ok"):
        messages = [reason.message for reason in reasons_of(prediction)]
        return f"{prediction.status}: {'; '.join(messages)}"
    probability = _probability(prediction, expected.label)
    if not golden:
        stages = prediction.stages.values()
        finite = all(math.isfinite(value) for stage in stages for value in stage.probabilities.values())
        return "" if finite else "a probability is no finite number"
    if prediction.finding != expected.finding or not abs(probability - expected.probability) <= TOLERANCE:
        return (
            f"{prediction.finding}, P({expected.label}) {probability:.4f}; expected {expected.finding}, "
            f"{expected.probability:.4f}"
        )
    return ""


def _probability(prediction: Prediction, label: str) -> float:
    stage = prediction.stage2 if label == "viral" else prediction.stage1
    return math.nan if stage is None else stage.probabilities[label]


def check_providers() -> list[Check]:
    """Check what can run the models, and what OpenVINO answers where it is installed."""
    from pneumocascade.model.engines import AUTO, available_providers
    from pneumocascade.model.engines.auto import resolve

    found = available_providers()
    if "cpu" not in found:
        advice = f"{pip()} --force-reinstall onnxruntime"
        return [Check("providers", "problem", "ONNX Runtime cannot use the CPU", advice)]
    others = "".join(f"; --provider {name}" for name in found if name != "cpu")
    shown = f"cpu, used by default{others}; --provider auto is {resolve(AUTO).provider}"
    return [Check("providers", "ok", shown), *(_openvino() if "openvino" in found else ())]


def _openvino() -> list[Check]:
    """Check that OpenVINO answers an example film of the bundled models as ONNX Runtime does."""
    from pneumocascade.inference.cascade import Cascade

    name, expected = next(iter(EXPECTED.items()))
    advice = f"use --provider cpu; or install it again: {pip()} --force-reinstall openvino"
    try:
        cascade = Cascade.load(provider="openvino")
    except (ModelError, UsageError) as error:
        return [Check("OpenVINO", "problem", tilde(str(error)), advice)]
    prediction = cascade.predict(example(name))
    found = _probability(prediction, expected.label)
    shown = f"P({expected.label}) {found:.3f} of {name}, {expected.probability:.3f} by ONNX Runtime"
    golden = cascade.version == EXPECTED_OF
    if golden and not abs(found - expected.probability) <= ENGINE_TOLERANCE:
        return [Check("OpenVINO", "problem", shown, advice)]
    return [Check("OpenVINO", "ok", shown)]


def example(name: str) -> Path:
    """Return the path of a bundled example film."""
    return Path(str(resources.files("pneumocascade") / "examples" / name))


def _mend(folder: Path | None) -> str:
    if folder is None:
        return f"{pip()} --force-reinstall --no-deps pneumocascade"
    return f"write them again: pneumocascade export RUN_DIR --output {tilde(folder)}; or leave --models out"
