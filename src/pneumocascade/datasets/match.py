"""From a path in a file of labels to the film that it names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pneumocascade.datasets.folded import folded
from pneumocascade.datasets.folders import name_of_film
from pneumocascade.datasets.label_file import LabelFile, LabelRow, read_patient_rows
from pneumocascade.datasets.labels import Label, label_of
from pneumocascade.datasets.left_out import LeftOut
from pneumocascade.errors import DataSetError


class FilmIndex:
    """The films below a folder, to be found by what files of labels call them.

    1. A path counts from the folder of the file that has it, then from the folder of the films.
    2. Else it is the end of one film's path: ``images/0001.png``, or the file's name alone.
    3. In both, the suffix may be missing or another one; capitals and Unicode form may differ.

    Paths may be Windows paths.

    Parameters
    ----------
    root : Path
        Folder of the films, absolute.
    films : iterable of Path
        The films below it, absolute.
    beside : Path
        Folder of the file that has the paths, absolute.
    """

    def __init__(self, root: Path, films: Iterable[Path], beside: Path) -> None:
        self.folders = (beside, root) if beside != root else (root,)
        self._films: set[Path] = set()
        self._by_name: dict[str, list[Path]] = {}
        for film in films:
            self._films.add(film)
            for name in {folded(film.name), folded(name_of_film(film.name))}:
                self._by_name.setdefault(name, []).append(film)

    def find(self, text: str, skip: int = 0) -> list[Path]:
        """Return the film that a path names; none where there is none, several where it may be each of them.

        Parameters
        ----------
        text : str
        skip : int
            Leading folders of the path that are dropped; it then counts from the folders alone.
        """
        parts = parts_of(text)[skip:]
        if not parts:
            return []
        plain = Path(*parts)
        for path in (plain,) if skip else (Path(text), plain):
            for folder in self.folders:
                there = os.path.abspath(folder / path)  # noqa: PTH100  links stay as they are
                if Path(there) in self._films or os.path.isfile(there):  # noqa: PTH113  never raises
                    return [Path(there)]
        return self._by_end(parts, whole=bool(skip))

    def _by_end(self, parts: Sequence[str], *, whole: bool) -> list[Path]:
        """Return the films whose path ends so, or with ``whole`` is so below one of the folders."""
        *folders, last = parts
        names = dict.fromkeys((folded(last), folded(name_of_film(last))))
        for name in names:
            ends = [
                film
                for film in self._by_name.get(name, ())
                if (self._is_below if whole else _ends_with)(film, folders)
            ]
            exact = [film for film in ends if _ends_with(film, folders, exactly=True)]
            full = [film for film in exact or ends if folded(film.name) == folded(last)]
            if ends:
                return full or exact or ends
        return []

    def _is_below(self, film: Path, folders: Sequence[str]) -> bool:
        """Return whether a film lies just so below one of the folders."""
        return any(
            list(map(folded, film.relative_to(top).parts[:-1])) == list(map(folded, folders))
            for top in self.folders
            if film.is_relative_to(top)
        )


def _ends_with(film: Path, folders: Sequence[str], *, exactly: bool = False) -> bool:
    own = film.parts[:-1][-len(folders) :] if folders else ()
    if exactly:
        return list(own) == list(folders)
    return list(map(folded, own)) == list(map(folded, folders))


def parts_of(text: str) -> tuple[str, ...]:
    """Return the folders and the file of a path, POSIX or Windows, without drive, ``/`` and ``.``."""
    plain = re.sub(r"^[A-Za-z]:", "", text.strip()).replace("\\", "/")
    return tuple(part for part in PurePosixPath(plain).parts if part != "/" and part != "//")


def common_folders(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the leading folders that all paths share."""
    common: tuple[str, ...] | None = None
    for text in texts:
        folders = parts_of(text)[:-1]
        if common is None:
            common = folders
        shared = 0
        while shared < min(len(common), len(folders)) and common[shared] == folders[shared]:
            shared += 1
        common = common[:shared]
    return common or ()


@dataclass(slots=True)
class RowsOfFilm:
    """The rows of a file of labels that name one film; at least one.

    Attributes
    ----------
    rows : list of LabelRow
    """

    rows: list[LabelRow] = field(default_factory=list)

    @property
    def path(self) -> str:
        """The path as the first row has it."""
        return self.rows[0].path

    @property
    def label(self) -> Label:
        """What the rows amount to."""
        return label_of(frozenset().union(*(row.meanings for row in self.rows)))

    @property
    def patient(self) -> str:
        """The patient that the rows name, else empty."""
        return next((row.patient for row in self.rows if row.patient), "")

    @property
    def aetiology(self) -> str:
        """Line and value of the first aetiology that is neither bacterial nor viral, else empty."""
        return next((f"line {row.line}: {row.aetiology!r}" for row in self.rows if row.aetiology), "")

    @property
    def shown(self) -> str:
        """The rows for people: lines, column, value and path."""
        others = "".join(f" and {row.said}" for row in self.rows[1:2])
        return f"{self.rows[0].said}{others}: {self.path}"


@dataclass(frozen=True, slots=True)
class MatchedLabels:
    """The rows of a file of labels by the films that they name.

    Attributes
    ----------
    rows : dict of Path to RowsOfFilm
        In the order of the file; the paths are absolute.
    dropped : tuple of str
        Leading folders of the paths that are not there, and were dropped.
    """

    rows: dict[Path, RowsOfFilm]
    dropped: tuple[str, ...] = ()


def match_labels(labels: LabelFile, index: FilmIndex, left_out: LeftOut) -> MatchedLabels:
    """Find the film of each row of a file of labels.

    Folders that all paths begin with need not be there: the data set may lie elsewhere by now. They are
    dropped only where no path leads to a film with them.

    Parameters
    ----------
    labels : LabelFile
    index : FilmIndex
    left_out : LeftOut
        Gets the rows that name no film, or several, and those that say nothing new.

    Raises
    ------
    DataSetError
        Where two rows name different patients for a film.
    """
    common = common_folders(row.path for row in labels.rows)
    for skip in range(len(common) + 1):
        now = LeftOut()
        rows = _matched(labels, index, skip, now)
        if rows or not skip:
            best, found = now, MatchedLabels(rows, common[:skip])
        if rows:
            break
    left_out.include(best)
    return found


def _matched(labels: LabelFile, index: FilmIndex, skip: int, left_out: LeftOut) -> dict[Path, RowsOfFilm]:
    said: dict[Path, RowsOfFilm] = {}
    missing: dict[str, RowsOfFilm] = {}
    for row in labels.rows:
        found = index.find(row.path, skip)
        if len(found) > 1:
            left_out.add("ambiguous_file", f"line {row.line}: {row.path}")
            continue
        rows = (
            said.setdefault(found[0], RowsOfFilm()) if found else missing.setdefault(row.path, RowsOfFilm())
        )
        if row.patient and rows.patient not in ("", row.patient):
            raise DataSetError(
                f"{labels.path}, line {row.line}: the patient is {row.patient!r}, but an earlier line says "
                f"{rows.patient!r} of {row.path}; a film is of one patient"
            )
        if any(row.meanings == each.meanings for each in rows.rows):
            left_out.add("repeated_row", f"line {row.line}: {row.path}")
        rows.rows.append(row)
    for rows in missing.values():
        if rows.label.finding or not labels.has_findings:
            left_out.add("missing_file", f"line {rows.rows[0].line}: {rows.path}")
        else:
            left_out.add(rows.label.reason, rows.shown)
    return said


def match_patients(file: Path, index: FilmIndex, left_out: LeftOut) -> dict[Path, str]:
    """Return the patients that a file of patients names, by absolute path.

    Raises
    ------
    DataSetError
        Where the file is not as expected, or names two patients for a film.
    """
    patients: dict[Path, str] = {}
    for line, text, patient in read_patient_rows(file):
        found = index.find(text)
        if len(found) != 1:
            left_out.add("unused_patient", f"line {line}: {text}")
        elif patient and patients.setdefault(found[0], patient) != patient:
            raise DataSetError(
                f"{file}, line {line}, column 'patient', is {patient!r}, but an earlier line says "
                f"{patients[found[0]]!r} of {text}; a film is of one patient"
            )
    return patients
