"""Calibrate models anew on held-out films, without training: other films, or another margin."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pneumocascade.dataset import Film, Split, find_training_films
from pneumocascade.errors import DataSetError, UsageError
from pneumocascade.session import OnnxClassifier
from pneumocascade.spec import ModelSpec
from pneumocascade.store import STAGES, load_classifier, read_manifest, write_manifest
from pneumocascade.training.data import Renderings, Sample, renderings_by_name, samples_of
from pneumocascade.training.export import calibrated
from pneumocascade.training.gate import fit_gate
from pneumocascade.training.held_out import run_clean, run_shifted
from pneumocascade.training.onnx_export import write_spec

REPORT_FILE = "calibration.json"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Films:
    """Films to calibrate on.

    Attributes
    ----------
    data : Path
        Labelled films.
    split : Split
        Its validation side is what is calibrated on, its other side what the gate is fitted on.
    renderings : tuple of Path
        Further folders that show the same films.
    """

    data: Path
    split: Split
    renderings: tuple[Path, ...] = ()


def recalibrate(
    models: Path,
    output: Path,
    films: Films,
    version: str,
    *,
    margins: Sequence[float | None] = (None, None),
    seed: int = 2018,
    say: Say = print,
) -> dict[str, Any]:
    """Write models with the weights of others, and calibration, thresholds, sets and gate of their own.

    Parameters
    ----------
    models : Path
        Folder of the models to start from.
    output : Path
        Another folder; gets the models, ``gate.npz``, the manifest and ``calibration.json`` with the
        cross-fitted figures.
    films : Films
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
    found = [film for film in find_training_films(films.data) if film.name in known]
    renderings = renderings_by_name(films.renderings, say)
    output.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {"version": version}
    for stage, margin in zip(STAGES, margins, strict=True):
        model = load_classifier(models, manifest, stage)
        spec = replace(model.spec, version=version, margin=model.spec.margin if margin is None else margin)
        path = output / f"{stage}.onnx"
        path.write_bytes((models / manifest.files[stage]).read_bytes())
        write_spec(path, spec)
        learnt, held_out = _sides(found, films.split, spec, renderings)
        outputs = run_clean(path, held_out).and_also(run_shifted(path, held_out))
        spec, report[stage] = calibrated(spec, outputs, seed, held_out, len(learnt), spec.trained)
        write_spec(path, spec)
        for name, figure in report[stage]["cross_fitted"].items():
            say(f"{stage} {name:18} {figure['value']:.4f} {figure['ci95']}")
    stage1 = output / f"{STAGES[0]}.onnx"
    spec = OnnxClassifier(stage1.read_bytes(), stage1.name).spec
    report["gate"] = fit_gate(stage1, *_sides(found, films.split, spec, renderings), seed, say)
    (output / REPORT_FILE).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    write_manifest(output, version)
    say(f"models {version} written to {output}")
    return report


def _sides(
    films: Sequence[Film], split: Split, spec: ModelSpec, renderings: Renderings
) -> tuple[list[Sample], list[Sample]]:
    sides = (
        samples_of(films, split.train, spec, renderings),
        samples_of(films, split.validation, spec, renderings),
    )
    for side, name in zip(sides, ("train", "validation"), strict=True):
        if not side:
            raise DataSetError(f"there is no film of the {name} side of the split for stage {spec.stage}")
    return sides
