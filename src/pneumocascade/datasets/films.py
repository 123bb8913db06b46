"""Labelled films on disk: what the rest of the package and its users import.

Layout of *Chest X-Ray Images (Pneumonia)* (Kermany, Zhang, Goldbaum 2018): ``NORMAL/`` and
``PNEUMONIA/``, at the top or below ``train/``, ``val/`` and ``test/``; the aetiology is in the name
(``person12_bacteria_34.jpeg``, ``person12_virus_34.jpeg``), and so is the patient.
:func:`load_films` takes other layouts and files of labels, too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pneumocascade.datasets.folders import SPLITS, TRAINING_SPLITS, data_set_of
from pneumocascade.datasets.label_file import LabelOptions
from pneumocascade.datasets.labelled import LabelledFilm, LabelledFilms
from pneumocascade.datasets.load import load_films, load_training_films
from pneumocascade.datasets.patients import patient_of
from pneumocascade.errors import DataSetError
from pneumocascade.types import encodable

__all__ = [
    "SPLITS",
    "TRAINING_SPLITS",
    "LabelOptions",
    "LabelledFilm",
    "LabelledFilms",
    "Split",
    "count_by_category",
    "data_set_of",
    "find_films",
    "find_training_films",
    "fingerprint",
    "load_films",
    "load_training_films",
    "patient_of",
]


def find_films(root: Path, splits: Sequence[str] = SPLITS) -> list[LabelledFilm]:
    """List the labelled films below a folder, sorted by class and name.

    Parameters
    ----------
    root : Path
        Holds ``NORMAL/`` and ``PNEUMONIA/``, or folders named in ``splits`` that do.
    splits : sequence of str
        Of ``SPLITS``; the others are passed over.

    Raises
    ------
    DataSetError
        Where there is no such folder or no film in it.
    """
    return load_films(root, splits=splits).films


def find_training_films(root: Path) -> list[LabelledFilm]:
    """List the films below a folder that may be trained on: all but those of ``test/``.

    Raises
    ------
    DataSetError
        Where there is none, or one name stands for two films: a split is kept by name.
    """
    return load_training_films(root).films


@dataclass(frozen=True, slots=True)
class Split:
    """Names of the films on either side; no patient stands on both (:meth:`load` checks it).

    Attributes
    ----------
    train, validation : frozenset of str
        Film names (without suffix); renderings of one film share its name, and so its side.
    """

    train: frozenset[str]
    validation: frozenset[str]

    def to_json(self) -> str:
        """Return the split as JSON, names sorted."""
        sides = {"train": sorted(self.train), "validation": sorted(self.validation)}
        return json.dumps(sides, indent=1) + "\n"

    def save(self, path: Path) -> None:
        """Write the split as JSON."""
        path.write_text(self.to_json(), encoding="utf-8")

    @property
    def digest(self) -> str:
        """SHA-256 of the split."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @classmethod
    def load(cls, path: Path, patients: Mapping[str, str] | None = None) -> Split:
        """Read a split written by :meth:`save`.

        Parameters
        ----------
        path : Path
        patients : mapping of str to str, optional
            By film name; of films that are not in it, the name tells the patient.

        Raises
        ------
        DataSetError
            Where the file is not such a split, or a patient stands on both sides.
        """
        try:
            sides = json.loads(path.read_text(encoding="utf-8"))
            split = cls(frozenset(sides["train"]), frozenset(sides["validation"]))
            sides_of = [
                {(patients or {}).get(name) or patient_of(name) for name in side}
                for side in (split.train, split.validation)
            ]
            both = sides_of[0] & sides_of[1]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataSetError(f"{path} is not a saved split: {error!r}") from error
        if both:
            raise DataSetError(
                f"in {path} {len(both)} patients stand on both sides, such as {min(both)}; "
                "a patient's films belong on one"
            )
        return split


def fingerprint(films: Iterable[LabelledFilm]) -> str:
    """Return a SHA-256 over the names, classes and contents of films, whatever their order.

    Raises
    ------
    DataSetError
        Where a film cannot be read.
    """
    digest = hashlib.sha256()
    try:
        contents = {film: hashlib.sha256(film.path.read_bytes()).hexdigest() for film in films}
    except OSError as error:
        raise DataSetError(f"the film {error.filename} cannot be read: {error.strerror}") from error
    for line in sorted(f"{film.name} {film.category} {content}" for film, content in contents.items()):
        digest.update(encodable(line).encode() + b"\n")
    return digest.hexdigest()


def count_by_category(films: Sequence[LabelledFilm]) -> dict[str, int]:
    """Return how many films there are of each category, sorted by name."""
    categories = sorted({film.category for film in films})
    return {category: sum(film.category == category for film in films) for category in categories}
