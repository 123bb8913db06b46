"""What ``make models`` is to make, and what is kept of how it was made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pneumocascade.datasets.films import Split, fingerprint
from pneumocascade.errors import TrainingError
from pneumocascade.model.store import STAGES
from pneumocascade.training.calibrate import StageOutputs
from pneumocascade.training.checkpoint import replace_text
from pneumocascade.training.config import TrainingConfig, completed
from pneumocascade.training.run_record import read_run
from pneumocascade.training.sources import Sources, TrainingFilms
from pneumocascade.training.trainer import METRICS, read_rows

FOLDS = 3
PLAN_FILE = "plan.json"
INT8 = "int8.json"

_SHOWN = {"data_fingerprint": "set of films"}

_FOLDERS = ("fold1", "student", "held-out", "models", "records")


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


def keep_plan(plan: Plan, found: TrainingFilms) -> None:
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
        for name in ("teachers", "students"):
            before[name] = {stage: completed(settings) for stage, settings in before[name].items()}
        different = [_SHOWN.get(name, name) for name, value in made.items() if before[name] != value]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingError(
            f"{path} does not describe a run of make models; choose another folder"
        ) from error
    if different:
        raise TrainingError(
            f"{plan.output} holds a run with another {' and '.join(different)}; go on with the same films, "
            "settings and version, or choose another folder"
        )


def write_records(plan: Plan, splits: Sequence[Split], out_of_fold: dict[str, StageOutputs]) -> None:
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


def training_time(plan: Plan, found: TrainingFilms, rate: float) -> str:
    """Return a sentence on how long the whole training takes at so many films of 224 x 224 a second."""
    main = [film for film in found.films if not film.domain]
    second = sum(film.aetiology is not None for film in main)
    pixels = 0.0
    for configs, share, times in ((plan.teachers, 1 - 1 / plan.folds, plan.folds), (plan.students, 1.0, 1)):
        for stage, config in configs.items():
            elsewhere = config.repeats * (len(found.films) - len(main))
            films = share * (second if stage == STAGES[1] else len(main) + elsewhere)
            pixels += times * films * sum(count * (size / 224) ** 2 for size, count in config.schedule)
    hours = pixels / rate / 3600
    return (
        f"about {hours:.1f} hours of training at {rate:.1f} films of 224 x 224 a second, without reading and "
        "changing them"
    )
