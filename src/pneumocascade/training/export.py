"""From a finished run to the models that ship: ONNX, INT8, calibrated, measured, with a manifest."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn

from pneumocascade.dataset import Split, find_training_films, fingerprint
from pneumocascade.errors import TrainingError
from pneumocascade.preprocess import prepare
from pneumocascade.reading import read_radiograph
from pneumocascade.session import OnnxClassifier
from pneumocascade.spec import ModelSpec
from pneumocascade.store import STAGES, write_manifest
from pneumocascade.training.calibrate import Outputs, calibrate
from pneumocascade.training.data import Sample, renderings_by_name, samples_of
from pneumocascade.training.gate import fit_gate
from pneumocascade.training.held_out import auroc_figure, cross_fitted, run_clean, run_shifted
from pneumocascade.training.loop import BEST
from pneumocascade.training.network import build_network
from pneumocascade.training.onnx_export import add_activation_map, quantise, to_onnx, write_spec
from pneumocascade.training.run import SPLIT_FILE, read_run

RANGE_FILMS = 256
"""Training films on which the ranges of the INT8 activations are found."""

PARITY_FILMS = 8
PARITY = 1e-3
"""Largest difference between the logits of PyTorch and of the float32 ONNX file."""

MAX_INT8_COST = 0.003
"""Largest loss of validation AUROC, against float32, at which an INT8 model is let go out."""

Say = Callable[[str], None]


def export_run(run: Path, output: Path, version: str, say: Say = print) -> None:
    """Export both stages of a run.

    Parameters
    ----------
    run : Path
        Holds ``stage1/`` and ``stage2/``.
    output : Path
        Gets ``stage1.onnx``, ``stage2.onnx``, ``gate.npz``, ``manifest.json`` and ``export.json`` with the
        figures measured on the way.
    version : str
        Of the pair of models.
    say : callable
        Is given progress, a line at a time.

    Raises
    ------
    TrainingError
        Where a stage has not been trained.
    """
    for stage in STAGES:
        if not (run / stage / BEST).exists():
            raise TrainingError(f"there is no trained stage in {run / stage}: {BEST} is missing")
    output.mkdir(parents=True, exist_ok=True)
    report = {stage: export_stage(run / stage, output / f"{stage}.onnx", version, say) for stage in STAGES}
    report["gate"] = _fit_gate(run / STAGES[0], output / f"{STAGES[0]}.onnx", say)
    (output / "export.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    write_manifest(output, version)
    say(f"models {version} written to {output}")


def _fit_gate(folder: Path, stage1: Path, say: Say) -> dict[str, Any]:
    """Fit the gate on what an exported stage 1 makes of films and of other pictures."""
    run = read_run(folder)
    spec = ModelSpec.from_json(json.dumps(run["spec"]))
    learnt, held_out = _sides(folder, run["sources"], spec, say)
    return fit_gate(stage1, learnt, held_out, run["config"]["seed"], say)


def export_stage(folder: Path, path: Path, version: str, say: Say) -> dict[str, Any]:
    """Export one stage and return the figures that were measured.

    The INT8 model is what is calibrated and measured, through the very session that serves it; the
    float32 model is measured beside it, to tell what INT8 costs.
    """
    run = read_run(folder)
    spec = replace(ModelSpec.from_json(json.dumps(run["spec"])), version=version)
    learnt, held_out = _sides(folder, run["sources"], spec, say)
    network = build_network(stride_in_1x1=run["stride_in_1x1"])
    network.load_state_dict(load_file(folder / BEST))
    with tempfile.TemporaryDirectory() as scratch:
        full = Path(scratch) / "float32.onnx"
        to_onnx(network, spec, full)
        check_parity(network, full, held_out[:PARITY_FILMS])
        quantise(full, path, _range_inputs(learnt, spec))
        add_activation_map(path, network.fc.weight.detach().numpy())  # type: ignore[union-attr, operator]
        write_spec(path, spec)
        megabytes = [f"{file.stat().st_size / 1e6:.1f} MB" for file in (full, path)]
        say(f"{path.name}: {megabytes[0]} in float32, {megabytes[1]} in INT8")
        outputs = {name: run_clean(file, held_out) for name, file in (("float32", full), ("int8", path))}
    trained = datetime.fromtimestamp((folder / BEST).stat().st_mtime, timezone.utc).date().isoformat()
    shipped = outputs["int8"].and_also(run_shifted(path, held_out))
    learnt_from = f"{len(learnt)} films of the training side of the same split"
    spec = replace(spec, training_data=learnt_from, trained=trained)
    spec, report = calibrated(spec, shipped, run["config"]["seed"], held_out, "validation split")
    report["auroc_float32"] = auroc_figure(outputs["float32"]).to_dict()
    report["auroc_int8"] = auroc_figure(outputs["int8"]).to_dict()
    write_spec(path, spec)
    for name, figure in report["cross_fitted"].items():
        say(f"  {name:18} {figure['value']:.4f} {figure['ci95']}")
    full_precision, shipped_auroc = (report[f"auroc_{name}"]["value"] for name in ("float32", "int8"))
    say(f"  AUROC float32 {full_precision:.4f}, INT8 {shipped_auroc:.4f}")
    if full_precision - shipped_auroc > MAX_INT8_COST:
        raise TrainingError(
            f"INT8 costs {path.name} {full_precision - shipped_auroc:.4f} of AUROC, more than {MAX_INT8_COST}"
        )
    return report


def _sides(
    folder: Path, sources: dict[str, Any], spec: ModelSpec, say: Say
) -> tuple[list[Sample], list[Sample]]:
    """Return the films learnt from and held out, each with all its renderings.

    Raises
    ------
    TrainingError
        Where the films are no longer those that the run was made with.
    """
    split = Split.load(folder / SPLIT_FILE)
    known = split.train | split.validation
    films = [film for film in find_training_films(Path(sources["data"])) if film.name in known]
    if fingerprint(films) != spec.data_fingerprint:
        raise TrainingError(f"the films in {sources['data']} are not those that {folder} was trained on")
    roots = [Path(root) for root in (*sources["renderings"], *sources["hold_out"])]
    renderings = renderings_by_name(roots, say)
    learnt, held_out = (samples_of(films, side, spec, renderings) for side in (split.train, split.validation))
    return learnt, held_out


def _range_inputs(samples: Sequence[Sample], spec: ModelSpec) -> Iterator[NDArray[np.float32]]:
    step = max(1, len(samples) // RANGE_FILMS)
    for sample in samples[::step]:
        yield prepare(read_radiograph(sample.renderings[-1]), spec)


def check_parity(network: nn.Module, path: Path, samples: Sequence[Sample]) -> None:
    """Hold a float32 ONNX file against the PyTorch network it was made from.

    Raises
    ------
    TrainingError
        Where their logits differ by more than ``PARITY``.
    """
    model = OnnxClassifier(path.read_bytes(), path.name)
    batch = np.concatenate([prepare(read_radiograph(sample.film.path), model.spec) for sample in samples])
    with torch.inference_mode():
        expected = network.eval()(torch.from_numpy(batch)).numpy()
    difference = float(np.abs(model.run(batch).logits - expected).max())
    if difference > PARITY:
        raise TrainingError(
            f"the ONNX file's logits differ from PyTorch's by {difference:.2g}, more than {PARITY}"
        )


def calibrated(
    spec: ModelSpec, outputs: Outputs, seed: int, held_out: Sequence[Sample], films: str
) -> tuple[ModelSpec, dict[str, Any]]:
    """Calibrate on all held-out films; measure with what the other half of the patients gave.

    Parameters
    ----------
    spec : ModelSpec
    outputs : Outputs
        What the model said of the held-out films, as they are and shifted.
    seed : int
    held_out : sequence of Sample
    films : str
        What the held-out films are called.

    Returns
    -------
    ModelSpec
        With calibration, operating points, prediction sets and cross-fitted figures.
    dict
        What a report tells of them.
    """
    clean = outputs.where(outputs.clean)
    data = (
        f"{films}: {len(held_out)} films of {len(set(clean.patients))} patients, grouped by "
        f"patient, in {len(clean.labels)} renderings"
    )
    final = calibrate(spec, outputs, data, seed)
    figures = cross_fitted(spec, outputs, seed)
    metrics: dict[str, float] = {}
    for name, figure in figures["clean"].items():
        if figure.value is not None and figure.ci95 is not None:
            metrics.update(
                {name: figure.value, f"{name}_low": figure.ci95[0], f"{name}_high": figure.ci95[1]}
            )
    final = replace(final, metrics={name: round(value, 6) for name, value in metrics.items()})
    report = {
        "data": data,
        "temperature": final.temperature,
        "bias": final.bias,
        "thresholds": {name: point.threshold for name, point in final.operating_points.items()},
        "cross_fitted": {name: figure.to_dict() for name, figure in figures["clean"].items()},
        "cross_fitted_shifted": {name: figure.to_dict() for name, figure in figures["shifted"].items()},
    }
    return final, report
