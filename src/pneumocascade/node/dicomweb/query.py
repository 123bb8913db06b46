"""QIDO-RS (PS3.18, 10.6): searches for results, and what is answered."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

from pneumocascade.errors import FilmError
from pneumocascade.node.dicomweb.attributes import chosen, json_of, keyword_of
from pneumocascade.node.dicomweb.catalogue import COLUMNS
from pneumocascade.node.uids import is_uid

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from pneumocascade.node.dicomweb.catalogue import Catalogue, FoundResult, Level

MAX_LIMIT = 200
"""Matches of one answer."""

MAX_VALUES = 200
"""Values that one attribute may be searched for."""

_MOST_OFFSET = 2**31

_STUDY = (
    *("SpecificCharacterSet", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"),
    *("TimezoneOffsetFromUTC", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID"),
)
_SERIES = ("SpecificCharacterSet", "Modality", "TimezoneOffsetFromUTC", "SeriesDescription", "SeriesNumber")
_INSTANCE = (
    *("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "TimezoneOffsetFromUTC", "InstanceNumber"),
    *("Rows", "Columns", "BitsAllocated", "NumberOfFrames"),
)
_RETURNED = {"study": _STUDY, "series": _SERIES, "instance": _INSTANCE}
"""Attributes that are returned from an object (PS3.18, tables 10.6.3-3 to 10.6.3-5)."""

_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_LEVELS: tuple[Level, ...] = ("study", "series", "instance")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ResultQuery:
    """A search.

    Attributes
    ----------
    match : mapping of str to list of str
        Values by a name of :data:`pneumocascade.node.dicomweb.catalogue.COLUMNS`.
    limit, offset : int
    include : tuple of str
        Keywords of further attributes to return.
    include_all : bool
        Return every attribute but large values.
    warnings : tuple of str
        What was asked for and is not done.
    """

    match: Mapping[str, list[str]]
    limit: int = MAX_LIMIT
    offset: int = 0
    include: tuple[str, ...] = ()
    include_all: bool = False
    warnings: tuple[str, ...] = ()

    @classmethod
    def parse(cls, parameters: Iterable[tuple[str, str]], path: Mapping[str, str]) -> ResultQuery:
        """Read a query's parameters (PS3.18, 8.3.4) and the UIDs in its path.

        Raises
        ------
        HTTPException
            400 where one is wrong, or asks for what this is not found by.
        """
        match = {name: [_checked(name, uid)] for name, uid in path.items()}
        limit, offset, include, include_all = MAX_LIMIT, 0, [], False
        warnings: list[str] = []
        for name, value in parameters:
            if name == "limit":
                limit = min(MAX_LIMIT, _whole(name, value))
            elif name == "offset":
                offset = _whole(name, value)
            elif name == "includefield":
                include_all |= value == "all"
                include += [_keyword(each) for each in value.split(",") if each != "all"]
            elif name == "fuzzymatching":
                if value.lower() == "true":
                    warnings.append(
                        "The fuzzymatching parameter is not supported. Only literal matching was done."
                    )
            elif name != "accept":
                keyword, values = _match(name, value)
                if not values:
                    continue
                if keyword in match:  # named in the path, or twice: both must hold
                    values = [each for each in values if each in match[keyword]]
                match[keyword] = values
        return cls(match, limit, offset, tuple(include), include_all, tuple(warnings))


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """Matches as DICOM JSON, and what the client is to be warned of."""

    matches: list[dict[str, Any]]
    warnings: list[str]


class Searcher:
    """Answers searches.

    Parameters
    ----------
    catalogue : Catalogue
    root : str
        URL below which ``/studies`` is.
    """

    def __init__(self, catalogue: Catalogue, root: str) -> None:
        self._catalogue = catalogue
        self._root = root

    def search(self, level: Level, query: ResultQuery, above: int) -> QueryAnswer:
        """Return what matches.

        Parameters
        ----------
        level : str
        query : ResultQuery
        above : int
            How many levels the path names: their attributes are not returned.

        Raises
        ------
        StorageError
            Where the spool cannot be read.
        """
        found = self._catalogue.find(level, query.match, query.limit + 1, query.offset)
        warnings = list(query.warnings)
        if len(found) > query.limit:
            warnings.append("There are more results that can be requested.")
        levels = _LEVELS[above : _LEVELS.index(level) + 1]
        matches = (self._described(each, levels, query) for each in found[: query.limit])
        return QueryAnswer([match for match in matches if match], warnings)

    def _described(
        self, found: FoundResult, levels: tuple[Level, ...], query: ResultQuery
    ) -> dict[str, Any] | None:
        try:
            header = found.header()
        except (FilmError, OSError):  # removed since, or damaged
            _log.warning("a result cannot be read: it is left out of an answer")
            return None
        if not query.include_all:
            names = [name for level in levels for name in _RETURNED[level]]
            header = chosen(header, tuple(dict.fromkeys((*names, *query.include))))
        self._add_found(header, found, levels)
        return json_of(header)

    def _add_found(self, header: Dataset, found: FoundResult, levels: tuple[Level, ...]) -> None:
        """Add what the catalogue knows, of the levels that are returned."""
        url = f"{self._root}/studies/{found.study_uid}"
        header.StudyInstanceUID = found.study_uid
        if "study" in levels:
            content = self._catalogue.content(StudyInstanceUID=found.study_uid)
            header.ModalitiesInStudy = content.modalities
            header.NumberOfStudyRelatedSeries = content.series
            header.NumberOfStudyRelatedInstances = content.instances
        if levels[-1] != "study":
            url += f"/series/{found.series_uid}"
            header.SeriesInstanceUID = found.series_uid
        if "series" in levels:
            series = self._catalogue.content(SeriesInstanceUID=found.series_uid)
            header.NumberOfSeriesRelatedInstances = series.instances
        if levels[-1] == "instance":
            url += f"/instances/{found.sop_instance_uid}"
        header.RetrieveURL = url
        header.InstanceAvailability = "ONLINE"


def _match(name: str, value: str) -> tuple[str, list[str]]:
    """Return the column and the values of a match; no values where it matches all (PS3.4, C.2.2.2.3)."""
    keyword = keyword_of(name)
    if keyword and value.strip() in ("", "*"):
        return keyword, []
    if keyword not in COLUMNS:
        known = ", ".join(COLUMNS)
        raise HTTPException(400, f"results are not found by {name[:64]!r}: expected any of {known}")
    values = [each.strip() for each in value.replace("\\", ",").split(",") if each.strip()]
    if not 1 <= len(values) <= MAX_VALUES:
        raise HTTPException(400, f"{keyword} has {len(values)} values; expected 1 to {MAX_VALUES}")
    column = "Modality" if keyword == "ModalitiesInStudy" else keyword
    return column, [_checked(keyword, each) for each in values]


def _checked(keyword: str, value: str) -> str:
    if keyword in _UIDS and not is_uid(value):
        raise HTTPException(400, f"{keyword} is no UID: expected digits and dots, at most 64")
    return value


def _keyword(name: str) -> str:
    keyword = keyword_of(name)
    if not keyword:
        raise HTTPException(400, f"there is no attribute {name[:64]!r}: expected a keyword, a tag, or all")
    return keyword


def _whole(name: str, value: str) -> int:
    if not value.isascii() or not value.isdecimal() or int(value[:11]) > _MOST_OFFSET:
        raise HTTPException(400, f"{name} is {value[:20]!r}; expected a whole number, 0 or more")
    return int(value)
