"""Every format gives the grey picture that a viewer would show."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import ExifTags, Image

from pneumocascade import read_radiograph
from pneumocascade.errors import UnreadableImageError
from pneumocascade.imaging.read import MIN_READABLE_SIDE
from tests.imaging.film_files import (
    DEEP,
    GREY,
    WITHIN_ONE,
    Order,
    assert_shows,
    encode,
    grey_arrays,
    tiff,
)

# Files of every kind


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "BMP", "GIF"])
@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_lossless_files_give_the_grey_values_back(kind: str, mode: str) -> None:
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    assert_shows(read_radiograph(encode(Image.fromarray(GREY).convert(mode), kind, **options)), GREY)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_lossy_files_give_nearly_the_grey_values_back(kind: str, mode: str) -> None:
    film = read_radiograph(encode(Image.fromarray(GREY).convert(mode), kind, quality=95))
    assert_shows(film, GREY, 16 * WITHIN_ONE)
    assert np.abs(film.pixels.astype(int) - GREY).mean() < 2
    assert film.colourfulness < 3


@given(grey_arrays)
def test_a_png_gives_any_picture_back(array: NDArray[np.uint8]) -> None:
    film = read_radiograph(encode(array, "PNG"))
    assert film.pixels.dtype == np.uint8
    assert np.array_equal(film.pixels, array)


@given(grey_arrays, st.sampled_from(["TIFF", "BMP"]))
def test_an_array_and_its_file_agree(array: NDArray[np.uint8], kind: str) -> None:
    assert np.array_equal(read_radiograph(array).pixels, array)
    assert np.array_equal(read_radiograph(encode(array, kind)).pixels, array)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("pixels", [GREY, DEEP], ids=["8 bit", "16 bit"])
def test_compressed_tiff(compression: str | None, pixels: NDArray[Any]) -> None:
    assert_shows(read_radiograph(encode(pixels, "TIFF", compression=compression)), GREY)


def test_sixteen_bit_grey_keeps_its_depth() -> None:
    rising = np.linspace(0, 65535, 64 * 48).round().astype(np.uint16).reshape(48, 64)
    for content in (encode(rising, "PNG"), encode(rising, "TIFF"), tiff(rising, ">"), tiff(rising, "<")):
        film = read_radiograph(content)
        assert film.pixels.dtype == np.uint16
        assert film.pixels.dtype.isnative
        assert np.array_equal(film.pixels, rising)
        assert film.warnings == ()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "pixels", [GREY, DEEP, DEEP.astype(np.int32), (GREY / 255).astype(np.float32)], ids=str
)
def test_tiff_of_both_byte_orders(order: Order, pixels: NDArray[Any]) -> None:
    assert_shows(read_radiograph(tiff(pixels, order)), GREY)


@pytest.mark.parametrize(
    ("pixels", "order"),
    [
        (255 - GREY, "<"),
        (255 - GREY, ">"),
        (65535 - DEEP, "<"),
        ((1 - GREY / 255).astype(np.float32), "<"),
        ((1 - GREY / 255).astype(np.float32), ">"),
        (65535 - DEEP, ">"),
    ],
    ids=["8 II", "8 MM", "16 II", "float II", "float MM", "16 MM"],
)
def test_a_white_is_zero_tiff_is_inverted(pixels: NDArray[Any], order: Order) -> None:
    assert_shows(read_radiograph(tiff(pixels, order, white_is_zero=True)), GREY)


def test_a_white_is_zero_tiff_of_twelve_bits_is_stretched_and_inverted() -> None:
    film = read_radiograph(tiff(4095 - GREY.astype(np.uint16) * 16, "<", white_is_zero=True))
    assert_shows(film, GREY, WITHIN_ONE)
    assert film.warnings == ("the film uses 12 of its 16 bits; its grey values were stretched",)


@pytest.mark.parametrize(
    "content",
    [tiff(GREY / 255, "<", tags={339: 6}), tiff(DEEP, "<")[:60], tiff(GREY / 255, "<")[:60]],
    ids=["complex numbers", "truncated", "truncated, 64-bit float"],
)
def test_a_tiff_that_the_decoder_does_not_know_says_so(content: bytes) -> None:
    with pytest.raises(UnreadableImageError) as caught:
        read_radiograph(content)
    assert caught.value.code == "unreadable_image"
    assert "expected grey or colour" in caught.value.message or "damaged" in caught.value.message


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bit_colour_files(suffix: str) -> None:
    done, content = cv2.imencode(suffix, np.repeat(DEEP[..., None], 3, axis=2))
    assert done
    assert_shows(read_radiograph(content.tobytes()), GREY, WITHIN_ONE)


def test_one_bit_files_are_black_and_white() -> None:
    bilevel = Image.fromarray(GREY > 100)
    expected = np.where(GREY > 100, 255, 0).astype(np.uint8)
    for content in (
        encode(bilevel, "PNG"),
        encode(bilevel, "TIFF", compression="group4"),
        encode(bilevel, "BMP"),
    ):
        assert_shows(read_radiograph(content), expected)


def test_cmyk_is_what_a_viewer_shows() -> None:
    cmyk = Image.fromarray(GREY).convert("RGB").convert("CMYK")
    assert_shows(read_radiograph(encode(cmyk, "TIFF")), GREY)
    assert_shows(read_radiograph(encode(cmyk, "JPEG", quality=100)), GREY, 4 * WITHIN_ONE)


# Colour and transparency


@pytest.mark.parametrize(
    ("colour", "grey"),
    [
        ((255, 0, 0), 76),
        ((0, 255, 0), 150),
        ((0, 0, 255), 29),
        ((255, 255, 0), 226),
        ((10, 100, 200), 84),
        ((200, 100, 10), 120),
        ((77, 77, 77), 77),
    ],
)
def test_colour_becomes_luma_of_bt_601(colour: tuple[int, int, int], grey: int) -> None:
    assert grey == round(0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2])
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[:, 16:] = colour
    for source in (
        picture,
        encode(picture, "PNG"),
        Image.fromarray(picture),
        picture.astype(np.uint16) * 257,
    ):
        assert np.unique(read_radiograph(source).pixels).tolist() == [0, grey]


@given(
    hnp.arrays(np.uint8, (MIN_READABLE_SIDE, MIN_READABLE_SIDE, 3)).filter(
        lambda array: np.ptp(array @ [299, 587, 114]) > 2000
    )
)
def test_luma_of_any_picture(array: NDArray[np.uint8]) -> None:
    luma = array @ np.array([0.299, 0.587, 0.114])
    assert np.abs(read_radiograph(array).pixels - luma).max() <= 0.51


def test_colourfulness_is_the_spread_of_the_channels() -> None:
    picture = np.repeat(GREY[..., None], 3, axis=2)
    assert read_radiograph(GREY).colourfulness == 0
    assert read_radiograph(picture).colourfulness == 0
    picture[...] = (200, 100, 50)
    picture[:, :32] = (150, 50, 0)
    assert read_radiograph(picture).colourfulness == pytest.approx(150, abs=0.5)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_opaque_alpha_changes_nothing(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    for mode in ("LA", "RGBA"):
        if mode == "RGBA" or kind != "WEBP":
            assert_shows(read_radiograph(encode(Image.fromarray(GREY).convert(mode), kind, **options)), GREY)


def with_alpha(mode: str) -> tuple[Image.Image, NDArray[np.uint8]]:
    """Return a picture, transparent left and half transparent right, and what it shows over white."""
    alpha = np.full(GREY.shape, 255, np.uint8)
    alpha[:, :10], alpha[:, 50:] = 0, 128
    image = Image.fromarray(GREY).convert(mode)
    image.putalpha(Image.fromarray(alpha))
    shown = GREY * (alpha / 255) + 255 * (1 - alpha / 255)
    return image, shown.round().astype(np.uint8)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparency_is_laid_over_white(mode: str) -> None:
    image, shown = with_alpha(mode)
    assert_shows(read_radiograph(encode(image, "PNG")), shown, WITHIN_ONE)
    assert_shows(read_radiograph(image), shown, WITHIN_ONE)
    if mode == "RGBA":
        assert_shows(read_radiograph(np.asarray(image)), shown, WITHIN_ONE)
        assert_shows(read_radiograph(np.asarray(image).astype(np.uint16) * 257), shown, WITHIN_ONE)


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
def test_a_transparent_colour_is_shown_white(mode: str) -> None:
    value = int(GREY[0, 0])
    grey = Image.fromarray(GREY)
    image = grey if mode == "L" else grey.convert(mode)
    transparent = (value,) * 3 if mode == "RGB" else value if mode == "L" else image.getpixel((0, 0))
    shown = np.where(value == GREY, 255, GREY).astype(np.uint8)
    assert_shows(read_radiograph(encode(image, "PNG", transparency=transparent)), shown)


def test_a_palette_with_transparency_table_is_laid_over_white() -> None:
    image = Image.fromarray(GREY).convert("P")
    table = bytes(0 if index < 100 else 255 for index in range(256))
    shown = np.asarray(image.convert("L")).copy()
    shown[np.asarray(image) < 100] = 255
    assert_shows(read_radiograph(encode(image, "PNG", transparency=table)), shown)


# EXIF orientation: what the camera stored -> what a viewer shows

TURNS: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).T,
    8: np.rot90,
    0: lambda stored: stored,
    9: lambda stored: stored,
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize(
    ("kind", "pixels"),
    [("PNG", GREY), ("TIFF", GREY), ("WEBP", GREY), ("JPEG", GREY), ("PNG", DEEP), ("TIFF", DEEP)],
    ids=["png", "tiff", "webp", "jpeg", "16-bit png", "16-bit tiff"],
)
def test_films_are_turned_upright(orientation: int, kind: str, pixels: NDArray[Any]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = (
        {"quality": 100} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    )
    tolerance = 2 * WITHIN_ONE if kind == "JPEG" else 0
    content = encode(pixels, kind, exif=exif, **options)
    assert_shows(read_radiograph(content), np.ascontiguousarray(TURNS[orientation](GREY)), tolerance)
    with Image.open(io.BytesIO(content)) as image:
        assert_shows(read_radiograph(image), np.ascontiguousarray(TURNS[orientation](GREY)), tolerance)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_what_a_camera_took_is_warned_of_and_what_a_scanner_made_is_not(kind: str) -> None:
    camera, scanner = Image.Exif(), Image.Exif()
    scanner[ExifTags.Base.Make] = camera[ExifTags.Base.Make] = "Acme"
    camera.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FNumber] = 1.8
    (warning,) = read_radiograph(encode(GREY, kind, exif=camera)).warnings
    assert "camera" in warning
    assert "Acme" not in warning
    assert read_radiograph(encode(GREY, kind, exif=scanner)).warnings == ()


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_damaged_exif_data_does_not_hide_the_film(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    film = read_radiograph(encode(GREY, kind, exif=b"Exif\0\0garbage", **options))
    assert_shows(film, GREY)
    assert film.warnings == ("the EXIF data is damaged; the film was taken to be upright",)
