"""Results in the spool, found by study, series, instance, SOP class and modality."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pneumocascade.errors import FilmError
from pneumocascade.imaging.dicom.objects import read_object
from pneumocascade.imaging.dicom.values import text_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from pneumocascade.node.spool import Spool

Level = Literal["study", "series", "instance"]

COLUMNS = {
    "StudyInstanceUID": "f.study_uid",
    "SeriesInstanceUID": "r.series_uid",
    "SOPInstanceUID": "r.sop_instance_uid",
    "SOPClassUID": "r.sop_class_uid",
    "Modality": "r.modality",
    "ModalitiesInStudy": "r.modality",
}
"""Attributes by which results are found."""

_JOINED = "FROM result r JOIN film f ON f.id = r.film WHERE r.series_uid <> ''"
_GROUPS = {"study": "f.study_uid", "series": "r.series_uid", "instance": "r.id"}
_log = logging.getLogger(__name__)


class FoundResult(NamedTuple):
    """A result; of a study or series that was searched for, the first one.

    Attributes
    ----------
    study_uid, series_uid, sop_class_uid, sop_instance_uid, modality : str
    path : Path
        Of the object.
    """

    study_uid: str
    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    modality: str
    path: Path

    def header(self) -> Dataset:
        """Return the object up to its pixels.

        Raises
        ------
        FilmError, OSError
            Where it cannot be read, or is gone.
        """
        with self.path.open("rb") as stream:
            return read_object(stream, header_only=True)

    def dataset(self) -> Dataset:
        """Return the whole object.

        Raises
        ------
        FilmError, OSError
            Where it cannot be read, or is gone.
        """
        with self.path.open("rb") as stream:
            return read_object(stream)


class StudyContent(NamedTuple):
    """What there is of a study, or of a series.

    Attributes
    ----------
    series, instances : int
    modalities : list of str
    """

    series: int
    instances: int
    modalities: list[str]


class Catalogue:
    """Finds results in a spool. May be shared between threads.

    Parameters
    ----------
    spool : Spool
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def find(
        self, level: Level, match: Mapping[str, Sequence[str]], limit: int = -1, offset: int = 0
    ) -> list[FoundResult]:
        """Return what matches, the oldest first: one result of each study, of each series, or all.

        Parameters
        ----------
        level : str
        match : mapping of str to sequence of str
            By a name in ``COLUMNS``: the values of which an attribute must have one.
        limit, offset : int
            Of matches; -1 for no limit.

        Raises
        ------
        StorageError
            Where the spool cannot be read.
        """
        where, values = _condition(match)
        statement = (
            "SELECT f.study_uid, r.series_uid, r.sop_class_uid, r.sop_instance_uid, r.modality, r.file, "
            f"min(r.id) AS first {_JOINED}{where} GROUP BY {_GROUPS[level]} ORDER BY first LIMIT ? OFFSET ?"
        )
        rows = self._spool.rows(statement, (*values, limit, offset))
        return [
            FoundResult(study, series, sop_class, uid, modality, self._spool.folder / file)
            for study, series, sop_class, uid, modality, file, _ in rows
        ]

    def content(self, **match: str) -> StudyContent:
        """Return what there is of a study or series, given as ``StudyInstanceUID=...``.

        Raises
        ------
        StorageError
            Where the spool cannot be read.
        """
        where, values = _condition({name: [value] for name, value in match.items()})
        rows = self._spool.rows(
            f"SELECT r.series_uid, r.modality, count(*) {_JOINED}{where} GROUP BY 1, 2", values
        )
        modalities = sorted({modality for _, modality, _ in rows})
        return StudyContent(len({series for series, *_ in rows}), sum(row[2] for row in rows), modalities)

    def describe_earlier(self) -> int:
        """Let results be found that an earlier version made; return how many."""
        described = 0
        for number, file in self._spool.rows("SELECT id, file FROM result WHERE series_uid = ''"):
            try:
                with (self._spool.folder / file).open("rb") as stream:
                    head = read_object(stream, header_only=True)
            except (FilmError, OSError):
                _log.warning("a result cannot be read: it is not found by DICOMweb", extra={"result": number})
                continue
            self._spool.describe_result(number, text_of(head, "SeriesInstanceUID"), text_of(head, "Modality"))
            described += 1
        return described


def _condition(match: Mapping[str, Sequence[str]]) -> tuple[str, tuple[Any, ...]]:
    """Return what is appended to WHERE, and its values."""
    parts = [f" AND {COLUMNS[name]} IN ({', '.join('?' * len(values))})" for name, values in match.items()]
    return "".join(parts), tuple(value for values in match.values() for value in values)
