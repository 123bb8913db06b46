"""The size that a compressed frame itself says, before anything is decoded.

A decoder makes room for the picture that the codestream announces, and some write without asking
whether it is the size that the DICOM object says: a frame whose two sizes differ is not decoded.
"""

from __future__ import annotations

import re
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

_START_OF_DATA, _END_OF_CODESTREAM = b"\xff\x93", b"\xff\xd9"
"""Markers SOD and EOC of JPEG 2000."""

_JPEG_XL = b"\xff\x0a"
"""Start of a JPEG XL codestream."""

_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Width to height of JPEG XL, by its code from 1."""

_END_OF_IMAGE = 0xD9
"""Second byte of the marker EOI."""

_MARKER = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
"""A marker, between segments or within the data of a scan, restarts (RST0 to RST7) left out."""

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
    at = _start_of_frame(data)
    if at is None:
        return None
    bits, rows, columns, samples = struct.unpack_from(">BHHB", data, at + 4)
    return Size(rows, columns, samples, bits)


def jpeg_marker(data: bytes) -> int | None:
    """Return the second byte of the marker that starts a JPEG frame, which tells its process."""
    at = _start_of_frame(data)
    return None if at is None else data[at + 1]


def _start_of_frame(data: bytes) -> int | None:
    """Return where the frame header of a JPEG or JPEG-LS codestream begins."""
    at = 2
    while data[:2] == b"\xff\xd8" and at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _START_OF_FRAME:
            return at
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


def end_of_jpeg(data: bytes) -> int | None:
    """Return where a JPEG or JPEG-LS codestream ends, ``None`` where it is cut.

    Decoders fill what is missing with grey, and say nothing. Real objects have spaces, zeros or left-over
    bytes behind the end.
    """
    at = 2
    while data[:2] == b"\xff\xd8" and (found := _MARKER.search(data, at)) is not None:
        at, marker = found.end(), data[found.end() - 1]
        if marker == _END_OF_IMAGE:
            return at
        at += max(2, int.from_bytes(data[at : at + 2], "big"))
    return None


def is_whole_jpeg2000(data: bytes) -> bool:
    """Return whether a JPEG 2000 or HTJ2K codestream has its end, whatever comes behind.

    Within packets no 0xFF is followed by more than 0x8F (ITU-T T.800, B.10.1).
    """
    start = data.find(_START_OF_DATA)
    return start >= 0 and data.find(_END_OF_CODESTREAM, start) >= 0


def jpeg_xl_size(data: bytes) -> Size | None:
    """Return the size that a JPEG XL codestream says (ISO/IEC 18181-1, size header), else ``None``.

    Samples and bits are not looked for: they are 0.
    """
    at = 0
    if data[4:8] == b"JXL ":
        box = max(data.find(b"jxlc"), data.find(b"jxlp"))
        at = data.find(_JPEG_XL, box) if box >= 0 else -1
    if at < 0 or data[at : at + 2] != _JPEG_XL:
        return None
    number, used = int.from_bytes(data[at + 2 : at + 14], "little"), 0

    def bits(count: int) -> int:
        nonlocal used
        value = number >> used & ((1 << count) - 1)
        used += count
        return value

    def side() -> int:
        return 8 * (bits(5) + 1) if small else bits((9, 13, 18, 30)[bits(2)]) + 1

    small = bits(1)
    rows = side()
    ratio = bits(3)
    if ratio == 0:
        return Size(rows, side(), 0, 0)
    across, down = _RATIOS[ratio - 1]
    return Size(rows, rows * across // down, 0, 0)
