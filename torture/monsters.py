"""Pictures made to exhaust or to mislead who reads them: bombs, claims, loops, oversized headers."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from PIL import Image

from tests.imaging.film_files import encode, tiff
from torture.seeds import GREY, RGB
from torture.writers import (
    LONG,
    LONG8,
    SHORT,
    chunks,
    data_at,
    grey_fields,
    png_of,
    tiff_of,
    tiled_fields,
    with_chunks,
    with_segments,
    zeros,
)

Maker = Callable[[], bytes]

CLAIM = 60_000
"""Side of a picture that is announced and is not there."""

SIDE = 9_400
"""Side of a square picture just below the largest that is read."""

_BITS_A_PIXEL = {(0, 8): 8, (0, 16): 16, (2, 8): 24, (2, 16): 48, (4, 16): 32, (6, 8): 32, (6, 16): 64}
"""By PNG colour type and bits of a sample."""


def monsters() -> Iterator[tuple[str, Maker]]:
    """Yield the files by name; each is made when it is asked for."""
    yield from _png()
    yield from _jpeg()
    yield from _tiff()
    yield from _others()


def _png() -> Iterator[tuple[str, Maker]]:
    small = partial(encode, GREY, "PNG")
    yield "png claims 60,000 x 60,000", lambda: png_of((CLAIM, CLAIM), zlib.compress(bytes(100)))
    yield "png claims 2^31 - 1 a side", lambda: png_of((2**31 - 1, 2**31 - 1), zlib.compress(b"\0"))
    yield "png claims nothing a side", lambda: png_of((0, 0), zlib.compress(b"\0"))
    for kind, bits in _BITS_A_PIXEL:
        for way in (0, 1):
            yield f"png bomb, type {kind}, {bits} bits, way {way}", partial(_png_bomb, kind, bits, way)
    yield "png one row of 80 million", lambda: png_of((80_000_000, 1), zeros(80_000_001))
    yield "png 16 rows of 5 million", lambda: png_of((5_000_000, 16), zeros(80_000_015, last=b"\x09"))
    for chunk in (b"zTXt", b"iTXt", b"iCCP"):
        yield f"png {chunk.decode()} bomb", partial(_text_bomb, chunk)
    yield "png 200,000 text chunks", lambda: with_chunks(small(), *[(b"tEXt", b"a\0b")] * 200_000)
    yield "png exif of 4 MB", lambda: with_chunks(small(), (b"eXIf", b"II*\0" + bytes(4 << 20)))
    yield "png exif loop", lambda: with_chunks(small(), (b"eXIf", _looped_exif()))
    yield (
        "png says 10 million frames",
        lambda: with_chunks(small(), (b"acTL", struct.pack(">II", 10_000_000, 0))),
    )
    yield "png 50,000 empty IDAT", lambda: small()[:33] + chunks(*[(b"IDAT", b"")] * 50_000) + small()[33:]


def _png_bomb(kind: int, bits: int, way: int) -> bytes:
    row = SIDE * _BITS_A_PIXEL[kind, bits] // 8
    return png_of((SIDE, SIDE), zeros((row + 1) * SIDE, last=b"\x55" * row), kind=kind, bits=bits, way=way)


def _text_bomb(kind: bytes) -> bytes:
    start = b"a\0\x01\0\0\0" if kind == b"iTXt" else b"a\0\0"
    return with_chunks(encode(GREY, "PNG"), *[(kind, start + zeros(1 << 28))] * 4)


def _looped_exif() -> bytes:
    """Return EXIF data whose sub-directories are the directory itself, orientation 6 among them."""
    fields = [(274, SHORT, 1, 6), (0x8769, LONG, 1, 8), (0x8825, LONG, 1, 8), (0xA005, LONG, 1, 8)]
    return tiff_of(fields, following=8)


def _jpeg() -> Iterator[tuple[str, Maker]]:
    small = partial(encode, GREY, "JPEG")
    for height, width in ((CLAIM, CLAIM), (65_535, 1_350), (1, 65_535), (0, 64), (SIDE, SIDE)):
        yield f"jpeg claims {width} x {height}", partial(_resized_jpeg, height, width)
    yield "jpeg exif loop", lambda: with_segments(small(), (0xE1, b"Exif\0\0" + _looped_exif()))
    yield (
        "jpeg exif of strange counts",
        lambda: with_segments(
            small(), (0xE1, b"Exif\0\0" + tiff_of([(274, kind, 2**32 - 1, 8) for kind in range(200)]))
        ),
    )
    yield (
        "jpeg 255 icc segments",
        lambda: with_segments(
            small(), *[(0xE2, b"ICC_PROFILE\0" + bytes([n, 255]) + bytes(65_000)) for n in range(1, 256)]
        ),
    )
    yield (
        "jpeg icc out of order",
        lambda: with_segments(
            small(), *[(0xE2, b"ICC_PROFILE\0" + bytes([n % 256, 3]) + b"x" * 99) for n in range(999)]
        ),
    )
    yield "jpeg 100,000 comments", lambda: with_segments(small(), *[(0xFE, b"a comment")] * 100_000)
    yield (
        "jpeg 100,000 exif segments",
        lambda: with_segments(small(), *[(0xE1, b"Exif\0\0" + _looped_exif())] * 100_000),
    )
    yield "jpeg mpf loop", lambda: with_segments(small(), (0xE2, b"MPF\0" + _mpf(1_000_000)))
    yield (
        "jpeg photoshop resources",
        lambda: with_segments(
            small(), *[(0xED, b"Photoshop 3.0\0" + b"8BIM\x03\xed\0\0\0\0\0\0" * 5_000)] * 50
        ),
    )
    for side in (512, 4_096, SIDE):
        yield f"jpeg 20,000 scans of {side} x {side}", partial(scans_without_end, side, 20_000)


def _resized_jpeg(height: int, width: int) -> bytes:
    data = encode(GREY, "JPEG")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height & 0xFFFF, width & 0xFFFF) + data[at + 4 :]


def _mpf(pictures: int) -> bytes:
    return tiff_of([(0xB000, 7, 4, 0x30303130), (0xB001, LONG, 1, pictures), (0xB002, 7, 16 * pictures, 8)])


def scans_without_end(side: int, scans: int) -> bytes:
    """Return a small progressive JPEG file that has its decoder go over the whole picture many times.

    Each scan after the first says of 32,767 blocks at once that nothing in them changes.
    """
    runs = -(-((side // 8) ** 2) // 32_767)
    header = struct.pack(">HBHHBBBB", 11, 8, side, side, 1, 1, 0x11, 0)
    quantised = b"\0" + bytes([1] * 64)
    # One code a table: the symbols 0 (DC: no difference) and 0xE0 (AC: a run of 2^14 blocks and more).
    direct = b"\x00" + bytes([1, *[0] * 15, 0])
    other = b"\x10" + bytes([1, *[0] * 15, 0xE0])
    start = b"\xff\xd8" + b"".join(
        b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content
        for marker, content in ((0xDB, quantised), (0xC4, direct), (0xC4, other))
    )
    blocks = b"\0" * (-((-side // 8) ** 2) // 8 + 1)
    first = b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0, 0, 0, 0) + blocks
    bits = "".join("0" + "1" * 14 for _ in range(runs))
    packed = (
        int(bits + "1" * (-len(bits) % 8), 2).to_bytes(-(-len(bits) // 8), "big").replace(b"\xff", b"\xff\0")
    )
    again = b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0, 1, 63, 0) + packed
    return start + b"\xff\xc2" + header + first + again * scans + b"\xff\xd9"


def _tiff() -> Iterator[tuple[str, Maker]]:
    height, width = GREY.shape
    grey = GREY.tobytes()
    yield "tiff claims 60,000 x 60,000", lambda: tiff_of(grey_fields(CLAIM, CLAIM, 100), bytes(100))
    yield (
        "tiff big claims 2^40",
        lambda: tiff_of([(tag, LONG8, 1, 2**40) for tag in (256, 257, 273, 278, 279)], big=True),
    )
    for compression in (1, 5, 8, 32773, 34712, 50000, 34925, 6, 7, 2, 65000, 0):
        for place in ("sound", "far"):
            length = 100 if place == "sound" else 2**32 - 1
            fields = grey_fields(SIDE, SIDE, length, compression=compression)
            yield f"tiff compression {compression}, {place} strip", partial(tiff_of, fields, bytes(100))
    yield "tiff deflate bomb", lambda: _tiff_bomb(SIDE)
    yield (
        "tiff deflate bomb in a small picture",
        lambda: tiff_of(grey_fields(width, height, 1_000_000, compression=8), zeros(1 << 30)),
    )
    yield "tiff tile of 2^31", lambda: tiff_of(tiled_fields(width, height, 2**31 - 16, 99), zeros(1 << 20))
    yield "tiff tile of none", lambda: tiff_of(tiled_fields(width, height, 0, 99), zeros(1 << 20))
    yield "tiff loop", lambda: tiff_of(grey_fields(width, height, len(grey)), grey, following=8)
    yield "tiff 200,000 directories", lambda: _many_directories(200_000)
    yield "tiff loop of 2,000 directories", lambda: _many_directories(2_000, back=True)
    for tag in (330, 34665, 34853, 40965):
        fields = [*grey_fields(width, height, len(grey))[:-1], (tag, LONG, 1, 8)]
        yield f"tiff sub-directory {tag} is itself", partial(tiff_of, fields, grey)
    yield "tiff 65,535 fields", lambda: tiff_of([(256, LONG, 1, 9)] * 65_535)
    yield "tiff counts of 2^32 - 1", lambda: tiff_of([(tag, 4, 2**32 - 1, 8) for tag in range(254, 350)])
    yield "tiff 65,535 samples", lambda: tiff_of([*grey_fields(99, 99, 99)[:6], (277, SHORT, 1, 65_535)])
    for value in (np.nan, np.inf, -np.inf, 1e30, -1.0, 5e-324):
        yield f"tiff float {value:g}", partial(_float_tiff, value)
    yield "tiff float of 89 million", lambda: _tiff_bomb(SIDE, bits=32)
    yield "tiff 16 bit of 89 million", lambda: _tiff_bomb(SIDE, bits=16)


def _tiff_bomb(side: int, bits: int = 8) -> bytes:
    content = zeros(side * side * bits // 8 - 4, last=struct.pack("<f", 0.5))
    fields = grey_fields(side, side, len(content), compression=8)
    fields[2] = (258, SHORT, 1, bits)
    if bits == 32:
        fields[5] = (273, LONG, 1, data_at(10))
        fields.append((339, SHORT, 1, 3))
    return tiff_of(fields, content)


def _many_directories(count: int, *, back: bool = False) -> bytes:
    size = 2 + 12 * 2 + 4
    parts = [struct.pack("<2sHI", b"II", 42, 8)]
    for number in range(1, count + 1):
        following = 8 + size * number if number < count else 8 * back
        parts.append(struct.pack("<HHHIIHHIII", 2, 256, LONG, 1, 64, 257, LONG, 1, 64, following))
    return b"".join(parts)


def _float_tiff(value: float) -> bytes:
    pixels = (GREY / 255).astype(np.float32)
    pixels[5, 5] = value
    return tiff(pixels, "<")


def _others() -> Iterator[tuple[str, Maker]]:
    grey = Image.fromarray(GREY)
    bmp, gif = encode(grey, "BMP"), encode(grey, "GIF")
    for width, height in ((CLAIM, CLAIM), (64, -64), (-64, 64), (2**31 - 1, 1), (64, -(2**31)), (SIDE, SIDE)):
        claimed = bmp[:18] + struct.pack("<ii", width, height) + bmp[26:]
        yield f"bmp claims {width} x {height}", partial(bytes, claimed)
    yield (
        "bmp run-length without end",
        lambda: bmp[:30] + struct.pack("<I", 1) + bmp[34:54] + b"\0\2\0\0" * 99_999,
    )
    yield "gif claims 65,535 x 65,535", lambda: gif[:6] + b"\xff" * 4 + gif[10:]
    frame = gif[gif.index(b"\x2c\0\0\0\0") : -1]
    yield "gif 1,000 frames", lambda: gif[:-1] + frame * 1_000 + b";"
    empty = b"\x2c" + struct.pack("<HHHHB", 0, 0, 16, 16, 0) + b"\x02\x01\x2c\0"
    yield "gif 2 million frames", lambda: gif[:-1] + empty * 2_000_000 + b";"
    yield "gif 2 million comments", lambda: gif[:13] + gif[13:781] + b"!\xfe\x01a\0" * 2_000_000 + gif[781:]
    webp = encode(Image.fromarray(RGB), "WEBP", lossless=True, icc_profile=b"x" * 999, exif=_looped_exif())
    at = webp.index(b"VP8X") + 12
    yield "webp claims 16,384 x 16,384", lambda: webp[:at] + b"\xff\x3f\0" * 2 + webp[at + 6 :]
    yield "webp exif loop", partial(bytes, webp)
    yield "webp lengths of 2^32 - 1", lambda: webp[:16] + b"\xff" * 4 + webp[20:]
    yield "no bytes", partial(bytes, b"")
    yield "one byte", partial(bytes, b"\xff")
    for name, content in (("zeros", bytes(1 << 24)), ("ones", b"\xff" * (1 << 24)), ("text", b"<svg>" * 99)):
        yield f"nothing but {name}", partial(bytes, content)
