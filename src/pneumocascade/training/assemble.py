"""Both stages of a run as models: exported, calibrated by out-of-fold predictions, with gate and manifest."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pneumocascade.model.spec import ModelSpec
from pneumocascade.model.store import MANIFEST, STAGES, new_models
from pneumocascade.training.calibrate import StageOutputs, row_weights
from pneumocascade.training.checkpoint import replace_text
from pneumocascade.training.cross_fitting import run_clean
from pneumocascade.training.export import EXPORT_FILE, export_stage, fit_gate_of, sides_of
from pneumocascade.training.onnx_export import read_spec, write_spec
from pneumocascade.training.run_record import read_run
from pneumocascade.training.sources import Say
from pneumocascade.training.trainer import evenly

OFFSET_FILMS = 1000
"""Films on which the logits of student and teacher are compared."""


def assemble(
    run: Path,
    models: Path,
    version: str,
    out_of_fold: dict[str, StageOutputs],
    say: Say,
    teachers: tuple[Path, Path] | None = None,
) -> Path:
    """Export both stages of a run, calibrated by out-of-fold predictions, with their gate and manifest.

    ``teachers``: run and exported models of those whose logits the students' are brought to.
    """
    if (models / MANIFEST).exists():
        say(f"{models} is there already")
        return models
    with new_models(models, version) as folder:
        report: dict[str, Any] = {
            stage: export_stage(run / stage, folder / f"{stage}.onnx", version, say, out_of_fold[stage])
            for stage in STAGES
        }
        if teachers is not None:
            for stage in STAGES:
                offset = _move_bias(folder / f"{stage}.onnx", stage, *teachers, say)
                report[stage] |= {"offset": offset, "bias": read_spec(folder / f"{stage}.onnx").bias}
                say(f"{stage}: logits of the student lie {offset:+.3f} from those of the teacher")
        report["gate"] = fit_gate_of(run / STAGES[0], folder / f"{STAGES[0]}.onnx", say)
        replace_text(folder / EXPORT_FILE, json.dumps(report, indent=1) + "\n")
    say(f"models {version} written to {models}")
    return models


def _move_bias(path: Path, stage: str, run: Path, models: Path, say: Say) -> float:
    """Move the bias of a student by how far its logits lie from a teacher's; return how far that is.

    Measured on films that both have learnt from, as the mean over classes and domains.
    """
    record = read_run(run / stage)
    learnt, _ = sides_of(run / stage, record["sources"], ModelSpec.from_json(json.dumps(record["spec"])), say)
    shown = [replace(sample, renderings=sample.renderings[-1:]) for sample in evenly(learnt, OFFSET_FILMS)]
    student, teacher = (run_clean(each, shown) for each in (path, models / f"{stage}.onnx"))
    difference = np.diff(student.logits.astype(np.float64) - teacher.logits)[:, 0]
    offset = float(row_weights(student) @ difference)
    spec = read_spec(path)
    write_spec(path, replace(spec, bias=spec.bias - offset / spec.temperature))
    return round(offset, 6)
