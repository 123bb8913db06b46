"""The loader of labelled films: folders, a file of labels, patients; what is left out is counted.

1. All files below the folder are looked at, as ``predict`` does: films are found by suffix or content.
2. Labels come from the file of labels where one is given, else from class folders and names.
3. Each film gets a patient, from the first of these that names one: the pattern or file of patients, the
   file of labels, the Patient ID of a DICOM object, the film's name; else it is a patient of its own.
4. What does not become a labelled film is counted by reason.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from pneumocascade.datasets.by_file import label_by_file
from pneumocascade.datasets.folders import SPLITS, TRAINING_SPLITS, label_by_folder, split_of
from pneumocascade.datasets.label_file import LabelOptions, is_csv, read_label_file
from pneumocascade.datasets.labelled import LabelledFilm, LabelledFilms
from pneumocascade.datasets.labels import FoundFilm, folder_meanings
from pneumocascade.datasets.left_out import LeftOut
from pneumocascade.datasets.match import FilmIndex, match_labels, match_patients
from pneumocascade.datasets.patients import Patients, patient_pattern
from pneumocascade.errors import DataSetError, UsageError
from pneumocascade.imaging.find import find_sources
from pneumocascade.imaging.studies import Found

_REASON_OF = {
    "other file": "not_a_film",
    "other object": "no_picture",
    "linked folder": "linked_folder",
    "unopened": "unopened",
}
"""Reasons by what files are instead of films."""

_ALL_ONE = 10
"""DICOM films from which on it is remarked that all have the same Patient ID."""

NO_OPTIONS = LabelOptions()


def load_films(
    root: Path | str | None = None, options: LabelOptions = NO_OPTIONS, splits: Sequence[str] = SPLITS
) -> LabelledFilms:
    """Load labelled films: all that ``evaluate``, ``train`` and ``calibrate`` work on.

    Parameters
    ----------
    root : path, optional
        Folder of the films, or a CSV file of labels. Without a file of labels, its class folders
        (``NORMAL``, ``PNEUMONIA``, ``BACTERIAL``, ``VIRAL``, at any depth and in any case) are the labels. By
        default, the folder of the file of labels.
    options : LabelOptions
        File of labels, its columns and values, patients.
    splits : sequence of str
        Of ``SPLITS``: films below folders of the others are left out. A folder with such splits in it is read
        by its splits alone.

    Returns
    -------
    LabelledFilms
        Sorted by split, class and path; with a file of labels, in its order.

    Raises
    ------
    DataSetError
        Where there is no labelled film, or the file of labels or patients is not as expected.
    UsageError
        Where neither a folder nor a file of labels is given, or an option makes no sense.
    """
    root, options = _places(root, options)
    if not root.is_dir():
        raise DataSetError(f"no films in {root}: there is no such folder")
    loader = _Loader(root, options, tuple(splits))
    found = loader.load()
    if not found.films:
        raise DataSetError(_nothing(found, loader))
    return found


def load_training_films(root: Path | None, options: LabelOptions = NO_OPTIONS) -> LabelledFilms:
    """Load the films that may be trained on: all but those below ``test``.

    Raises
    ------
    DataSetError
        Where there is none, or one name stands for two films: a split is kept by name.
    """
    found = load_films(root, options, TRAINING_SPLITS)
    twice = [name for name, count in Counter(film.name for film in found.films).items() if count > 1]
    if twice:
        paths = " and ".join(str(film.path) for film in found.films if film.name == twice[0])
        raise DataSetError(
            f"{len(twice)} names stand for more than one film, such as {paths}; "
            "films are told apart by their names: give each one of its own"
        )
    return found


def _places(root: Path | str | None, options: LabelOptions) -> tuple[Path, LabelOptions]:
    """Return the folder of the films, and the options with the file of labels."""
    folder = None if root is None else Path(root)
    if folder is not None and options.labels is None and is_csv(folder) and folder.is_file():
        folder, options = None, replace(options, labels=folder)
    if options.labels is None and (options.columns or options.values):
        raise UsageError("columns and values of labels go with a file of labels: give --labels FILE.csv")
    if folder is None and options.labels is not None:
        folder = options.labels.parent
    if folder is None:
        raise UsageError(
            "no films are named: give a folder of labelled films, or a file of labels with --labels"
        )
    return folder, options


def _nothing(found: LabelledFilms, loader: _Loader) -> str:
    lines = "".join(f"; {line}" for line in found.left_out.lines())
    if loader.options.labels is not None:
        return (
            f"no films in {found.root} that {loader.options.labels} labels normal or pneumonia: expected "
            f"rows with the path of a film, and a finding such as normal, pneumonia, 0 or 1{lines}"
        )
    named = " or ".join(f"{split}/" for split in loader.splits)
    return f"no films in {found.root}: expected NORMAL/ and PNEUMONIA/, or {named} with these in it{lines}"


class _Loader:
    """One run of :func:`load_films`; paths are absolute until films are made of them."""

    def __init__(self, root: Path, options: LabelOptions, splits: tuple[str, ...]) -> None:
        self.root, self.options, self.splits = root, options, splits
        self.left_out = LeftOut()
        self.top = Path(os.path.abspath(root))  # noqa: PTH100  links stay as they are
        self.files = self._find_files()

    def _find_files(self) -> list[Path]:
        """Return the films below the folder; what is none is left out."""
        own = {
            Path(os.path.abspath(each))  # noqa: PTH100
            for each in (self.options.labels, self.options.patients)
            if each is not None and is_csv(each)
        }
        files, others = _walk(self.top)
        for name, kind in others:
            if (path := Path(name)) not in own:
                shown = path.relative_to(self.top).as_posix() if path.is_relative_to(self.top) else name
                self.left_out.add(_REASON_OF.get(kind, "not_a_film"), shown)
        return files

    def load(self) -> LabelledFilms:
        """Return the films."""
        patients, remarks = self._patients(), []
        if self.options.labels is None:
            found = label_by_folder(self.files, self.top, self.splits, self.left_out)
        else:
            labels = read_label_file(self.options)
            matched = match_labels(labels, self._index_for(labels.path), self.left_out)
            found = label_by_file(labels, matched, self.files, self.top, self.splits, self.left_out)
            if matched.dropped:
                folders = "/".join(matched.dropped)
                remarks.append(f"the paths of {labels.path} are read without {folders}/ at their beginning")
        films = [self._film(film, patients) for film in found]
        return LabelledFilms(self.root, films, self.left_out, remarks + _remarks_on_ids(films))

    def _film(self, film: FoundFilm, patients: Patients) -> LabelledFilm:
        inside = film.path.is_relative_to(self.top)
        below = film.path.relative_to(self.top) if inside else film.path
        patient, source = patients.of(film.path, below.as_posix(), film.name, film.patient)
        return LabelledFilm(
            self.root / below,
            film.name,
            film.label.finding or "",
            film.label.aetiology,
            patient,
            patient_source=source,
            data_set=film.data_set,
        )

    def _index_for(self, file: Path) -> FilmIndex:
        return FilmIndex(self.top, self.files, Path(os.path.abspath(file.parent)))  # noqa: PTH100

    def _patients(self) -> Patients:
        given = self.options.patients
        if given is None:
            return Patients()
        if not is_csv(given):
            return Patients(pattern=patient_pattern(given))
        index = self._index_for(Path(given))
        return Patients(of_film=match_patients(Path(given), index, self.left_out))


def _walk(top: Path) -> tuple[list[Path], list[Found]]:
    """Return the films below a folder and what else is there.

    Links to folders are followed where they are called as classes or splits and do not lead back.
    """
    files: list[Path] = []
    others: list[Found] = []
    folders, seen = [top], {os.path.realpath(top)}
    for folder in folders:
        found: list[Found] = []
        films = [Path(each) for each in find_sources([str(folder)], left_out=found)]
        files += [path for path in films if path != folder]
        for name, kind in found:
            if kind == "linked folder" and _is_followed(Path(name), seen):
                seen.add(os.path.realpath(name))
                folders.append(Path(name))
            else:
                others.append((name, kind))
    return files, others


def _is_followed(link: Path, seen: Collection[str]) -> bool:
    target = os.path.realpath(link)
    back = target in seen or Path(os.path.realpath(link.parent)).is_relative_to(target)
    return not back and bool(folder_meanings(link.name) or split_of([link.name]))


def _remarks_on_ids(films: Sequence[LabelledFilm]) -> list[str]:
    ids = [film.patient for film in films if film.patient_source == "dicom"]
    if len(ids) < _ALL_ONE or len(set(ids)) > 1:
        return []
    return [
        f"all {len(ids)} DICOM films have the same Patient ID and count as one patient; where "
        "de-identification made it so, --patients says whose they are"
    ]
