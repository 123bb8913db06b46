"""``run.json`` and the other files that describe a training run."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pneumocascade.datasets.films import LabelledFilm, Split, count_by_category
from pneumocascade.errors import TrainingError
from pneumocascade.model.spec import PREPARATION, ModelSpec
from pneumocascade.training.checkpoint import replace_text
from pneumocascade.training.config import TrainingConfig, completed
from pneumocascade.training.data import SoftLabels
from pneumocascade.training.sources import Sources
from pneumocascade.training.starting_weights import StartingWeights, absolute_weights

RUN_FILE = "run.json"
SPLIT_FILE = "split.json"
DUPLICATES_FILE = "duplicates.json"

PACKAGES = ("torch", "monai", "numpy", "opencv-python-headless", "scikit-learn", "safetensors", "pillow")


def record_of(
    sources: Sources,
    config: TrainingConfig,
    spec: ModelSpec,
    weights: StartingWeights,
    films: Sequence[LabelledFilm],
    split: Split,
    soft: SoftLabels | None,
) -> dict[str, Any]:
    """Return what ``run.json`` says of a run."""
    run = {
        "config": config.to_dict(),
        "spec": json.loads(spec.to_json()),
        "stride_in_1x1": weights.stride_in_1x1,
        "sources": sources.to_dict(),
        "split_sha256": split.digest,
        "soft_sha256": None if soft is None else hashlib.sha256(json.dumps(dict(soft)).encode()).hexdigest(),
        "films": count_by_category(films),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }
    as_saved: dict[str, Any] = json.loads(json.dumps(run))
    return as_saved


def save_run(folder: Path, run: dict[str, Any], split: Split, dropped: Sequence[dict[str, Any]]) -> None:
    """Write the files that describe a run; a folder that holds another run is left alone."""
    path = folder / RUN_FILE
    if path.exists():
        before = read_run(folder)
        if "split_sha256" not in before:  # run.json of the first version
            before["split_sha256"] = Split.load(folder / SPLIT_FILE).digest
        if isinstance(before.get("config"), dict):
            before["config"] = completed(before["config"])
        if isinstance(before.get("sources"), dict):  # up to 0.1 weights stood there as they were given
            weights = str(before["sources"].get("backbone_weights"))
            before["sources"]["backbone_weights"] = absolute_weights(weights)
        keys = {"config": "config", "sources": "sources", "split_sha256": "split", "soft_sha256": "teachers"}
        different = [name for key, name in keys.items() if before.get(key) != run[key]]
        # What calibration adds to a specification later has no part in training.
        fields = (*PREPARATION, "labels", "data_fingerprint")
        if any(before.get("spec", {}).get(name) != run["spec"][name] for name in fields):
            different.append("spec")
        if different:
            raise TrainingError(
                f"{folder} holds a run with another {' and '.join(different)}; resume with the same "
                "settings, or choose another folder"
            )
    folder.mkdir(parents=True, exist_ok=True)
    replace_text(folder / DUPLICATES_FILE, json.dumps(dropped, indent=1) + "\n")
    replace_text(folder / SPLIT_FILE, split.to_json())
    if not path.exists():
        replace_text(path, json.dumps(run, indent=1) + "\n")


def read_run(folder: Path) -> dict[str, Any]:
    """Return what ``run.json`` says of a run.

    Raises
    ------
    TrainingError
        Where the file is missing or damaged.
    """
    path = folder / RUN_FILE
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{path} cannot be read ({error}); put a copy in its place, or train in another folder"
        ) from error
    if not isinstance(run, dict):
        raise TrainingError(f"{path} does not describe a run; train in another folder")
    return run
