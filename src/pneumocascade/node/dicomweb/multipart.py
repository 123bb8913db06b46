"""``multipart/related`` (RFC 2387): bodies that are read as they come, and bodies that are written."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from pathlib import Path

MAX_PARTS = 1000
"""Parts of one body."""

MAX_PREAMBLE = 4096
"""Bytes that may come before the first boundary (RFC 2046, 5.1.1)."""

MAX_BOUNDARY = 200
"""Characters of a boundary; RFC 2046, 5.1.1 has 70, and Orthanc sends 73."""

_PIECE = 1 << 16


class PartReceiver(Protocol):
    """What is told of the parts of a body, in their order."""

    def begin(self, media_type: str) -> None:
        """Take note that a part begins; the media type is in small letters, empty where it is not said."""

    def data(self, piece: memoryview) -> None:
        """Take a piece of the part."""

    def end(self) -> None:
        """Take note that the part is whole."""


def media_type_of(header: str) -> tuple[str, dict[str, str]]:
    """Return a media type in small letters, and its parameters by name."""
    kind, parameters = parse_options_header(header)
    return kind.decode("latin-1").lower(), {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in parameters.items()
    }


class MultipartReader:
    """Tells the parts of a body to a receiver while the body comes.

    Parameters
    ----------
    boundary : str
    receiver : PartReceiver

    Raises
    ------
    HTTPException
        400, here and while reading, where the body is not what the boundary says; 413 where it has more
        than ``MAX_PARTS`` parts.
    """

    def __init__(self, boundary: str, receiver: PartReceiver) -> None:
        if not 1 <= len(boundary) <= MAX_BOUNDARY or not boundary.isascii() or not boundary.isprintable():
            raise HTTPException(
                400, f"the boundary has {len(boundary)} characters; expected 1 to {MAX_BOUNDARY}"
            )
        self._delimiter = b"--" + boundary.encode()
        self._receiver = receiver
        self._preamble: bytearray | None = bytearray(b"\r\n")
        self._name, self._value, self._media_type = bytearray(), bytearray(), ""
        self._parts = 0
        self._whole = False
        self._parser = MultipartParser(
            boundary.encode(),
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._finish,
            },
        )

    def feed(self, piece: bytes) -> None:
        """Read on."""
        if self._preamble is not None:
            piece = self._without_preamble(piece)
        if not piece or self._whole:  # what comes behind the last boundary is nobody's
            return
        try:
            self._parser.write(piece)
        except FormParserError:
            raise HTTPException(
                400, f"part {max(1, self._parts)} of the body is no part of multipart/related (RFC 2046)"
            ) from None

    def close(self) -> None:
        """End; the body must be whole, and have a part."""
        if not self._whole:
            raise HTTPException(
                400, "the body ends before its last boundary: it is cut off, or the boundary is another one"
            )
        if not self._parts:
            raise HTTPException(400, "the body has no parts")

    def _without_preamble(self, piece: bytes) -> bytes:
        """Return what is left of a piece from the first boundary on."""
        assert self._preamble is not None, "looked at by the caller"
        self._preamble += piece
        found = self._preamble.find(b"\r\n" + self._delimiter)
        if found >= 0:
            rest, self._preamble = bytes(self._preamble[found + 2 :]), None
            return rest
        if len(self._preamble) > MAX_PREAMBLE + len(self._delimiter):
            raise HTTPException(400, "the body does not begin with the boundary that Content-Type names")
        return b""

    def _begin(self) -> None:
        self._parts += 1
        self._media_type = ""
        if self._parts > MAX_PARTS:
            raise HTTPException(413, f"the body has more than {MAX_PARTS} parts: send it in several requests")

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.strip().lower() == b"content-type":
            self._media_type, _ = media_type_of(self._value.decode("latin-1"))
        self._name.clear()
        self._value.clear()

    def _headers_finished(self) -> None:
        self._receiver.begin(self._media_type)

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._receiver.data(memoryview(data)[start:end])

    def _end(self) -> None:
        self._receiver.end()

    def _finish(self) -> None:
        self._whole = True


def new_boundary() -> str:
    """Return a boundary that occurs in no object, but for a chance of one in 2 to the power of 122."""
    return uuid.uuid4().hex


def multipart_body(parts: Iterable[Iterable[bytes]], media_type: str, boundary: str) -> Iterator[bytes]:
    """Yield a body with parts of one media type, each of which is given piece by piece."""
    for part in parts:
        yield f"\r\n--{boundary}\r\nContent-Type: {media_type}\r\n\r\n".encode()
        yield from part
    yield f"\r\n--{boundary}--\r\n".encode()


def pieces_of(path: Path) -> Iterator[bytes]:
    """Yield a file piece by piece; nothing where it is gone."""
    try:
        with path.open("rb") as stream:
            while piece := stream.read(_PIECE):
                yield piece
    except FileNotFoundError:
        return
