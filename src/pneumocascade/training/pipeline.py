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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pneumocascade.datasets.films import Split, fingerprint
from pneumocascade.errors import TrainingError
from pneumocascade.evaluation.learnt_films import write_learnt_films
from pneumocascade.model.calibration import positive_probability
from pneumocascade.model.spec import ModelSpec
from pneumocascade.model.store import (
    MANIFEST,
    STAGES,
    load_classifier,
    new_models,
    read_manifest,
)
from pneumocascade.training.calibrate import StageOutputs, row_weights
from pneumocascade.training.checkpoint import replace_text
from pneumocascade.training.config import TrainingConfig
from pneumocascade.training.cross_fitting import (
    auroc_figure,
    cross_judge,
    run_clean,
    run_shifted,
    three_way,
)
from pneumocascade.training.export import EXPORT_FILE, export_stage, fit_gate_of, sides_of, write_models
from pneumocascade.training.onnx_export import read_spec, write_spec
from pneumocascade.training.run import (
    SPLIT_FILE,
    Sources,
    TrainingFilms,
    find_films_to_train,
    read_run,
    train,
)
from pneumocascade.training.split import block_folds
from pneumocascade.training.starting_weights import WEIGHTS
from pneumocascade.training.trainer import METRICS, evenly, read_rows

FOLDS = 3
SEED = 2018
PLAN_FILE = "plan.json"
OUTPUTS = "outputs.csv"
INT8 = "int8.json"

_SHOWN = {"data_fingerprint": "set of films"}

_FOLDERS = ("fold1", "student", "held-out", "models", "records")

OFFSET_FILMS = 1000
"""Films on which the logits of student and teacher are compared."""

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

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is made of which films, and where.

    Attributes
    ----------
    sources : Sources
    output : Path
        Folder of the run; an interrupted run in it goes on.
    version : str
        Of the models.
    teachers, students : mapping of str to TrainingConfig
        By stage.
    folds : int
    """

    sources: Sources
    output: Path
    version: str
    teachers: dict[str, TrainingConfig]
    students: dict[str, TrainingConfig]
    folds: int = FOLDS

    def to_dict(self) -> dict[str, Any]:
        """Return what the models follow from, but for the films' contents, as JSON-ready values."""
        configs = {
            name: {stage: config.to_dict() for stage, config in of_stage.items()}
            for name, of_stage in (("teachers", self.teachers), ("students", self.students))
        }
        return {"version": self.version, "folds": self.folds, "sources": self.sources.to_dict(), **configs}


def build(plan: Plan, say: Say = print) -> Path:
    """Make the models and return their folder, ``models`` in the output.

    Raises
    ------
    DataSetError, TrainingError
        Where data or weights are not as expected, or the folder holds another run; that run is then left as
        it is.
    """
    found = find_films_to_train(plan.sources, say)
    _keep_plan(plan, found)
    say(training_time(plan, found))
    splits = block_folds(found.films, plan.folds)
    everything = Split(splits[0].train | splits[0].validation, frozenset())
    by_fold: dict[str, list[StageOutputs]] = {}
    for stage in STAGES:
        outputs = [_teach(plan, found, stage, number, split, say) for number, split in enumerate(splits, 1)]
        by_fold[stage] = outputs
        _learn(plan, found, stage, everything, soft_labels(joined(outputs)), say)
    out_of_fold = {stage: joined(outputs) for stage, outputs in by_fold.items()}
    _write_records(plan, splits, out_of_fold)
    others = {stage: joined(outputs[1:]) for stage, outputs in by_fold.items()}
    _assemble(plan.output / "fold1", plan.output / "held-out", f"{plan.version}+fold1", others, say)
    held_out = plan.output / "held-out"
    write_learnt_films(held_out, (film for film in found.films if film.name in splits[0].train))
    teachers = plan.output / "fold1", held_out
    models = _assemble(
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


def _keep_plan(plan: Plan, found: TrainingFilms) -> None:
    """Write to the folder of the run what is to be made; refuse one in which something else was begun."""
    path = plan.output / PLAN_FILE
    made: dict[str, Any] = plan.to_dict() | {"data_fingerprint": fingerprint(found.films)}
    made = json.loads(json.dumps(made))
    if not path.exists():
        if there := [name for name in _FOLDERS if (plan.output / name).exists()]:
            raise TrainingError(
                f"{plan.output} holds {' and '.join(there)}, but no {PLAN_FILE} that says of what they are "
                "made; choose another folder"
            )
        plan.output.mkdir(parents=True, exist_ok=True)
        replace_text(path, json.dumps(made, indent=1) + "\n")
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        different = [_SHOWN.get(name, name) for name, value in made.items() if before[name] != value]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{path} does not describe a run of make models; choose another folder"
        ) from error
    if different:
        raise TrainingError(
            f"{plan.output} holds a run with another {' and '.join(different)}; go on with the same films, "
            "settings and version, or choose another folder"
        )


def _write_records(plan: Plan, splits: Sequence[Split], out_of_fold: dict[str, StageOutputs]) -> None:
    """Write what tells how the models were made, without a path: folds, settings, out-of-fold predictions."""
    records = plan.output / "records"
    records.mkdir(exist_ok=True)
    folds = {name: number for number, split in enumerate(splits, 1) for name in split.validation}
    replace_text(records / "folds.json", json.dumps(dict(sorted(folds.items())), indent=0) + "\n")
    runs: dict[str, dict[str, Any]] = {}
    for folder in [*(f"fold{number}" for number in range(1, plan.folds + 1)), "student"]:
        for stage in STAGES:
            run = read_run(plan.output / folder / stage)
            run["sources"] = {
                name: [Path(path).name for path in value]
                if isinstance(value, list)
                else Path(value or "").name
                for name, value in run["sources"].items()
            }
            run["epochs"] = read_rows(plan.output / folder / stage / METRICS)
            runs.setdefault(folder, {})[stage] = run
    replace_text(records / "training.json", json.dumps(runs, indent=1) + "\n")
    costs = {
        stage: [
            json.loads((plan.output / f"fold{number}" / stage / INT8).read_text(encoding="utf-8"))
            for number in range(1, plan.folds + 1)
        ]
        for stage in STAGES
    }
    replace_text(records / "int8.json", json.dumps(costs, indent=1) + "\n")
    for stage, outputs in out_of_fold.items():
        outputs.save(records / f"out-of-fold-{stage}.csv")


def training_time(plan: Plan, found: TrainingFilms, films_per_second: float = 16.0) -> str:
    """Return a sentence on how long training takes at so many films of 224 x 224 a second."""
    main = [film for film in found.films if not film.domain]
    second = sum(film.aetiology is not None for film in main)
    pixels = 0.0
    for configs, share, times in ((plan.teachers, 1 - 1 / plan.folds, plan.folds), (plan.students, 1.0, 1)):
        for stage, config in configs.items():
            elsewhere = config.repeats * (len(found.films) - len(main))
            films = share * (second if stage == STAGES[1] else len(main) + elsewhere)
            pixels += times * films * sum(count * (size / 224) ** 2 for size, count in config.schedule)
    hours = pixels / films_per_second / 3600
    return f"about {hours:.1f} hours of training at {films_per_second:g} films of 224 x 224 a second"


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


def _assemble(
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
