"""The media types that films can be answered in, and which of them a request asks for (RFC 9110, 12.5.1).

To add one, add a line to ``REPRESENTATIONS``.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

from fastapi import HTTPException

from pneumocascade.errors import FilmError, UsageError
from pneumocascade.explain.html import encoded
from pneumocascade.explain.pictures import film_picture, with_banner
from pneumocascade.output.fhir.bundle import FHIR_JSON, FHIR_LINES, to_fhir_json
from pneumocascade.server.attachments import (
    ATTACHMENTS,
    MAX_HEIGHT,
    Attachment,
    Judged,
    check_objects,
    check_pdf,
    object_of,
    pdf_of,
    row_of,
)

JSON = "application/json"
DICOM = "application/dicom"


class Answered(NamedTuple):
    """What a request is answered with.

    Attributes
    ----------
    judged : list of Judged
        At least one, in the order of the request.
    left_out : int
        DICOM objects in archives that hold no picture.
    include : frozenset of str
        Any of ``ATTACHMENTS``.
    """

    judged: list[Judged]
    left_out: int
    include: frozenset[str]


class Made(NamedTuple):
    """The body of an answer and its full media type."""

    content: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Representation:
    """How to make an answer of a media type.

    Attributes
    ----------
    make : callable
        Returns the body, or body and media type where that has parameters; runs on a thread. A
        ``FilmError`` becomes status 422, a ``UsageError``, too.
    description : str
        For the API's description.
    display : bool
        Whether it needs the answers' display copies.
    one_film : bool
        Whether it holds the answer for one film only.
    check : callable, optional
        Called before films are judged; raises where it cannot be made at all.
    """

    make: Callable[[Answered], bytes | Made]
    description: str
    display: bool = False
    one_film: bool = False
    check: Callable[[], None] | None = None


def _json(answered: Answered) -> bytes:
    rows = [row_of(one, answered.include) for one in answered.judged]
    text = json.dumps({"predictions": rows, "left_out": answered.left_out}, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace")  # a name may hold half a character


def _pdf(answered: Answered) -> bytes:
    return pdf_of(answered.judged, answered.judged[0].cascade)


def _png(answered: Answered) -> bytes:
    prediction = answered.judged[0].prediction
    if prediction.error is not None:
        raise FilmError(prediction.error.code, prediction.error.message)
    assert prediction.display is not None, "asked for below"
    picture = film_picture(prediction.display, min(MAX_HEIGHT, prediction.display.height))
    return encoded(with_banner(picture, prediction), "PNG")


def _kinds(answered: Answered) -> list[Literal["sr", "sc"]]:
    kinds: tuple[Literal["sr", "sc"], ...] = ("sr", "sc")
    return [kind for kind in kinds if kind in answered.include]


def _dicom(answered: Answered) -> bytes:
    asked = _kinds(answered) or ["sr"]
    if len(asked) > 1:
        raise UsageError(f"{DICOM} is one object: ask for include=sr or include=sc, or for multipart/related")
    return object_of(answered.judged[0], asked[0])


def _multipart(answered: Answered) -> Made:
    """Return the objects as DICOMweb does (PS3.18, 8.6.1.2.1)."""
    boundary = secrets.token_hex(16)
    body = b""
    for judged in answered.judged:
        for kind in _kinds(answered) or ("sr", "sc"):
            head = f"--{boundary}\r\nContent-Type: {DICOM}\r\n\r\n"
            body += head.encode() + object_of(judged, kind) + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return Made(body, f'multipart/related; type="{DICOM}"; boundary={boundary}')


def _bundles(answered: Answered, media_type: str) -> Made:
    """Return a FHIR R4 Bundle for each film, one a line."""
    specs = answered.judged[0].cascade.specs
    text = "".join(f"{to_fhir_json(one.prediction, specs)}\n" for one in answered.judged)
    return Made(text.encode("utf-8", "backslashreplace"), f"{media_type}; fhirVersion=4.0")


REPRESENTATIONS: dict[str, Representation] = {
    JSON: Representation(_json, "The answers, and what include asks for."),
    "application/pdf": Representation(_pdf, "The report of all films.", display=True, check=check_pdf),
    DICOM: Representation(
        _dicom,
        "The DICOM structured report of one DICOM film; with include=sc its Secondary Capture.",
        display=True,
        one_film=True,
        check=check_objects,
    ),
    "multipart/related": Representation(
        _multipart,
        "The DICOM structured report and the Secondary Capture of each film, all of them DICOM films.",
        display=True,
        check=check_objects,
    ),
    "image/png": Representation(
        _png, "The picture of one film with its answer below.", display=True, one_film=True
    ),
    FHIR_JSON: Representation(
        partial(_bundles, media_type=FHIR_JSON), "The FHIR R4 Bundle of one film.", one_film=True
    ),
    FHIR_LINES: Representation(
        partial(_bundles, media_type=FHIR_LINES), "A FHIR R4 Bundle for each film, one a line."
    ),
}
"""By media type; the first one answers requests that accept anything."""


def media_type_for(accept: str | None) -> str:
    """Return the media type that a request prefers.

    Parameters
    ----------
    accept : str or None
        The Accept header; several headers are joined by commas.

    Returns
    -------
    str
        One of ``REPRESENTATIONS``. Of those that are accepted alike, the one that is named, else the first.

    Raises
    ------
    HTTPException
        Status 406 where none is accepted.
    """
    ranges = _accepted(accept) if accept and accept.strip() else {"*/*": 1.0}
    ranks = {kind: _rank(kind, ranges) for kind in REPRESENTATIONS}
    best = max(ranks, key=lambda kind: ranks[kind])
    if ranks[best][0] <= 0:
        listed = ", ".join(REPRESENTATIONS)
        raise HTTPException(406, f"the request accepts no media type of an answer; expected any of {listed}")
    return best


def _accepted(accept: str) -> dict[str, float]:
    """Return the quality, 0 to 1, of each media range; other parameters are ignored."""
    found: dict[str, float] = {}
    for part in accept.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        values = [text[2:] for text in parameters if text.startswith("q=")]
        try:
            found[kind] = float(values[0]) if values else 1.0
        except ValueError:
            found[kind] = 0.0
    return found


def _rank(kind: str, ranges: dict[str, float]) -> tuple[float, int]:
    """Return the quality of a media type, which the narrowest range decides, and how narrow that is."""
    wider = (kind, f"{kind.partition('/')[0]}/*", "*/*")
    return next(((ranges[each], -width) for width, each in enumerate(wider) if each in ranges), (0.0, 0))


def check_makeable(media_type: str, include: frozenset[str]) -> bool:
    """Return whether display copies are needed.

    Raises
    ------
    MissingExtraError
        Where packages are missing here.
    """
    asked: list[Representation | Attachment] = [REPRESENTATIONS[media_type]]
    if media_type == JSON:
        asked += [ATTACHMENTS[name] for name in include]
    for one in asked:
        if one.check is not None:
            one.check()
    return any(one.display for one in asked)


def check_films(media_type: str, films: int, most: int) -> None:
    """Refuse more films than are taken for an answer of a media type.

    Raises
    ------
    HTTPException
        Status 413 where they are more than ``most``.
    UsageError
        Where the media type holds the answer for one film only.
    """
    if films > most:
        raise HTTPException(413, f"there are more than {most} films; at most {most} are taken at once")
    if films > 1 and REPRESENTATIONS[media_type].one_film:
        raise UsageError(
            f"there are {films} films, and {media_type} holds the answer for one: send one film, or accept "
            f"{JSON}"
        )
