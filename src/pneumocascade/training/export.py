"""From a finished run to the models that ship: ONNX, INT8, calibrated, measured, with a manifest."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn

from pneumocascade.calibration import positive_probability
from pneumocascade.dataset import Film, Split, find_films
from pneumocascade.errors import TrainingError
from pneumocascade.evaluation.bootstrap import Figure
from pneumocascade.evaluation.metrics import stage_figures
from pneumocascade.preprocess import prepare
from pneumocascade.reading import read_radiograph
from pneumocascade.session import OnnxClassifier
from pneumocascade.spec import ModelSpec
from pneumocascade.store import STAGES, write_manifest
from pneumocascade.training.calibrate import calibrate
from pneumocascade.training.data import Sample, renderings_by_name, samples_of
from pneumocascade.training.loop import BEST
from pneumocascade.training.network import build_network
from pneumocascade.training.onnx_export import quantise, to_onnx, write_spec
from pneumocascade.training.run import RUN_FILE, SPLIT_FILE

RANGE_FILMS = 256
"""Training films on which the ranges of the INT8 activations are found."""

PARITY_FILMS = 8
PARITY = 1e-3
"""Largest difference between the logits of PyTorch and of the float32 ONNX file."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """What a model said of held-out films, in every rendering there is.

    Attributes
    ----------
    logits : ndarray of float32, shape (N, 2)
    labels : ndarray of int, shape (N,)
    patients : list of str, length N
    """

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    patients: list[str]


def export_run(run: Path, output: Path, version: str, say: Say = print) -> None:
    """Export both stages of a run.

    Parameters
    ----------
    run : Path
        Holds ``stage1/`` and ``stage2/``.
    output : Path
        Gets ``stage1.onnx``, ``stage2.onnx``, ``manifest.json`` and ``export.json`` with the
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
    output.mkdir(parents=True, exist_ok=True)
    report = {stage: export_stage(run / stage, output / f"{stage}.onnx", version, say) for stage in STAGES}
    (output / "export.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    write_manifest(output, version)
    say(f"models {version} written to {output}")


def export_stage(folder: Path, path: Path, version: str, say: Say) -> dict[str, Any]:
    """Export one stage and return the figures that were measured.

    The INT8 model is what is calibrated and measured, through the very session that serves it; the
    float32 model is measured beside it, to tell what INT8 costs.
    """
    if not (folder / BEST).exists():
        raise TrainingError(f"there is no trained stage in {folder}: {BEST} is missing")
    run = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    spec = replace(ModelSpec.from_json(json.dumps(run["spec"])), version=version)
    learnt, held_out = _sides(folder, run["sources"], spec)
    network = build_network(stride_in_1x1=run["stride_in_1x1"])
    network.load_state_dict(load_file(folder / BEST))
    with tempfile.TemporaryDirectory() as scratch:
        full = Path(scratch) / "float32.onnx"
        to_onnx(network, spec, full)
        _check_parity(network, full, held_out[:PARITY_FILMS])
        quantise(full, path, _range_inputs(learnt, spec))
        write_spec(path, spec)
        megabytes = [f"{file.stat().st_size / 1e6:.1f} MB" for file in (full, path)]
        say(f"{path.name}: {megabytes[0]} in float32, {megabytes[1]} in INT8")
        outputs = {name: _run(file, held_out) for name, file in (("float32", full), ("int8", path))}
    spec, report = _finish(spec, outputs, run["config"]["seed"], held_out, len(learnt))
    write_spec(path, spec)
    for name, figure in report["cross_fitted"].items():
        say(f"  {name:18} {figure['value']:.4f} {figure['ci95']}")
    say(f"  AUROC float32 {report['auroc_float32']['value']:.4f}, INT8 {report['auroc_int8']['value']:.4f}")
    return report


def _sides(folder: Path, sources: dict[str, Any], spec: ModelSpec) -> tuple[list[Sample], list[Sample]]:
    """Return the films learnt from and held out, each with all its renderings."""
    films: list[Film] = find_films(Path(sources["data"]))
    split = Split.load(folder / SPLIT_FILE)
    roots = [Path(root) for root in (*sources["renderings"], *sources["hold_out"])]
    renderings = renderings_by_name(roots)
    learnt, held_out = (samples_of(films, side, spec, renderings) for side in (split.train, split.validation))
    return learnt, held_out


def _range_inputs(samples: Sequence[Sample], spec: ModelSpec) -> Iterator[NDArray[np.float32]]:
    step = max(1, len(samples) // RANGE_FILMS)
    for sample in samples[::step]:
        yield prepare(read_radiograph(sample.renderings[-1]), spec)


def _check_parity(network: nn.Module, path: Path, samples: Sequence[Sample]) -> None:
    """Hold the float32 ONNX file against the PyTorch network it was made from."""
    model = OnnxClassifier(path.read_bytes(), path.name)
    batch = np.concatenate([prepare(read_radiograph(sample.film.path), model.spec) for sample in samples])
    with torch.inference_mode():
        expected = network.eval()(torch.from_numpy(batch)).numpy()
    difference = float(np.abs(model.run(batch)[0] - expected).max())
    if difference > PARITY:
        raise TrainingError(
            f"the ONNX file's logits differ from PyTorch's by {difference:.2g}, more than {PARITY}"
        )


def _run(path: Path, samples: Sequence[Sample]) -> Outputs:
    model = OnnxClassifier(path.read_bytes(), path.name)
    pairs = [(sample, rendering) for sample in samples for rendering in sample.renderings]
    logits = [model.run(prepare(read_radiograph(rendering), model.spec))[0] for _, rendering in pairs]
    labels = np.array([sample.label for sample, _ in pairs])
    return Outputs(np.concatenate(logits), labels, [sample.film.patient for sample, _ in pairs])


def _finish(
    spec: ModelSpec, outputs: dict[str, Outputs], seed: int, held_out: Sequence[Sample], learnt: int
) -> tuple[ModelSpec, dict[str, Any]]:
    """Calibrate on all held-out films; measure with thresholds from the other half of the patients."""
    shipped = outputs["int8"]
    patients = len(set(shipped.patients))
    data = (
        f"validation split: {len(held_out)} films of {patients} patients, grouped by patient, "
        f"in {len(shipped.labels)} renderings"
    )
    figures = cross_fitted(spec, shipped, seed)
    full = cross_fitted(spec, outputs["float32"], seed)
    calibrated = calibrate(spec, shipped.logits, shipped.labels, shipped.patients, data, seed)
    metrics: dict[str, float] = {}
    for name, figure in figures.items():
        if figure.value is not None and figure.ci95 is not None:
            metrics.update(
                {name: figure.value, f"{name}_low": figure.ci95[0], f"{name}_high": figure.ci95[1]}
            )
    calibrated = replace(
        calibrated,
        metrics={name: round(value, 4) for name, value in metrics.items()},
        training_data=f"{learnt} films of the training side of the same split",
        trained=datetime.now(timezone.utc).date().isoformat(),
    )
    report = {
        "data": data,
        "cross_fitted": {name: figure.to_dict() for name, figure in figures.items()},
        "auroc_float32": full["auroc"].to_dict(),
        "auroc_int8": figures["auroc"].to_dict(),
        "cross_fitted_float32": {name: figure.to_dict() for name, figure in full.items()},
    }
    return calibrated, report


def cross_fitted(spec: ModelSpec, outputs: Outputs, seed: int) -> dict[str, Figure]:
    """Measure a model without judging a film by a threshold that was chosen on it.

    The patients of each class are put in two halves at random; temperature and balanced threshold of
    each half come from the other.

    Parameters
    ----------
    spec : ModelSpec
    outputs : Outputs
    seed : int

    Returns
    -------
    dict of str to Figure
        See :func:`pneumocascade.evaluation.metrics.stage_figures`.
    """
    first = _half(outputs, seed)
    probability = np.empty(len(first))
    threshold = np.empty(len(first))
    for judged in (first, ~first):
        others = [patient for patient, own in zip(outputs.patients, judged, strict=True) if not own]
        fitted = calibrate(spec, outputs.logits[~judged], outputs.labels[~judged], others, "", seed)
        probability[judged] = positive_probability(outputs.logits[judged], fitted.temperature)
        threshold[judged] = fitted.operating_points["balanced"].threshold
    return stage_figures(outputs.labels, probability, threshold, outputs.patients, seed=seed)


def _half(outputs: Outputs, seed: int) -> NDArray[np.bool_]:
    """Return which films belong to a random half of the patients, alike for each class."""
    label_of = dict(zip(outputs.patients, outputs.labels.tolist(), strict=True))
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(sorted(label_of))
    by_class = sorted(shuffled.tolist(), key=label_of.__getitem__)
    chosen = set(by_class[::2])
    return np.array([patient in chosen for patient in outputs.patients])
