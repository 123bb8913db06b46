"""From the data to the models that ship: teachers, students, calibration, gate (``make models``).

1. The films are put in folds, each a block of neighbouring patient numbers.
2. For each fold and stage a *teacher* learns from the other folds; its INT8 export judges the fold's films,
   as they are and shifted: the out-of-fold predictions. Stage 2 starts from the fold's own stage 1.
3. For each stage a *student* learns from all films, half by their labels, half by what the teachers said.
   That of stage 1 goes on from the first teacher's weights, that of stage 2 from those of the student of
   stage 1.
4. The teachers of the first fold are exported, calibrated by the other folds, as ``held-out``: what needs
   films that a pair has not seen (subgroups, shifts, failure modes) is measured with these.
5. The students are exported; calibration, operating points and prediction sets come from the out-of-fold
   predictions of the teachers. A student's logits may lie higher or lower than theirs: its bias is moved by
   the mean difference on films that both have learnt from. The gate is fitted on the features of the
   student of stage 1.

Each step leaves files behind and is passed over where they are there: a run that was cut goes on. What they
are made of stands in ``plan.json``: a folder with another plan is refused.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pneumocascade.datasets.films import Split
from pneumocascade.evaluation.learnt_films import write_learnt_films
from pneumocascade.model.calibration import positive_probability
from pneumocascade.model.spec import ModelSpec
from pneumocascade.model.store import (
    STAGES,
    load_classifier,
    read_manifest,
)
from pneumocascade.training.assemble import assemble
from pneumocascade.training.calibrate import StageOutputs
from pneumocascade.training.checkpoint import replace_text
from pneumocascade.training.config import TrainingConfig
from pneumocascade.training.cross_fitting import (
    auroc_figure,
    cross_judge,
    run_clean,
    run_shifted,
    three_way,
)
from pneumocascade.training.export import sides_of, write_models
from pneumocascade.training.plan import INT8, Plan, keep_plan, training_time, write_records
from pneumocascade.training.run import train
from pneumocascade.training.run_record import SPLIT_FILE, read_run
from pneumocascade.training.sources import Say, Sources, TrainingFilms, find_films_to_train
from pneumocascade.training.speed import films_per_second
from pneumocascade.training.split import block_folds
from pneumocascade.training.starting_weights import WEIGHTS

SEED = 2018
OUTPUTS = "outputs.csv"

FROZEN = 3
"""Stages of the network that stage 2 leaves as stage 1 made them: stem, layer1, layer2."""

TEACHERS = {
    "stage1": TrainingConfig(1, schedule=((160, 3), (224, 3))),
    "stage2": TrainingConfig(2, schedule=((224, 2),), label_smoothing=0.1, frozen_stages=FROZEN),
}
STUDENTS = {
    "stage1": TrainingConfig(1, schedule=((224, 5),)),
    "stage2": TrainingConfig(2, schedule=((224, 3),), label_smoothing=0.1, frozen_stages=FROZEN),
}


def build(plan: Plan, say: Say = print) -> Path:
    """Make the models and return their folder, ``models`` in the output.

    Raises
    ------
    DataSetError, TrainingError
        Where data or weights are not as expected, or the folder holds another run; that run is then left as
        it is.
    """
    found = find_films_to_train(plan.sources, say)
    keep_plan(plan, found)
    if not (plan.output / "student" / STAGES[1] / WEIGHTS).exists():
        say(training_time(plan, found, films_per_second(plan.teachers[STAGES[0]])))
    splits = block_folds(found.films, plan.folds)
    everything = Split(splits[0].train | splits[0].validation, frozenset())
    by_fold: dict[str, list[StageOutputs]] = {}
    for stage in STAGES:
        outputs = [_teach(plan, found, stage, number, split, say) for number, split in enumerate(splits, 1)]
        by_fold[stage] = outputs
        _learn(plan, found, stage, everything, soft_labels(joined(outputs)), say)
    out_of_fold = {stage: joined(outputs) for stage, outputs in by_fold.items()}
    write_records(plan, splits, out_of_fold)
    others = {stage: joined(outputs[1:]) for stage, outputs in by_fold.items()}
    assemble(plan.output / "fold1", plan.output / "held-out", f"{plan.version}+fold1", others, say)
    held_out = plan.output / "held-out"
    write_learnt_films(held_out, (film for film in found.films if film.name in splits[0].train))
    teachers = plan.output / "fold1", held_out
    models = assemble(
        plan.output / "student", plan.output / "models", plan.version, out_of_fold, say, teachers
    )
    write_learnt_films(models, found.films)
    manifest = read_manifest(models)
    first, second = (
        cross_judge(load_classifier(models, manifest, stage).spec, out_of_fold[stage], SEED)
        for stage in STAGES
    )
    cascade = {name: estimate.to_dict() for name, estimate in three_way(first, second, SEED).items()}
    replace_text(plan.output / "records" / "three-way.json", json.dumps(cascade, indent=1) + "\n")
    return models


def _teach(plan: Plan, found: TrainingFilms, stage: str, number: int, split: Split, say: Say) -> StageOutputs:
    """Train a fold's teacher and return what it says of the films of its fold."""
    folder = plan.output / f"fold{number}"
    path = folder / stage / OUTPUTS
    if path.exists():
        return StageOutputs.load(path)
    folder.mkdir(parents=True, exist_ok=True)
    replace_text(folder / SPLIT_FILE, split.to_json())
    config = replace(plan.teachers[stage], seed=plan.teachers[stage].seed + number - 1)
    if not (folder / stage / WEIGHTS).exists():
        weights = folder / STAGES[0] / WEIGHTS if config.stage == 2 else None
        _train_stage(plan, found, config, folder, say, weights)
    started = time.perf_counter()
    outputs, cost = _judge(folder / stage, say)
    replace_text(folder / stage / INT8, json.dumps(cost, indent=1) + "\n")
    outputs.save(path)
    say(f"{stage}, fold {number}: judged in {time.perf_counter() - started:.0f} s")
    return StageOutputs.load(path)


def _judge(folder: Path, say: Say) -> tuple[StageOutputs, dict[str, Any]]:
    """Return what a teacher, in INT8, says of its fold, and its AUROC in float32 and in INT8."""
    run = read_run(folder)
    spec = ModelSpec.from_json(json.dumps(run["spec"]))
    learnt, held_out = sides_of(folder, run["sources"], spec, say)
    with tempfile.TemporaryDirectory() as scratch:
        full, int8 = Path(scratch) / "float32.onnx", Path(scratch) / "int8.onnx"
        write_models(folder, spec, learnt, full, int8, say)
        clean, precise = run_clean(int8, held_out), run_clean(full, held_out)
        cost = {name: auroc_figure(each).to_dict() for name, each in (("float32", precise), ("int8", clean))}
        say(f"AUROC of the fold: float32 {cost['float32']['value']}, INT8 {cost['int8']['value']}")
        return clean.and_also(run_shifted(int8, held_out)), cost


def _learn(
    plan: Plan, found: TrainingFilms, stage: str, everything: Split, soft: dict[str, float], say: Say
) -> None:
    """Train the student of a stage."""
    folder = plan.output / "student"
    folder.mkdir(parents=True, exist_ok=True)
    replace_text(folder / SPLIT_FILE, everything.to_json())
    if not (folder / stage / WEIGHTS).exists():
        first = plan.output / "fold1" if stage == STAGES[0] else folder
        _train_stage(plan, found, plan.students[stage], folder, say, first / STAGES[0] / WEIGHTS, soft)


def _train_stage(
    plan: Plan,
    found: TrainingFilms,
    config: TrainingConfig,
    folder: Path,
    say: Say,
    weights: Path | None,
    soft: dict[str, float] | None = None,
) -> None:
    """Train a stage in a folder that has a split, from ``weights`` or the plan's own."""
    sources = replace(plan.sources, split=folder / SPLIT_FILE)
    if weights is not None:
        sources = replace(sources, backbone_weights=str(weights))
    say(f"{folder.name}, stage {config.stage}")
    train(sources, config, folder / f"stage{config.stage}", say, found=found, soft=soft)


def joined(outputs: Sequence[StageOutputs]) -> StageOutputs:
    """Return the rows of several folds as one."""
    first, *others = outputs
    for more in others:
        first = first.and_also(more)
    return first


def soft_labels(outputs: StageOutputs) -> dict[str, float]:
    """Return by film the mean probability of the positive class over its renderings as they are."""
    clean = outputs.where(outputs.clean)
    of_film: dict[str, list[float]] = defaultdict(list)
    for name, probability in zip(clean.films, positive_probability(clean.logits, 1.0).tolist(), strict=True):
        of_film[name].append(probability)
    return {name: round(float(np.mean(values)), 6) for name, values in sorted(of_film.items())}


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the models that ship from a folder laid out as docs/training.md says."""
    parser = argparse.ArgumentParser(prog="make models", description=main.__doc__)
    parser.add_argument(
        "data", type=Path, help="holds kermany224, kermany-512, kermany-original, other-films/nih"
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="folder of the run; an interrupted one goes on"
    )
    parser.add_argument("--version", required=True, help="of the models")
    parser.add_argument(
        "--backbone-weights", help="safetensors file, or imagenet; by default the one in data"
    )
    given = parser.parse_args(arguments)
    weights = given.backbone_weights or next(
        iter(map(str, (given.data / "weights").glob("*.safetensors"))), "imagenet"
    )
    sources = Sources(
        given.data / "kermany224",
        weights,
        (given.data / "kermany-512", given.data / "kermany-original"),
        elsewhere=(given.data / "other-films" / "nih",),
    )
    build(Plan(sources, given.output, given.version, TEACHERS, STUDENTS))


if __name__ == "__main__":
    main()
