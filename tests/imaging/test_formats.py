"""Formats besides the usual ones: read where a decoder is at hand, else called by their name."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pneumocascade import FilmError, read_radiograph
from pneumocascade.imaging.read import MAX_PIXELS
from pneumocascade.imaging.signatures import image_format
from tests.imaging.film_files import DEEP, GREY, encode

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


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
    large = bytes(imagecodecs.jpegxl_encode(np.zeros((side, side), np.uint8)))
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
    ):
        assert image_format(text) is None
