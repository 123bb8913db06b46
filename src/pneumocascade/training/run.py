"""One training run from a data folder to a run folder that can be resumed and exported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from pneumocascade.datasets.films import (
    LabelledFilm,
    Split,
    fingerprint,
    patient_of,
)
from pneumocascade.errors import DataSetError
from pneumocascade.model.spec import ModelSpec, for_recipe
from pneumocascade.training.config import TrainingConfig
from pneumocascade.training.data import (
    FilmDataset,
    Sample,
    SoftLabels,
    loader_of,
    samples_of,
)
from pneumocascade.training.network import build_network, load_weights, unfold_batch_norm
from pneumocascade.training.run_record import SPLIT_FILE, record_of, save_run
from pneumocascade.training.sources import (
    Say,
    Sources,
    TrainingFilms,
    find_films_to_train,
    held_out_patients,
    training_films,
)
from pneumocascade.training.split import split_films
from pneumocascade.training.starting_weights import (
    WEIGHTS,
    StartingWeights,
    find_weights,
    has_stage,
)
from pneumocascade.training.summary import summarise
from pneumocascade.training.trainer import Sides, Trainer, evenly

UNFOLDING_FILMS = 256
"""Films that batch norm gets its statistics of where training starts from exported models."""


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
    if sources.split:
        films = [film for film in films if film.name in split.train | split.validation]
        if left_out := len(found.films) - len(films):
            say(f"{left_out} films are on neither side of {sources.split}: they are left out")
    spec = replace(untrained_spec(config, weights), data_fingerprint=fingerprint(films))
    sides = Sides(
        samples_of(films, split.train, spec, found.renderings, soft),
        samples_of(films, split.validation, spec, found.renderings),
    )
    _check_sides(sides, spec, config, given=sources.split is not None)
    record = record_of(sources, config, spec, weights, films, split, soft) | found.loaded
    save_run(folder, record, split, found.dropped)
    network = build_network(config.backbone, stride_in_1x1=weights.stride_in_1x1)
    report = load_weights(network, weights, config.backbone)
    afresh = ", ".join(report.modules_afresh()) or "nothing"
    say(f"{len(report.loaded)} tensors from {weights.name}; initialised afresh: {afresh}")
    if weights.folded:
        unfold_batch_norm(network, _batches(sides.train, spec, config))
    files = sum(len(sample.renderings) for sample in sides.train)
    counts = f"{len(sides.train)} films to learn from ({files} files), {len(sides.validation)} to validate on"
    say(f"stage {config.stage}: {counts}")
    shown = repeated(sides.train, config.repeats)
    Trainer(network, report, spec, config, replace(sides, train=shown), folder).run()
    if sides.validation:
        summarise(folder, network, spec, sides.validation, config)
    return folder


def untrained_spec(config: TrainingConfig, weights: StartingWeights) -> ModelSpec:
    """Return the specification of a model that is to be trained from starting weights."""
    spec = for_recipe(
        config.stage,
        config.recipe,
        size=config.size,
        input_size=config.input_size,
        smoothing_sigma=config.smoothing_sigma,
    )
    return replace(spec, backbone=config.backbone, mean=weights.mean, std=weights.std)


def repeated(samples: list[Sample], repeats: int) -> list[Sample]:
    """Return samples with those of further sources so many times."""
    return samples + [sample for sample in samples if sample.film.domain for _ in range(repeats - 1)]


def _batches(samples: Sequence[Sample], spec: ModelSpec, config: TrainingConfig) -> Iterator[Tensor]:
    """Yield inputs (N, 3, I, I) of at most ``UNFOLDING_FILMS`` films as they are."""
    dataset = FilmDataset(evenly(samples, UNFOLDING_FILMS), spec, size=spec.input_size, seed=None)
    for batch, *_ in loader_of(dataset, config.batch_size, config.workers, shuffle=False):
        yield batch


def _set_seeds(seed: int) -> None:
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)


def _split(sources: Sources, config: TrainingConfig, folder: Path, films: Sequence[LabelledFilm]) -> Split:
    """Return the split that is given, else the folder's, else a new one."""
    patients = {film.name: film.patient for film in films}
    held = held_out_patients(sources, patients)
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
