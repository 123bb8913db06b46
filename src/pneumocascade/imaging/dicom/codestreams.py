"""The size that a compressed frame itself says, before anything is decoded.

A decoder makes room for the picture that the codestream announces, and some write without asking
whether it is the size that the DICOM object says: a frame whose two sizes differ is not decoded.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

_START_OF_FRAME = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
"""Second bytes of the markers SOF0 to SOF15 (ITU-T T.81, table B.1) and of JPEG-LS (T.87)."""

_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
"""Second bytes of markers that no length follows."""

_START_OF_SCAN = 0xDA
"""Second byte of the marker SOS."""

_SIZ = b"\xff\x4f\xff\x51"
"""Start of a JPEG 2000 codestream: SOC and SIZ (ITU-T T.800, A.4 and A.5)."""

_JP2_HEADER = 4096
"""Bytes within which the codestream begins where JPEG 2000 comes with a file header."""


MAX_SCANS = 100
"""Most scans of a JPEG picture; films have 1 to 13, more are there to keep the decoder busy."""

MAX_SEGMENTS = 512
"""Segments before the first scan; the longest colour profile takes 255."""


class Size(NamedTuple):
    """What a codestream says of its picture.

    Attributes
    ----------
    rows, columns : int
    samples : int
        Per pixel.
    bits : int
        Per sample.
    """

    rows: int
    columns: int
    samples: int
    bits: int


def jpeg_size(data: bytes) -> Size | None:
    """Return the size that a JPEG or JPEG-LS codestream says, ``None`` where it is damaged."""
    at = 2
    while data[:2] == b"\xff\xd8" and at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _START_OF_FRAME:
            bits, rows, columns, samples = struct.unpack_from(">BHHB", data, at + 4)
            return Size(rows, columns, samples, bits)
        if marker == 0xFF:
            at += 1  # fill byte
        elif marker in _WITHOUT_LENGTH:
            at += 2
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return None


def is_endless(data: bytes) -> bool:
    """Return whether a JPEG or JPEG-LS codestream has too many segments or scans to be a film.

    A progressive decoder goes over the whole picture for each scan, which takes no more than some twenty
    bytes: a file of a megabyte keeps it busy for an hour. Pillow joins segments in time that grows with the
    square of their number.
    """
    at, segments = 2, 0
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != _START_OF_SCAN:
        segments += 1
        if data[at + 1] == 0xFF:
            at += 1  # fill byte
        elif data[at + 1] in _WITHOUT_LENGTH:
            at += 2
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
        if segments > MAX_SEGMENTS:
            return True
    # Within the entropy-coded data no 0xFF is followed by a marker's second byte (ITU-T T.81, B.1.1.5).
    return data.count(bytes([0xFF, _START_OF_SCAN]), at) > MAX_SCANS


def jpeg2000_size(data: bytes) -> Size | None:
    """Return the size that a JPEG 2000 or HTJ2K codestream says, ``None`` where it is damaged."""
    at = data.find(_SIZ, 0, _JP2_HEADER)
    if at < 0 or len(data) < at + 43:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", data, at + 8)
    samples, depth = struct.unpack_from(">HB", data, at + 40)
    return Size(bottom - top, right - left, samples, (depth & 0x7F) + 1)


def is_whole(data: bytes) -> bool:
    """Return whether a codestream ends with its end marker, padding aside.

    Decoders fill what is missing of one that was cut with grey, and say nothing.
    """
    return data.rstrip(b"\0\xff").endswith(b"\xff\xd9")
