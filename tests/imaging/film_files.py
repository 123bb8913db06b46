"""Films in files of every kind, written by code, and what reading them is compared with."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pytest
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from pneumocascade import FilmError, Radiograph, read_radiograph
from pneumocascade.imaging.read import MIN_READABLE_SIDE
from tests.conftest import draw_chest

GREY = draw_chest(height=48, width=64)
DEEP = GREY.astype(np.uint16) * np.uint16(257)
WITHIN_ONE = 257
"""One grey value of 255, in 16-bit values."""

Order: TypeAlias = Literal["<", ">"]

grey_arrays = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=MIN_READABLE_SIDE, max_side=40)
).filter(lambda array: array.min() < array.max())


def encode(picture: NDArray[Any] | Image.Image, kind: str, **options: Any) -> bytes:
    """Return a picture as the bytes of a file."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_header(width: int, height: int) -> bytes:
    """Return a PNG file of the given size with hardly a pixel in it."""
    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", size), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def tiff(
    pixels: NDArray[Any], order: Order, *, white_is_zero: bool = False, tags: Mapping[int, int] | None = None
) -> bytes:
    """Return an uncompressed TIFF file in the given byte order (``"<"`` or ``">"``).

    Pixels (H, W) or (H, W, 3) may be of any type; ``tags`` are further ones, or others in place of these.
    """
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    sample_format = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    samples = pixels.shape[2] if pixels.ndim == 3 else 1
    short, long = 3, 4
    entries = {
        256: (long, pixels.shape[1]),
        257: (long, pixels.shape[0]),
        258: (short, pixels.dtype.itemsize * 8),
        259: (short, 1),
        262: (short, 2 if samples > 1 else int(not white_is_zero)),
        273: (long, 0),
        277: (short, samples),
        278: (long, pixels.shape[0]),
        279: (long, len(data)),
        339: (short, sample_format),
        **{tag: (long, value) for tag, value in (tags or {}).items()},
    }
    behind = 8 + 2 + 12 * len(entries) + 4
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HIH", 42, 8, len(entries))
    lists = b""  # what does not fit into an entry: a value for each sample
    for tag, (kind, value) in sorted(entries.items()):
        if tag in (258, 339) and samples > 1:
            head += struct.pack(f"{order}HHII", tag, kind, samples, behind + len(lists))
            lists += struct.pack(f"{order}{samples}H", *[value] * samples)
            continue
        if tag == 273:
            value = behind + (4 * samples if samples > 1 else 0)
        head += struct.pack(f"{order}HHI", tag, kind, 1)
        head += struct.pack(f"{order}HH", value, 0) if kind == short else struct.pack(f"{order}I", value)
    return head + struct.pack(f"{order}I", 0) + lists + data


def sixteen_bit(film: Radiograph) -> NDArray[np.int32]:
    factor = 257 if film.pixels.dtype == np.uint8 else 1
    return film.pixels.astype(np.int32) * factor


def assert_shows(film: Radiograph, expected: NDArray[np.uint8], tolerance: int = 0) -> None:
    """Compare a film with the 8-bit picture it should show; the tolerance is in values of 65535."""
    assert film.pixels.shape == expected.shape
    assert film.pixels.dtype in (np.uint8, np.uint16)
    assert film.pixels.flags.c_contiguous
    assert int(np.abs(sixteen_bit(film) - expected.astype(np.int32) * 257).max()) <= tolerance


def code_of(source: Any) -> str:
    with pytest.raises(FilmError) as caught:
        read_radiograph(source)
    assert caught.value.message == str(caught.value)
    assert len(caught.value.message) > 10
    return caught.value.code


def film_or_code(content: bytes) -> Radiograph | str:
    try:
        return read_radiograph(content)
    except FilmError as error:
        return error.code


def make_closed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a folder that cannot be opened, whoever runs the test: to root every real one is open."""
    folder.mkdir()
    scan = os.scandir

    def refusing(path: str) -> Any:
        if str(path) == str(folder):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
