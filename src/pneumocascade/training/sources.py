"""Where the films of a training run come from, and what is left of them without duplicates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pneumocascade.datasets.films import (
    TRAINING_SPLITS,
    LabelledFilm,
    LabelledFilms,
    LabelOptions,
    count_by_category,
    load_films,
    load_training_films,
)
from pneumocascade.errors import DataSetError
from pneumocascade.training.data import Renderings, renderings_by_name
from pneumocascade.training.duplicates import drop_duplicates
from pneumocascade.training.starting_weights import absolute_weights
from pneumocascade.types import encodable

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


def held_out_patients(sources: Sources, patients: Mapping[str, str]) -> set[str]:
    """Return the held-out patients: of a film that is also in the data, the data says whose it is."""
    whose = LabelOptions(patients=sources.labels.patients)
    return {
        patients.get(film.name, film.patient)
        for root in sources.hold_out
        for film in load_films(root, whose, TRAINING_SPLITS).films
    }
