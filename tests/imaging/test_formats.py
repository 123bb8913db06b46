"""Formats besides the usual ones: read where a decoder is at hand, else called by their name."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pneumocascade import FilmError, read_radiograph
from pneumocascade.imaging.read import MAX_PIXELS
from pneumocascade.imaging.signatures import _BEGINNINGS, _BRANDS, NOT_IMAGES, image_format
from tests.imaging.dicom.objects import dataset, to_bytes
from tests.imaging.film_files import DEEP, GREY, Order, encode, tiff

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


ORDERS: tuple[Order, ...] = ("<", ">")


def as_npy(array: NDArray[np.generic]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


LOSSLESS = {
    "JPEG XL": bytes(imagecodecs.jpegxl_encode(GREY, lossless=True)),
    "JPEG XL, in a container": bytes(imagecodecs.jpegxl_encode(GREY, lossless=True, usecontainer=True)),
    "JPEG 2000": encode(GREY, "JPEG2000"),
    "PGM": encode(GREY, "PPM"),
    "NumPy": as_npy(GREY),
    "NumPy, in three channels": as_npy(np.repeat(GREY[..., None], 3, axis=2)),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_every_pixel_is_kept(name: str) -> None:
    film = read_radiograph(LOSSLESS[name])
    assert film.pixels.dtype == np.uint8
    assert np.array_equal(film.pixels, GREY)
    assert film.warnings == ()


@pytest.mark.parametrize(
    "content",
    [
        bytes(imagecodecs.jpegxl_encode(DEEP, lossless=True)),
        encode(Image.fromarray(DEEP), "JPEG2000"),
        encode(Image.fromarray(DEEP), "PPM"),
        as_npy(DEEP),
    ],
    ids=["JPEG XL", "JPEG 2000", "PGM", "NumPy"],
)
def test_sixteen_bits_are_kept(content: bytes) -> None:
    assert np.array_equal(read_radiograph(content).pixels, DEEP)


def test_avif_is_read() -> None:
    film = read_radiograph(encode(Image.fromarray(GREY), "AVIF", quality=95))
    assert np.abs(film.pixels.astype(int) - GREY).max() <= 12


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (HEIC, "HEIC is not read; expected JPEG, PNG"),
        (b"%PDF-1.7\n", "PDF is not read"),
        (b"\x1f\x8b\x08" + bytes(40), "gzip archive is not read"),
        (LOSSLESS["JPEG XL"][:40], "the JPEG XL file is damaged"),
        (LOSSLESS["NumPy"][:90], "the NumPy file is damaged"),
        (LOSSLESS["JPEG 2000"][:60], "the image's header is damaged"),
        (as_npy(np.array([{"a": 1}], dtype=object)), "the NumPy file is damaged, or no array"),
        (b"hello", "these 5 bytes are not an image"),
    ],
)
def test_what_is_not_read_is_named(content: bytes, words: str) -> None:
    with pytest.raises(FilmError, match=words):
        read_radiograph(content)


def test_sizes_are_bounded_before_anything_is_decoded() -> None:
    header = as_npy(np.zeros((4, 4), np.uint8)).replace(b"(4, 4), ", b"(99999, 99999), "[:8])
    with pytest.raises(FilmError):
        read_radiograph(header)
    side = int(MAX_PIXELS**0.5) + 100
    large = bytes(imagecodecs.jpegxl_encode(np.zeros((side, side), np.uint8), effort=1))
    with pytest.raises(FilmError, match="at most"):
        read_radiograph(large)


def pages(*pictures: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    first, *others = (Image.fromarray(picture) for picture in pictures)
    first.save(stream, "TIFF", save_all=True, append_images=others)
    return stream.getvalue()


def test_the_full_size_page_of_a_tiff_with_thumbnails_is_read() -> None:
    small = np.ascontiguousarray(GREY[::2, ::2])
    for order in ((GREY, small), (small, GREY), (small, GREY, small)):
        assert np.array_equal(read_radiograph(pages(*order)).pixels, GREY)
    for several in ((GREY, GREY), (GREY, np.ascontiguousarray(GREY[:, ::-1]), small), (GREY,) * 9):
        with pytest.raises(FilmError, match="several pictures"):
            read_radiograph(pages(*several))


def test_beginnings_tell_the_format() -> None:
    for kind, name in {
        "PNG": "PNG",
        "WEBP": "WebP",
        "BMP": "BMP",
        "GIF": "GIF",
        "TIFF": "TIFF",
        "AVIF": "AVIF",
    }.items():
        assert image_format(encode(GREY, kind)[:132]) == name
    for text in (
        b"",
        b"P",
        b"P5",
        b"BM is no bitmap, though it begins like one",
        b"a/film.png\nb/film.png\n",
        b"RIFF",
        b"P2 films/a.png\nP2 films/b.png\n",
        b"P5 2024/a.png\n",
        b"P5 2024 films/a.png\n",
        b"P6 first",
    ):
        assert image_format(text) is None


@pytest.mark.parametrize(
    "head", [b"P5\n300 240\n255\n", b"P2 300\n240 255 ", b"P6\r\n# by a program\r\n300 ", b"P3\t3 #wide\n2 9"]
)
def test_a_netpbm_header_has_a_width_or_a_comment_behind_its_magic_number(head: bytes) -> None:
    assert image_format(head) == "PNM"


TABLE: dict[str, list[bytes]] = {
    "JPEG": [encode(GREY, "JPEG")],
    "PNG": [encode(GREY, "PNG")],
    "TIFF, BigTIFF": [tiff(GREY, "<"), tiff(GREY / 255, ">"), encode(GREY, "TIFF", big_tiff=True)],
    "WebP": [encode(GREY, "WEBP")],
    "BMP": [encode(GREY, "BMP")],
    "GIF": [encode(GREY, "GIF")],
    "JPEG 2000": [LOSSLESS["JPEG 2000"]],
    "JPEG XL": [LOSSLESS["JPEG XL"], LOSSLESS["JPEG XL, in a container"]],
    "AVIF": [encode(Image.fromarray(GREY), "AVIF")],
    "PGM, PPM": [encode(GREY, "PPM"), encode(Image.fromarray(GREY).convert("RGB"), "PPM")],
    "NumPy array (`.npy`)": [LOSSLESS["NumPy"]],
    "DICOM": [to_bytes(dataset(GREY, 8))],
    "HEIC": [HEIC],
    "PDF": [b"%PDF-1.7\n" + bytes(40)],
    "HDF5": [b"\x89HDF\r\n\x1a\n" + bytes(40)],
    "NIfTI": [b"n+1\0" + bytes(40)],
    "gzip archive": [b"\x1f\x8b\x08" + bytes(40)],
    "any of these with 8 to 15 bits in 16": [
        encode(DEEP >> 4, "PNG"),
        tiff(DEEP >> 3, ">"),
        as_npy(DEEP >> 2),
    ],
    "any of these with the EXIF data of a camera": [],  # tests/imaging/test_read.py
}
"""A small file or more for each line of the table in docs/formats.md."""


def documented() -> dict[str, str]:
    """Return the formats of the table and what happens to each."""
    text = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
    table = text.split("| format | | |\n| --- | --- | --- |\n")[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")] for line in table.splitlines()]
    return {row[1]: row[2] for row in rows}


def test_the_table_of_the_documents_is_complete() -> None:
    assert sorted(documented()) == sorted(TABLE)
    names = {name for _, name in _BEGINNINGS} | set(_BRANDS)
    lines = " ".join(TABLE)
    assert [name for name in sorted(names) if name not in lines] == []
    assert {name for name, verdict in documented().items() if verdict == "refused"} == {*NOT_IMAGES, "HEIC"}


@pytest.mark.parametrize("name", TABLE)
def test_the_table_of_the_documents_is_true(name: str) -> None:
    verdict = documented()[name]
    for content in TABLE[name]:
        if verdict == "refused":
            with pytest.raises(FilmError, match=name):
                read_radiograph(content)
            continue
        film = read_radiograph(content)
        assert film.pixels.shape == GREY.shape
        assert bool(film.warnings) == (verdict == "warning")


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_floats_of_any_width_in_tiff_are_read_alike(kind: type, order: Order) -> None:
    shares: NDArray[Any] = (GREY / 255).astype(kind)
    film = read_radiograph(tiff(shares, order))
    assert film.pixels.dtype == np.uint16
    assert np.abs(film.pixels / 257 - GREY).max() <= 0.1
    inverted = read_radiograph(tiff(shares, order, white_is_zero=True))
    assert np.array_equal(inverted.pixels, 65535 - film.pixels)
    in_255 = read_radiograph(tiff(GREY.astype(kind), order))
    assert np.array_equal(in_255.pixels, GREY.astype(np.uint16) * 257)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_floats_in_colour_are_read(kind: type) -> None:
    colour: NDArray[Any] = np.repeat((GREY / 255).astype(kind)[..., None], 3, axis=2)
    film = read_radiograph(tiff(colour, "<"))
    assert np.abs(film.pixels.astype(int) - GREY).max() <= 1


@pytest.mark.parametrize("kind", [np.uint16, np.uint32, np.int32, np.uint64])
def test_wide_integers_in_tiff_are_read_in_both_orders(kind: type) -> None:
    for order in ORDERS:
        assert np.array_equal(read_radiograph(tiff(DEEP.astype(kind), order)).pixels, DEEP)


def test_a_float_film_is_turned_upright_by_its_orientation() -> None:
    turned = read_radiograph(tiff(GREY.astype(np.float64), "<", tags={274: 6}))
    assert np.array_equal(turned.pixels, np.rot90(GREY, -1).astype(np.uint16) * 257)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (tiff(GREY.astype(np.float64), "<")[:-100], "unreadable_image"),
        (tiff(GREY.astype(np.float64), "<", tags={256: 0}), "unreadable_image"),
        (tiff(GREY.astype(np.float64), "<", tags={256: 60_000, 257: 60_000}), "too_many_pixels"),
        (tiff(GREY.astype(np.float64), "<", tags={339: 6}), "unreadable_image"),
        (tiff(np.full(GREY.shape, np.nan), "<"), "non_finite_values"),
        (tiff(GREY.astype(np.float64) * 300, "<"), "bad_value_range"),
        (b"II*\0\xff\xff\xff\xff", "unreadable_image"),
        (b"II*\0\x08\0\0\0\x01\0", "unreadable_image"),
        (b"II*\0", "unreadable_image"),
    ],
    ids=["cut", "no width", "huge", "complex", "not a number", "beyond 255", "far", "short", "head"],
)
def test_what_a_float_tiff_may_be_wrong_in_is_said(content: bytes, code: str) -> None:
    with pytest.raises(FilmError) as caught:
        read_radiograph(content)
    assert caught.value.code == code
