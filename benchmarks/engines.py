"""How far the engines' answers lie apart on many films, and how long a pass takes with each.

    python -m benchmarks.engines DATA --output docs/data/engines.json
    python -m benchmarks.engines DATA --output docs/data/engines.json --table TABLE

DATA holds ``kermany224``, ``kermany-original`` and ``other-films/nih``. Both networks see every film,
whatever the gate says of it. ONNX Runtime with its optimisations off stands beside the engines: it computes
what the file says step by step in float32, so its distance is what rounding alone does. ``--table`` writes
what the provider ``auto`` goes by (``src/pneumocascade/model/engines/measured.json``); that needs an idle
machine.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from benchmarks.timing import Row, machine, some
from pneumocascade import Cascade
from pneumocascade.errors import FilmError
from pneumocascade.imaging.find import find_sources
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.model.calibration import judge
from pneumocascade.model.engines import available_providers
from pneumocascade.model.engines.processor import fastest_instructions
from pneumocascade.model.onnx_classifier import MAP_OUTPUT, ModelOutput, OnnxClassifier
from pneumocascade.model.preprocess import prepare
from pneumocascade.model.store import bundled_models, read_manifest

Run = Callable[[NDArray[np.float32]], ModelOutput]
Floats = NDArray[np.float32]

UNOPTIMISED = "ONNX Runtime, not optimised"
PARTS = {"kermany224": 500, "other-films/nih": 400, "kermany-original": 100}
"""Folders, and how many films of each are compared."""


class Compared(NamedTuple):
    """What two engines say of one film and stage; differences in absolute value."""

    probability: float
    logit: float
    features: float
    maps: float
    float_head: float
    changed: bool


def unoptimised(stage: int) -> Run:
    """Return a stage of the bundled models as the file says, step by step."""
    folder = bundled_models()
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    path = folder / read_manifest(folder).files[f"stage{stage}"]
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(batch: Floats) -> ModelOutput:
        logits, features, maps = session.run(["logits", "features", MAP_OUTPUT], {"input": batch})
        return ModelOutput(logits, features, maps[:, 0])

    return run


def compare(model: OnnxClassifier, ours: ModelOutput, theirs: ModelOutput) -> Compared:
    """Compare an engine's answer to one film with that of ONNX Runtime.

    ``float_head`` is how far apart the probabilities would be if the classifier behind the features were
    float32: the mean of the activation map is the difference of the logits then, but for the bias.
    """
    spec = model.spec
    judged = [judge(each.logits[0], spec, "balanced") for each in (ours, theirs)]
    first, second = (result.probabilities[spec.labels[1]] for result in judged)
    assert ours.activation_maps is not None
    assert theirs.activation_maps is not None
    apart = [np.diff(each.logits[0])[0] for each in (ours, theirs)]
    moved = float(theirs.activation_maps.mean() - ours.activation_maps.mean())
    moved_logits = ours.logits + np.array([[0, moved]], np.float32)
    exact = judge(moved_logits[0], spec, "balanced").probabilities[spec.labels[1]]
    return Compared(
        abs(first - second),
        float(abs(apart[0] - apart[1])),
        _relative(ours.features, theirs.features),
        _relative(ours.activation_maps, theirs.activation_maps),
        abs(first - exact),
        judged[0].label != judged[1].label,
    )


def _relative(ours: Floats, theirs: Floats) -> float:
    """Return the root mean square of a difference, as a share of that of the values."""
    return float(np.sqrt(np.mean((ours - theirs) ** 2)) / np.sqrt(np.mean(ours**2)))


def summary(found: Sequence[Compared]) -> Row:
    """Return median, 95th and 99th percentile and largest of each difference, and changed labels."""
    rows: Row = {"films": len(found), "labels_changed": sum(each.changed for each in found)}
    for name in ("probability", "logit", "features", "maps", "float_head"):
        values = np.array([getattr(each, name) for each in found])
        points = [*np.percentile(values, [50, 95, 99]), values.max()]
        shown = [round(float(value), 5) for value in points]
        rows[name] = dict(zip(("median", "p95", "p99", "max"), shown, strict=True))
    values = np.array([each.probability for each in found])
    rows["within_1e-3"] = round(float(np.mean(values <= 1e-3)), 4)
    return rows


def agreement(data: Path, share: float) -> Row:
    """Compare every engine with ONNX Runtime on films of several sources."""
    cascade = Cascade.load()
    stages = {stage: cascade.model_of(stage) for stage in (1, 2)}
    others: dict[str, dict[int, Run]] = {UNOPTIMISED: {stage: unoptimised(stage) for stage in stages}}
    if "openvino" in available_providers():
        loaded = Cascade.load(provider="openvino")
        others["OpenVINO"] = {stage: loaded.model_of(stage).run for stage in stages}
    found: dict[str, dict[int, list[Compared]]] = {name: {1: [], 2: []} for name in others}
    for path in _films(data, share):
        try:
            film = read_radiograph(path)
        except FilmError:
            continue
        for stage, model in stages.items():
            batch = prepare(film, model.spec)
            ours = model.run(batch)
            for name, runs in others.items():
                found[name][stage].append(compare(model, ours, runs[stage](batch)))
    return {
        name: {f"stage{stage}": summary(rows) for stage, rows in by_stage.items()}
        for name, by_stage in found.items()
    }


def _films(data: Path, share: float) -> list[Path]:
    films: list[Path] = []
    for part, count in PARTS.items():
        wanted = max(1, round(share * count))
        folder = data / part
        if part.startswith("kermany"):
            films += some(folder, wanted)
        else:
            films += [Path(each) for each in sorted(find_sources([str(folder)]))[:wanted]]
    return films


def passes(rounds: int) -> dict[str, dict[str, float]]:
    """Return the median milliseconds of a pass of stage 1, one film on all cores, by provider, in turns."""
    size = Cascade.load().stage1.spec.input_size
    batch = np.random.default_rng(0).normal(size=(1, 3, size, size)).astype(np.float32)
    models = {name: Cascade.load(provider=name).stage1 for name in available_providers()}
    taken: dict[str, list[float]] = {name: [] for name in models}
    for number in range(rounds + 1):
        for name, model in models.items():
            time.sleep(0.02)  # threads of the other engine go to sleep
            started = time.perf_counter()
            model.run(batch)
            if number:
                taken[name].append(1000 * (time.perf_counter() - started))
    return {
        name: {"median_ms": round(float(np.median(each)), 2), "min_ms": round(min(each), 2)}
        for name, each in taken.items()
    }


def write_table(path: Path, found: dict[str, dict[str, float]], where: Row) -> None:
    """Replace the row of this kind of processor in the table of the provider ``auto``."""
    table = json.loads(path.read_text(encoding="utf-8"))
    instructions = fastest_instructions()
    row: dict[str, Any] = {
        "instructions": instructions,
        "ms": {name: each["median_ms"] for name, each in found.items()},
        "cores": where["cpus"],
        "processor": where["processor"],
        "models": Cascade.load().version,
        "versions": {name: where[name] for name in ("onnxruntime", "openvino")},
    }
    table["command"] = "python -m benchmarks.engines DATA --output docs/data/engines.json --table " + str(
        path
    )
    table["rows"] = [row, *(each for each in table["rows"] if each["instructions"] != instructions)]
    path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Compare the engines and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--share", type=float, default=1.0, help="of the films, for a trial")
    parser.add_argument("--rounds", type=int, default=200, help="of the passes that are timed; 0 for none")
    parser.add_argument("--table", type=Path, help="also write the table of the provider auto")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    where = {**machine(), "instructions": fastest_instructions(), "system": platform.machine()}
    report: Row = {"machine": where, "agreement": agreement(arguments.data, arguments.share)}
    if arguments.rounds:
        report["passes"] = passes(arguments.rounds)
    arguments.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if arguments.table and arguments.rounds:
        write_table(arguments.table, report["passes"], where)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
