"""One training run from a data folder to a run folder that can be resumed and exported."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pneumocascade.datasets.films import (
    TRAINING_SPLITS,
    LabelledFilm,
    LabelledFilms,
    LabelOptions,
    Split,
    count_by_category,
    fingerprint,
    load_films,
    load_training_films,
    patient_of,
)
from pneumocascade.errors import DataSetError, TrainingError
from pneumocascade.model.spec import DEFAULT_BACKBONE, PREPARATION, ModelSpec, for_recipe
from pneumocascade.training.checkpoint import replace_text
from pneumocascade.training.config import TrainingConfig
from pneumocascade.training.data import (
    FilmDataset,
    Renderings,
    Sample,
    SoftLabels,
    loader_of,
    renderings_by_name,
    samples_of,
)
from pneumocascade.training.duplicates import drop_duplicates
from pneumocascade.training.network import build_network, load_weights, unfold_batch_norm
from pneumocascade.training.split import split_films
from pneumocascade.training.starting_weights import (
    WEIGHTS,
    StartingWeights,
    absolute_weights,
    find_weights,
    has_stage,
)
from pneumocascade.training.summary import summarise
from pneumocascade.training.trainer import Sides, Trainer, evenly
from pneumocascade.types import encodable

RUN_FILE = "run.json"
SPLIT_FILE = "split.json"
DUPLICATES_FILE = "duplicates.json"

UNFOLDING_FILMS = 256
"""Films that batch norm gets its statistics of where training starts from exported models."""

PACKAGES = ("torch", "monai", "numpy", "opencv-python-headless", "scikit-learn", "safetensors", "pillow")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where films and starting weights come from.

    Attributes
    ----------
    data : Path
        Labelled films; decides which films there are. Films below ``test/`` are left out, here and in
        the other folders: published figures are measured on them.
    renderings : tuple of Path
        Further folders that show some of the same films (same names) in other resolutions.
    hold_out : tuple of Path
        Folders whose films' patients are kept for validation.
    backbone_weights : str
        Where to start from: ``"imagenet"``, ``"bundled"``, a folder of models or of a run, or a safetensors
        file; see :func:`~pneumocascade.training.starting_weights.find_weights`.
    split : Path or None
        A saved split to use again.
    elsewhere : tuple of Path
        Labelled films of other sources, for stage 1; the folder's name is their domain.
    labels : LabelOptions
        File of labels and patients of ``data``; its patients are those of ``hold_out``, too. Any folder but
        ``data`` may also be a file of labels with the usual columns.
    """

    data: Path
    backbone_weights: str
    renderings: tuple[Path, ...] = ()
    hold_out: tuple[Path, ...] = ()
    split: Path | None = None
    elsewhere: tuple[Path, ...] = ()
    labels: LabelOptions = field(default_factory=LabelOptions)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values; paths are made absolute."""
        return {
            "data": str(self.data.resolve()),
            "backbone_weights": absolute_weights(self.backbone_weights),
            "renderings": [str(path.resolve()) for path in self.renderings],
            "hold_out": [str(path.resolve()) for path in self.hold_out],
            "split": str(self.split.resolve()) if self.split else None,
            "elsewhere": [str(path.resolve()) for path in self.elsewhere],
            **self.labels.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class TrainingFilms:
    """The films to train with.

    Attributes
    ----------
    films : list of LabelledFilm
        Without duplicates and films that cannot be read.
    dropped : list of dict
        A row for ``duplicates.json`` for each of those.
    renderings : mapping of (str, str) to sequence of Path
        Further files by finding and name.
    loaded : dict
        For ``run.json``: ``patients_from`` and ``left_out``, as the loader counted them.
    """

    films: list[LabelledFilm]
    dropped: list[dict[str, Any]]
    renderings: Renderings
    loaded: dict[str, Any] = field(default_factory=dict)


def stages_to_train(sources: Sources, stage: str, say: Say = print) -> tuple[int, ...]:
    """Return the numbers of the stages to train.

    Parameters
    ----------
    sources : Sources
    stage : {"1", "2", "both"}
        Of ``"both"``, stage 2 is left out where no film has an aetiology.
    say : callable
        Is told so.
    """
    if stage != "both":
        return (int(stage),)
    if any(film.aetiology for film in training_films(sources)):
        return 1, 2
    say("no film has an aetiology: stage 1 is trained alone")
    return (1,)


def train_stage(sources: Sources, config: TrainingConfig, run: Path, say: Say = print) -> Path:
    """Train one stage in ``stage1`` or ``stage2`` of a run's folder.

    Stage 2 takes the split of the run's stage 1 where there is such and ``sources`` names no other split, and
    its weights to start from unless ``sources`` starts from models or a run with a stage 2.
    """
    first = run / "stage1"
    if config.stage == 2 and (first / WEIGHTS).exists():
        sources = replace(sources, split=sources.split or first / SPLIT_FILE)
        if not has_stage(sources.backbone_weights, 2):
            sources = replace(sources, backbone_weights=str(first / WEIGHTS))
    return train(sources, config, run / f"stage{config.stage}", say)


def train(
    sources: Sources,
    config: TrainingConfig,
    folder: Path,
    say: Say = print,
    *,
    found: TrainingFilms | None = None,
    soft: SoftLabels | None = None,
) -> Path:
    """Train one stage, or go on with an interrupted run in the same folder.

    Parameters
    ----------
    sources : Sources
    config : TrainingConfig
    folder : Path
        Of the run: gets ``run.json``, ``split.json``, ``metrics.jsonl``, checkpoints and
        ``weights.safetensors``.
    say : callable
        Is given progress, a line at a time.
    found : TrainingFilms, optional
        What :func:`find_films_to_train` returned for these sources.
    soft : mapping of str to float, optional
        Teachers' probabilities of the positive class by the films' names.

    Returns
    -------
    Path
        The run's folder.

    Raises
    ------
    DataSetError, TrainingError
        Where data or weights are not as expected, or the folder holds another run; that run is then
        left as it is.
    """
    _set_seeds(config.seed)
    weights = find_weights(sources.backbone_weights, config.backbone, config.stage)
    found = found or find_films_to_train(sources, say)
    films = found.films
    split = _split(sources, config, folder, films)
    spec = replace(
        for_recipe(
            config.stage,
            config.recipe,
            size=config.size,
            input_size=config.input_size,
            smoothing_sigma=config.smoothing_sigma,
        ),
        backbone=config.backbone,
        mean=weights.mean,
        std=weights.std,
        data_fingerprint=fingerprint(films),
    )
    sides = Sides(
        samples_of(films, split.train, spec, found.renderings, soft),
        samples_of(films, split.validation, spec, found.renderings),
    )
    _check_sides(sides, spec, config, given=sources.split is not None)
    record = _record(sources, config, spec, weights, films, split, soft) | found.loaded
    _save_run(folder, record, split, found.dropped)
    network = build_network(config.backbone, stride_in_1x1=weights.stride_in_1x1)
    report = load_weights(network, weights, config.backbone)
    afresh = ", ".join(report.modules_afresh()) or "nothing"
    say(f"{len(report.loaded)} tensors from {weights.name}; initialised afresh: {afresh}")
    if weights.folded:
        unfold_batch_norm(network, _batches(sides.train, spec, config))
    files = sum(len(sample.renderings) for sample in sides.train)
    counts = f"{len(sides.train)} films to learn from ({files} files), {len(sides.validation)} to validate on"
    say(f"stage {config.stage}: {counts}")
    shown = [sample for sample in sides.train if sample.film.domain for _ in range(config.repeats - 1)]
    Trainer(network, report, spec, config, replace(sides, train=sides.train + shown), folder).run()
    if sides.validation:
        summarise(folder, network, spec, sides.validation, config)
    return folder


def _batches(samples: Sequence[Sample], spec: ModelSpec, config: TrainingConfig) -> Iterator[Tensor]:
    """Yield inputs (N, 3, I, I) of at most ``UNFOLDING_FILMS`` films as they are."""
    dataset = FilmDataset(evenly(samples, UNFOLDING_FILMS), spec, size=spec.input_size, seed=None)
    for batch, _ in loader_of(dataset, config.batch_size, config.workers, shuffle=False):
        yield batch


def _set_seeds(seed: int) -> None:
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)


def find_films_to_train(sources: Sources, say: Say = print) -> TrainingFilms:
    """Find films, drop duplicates and what cannot be read, and find the other renderings.

    Raises
    ------
    DataSetError
        Where there are none, or one name stands for two films.
    """
    for root in (sources.data, *sources.renderings, *sources.hold_out, *sources.elsewhere):
        if (root / "test").is_dir():
            test = encodable(str(root / "test"))
            say(f"{test} is left out: what models are measured on is not trained on")
    loaded = load_sources(sources)
    found = loaded.films
    films, duplicates, unreadable = drop_duplicates(found)
    counts = f"{len(duplicates)} duplicates and {len(unreadable)} unreadable films dropped"
    say(f"{len(found)} films, {counts}; kept {count_by_category(films)}")
    rows: list[dict[str, Any]] = [
        {"dropped": d.dropped.name, "kept": d.kept.name, "kind": d.kind, "same_label": d.same_label}
        for d in duplicates
    ]
    for bad in unreadable:
        say(encodable(f"{bad.dropped.path} is dropped: {bad.reason}"))
        rows.append(
            {
                "dropped": bad.dropped.name,
                "kind": "unreadable",
                "path": str(bad.dropped.path),
                "reason": bad.reason,
            }
        )
    return TrainingFilms(films, rows, renderings_by_name(sources.renderings, say), loaded.to_dict())


def training_films(sources: Sources) -> list[LabelledFilm]:
    """Return all films of the sources; see :func:`load_sources`."""
    return load_sources(sources).films


def load_sources(sources: Sources) -> LabelledFilms:
    """Load all films of the sources, those from elsewhere with their domain.

    Raises
    ------
    DataSetError
        Where a folder has none, or one name stands for two films: a split is kept by name.
    """
    found = load_training_films(sources.data, sources.labels)
    films = found.films
    patients = {film.patient for film in films}
    for root in sources.elsewhere:
        others = load_training_films(root)
        found.left_out.include(others.left_out)
        films += [_from_elsewhere(film, others.root.absolute().name, patients) for film in others.films]
    names = Counter(film.name for film in films)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise DataSetError(
            f"{len(twice)} names stand for films of two sources, such as {twice[0]}; give each film its own"
        )
    return found


def _from_elsewhere(film: LabelledFilm, domain: str, patients: set[str]) -> LabelledFilm:
    """Return a film with its domain; a patient who is called like one of the main source is another one.

    But not by Patient ID and its issuer: films with the same ones are of one person wherever they lie.
    """
    another = film.patient in patients and film.patient_source != "dicom"
    patient = f"{domain}: {film.patient}" if another else film.patient
    return replace(film, domain=domain, patient=patient)


def _split(sources: Sources, config: TrainingConfig, folder: Path, films: Sequence[LabelledFilm]) -> Split:
    """Return the split that is given, else the folder's, else a new one."""
    patients = {film.name: film.patient for film in films}
    held = _held_out(sources, patients)
    path = sources.split or folder / SPLIT_FILE
    if not (sources.split or path.exists()):
        return split_films(films, validation_share=config.validation_share, seed=config.seed, hold_out=held)
    split = Split.load(path, patients)
    leaked = held & {patients.get(name) or patient_of(name) for name in split.train}
    if leaked:
        raise DataSetError(
            f"{path} has {len(leaked)} held-out patients on the training side, such as {min(leaked)}; "
            "use a split that was made with this hold-out"
        )
    return split


def _held_out(sources: Sources, patients: Mapping[str, str]) -> set[str]:
    """Return the held-out patients: of a film that is also in the data, the data says whose it is."""
    whose = LabelOptions(patients=sources.labels.patients)
    return {
        patients.get(film.name, film.patient)
        for root in sources.hold_out
        for film in load_films(root, whose, TRAINING_SPLITS).films
    }


def _check_sides(sides: Sides, spec: ModelSpec, config: TrainingConfig, *, given: bool) -> None:
    """Refuse films that nothing could be learnt from, or nothing measured on.

    Of patients to validate on, export needs one half to calibrate on and the other to measure on, of each
    domain.
    """
    needed = [(sides.train, "learn from", 1, "")]
    if sides.validation or not given:  # a given split may keep none: export then needs other predictions
        needed.append((sides.validation, "validate on", 2, ""))
    domains = sorted({sample.film.domain for sample in sides.validation})
    for domain in domains if len(domains) > 1 else ():
        own = [sample for sample in sides.validation if sample.film.domain == domain]
        needed.append(
            (own, f"validate on in {domain or 'the data set itself'}", 2, ", or more to validate on")
        )
    for side, purpose, least, advice in needed:
        for index, label in enumerate(spec.labels):
            patients = {sample.film.patient for sample in side if sample.label == index}
            if len(patients) < least:
                raise DataSetError(
                    f"there are {label} films of {len(patients)} patients to {purpose}, but stage "
                    f"{spec.stage} needs {least} or more of each class: give films of more patients{advice}"
                )
    if len(sides.train) < config.batch_size:
        raise DataSetError(
            f"{len(sides.train)} films to learn from do not fill one batch of {config.batch_size}; "
            "give more films, or a smaller batch size"
        )


def _record(
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


def _save_run(folder: Path, run: dict[str, Any], split: Split, dropped: Sequence[dict[str, Any]]) -> None:
    """Write the files that describe a run; a folder that holds another run is left alone."""
    path = folder / RUN_FILE
    if path.exists():
        before = read_run(folder)
        if "split_sha256" not in before:  # run.json of the first version
            before["split_sha256"] = Split.load(folder / SPLIT_FILE).digest
        if isinstance(before.get("config"), dict):  # up to 2.0 there was one backbone
            before["config"] = {"backbone": DEFAULT_BACKBONE, **before["config"]}
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
