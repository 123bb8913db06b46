"""WADO-RS (PS3.18, 10.4): results, their metadata, and large values of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydicom.uid import ExplicitVRLittleEndian
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from pneumocascade.errors import FilmError
from pneumocascade.node.dicomweb.accept import OCTET_STREAM, form_of
from pneumocascade.node.dicomweb.attributes import json_of
from pneumocascade.node.dicomweb.multipart import multipart_body, new_boundary, pieces_of
from pneumocascade.node.dicomweb.store import APPLICATION_DICOM
from pneumocascade.node.uids import is_uid

if TYPE_CHECKING:
    from starlette.requests import Request

    from pneumocascade.node.dicomweb.catalogue import Catalogue, FoundResult

PIXELS = "7FE00010"
"""Tag of the pixels."""

_SYNTAX = f"; transfer-syntax={ExplicitVRLittleEndian}"
_log = logging.getLogger(__name__)


def found_by_path(catalogue: Catalogue, path: Mapping[str, str]) -> list[FoundResult]:
    """Return the results that a path names.

    Parameters
    ----------
    catalogue : Catalogue
    path : mapping of str to str
        UIDs by keyword.

    Raises
    ------
    HTTPException
        400 where one is no UID, 404 where there are none.
    """
    for keyword, uid in path.items():
        if not is_uid(uid):
            raise HTTPException(400, f"{keyword} is no UID: expected digits and dots, at most 64")
    found = catalogue.find("instance", {keyword: [uid] for keyword, uid in path.items()})
    if not found:
        raise HTTPException(404, "there are no results: not yet, not any more, or the UIDs are others")
    return found


def objects(request: Request, found: list[FoundResult]) -> Response:
    """Return objects, as they are in the spool.

    Raises
    ------
    HTTPException
        406 where the client does not take them.
    """
    form = form_of(request, APPLICATION_DICOM)
    if form == "single" and len(found) == 1:
        return StreamingResponse(pieces_of(found[0].path), media_type=APPLICATION_DICOM + _SYNTAX)
    if form == "single":
        raise HTTPException(406, f"there are {len(found)} objects: they are given as multipart/related")
    return _multipart((pieces_of(each.path) for each in found), APPLICATION_DICOM)


def metadata(found: list[FoundResult], root: str) -> list[dict[str, Any]]:
    """Return all attributes of objects as DICOM JSON; large values by their URI.

    Parameters
    ----------
    found : list of FoundResult
    root : str
        URL below which ``/studies`` is.
    """
    made = []
    for each in found:
        url = f"{root}/studies/{each.study_uid}/series/{each.series_uid}/instances/{each.sop_instance_uid}"
        try:
            made.append(json_of(each.dataset(), url))
        except (FilmError, OSError):  # removed since, or damaged
            _log.warning("a result cannot be read: it is left out of an answer")
    return made


def bulk_data(request: Request, found: FoundResult, tag: str) -> Response:
    """Return one value of bytes of an object.

    Raises
    ------
    HTTPException
        404 where there is none; 406 where the client does not take it.
    """
    form = form_of(request, OCTET_STREAM)
    value: object = None
    try:
        dataset = found.dataset()
        value = dataset[int(tag, 16)].value if len(tag) == 8 else None
    except (FilmError, OSError, ValueError, KeyError):
        pass  # as where it is no value of bytes
    if not isinstance(value, bytes):
        raise HTTPException(404, f"the object has no value of bytes in {tag[:16]!r}")
    if form == "single":
        return Response(value, media_type=OCTET_STREAM + _SYNTAX)
    return _multipart([[value]], OCTET_STREAM)


def _multipart(parts: Iterable[Iterable[bytes]], media_type: str) -> Response:
    boundary = new_boundary()
    return StreamingResponse(
        multipart_body(parts, media_type + _SYNTAX, boundary),
        media_type=f'multipart/related; type="{media_type}"; boundary={boundary}',
    )
