"""One training run from a data folder to a run folder that can be resumed and exported."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pneumocascade.dataset import Film, Split, count_by_category, find_films, fingerprint
from pneumocascade.errors import TrainingError
from pneumocascade.spec import ModelSpec, for_recipe
from pneumocascade.training.config import TrainingConfig
from pneumocascade.training.data import renderings_by_name, samples_of
from pneumocascade.training.duplicates import Duplicate, drop_duplicates
from pneumocascade.training.loop import BEST, Films, Trainer
from pneumocascade.training.network import Backbone, build_network, find_backbone, load_backbone
from pneumocascade.training.split import split_films
from pneumocascade.training.summary import summarise

RUN_FILE = "run.json"
SPLIT_FILE = "split.json"
PACKAGES = ("torch", "monai", "numpy", "opencv-python-headless", "scikit-learn", "safetensors", "pillow")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where films and starting weights come from.

    Attributes
    ----------
    data : Path
        Labelled films; decides which films there are.
    renderings : tuple of Path
        Further folders that show some of the same films (same names) in other resolutions.
    hold_out : tuple of Path
        Folders whose films' patients are kept for validation.
    backbone_weights : str
        Path of a safetensors file, or ``"imagenet"``.
    split : Path or None
        A saved split to use again.
    """

    data: Path
    backbone_weights: str
    renderings: tuple[Path, ...] = ()
    hold_out: tuple[Path, ...] = ()
    split: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values; paths are made absolute."""
        return {
            "data": str(self.data.resolve()),
            "backbone_weights": self.backbone_weights,
            "renderings": [str(path.resolve()) for path in self.renderings],
            "hold_out": [str(path.resolve()) for path in self.hold_out],
            "split": str(self.split.resolve()) if self.split else None,
        }


def train_stage(sources: Sources, config: TrainingConfig, run: Path, say: Say = print) -> Path:
    """Train one stage in ``stage1`` or ``stage2`` of a run's folder.

    Stage 2 takes the split, and as starting weights the best weights, of the run's stage 1 where
    there are such and ``sources`` names no other split.
    """
    first = run / "stage1"
    if config.stage == 2 and (first / BEST).exists():
        split = sources.split or first / SPLIT_FILE
        sources = replace(sources, backbone_weights=str(first / BEST), split=split)
    return train(sources, config, run / f"stage{config.stage}", say)


def train(sources: Sources, config: TrainingConfig, folder: Path, say: Say = print) -> Path:
    """Train one stage, or go on with an interrupted run in the same folder.

    Parameters
    ----------
    sources : Sources
    config : TrainingConfig
    folder : Path
        Of the run: gets ``run.json``, ``split.json``, ``metrics.jsonl``, checkpoints and
        ``best.safetensors``.
    say : callable
        Is given progress, a line at a time.

    Returns
    -------
    Path
        The run's folder.

    Raises
    ------
    DataSetError, TrainingError
        Where data or weights are not as expected, or the folder holds a run of another configuration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _set_seeds(config.seed)
    films, split = _films_and_split(sources, config, folder, say)
    backbone = find_backbone(sources.backbone_weights)
    spec = replace(
        for_recipe(
            config.stage,
            config.recipe,
            size=config.size,
            input_size=config.input_size,
            smoothing_sigma=config.smoothing_sigma,
        ),
        mean=backbone.mean,
        std=backbone.std,
        data_fingerprint=fingerprint(films),
    )
    _save_run(folder, sources, config, spec, backbone, films)
    network = build_network(stride_in_1x1=backbone.stride_in_1x1)
    report = load_backbone(network, backbone.path)
    afresh = ", ".join(report.modules_afresh())
    say(f"{len(report.loaded)} tensors from {backbone.path.name}; initialised afresh: {afresh}")
    renderings = renderings_by_name(sources.renderings)
    sides = Films(
        samples_of(films, split.train, spec, renderings),
        samples_of(films, split.validation, spec, renderings),
    )
    counts = f"{len(sides.train)} films to learn from, {len(sides.validation)} to validate on"
    say(f"stage {config.stage}: {counts}")
    progress = Trainer(network, report, spec, config, sides, folder).run()
    say(f"best validation AUROC {progress.best_auroc:.4f} in epoch {progress.best_epoch}")
    summarise(folder, network, spec, sides.validation, config)
    return folder


def _set_seeds(seed: int) -> None:
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)


def _films_and_split(
    sources: Sources, config: TrainingConfig, folder: Path, say: Say
) -> tuple[list[Film], Split]:
    found = find_films(sources.data)
    films, dropped = drop_duplicates(found)
    say(f"{len(found)} films, {len(dropped)} duplicates dropped; kept {count_by_category(films)}")
    _save_duplicates(folder / "duplicates.json", dropped)
    saved = folder / SPLIT_FILE
    if sources.split is not None:
        split = Split.load(sources.split)
    elif saved.exists():
        split = Split.load(saved)
    else:
        patients = {film.patient for root in sources.hold_out for film in find_films(root)}
        split = split_films(
            films, validation_share=config.validation_share, seed=config.seed, hold_out=patients
        )
    split.save(saved)
    return films, split


def _save_duplicates(path: Path, dropped: Sequence[Duplicate]) -> None:
    rows = [
        {"dropped": d.dropped.name, "kept": d.kept.name, "kind": d.kind, "same_label": d.same_label}
        for d in dropped
    ]
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _save_run(
    folder: Path,
    sources: Sources,
    config: TrainingConfig,
    spec: ModelSpec,
    backbone: Backbone,
    films: Sequence[Film],
) -> None:
    """Write ``run.json``; a folder that holds another run is left alone."""
    run = {
        "config": config.to_dict(),
        "spec": json.loads(spec.to_json()),
        "stride_in_1x1": backbone.stride_in_1x1,
        "sources": sources.to_dict(),
        "films": count_by_category(films),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }
    run = json.loads(json.dumps(run))
    path = folder / RUN_FILE
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        different = [key for key in ("config", "spec", "sources") if before.get(key) != run[key]]
        if different:
            raise TrainingError(
                f"{folder} holds a run with another {' and '.join(different)}; resume with the same "
                "settings, or choose another folder"
            )
        return
    path.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
