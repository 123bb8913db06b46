"""Files written byte by byte: what Pillow and pydicom rightly refuse to write."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

from tests.imaging.film_files import png_chunk

SHORT, LONG, LONG8 = 3, 4, 16
"""Types of TIFF fields (TIFF 6.0, section 2; LONG8 is BigTIFF's)."""

Field = tuple[int, int, int, int]
"""Tag, type, count, and value or offset."""

_BLOCK = 1 << 20
"""Bytes that :func:`zeros` deflates at once."""

PNG_START = b"\x89PNG\r\n\x1a\n"


def tiff_of(fields: Sequence[Field], data: bytes = b"", *, big: bool = False, following: int = 0) -> bytes:
    """Return a little-endian TIFF file with one directory at its beginning.

    Parameters
    ----------
    fields : sequence of Field
        As they are, whether or not they make sense.
    data : bytes
        Follows the directory: see :func:`data_at`.
    big : bool
        BigTIFF, with offsets of 64 bits.
    following : int
        Offset of the next directory.
    """
    start = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) if big else struct.pack("<2sHI", b"II", 42, 8)
    head = start + struct.pack("<Q" if big else "<H", len(fields))
    body = b"".join(struct.pack("<HHQQ" if big else "<HHII", *field) for field in fields)
    return head + body + struct.pack("<Q" if big else "<I", following) + data


def data_at(fields: int, *, big: bool = False) -> int:
    """Return where the data of a TIFF file by :func:`tiff_of` begins."""
    return 16 + 8 + 20 * fields + 8 if big else 8 + 2 + 12 * fields + 4


def grey_fields(
    width: int, height: int, length: int, *, compression: int = 1, big: bool = False
) -> list[Field]:
    """Return the fields of an 8-bit grey picture in one strip that follows the directory."""
    return [
        (256, LONG, 1, width),
        (257, LONG, 1, height),
        (258, SHORT, 1, 8),
        (259, SHORT, 1, compression),
        (262, SHORT, 1, 1),
        (273, LONG, 1, data_at(9, big=big)),
        (277, SHORT, 1, 1),
        (278, LONG, 1, height),
        (279, LONG, 1, length),
    ]


def tiled_fields(width: int, height: int, tile: int, length: int) -> list[Field]:
    """Return the fields of an 8-bit grey picture that is one tile, behind the directory."""
    return [
        (256, LONG, 1, width),
        (257, LONG, 1, height),
        (258, SHORT, 1, 8),
        (259, SHORT, 1, 8),
        (262, SHORT, 1, 1),
        (277, SHORT, 1, 1),
        (322, LONG, 1, tile),
        (323, LONG, 1, tile),
        (324, LONG, 1, data_at(10)),
        (325, LONG, 1, length),
    ]


def png_of(size: tuple[int, int], pixels: bytes, *, kind: int = 0, bits: int = 8, way: int = 0) -> bytes:
    """Return a PNG file.

    Parameters
    ----------
    size : tuple of int
        Width and height.
    pixels : bytes
        The IDAT chunk's content.
    kind : int
        Colour type: 0 grey, 2 colour, 3 palette, 4 and 6 with transparency.
    bits : int
    way : int
        1 for Adam7.
    """
    header = struct.pack(">IIBBBBB", *size, bits, kind, 0, 0, way)
    return PNG_START + chunks((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))


def chunks(*parts: tuple[bytes, bytes]) -> bytes:
    """Return PNG chunks with right checksums."""
    return b"".join(png_chunk(*part) for part in parts)


def with_chunks(png: bytes, *parts: tuple[bytes, bytes]) -> bytes:
    """Return a PNG file with further chunks behind its header."""
    return png[:33] + chunks(*parts) + png[33:]


def with_segments(jpeg: bytes, *segments: tuple[int, bytes]) -> bytes:
    """Return a JPEG file with further segments (second byte of the marker, content) behind its start."""
    added = b"".join(
        struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content for marker, content in segments
    )
    return jpeg[:2] + added + jpeg[2:]


def mended_png(data: bytes) -> bytes:
    """Return a damaged PNG file with right checksums, so that the damage gets past them."""
    parts, at = [data[:8]], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        if length > len(data) - at - 12:
            break
        body = data[at + 4 : at + 8 + length]
        parts.append(data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body)))
        at += 12 + length
    return b"".join([*parts, data[at:]])


def zeros(count: int, *, raw: bool = False, last: bytes = b"") -> bytes:
    """Return ``count`` zero bytes and ``last``, deflated; one block is deflated and then repeated.

    Parameters
    ----------
    count : int
    raw : bool
        Without the header and checksum of zlib.
    last : bytes
    """
    rest = bytes(count % _BLOCK) + last
    ending = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = _zero_block() * (count // _BLOCK) + ending.compress(rest) + ending.flush()
    if raw:
        return body
    checksum = 1
    for _ in range(count // _BLOCK):
        checksum = zlib.adler32(bytes(_BLOCK), checksum)
    return b"\x78\xda" + body + struct.pack(">I", zlib.adler32(rest, checksum))


def _zero_block() -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(bytes(_BLOCK)) + deflater.flush(zlib.Z_FULL_FLUSH)
