"""The folder layout: class and split of a film from the folders that it lies in, at any depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pneumocascade.datasets.labels import (
    AETIOLOGIES,
    BACTERIAL,
    NORMAL,
    PNEUMONIA,
    VIRAL,
    FoundFilm,
    Label,
    folder_meanings,
    label_of,
)
from pneumocascade.datasets.left_out import LeftOut
from pneumocascade.imaging.read import SUFFIXES
from pneumocascade.imaging.studies import DICOM_SUFFIXES

SPLITS = ("train", "val", "test")

TRAINING_SPLITS = ("train", "val")
"""What may be trained on. Published figures are measured on ``test``: it stays unseen."""

_SPLIT_OF = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


@dataclass(frozen=True, slots=True)
class Place:
    """What the folders of a film say.

    Attributes
    ----------
    split : {"train", "val", "test"} or None
    meanings : frozenset of str
        What the class folders say; empty where there is none.
    name : str
        Path below the innermost class folder, without suffix, with ``/`` between folders; the file's name
        where it lies in a class folder itself, or in none.
    """

    split: str | None
    meanings: frozenset[str]
    name: str

    @property
    def label(self) -> Label:
        """The label by the folders, of pneumonia also by the name."""
        found = label_of(self.meanings)
        if found.finding == PNEUMONIA and not self.meanings & AETIOLOGIES:
            return Label(PNEUMONIA, aetiology_by_name(self.name))
        return found


def place_of(path: Path, root: Path) -> Place:
    """Return what the folders between a root and a film say of it."""
    folders = path.relative_to(root).parts[:-1]
    said = [folder_meanings(folder) for folder in folders]
    inmost = max((index for index, meanings in enumerate(said) if meanings), default=len(folders) - 1)
    name = "/".join((*folders[inmost + 1 :], name_of_film(path.name)))
    return Place(split_of(folders), frozenset().union(*said), name)


def split_of(folders: Sequence[str]) -> str | None:
    """Return the split that folders name: ``test`` wherever it is among them, else the first."""
    splits = [_SPLIT_OF[folder.casefold()] for folder in folders if folder.casefold() in _SPLIT_OF]
    return "test" if "test" in splits else splits[0] if splits else None


def name_of_film(file: str) -> str:
    """Return a file's name without the suffix of a film; what else follows a dot is part of the name."""
    suffix = Path(file).suffix
    known = suffix.casefold() in SUFFIXES or suffix.casefold() in DICOM_SUFFIXES
    return file[: -len(suffix)] if known else file


def aetiology_by_name(name: str) -> str | None:
    """Return the aetiology that is in a pneumonia film's name, as in ``person12_virus_34``."""
    lowered = name.rpartition("/")[2].casefold()
    return BACTERIAL if "bacteria" in lowered else VIRAL if "virus" in lowered else None


def data_set_of(path: Path) -> str:
    """Return the name of the folder that holds the splits or class folders above a film.

    Of a film that lies in neither, it is the folder of the film.
    """
    folders = path.parent.parts
    marks = [bool(folder_meanings(folder)) or folder.casefold() in _SPLIT_OF for folder in folders]
    if not any(marks):
        return path.parent.name
    end = len(marks) - marks[::-1].index(True)
    start = end
    while start and marks[start - 1]:
        start -= 1
    return folders[start - 1] if start else ""


def label_by_folder(
    files: Sequence[Path], root: Path, splits: Sequence[str], left_out: LeftOut
) -> list[FoundFilm]:
    """Return the films that class folders label, sorted by split, class and path.

    Parameters
    ----------
    files : sequence of Path
        Films below the root.
    root : Path
        Absolute.
    splits : sequence of str
        Splits that are read. A root with such splits in it is read by these alone.
    left_out : LeftOut
        Gets the other films.
    """
    tops = {path.relative_to(root).parts[0] for path in files if path.parent != root}
    tops = {top for top in tops if split_of([top]) in splits}
    found: list[tuple[tuple[int, int, Path], FoundFilm]] = []
    for path in files:
        place = place_of(path, root)
        label = place.label
        outside = bool(tops) and path.relative_to(root).parts[0] not in tops
        if reason := _reason_against(place, label, splits, outside=outside):
            left_out.add(reason, path.relative_to(root).as_posix())
            continue
        split = -1 if place.split is None else splits.index(place.split)
        rank = (split, (NORMAL, PNEUMONIA).index(label.finding or ""), path)
        found.append((rank, FoundFilm(path, place.name, label, data_set_of(path))))
    return [film for _, film in sorted(found, key=lambda pair: pair[0])]


def _reason_against(place: Place, label: Label, splits: Sequence[str], *, outside: bool) -> str:
    if place.split is not None and place.split not in splits:
        return "other_split"
    return "outside_splits" if outside and label.finding else label.reason
