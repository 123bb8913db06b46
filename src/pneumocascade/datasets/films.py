"""Films on disk with their reference standard: folders, labels, patients, duplicates.

Layout of *Chest X-Ray Images (Pneumonia)* (Kermany, Zhang, Goldbaum 2018): ``NORMAL/`` and
``PNEUMONIA/``, at the top or below ``train/``, ``val/`` and ``test/``; the aetiology is in the name
(``person12_bacteria_34.jpeg``, ``person12_virus_34.jpeg``), and so is the patient.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pneumocascade.errors import DataSetError
from pneumocascade.imaging.read import SUFFIXES

SPLITS = ("train", "val", "test")

TRAINING_SPLITS = ("train", "val")
"""What may be trained on. Published figures are measured on ``test``: it stays unseen."""

_PERSON = re.compile(r"^(person\d+)_")
_NORMAL = re.compile(r"^((?:NORMAL\d*-)?IM-\d+)")
_NIH = re.compile(r"^(\d{8})_\d{3}$")


@dataclass(frozen=True, slots=True)
class LabelledFilm:
    """A film on disk and what is known of it.

    Attributes
    ----------
    path : Path
    name : str
        File name without suffix; the same film in another rendering has the same name.
    finding : {"normal", "pneumonia"}
    aetiology : {"bacterial", "viral"} or None
        ``None`` for a normal film, and where the name does not tell.
    patient : str
        Films of one patient never stand on both sides of a split.
    domain : str
        Whose films these are, where several sources are used together; else empty.
    """

    path: Path
    name: str
    finding: str
    aetiology: str | None
    patient: str
    domain: str = ""

    @property
    def category(self) -> str:
        """``normal``, ``bacterial``, ``viral``, or ``pneumonia`` of unknown aetiology."""
        return self.aetiology or self.finding


def patient_of(name: str) -> str:
    """Return the patient that a film's name tells, or the name where it tells none.

    ``person12_bacteria_3`` and ``person12_virus_7`` may or may not be the same child: they count
    as one. ``IM-0115-0001-0002`` is of ``IM-0115``, ``00001281_000`` (NIH ChestX-ray14) of ``00001281``.
    """
    match = _PERSON.match(name) or _NORMAL.match(name) or _NIH.match(name)
    return match.group(1) if match else name


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
    tops = [root / split for split in splits if (root / split).is_dir()] or [root]
    films = [
        _film(path, finding)
        for top in tops
        for finding in ("normal", "pneumonia")
        for path in sorted((top / finding.upper()).glob("*"))
        if path.suffix.lower() in SUFFIXES
    ]
    if not films:
        named = " or ".join(f"{split}/" for split in splits)
        raise DataSetError(
            f"no films in {root}: expected NORMAL/ and PNEUMONIA/, or {named} with these in it"
        )
    return films


def data_set_of(path: Path) -> str:
    """Return the name of the data set folder that a labelled film lies in."""
    top = path.parents[1]
    return top.parent.name if top.name in SPLITS else top.name


def find_training_films(root: Path) -> list[LabelledFilm]:
    """List the films below a folder that may be trained on: all but those of ``test/``.

    Raises
    ------
    DataSetError
        Where there is none, or one name stands for two films: a split is kept by name.
    """
    films = find_films(root, TRAINING_SPLITS)
    twice = [name for name, count in Counter(film.name for film in films).items() if count > 1]
    if twice:
        paths = " and ".join(str(film.path) for film in films if film.name == twice[0])
        raise DataSetError(
            f"{len(twice)} names stand for more than one film, such as {paths}; "
            "films are told apart by their names: give each one of its own"
        )
    return films


def _film(path: Path, finding: str) -> LabelledFilm:
    aetiology = None
    if finding == "pneumonia":
        lowered = path.stem.lower()
        aetiology = "bacterial" if "bacteria" in lowered else "viral" if "virus" in lowered else None
    return LabelledFilm(path, path.stem, finding, aetiology, patient_of(path.stem))


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
    def load(cls, path: Path) -> Split:
        """Read a split written by :meth:`save`.

        Raises
        ------
        DataSetError
            Where the file is not such a split, or a patient stands on both sides.
        """
        try:
            sides = json.loads(path.read_text(encoding="utf-8"))
            split = cls(frozenset(sides["train"]), frozenset(sides["validation"]))
            both = set(map(patient_of, split.train)) & set(map(patient_of, split.validation))
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
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def count_by_category(films: Sequence[LabelledFilm]) -> dict[str, int]:
    """Return how many films there are of each category, sorted by name."""
    categories = sorted({film.category for film in films})
    return {category: sum(film.category == category for film in films) for category in categories}
