"""Sound films in every supported format, made by code: what is then damaged."""

from __future__ import annotations

import io
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.conftest import vary_example
from tests.imaging.dicom.encoders import LOSSLESS, LOSSY, encoded
from tests.imaging.dicom.objects import dataset, sequence, table, to_bytes
from tests.imaging.dicom.test_dicomdir import written_study
from tests.imaging.film_files import encode, tiff
from torture.writers import data_at, grey_fields, png_of, tiff_of, tiled_fields

GREY: NDArray[np.uint8] = vary_example(0, 96, 128)
DEEP = (GREY.astype(np.uint16) * 16 + np.arange(128, dtype=np.uint16) % 16).astype(np.uint16)
SIXTEEN = GREY.astype(np.uint16) * np.uint16(257)
RGB = np.stack([GREY, GREY // 2 + 40, 255 - GREY], axis=2)

_TIFF_WAYS = ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "lzma")
_FAX_WAYS = ("tiff_ccitt", "group3", "group4")

_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column, first row, and steps of the seven passes (PNG, 8.2)."""


def picture_seeds() -> Iterator[tuple[str, bytes]]:
    """Yield films in the formats that Pillow writes, with the formats' names."""
    grey, colour, other = Image.fromarray(GREY), Image.fromarray(RGB), Image.fromarray(GREY[::-1].copy())
    exif = Image.Exif()
    exif[274], exif[270] = 6, "a film"
    yield "jpeg baseline grey", encode(grey, "JPEG", quality=90)
    yield "jpeg baseline colour, exif", encode(colour, "JPEG", quality=85, exif=exif)
    yield "jpeg progressive", encode(colour, "JPEG", progressive=True)
    yield "jpeg cmyk", encode(colour.convert("CMYK"), "JPEG")
    yield "jpeg mpo", encode(grey, "MPO", save_all=True, append_images=[other])
    yield "png 8 bit", encode(grey, "PNG")
    yield "png 1 bit", encode(grey.convert("1"), "PNG")
    yield "png 16 bit", encode(SIXTEEN, "PNG")
    yield "png palette", encode(colour.convert("P"), "PNG", transparency=3)
    yield "png alpha", encode(colour.convert("RGBA"), "PNG")
    yield "png grey alpha", encode(grey.convert("LA"), "PNG")
    yield "png interlaced", interlaced_png()
    yield "png animated", encode(grey, "PNG", save_all=True, append_images=[other])
    yield "webp lossy", encode(colour, "WEBP", quality=80, exif=exif)
    yield "webp lossless", encode(colour.convert("RGBA"), "WEBP", lossless=True)
    yield "webp animated", encode(grey, "WEBP", save_all=True, append_images=[other])
    yield "bmp 8 bit", encode(grey, "BMP")
    yield "bmp 24 bit", encode(colour, "BMP")
    yield "gif", encode(grey, "GIF")
    yield "gif animated", encode(grey, "GIF", save_all=True, append_images=[other])


def interlaced_png() -> bytes:
    """Return a PNG file in Adam7 order, which Pillow does not write."""
    rows = [b"\0" + row.tobytes() for x, y, across, down in _ADAM7 for row in GREY[y::down, x::across]]
    return png_of((GREY.shape[1], GREY.shape[0]), zlib.compress(b"".join(rows)), way=1)


def tiff_seeds() -> Iterator[tuple[str, bytes]]:
    """Yield films in kinds of TIFF."""
    grey, colour = Image.fromarray(GREY), Image.fromarray(RGB)
    height, width = GREY.shape
    for way in _TIFF_WAYS:
        yield f"tiff {way}", encode(colour if way == "jpeg" else grey, "TIFF", compression=way)
    for way in _FAX_WAYS:
        yield f"tiff {way}", encode(grey.convert("1"), "TIFF", compression=way)
    yield "tiff lzw 16 bit", encode(SIXTEEN, "TIFF", compression="tiff_lzw")
    yield "tiff 8 bit white is zero", tiff(GREY, "<", white_is_zero=True)
    yield "tiff 16 bit big endian", tiff(SIXTEEN, ">")
    yield "tiff 32 bit float", tiff((GREY / 255).astype(np.float32), "<")
    yield "tiff pages", encode(grey, "TIFF", save_all=True, append_images=[colour])
    yield "tiff big", tiff_of(grey_fields(width, height, GREY.size, big=True), GREY.tobytes(), big=True)
    tile = np.zeros((128, 128), np.uint8)
    tile[:height, :width] = GREY
    packed = zlib.compress(tile.tobytes())
    assert data_at(10) < len(packed)
    yield "tiff tiled", tiff_of(tiled_fields(width, height, 128, len(packed)), packed)


def dicom_seeds() -> Iterator[tuple[str, bytes | None]]:
    """Yield films in every transfer syntax; ``None`` where its encoder is not installed."""
    with tempfile.TemporaryDirectory() as folder:
        for way in (*LOSSLESS, *LOSSY):
            deep = way not in ("JPEG baseline", "JPEG extended 8")
            item = dataset(DEEP) if deep else dataset(GREY, 8)
            try:
                yield f"dicom {way}", encoded(item, way, Path(folder))
            except pytest.skip.Exception:
                yield f"dicom {way}", None
    rich = dataset(DEEP, PatientSex="F", WindowCenter=[2048, "100"], WindowWidth=[4096, "50"])
    rich.ModalityLUTSequence = sequence(table(0, np.arange(4096, dtype=np.uint16), 16))
    rich.VOILUTSequence = sequence(table(0, np.arange(4096, dtype=np.uint16), 16))
    yield "dicom look-up tables", to_bytes(rich)
    yield "dicom frames", to_bytes(dataset(np.stack([DEEP, DEEP[::-1]])))
    yield "dicom colour", to_bytes(dataset(RGB, 8))
    yield "dicom without preamble", to_bytes(dataset(GREY, 8))[132:]
    yield "dicom implicit deep", to_bytes(dataset(DEEP.astype(np.int16) - 2000, 12, RescaleSlope=2))


def archive_seeds(films: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield zip archives of films of all kinds, in each way that zip archives are packed."""
    ways = {"stored": zipfile.ZIP_STORED, "deflate": zipfile.ZIP_DEFLATED, "bzip2": zipfile.ZIP_BZIP2}
    ways["lzma"] = zipfile.ZIP_LZMA
    names = ("jpeg baseline grey", "png 16 bit", "tiff tiled", "webp lossy", "dicom explicit")
    for way, number in ways.items():
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", number) as archive:
            for name in names:
                suffix = ".dcm" if name.startswith("dicom") else f".{name.split()[0]}"
                archive.writestr(zipfile.ZipInfo(f"study/{name}{suffix}"), films[name], number)
        yield f"zip {way}", stream.getvalue()


def dicomdir_seed() -> bytes:
    """Return the DICOMDIR of a study, the same each time."""
    with tempfile.TemporaryDirectory() as folder:
        return written_study(Path(folder))[0].read_bytes()


def all_seeds() -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Return films by format, and the formats whose encoder is not installed."""
    films: dict[str, bytes] = {**dict(picture_seeds()), **dict(tiff_seeds())}
    dicom = dict(dicom_seeds())
    films |= {name: content for name, content in dicom.items() if content is not None}
    films |= dict(archive_seeds(films))
    films["dicomdir"] = dicomdir_seed()
    return films, tuple(name for name, content in dicom.items() if content is None)
