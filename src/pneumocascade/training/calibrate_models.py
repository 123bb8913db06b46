"""Calibrate models anew on held-out films, without training: other films, or another margin."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pneumocascade.datasets.films import LabelledFilm, LabelledFilms, Split, load_training_films
from pneumocascade.errors import DataSetError, UsageError
from pneumocascade.model.spec import ModelSpec
from pneumocascade.model.store import STAGES, load_classifier, new_models, read_manifest
from pneumocascade.training.cross_fitting import run_clean, run_shifted
from pneumocascade.training.data import Renderings, Sample, renderings_by_name, samples_of
from pneumocascade.training.export import calibrated
from pneumocascade.training.fit_gate import fit_gate
from pneumocascade.training.onnx_export import write_spec

REPORT_FILE = "calibration.json"

HELD_OUT = "films calibrated on anew"
"""What is stored of them; that the weights never saw them is for the caller to see to: models do not name
the films that they learnt from."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class CalibrationFilms:
    """Films to calibrate on.

    Attributes
    ----------
    data : Path or LabelledFilms
        Folder or file of labels, or what :func:`pneumocascade.datasets.films.load_training_films` returned.
    split : Split
        Its validation side is what is calibrated on, its other side what the gate is fitted on.
    renderings : tuple of Path
        Further folders that show the same films.
    """

    data: Path | LabelledFilms
    split: Split
    renderings: tuple[Path, ...] = ()


def recalibrate(
    models: Path,
    output: Path,
    films: CalibrationFilms,
    version: str,
    *,
    margins: Sequence[float | None] = (None, None),
    seed: int = 2018,
    say: Say = print,
) -> dict[str, Any]:
    """Write models with the weights of others, and calibration, thresholds, sets and gate of their own.

    The films of the validation side must not be among those that the weights learnt from: the models do not
    name these, so it is not checked. The output is written whole or not at all.

    Parameters
    ----------
    models : Path
        Folder of the models to start from.
    output : Path
        Another folder; gets the models, ``gate.npz``, the manifest and ``calibration.json`` with the
        cross-fitted figures.
    films : CalibrationFilms
    version : str
        Of the new pair.
    margins : sequence of float or None
        Of stage 1 and of stage 2; ``None`` leaves what is stored.
    seed : int
    say : callable
        Is given progress, a line at a time.

    Returns
    -------
    dict
        What ``calibration.json`` holds.

    Raises
    ------
    UsageError
        Where the output is the folder of the models.
    DataSetError
        Where a side of the split has no film in the data.
    ModelError
        Where the models cannot be loaded.
    """
    if output.resolve() == models.resolve():
        raise UsageError(f"{output} holds the models to start from; give another folder")
    manifest = read_manifest(models)
    known = films.split.train | films.split.validation
    data = films.data if isinstance(films.data, LabelledFilms) else load_training_films(films.data)
    found = data.only(known).films
    renderings = renderings_by_name(films.renderings, say)
    loaded = {stage: load_classifier(models, manifest, stage) for stage in manifest.stages}
    sides = {stage: _sides(found, films.split, model.spec, renderings) for stage, model in loaded.items()}
    report: dict[str, Any] = {"version": version}
    with new_models(output, version) as folder:
        for stage, margin in zip(manifest.stages, margins, strict=False):
            spec = replace(loaded[stage].spec, version=version)
            spec = spec if margin is None else replace(spec, margin=margin)
            path = folder / f"{stage}.onnx"
            path.write_bytes((models / manifest.files[stage]).read_bytes())
            report[stage] = _recalibrate_stage(path, spec, sides[stage][1], seed, say)
        report["gate"] = fit_gate(folder / f"{STAGES[0]}.onnx", *sides[STAGES[0]], seed, say)
        (folder / REPORT_FILE).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    say(f"models {version} written to {output}")
    return report


def _recalibrate_stage(
    path: Path, spec: ModelSpec, held_out: Sequence[Sample], seed: int, say: Say
) -> dict[str, Any]:
    """Write the new specification into a model's file; what its weights learnt from stays as it was."""
    write_spec(path, spec)
    outputs = run_clean(path, held_out).and_also(run_shifted(path, held_out))
    spec, report = calibrated(spec, outputs, seed, HELD_OUT)
    write_spec(path, spec)
    for domain, figures in report["cross_fitted"].items():
        for name, figure in figures.items():
            say(f"{path.stem} {domain} {name:18} {figure['value']} {figure['ci95']}")
    return report


def _sides(
    films: Sequence[LabelledFilm], split: Split, spec: ModelSpec, renderings: Renderings
) -> tuple[list[Sample], list[Sample]]:
    sides = (
        samples_of(films, split.train, spec, renderings),
        samples_of(films, split.validation, spec, renderings),
    )
    for side, name in zip(sides, ("train", "validation"), strict=True):
        if not side:
            raise DataSetError(f"there is no film of the {name} side of the split for stage {spec.stage}")
    return sides
