"""From a finished run to the models that ship: ONNX, mostly INT8, calibrated, measured, with a manifest."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn

from pneumocascade.datasets.films import LabelOptions, Split, fingerprint
from pneumocascade.errors import TrainingError, UsageError
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.model.onnx_classifier import OnnxClassifier
from pneumocascade.model.preprocess import prepare
from pneumocascade.model.spec import PRECISIONS, ModelSpec
from pneumocascade.model.store import STAGES, new_models
from pneumocascade.training.backbones import backbone_of
from pneumocascade.training.calibrate import StageOutputs, calibrate
from pneumocascade.training.cross_fitting import MAIN, auroc_figure, cross_fitted, run_clean, run_shifted
from pneumocascade.training.data import Sample, renderings_by_name, samples_of
from pneumocascade.training.fit_gate import fit_gate
from pneumocascade.training.network import build_network
from pneumocascade.training.onnx_export import add_activation_map, quantise, to_float16, to_onnx, write_spec
from pneumocascade.training.precision_cost import precision_cost
from pneumocascade.training.run_record import SPLIT_FILE, read_run
from pneumocascade.training.sources import Say, Sources, load_sources
from pneumocascade.training.starting_weights import WEIGHTS

EXPORT_FILE = "export.json"

RANGE_FILMS = 64
"""Training films on which the ranges of the INT8 activations are found; each takes 50 MB of memory."""

PARITY_FILMS = 8
PARITY = 1e-3
"""Largest difference between the logits of PyTorch and of the float32 ONNX file."""


def export_run(
    run: Path, output: Path, version: str, say: Say = print, *, precision: str = PRECISIONS[0]
) -> None:
    """Export the stages of a run.

    Parameters
    ----------
    run : Path
        Holds ``stage1/`` and, unless stage 1 is to be exported alone, ``stage2/``.
    output : Path
        Gets ``stage1.onnx``, ``stage2.onnx``, ``gate.npz``, ``manifest.json`` and ``export.json`` with the
        figures measured on the way, all of them at the end or none.
    version : str
        Of the models.
    say : callable
        Is given progress, a line at a time.
    precision : {"int8", "float16", "float32"}

    Raises
    ------
    TrainingError
        Where a stage has not been trained to its end, or the precision costs more than chance explains.
    UsageError
        For another precision, or an output that cannot be written.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"precision is {precision!r}; expected one of {', '.join(PRECISIONS)}")
    stages = [stage for stage in STAGES if stage == STAGES[0] or (run / stage).exists()]
    for stage in stages:
        if not (run / stage / WEIGHTS).exists():
            raise TrainingError(f"there is no trained stage in {run / stage}: {WEIGHTS} is missing")
    if len(stages) == 1:
        say(f"{run} has no stage 2: stage 1 is exported alone")
    with new_models(output, version) as folder:
        report = {
            stage: export_stage(run / stage, folder / f"{stage}.onnx", version, say, precision=precision)
            for stage in stages
        }
        report["gate"] = fit_gate_of(run / STAGES[0], folder / f"{STAGES[0]}.onnx", say)
        (folder / EXPORT_FILE).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    say(f"models {version} written to {output}")


def fit_gate_of(folder: Path, stage1: Path, say: Say) -> dict[str, Any]:
    """Fit the gate of a run's exported stage 1 and return what it was tried on."""
    run = read_run(folder)
    spec = ModelSpec.from_json(json.dumps(run["spec"]))
    learnt, held_out = sides_of(folder, run["sources"], spec, say)
    return fit_gate(stage1, learnt, held_out, run["config"]["seed"], say)


def export_stage(
    folder: Path,
    path: Path,
    version: str,
    say: Say,
    out_of_fold: StageOutputs | None = None,
    *,
    precision: str = PRECISIONS[0],
) -> dict[str, Any]:
    """Export one stage and return the figures that were measured.

    The exported model is what is calibrated and measured, through the very session that serves it; the
    float32 model is measured beside it, to tell what the precision costs.

    Parameters
    ----------
    folder : Path
        Of the stage's run.
    path : Path
        Of the ONNX file to write.
    version : str
    say : callable
    out_of_fold : StageOutputs, optional
        What models trained like this one said of films that they had not seen, for a model that has seen
        all: it is calibrated by these. Without them the validation side of the run's split is judged.
    precision : {"int8", "float16", "float32"}
    """
    run = read_run(folder)
    spec = replace(ModelSpec.from_json(json.dumps(run["spec"])), version=version, precision=precision)
    learnt, held_out = sides_of(folder, run["sources"], spec, say)
    trained = datetime.fromtimestamp((folder / WEIGHTS).stat().st_mtime, timezone.utc).date().isoformat()
    count = f"{len(learnt)} films" + (" of the training side of the same split" if held_out else "")
    spec = replace(spec, training_data=count, trained=trained)
    with tempfile.TemporaryDirectory() as scratch:
        full = Path(scratch) / "float32.onnx"
        write_models(folder, spec, learnt, full, path, say)
        clean = {}
        if held_out:
            clean = {name: run_clean(file, held_out) for name, file in (("float32", full), (precision, path))}
    if out_of_fold is None:
        shipped, films = clean[precision].and_also(run_shifted(path, held_out)), "validation split"
    else:
        shipped, films = out_of_fold, "out-of-fold predictions"
    spec, report = calibrated(spec, shipped, run["config"]["seed"], films)
    write_spec(path, spec)
    report |= {f"auroc_{name}": auroc_figure(outputs).to_dict() for name, outputs in clean.items()}
    if len(clean) > 1:
        cost = precision_cost(spec, clean["float32"], clean[precision])
        report["precision_cost"] = cost.to_dict()
        say(f"  {cost}")
        cost.check()
    for domain, figures in report["cross_fitted"].items():
        for name, figure in figures.items():
            say(f"  {domain} {name:18} {figure['value']} {figure['ci95']}")
    return report


def write_models(
    folder: Path, spec: ModelSpec, learnt: Sequence[Sample], full: Path, path: Path, say: Say = print
) -> None:
    """Write the trained network of a run's stage as ONNX: ``full`` in float32, ``path`` as ``spec`` says."""
    network = build_network(spec.backbone, stride_in_1x1=read_run(folder)["stride_in_1x1"])
    network.load_state_dict(load_file(folder / WEIGHTS))
    to_onnx(network, spec, full)
    check_parity(network, full, learnt[:PARITY_FILMS])
    if spec.precision == "int8":
        quantise(full, path, _range_inputs(learnt, spec))
    elif spec.precision == "float16":
        to_float16(full, path)
    else:
        shutil.copyfile(full, path)
    add_activation_map(path, backbone_of(spec.backbone).classifier_of(network).weight.detach().numpy())
    write_spec(path, spec)
    megabytes = [f"{file.stat().st_size / 1e6:.1f} MB" for file in (full, path)]
    say(f"{path.name}: {megabytes[0]} in float32, {megabytes[1]} in {spec.precision}")


def sides_of(
    folder: Path, sources: dict[str, Any], spec: ModelSpec, say: Say
) -> tuple[list[Sample], list[Sample]]:
    """Return the films that a stage's run learnt from and held out, each with all its renderings.

    Raises
    ------
    TrainingError
        Where the films are no longer those that the run was made with.
    """
    roots = {
        name: tuple(map(Path, sources.get(name, ()))) for name in ("renderings", "hold_out", "elsewhere")
    }
    given = Sources(
        Path(sources["data"]),
        sources["backbone_weights"],
        elsewhere=roots["elsewhere"],
        labels=LabelOptions.from_dict(sources),
    )
    found = load_sources(given)
    split = Split.load(folder / SPLIT_FILE, found.patients)
    films = found.only(split.train | split.validation).films
    if fingerprint(films) != spec.data_fingerprint:
        raise TrainingError(f"the films in {sources['data']} are not those that {folder} was trained on")
    renderings = renderings_by_name([*roots["renderings"], *roots["hold_out"]], say)
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
    spec: ModelSpec, outputs: StageOutputs, seed: int, films: str
) -> tuple[ModelSpec, dict[str, Any]]:
    """Calibrate on all held-out films; measure with what the other half of the patients gave.

    Parameters
    ----------
    spec : ModelSpec
    outputs : StageOutputs
        What was said of the held-out films, as they are and shifted.
    seed : int
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
        f"{films}: {len(set(clean.films))} films of {len(set(clean.patients))} patients, grouped by "
        f"patient, in {len(clean.labels)} renderings"
    )
    final = calibrate(spec, outputs, data, seed)
    figures = cross_fitted(spec, outputs, seed)
    metrics: dict[str, float] = {}
    for domain in np.unique(outputs.domains).tolist():
        for name, figure in figures[domain or MAIN].items():
            if figure.value is not None and figure.ci95 is not None:
                key = f"{name}@{domain}" if domain else name
                metrics.update(
                    {key: figure.value, f"{key}_low": figure.ci95[0], f"{key}_high": figure.ci95[1]}
                )
    final = replace(final, metrics={name: round(value, 6) for name, value in metrics.items()})
    report = {
        "data": data,
        "temperature": final.temperature,
        "bias": final.bias,
        "thresholds": {name: point.threshold for name, point in final.operating_points.items()},
        "prediction_set_minimum": final.prediction_set_minimum,
        "cross_fitted": {
            group: {name: figure.to_dict() for name, figure in measured.items()}
            for group, measured in figures.items()
        },
    }
    return final, report
