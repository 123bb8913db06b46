"""One way in for pixels: every format gives the grey picture a viewer would show, or a clear error."""

from __future__ import annotations

import io
import os
import random
import re
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from pneumocascade import FilmError, Radiograph, read_radiograph
from pneumocascade.errors import FileAccessError, UnreadableImageError, UnsuitableImageError
from pneumocascade.reading import MAX_BYTES, MAX_PIXELS, MIN_SIDE
from tests.conftest import draw_chest

GREY = draw_chest(height=48, width=64)
DEEP = GREY.astype(np.uint16) * np.uint16(257)
WITHIN_ONE = 257
"""One grey value of 255, in 16-bit values."""

grey_arrays = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=MIN_SIDE, max_side=40)).filter(
    lambda array: array.min() < array.max()
)


def encode(picture: NDArray[Any] | Image.Image, kind: str, **options: Any) -> bytes:  # noqa: ANN401
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


def tiff(pixels: NDArray[Any], order: str, *, white_is_zero: bool = False) -> bytes:
    """Return an uncompressed grey TIFF file in the given byte order (``"<"`` or ``">"``)."""
    height, width = pixels.shape
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    sample_format = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    bits, photometric = pixels.dtype.itemsize * 8, int(not white_is_zero)
    short, long, count = 3, 4, 10
    entries = [
        (256, long, width),
        (257, long, height),
        (258, short, bits),
        (259, short, 1),
        (262, short, photometric),
        (273, long, 8 + 2 + 12 * count + 4),
        (277, short, 1),
        (278, long, height),
        (279, long, len(data)),
        (339, short, sample_format),
    ]
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HIH", 42, 8, count)
    for tag, kind, value in entries:
        head += struct.pack(f"{order}HHI", tag, kind, 1)
        head += struct.pack(f"{order}HH", value, 0) if kind == short else struct.pack(f"{order}I", value)
    return head + struct.pack(f"{order}I", 0) + data


def sixteen_bit(film: Radiograph) -> NDArray[np.int32]:
    factor = 257 if film.pixels.dtype == np.uint8 else 1
    return film.pixels.astype(np.int32) * factor


def assert_shows(film: Radiograph, expected: NDArray[np.uint8], tolerance: int = 0) -> None:
    """Compare a film with the 8-bit picture it should show; the tolerance is in values of 65535."""
    assert film.pixels.shape == expected.shape
    assert film.pixels.dtype in (np.uint8, np.uint16)
    assert film.pixels.flags.c_contiguous
    assert int(np.abs(sixteen_bit(film) - expected.astype(np.int32) * 257).max()) <= tolerance


def code_of(source: Any) -> str:  # noqa: ANN401
    with pytest.raises(FilmError) as caught:
        read_radiograph(source)
    assert caught.value.message == str(caught.value)
    assert len(caught.value.message) > 10
    return caught.value.code


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
@pytest.mark.parametrize("pixels", [GREY, DEEP, DEEP.astype(np.int32), (GREY / 255).astype(np.float32)], ids=str)
def test_tiff_of_both_byte_orders(order: str, pixels: NDArray[Any]) -> None:
    assert_shows(read_radiograph(tiff(pixels, order)), GREY)


@pytest.mark.parametrize(
    ("pixels", "order"),
    [
        (255 - GREY, "<"),
        (255 - GREY, ">"),
        (65535 - DEEP, "<"),
        ((1 - GREY / 255).astype(np.float32), "<"),
        ((1 - GREY / 255).astype(np.float32), ">"),
    ],
    ids=["8 II", "8 MM", "16 II", "float II", "float MM"],
)
def test_a_white_is_zero_tiff_is_inverted(pixels: NDArray[Any], order: str) -> None:
    assert_shows(read_radiograph(tiff(pixels, order, white_is_zero=True)), GREY)


def test_a_white_is_zero_tiff_of_twelve_bits_is_stretched_and_inverted() -> None:
    film = read_radiograph(tiff(4095 - GREY.astype(np.uint16) * 16, "<", white_is_zero=True))
    assert_shows(film, GREY, WITHIN_ONE)
    assert film.warnings == ("the film uses 12 of its 16 bits; its grey values were stretched",)


@pytest.mark.parametrize(
    "content",
    [tiff(65535 - DEEP, ">", white_is_zero=True), tiff(GREY / 255, "<"), tiff(DEEP, "<")[:60]],
    ids=["16-bit white-is-zero, big endian", "64-bit float", "truncated"],
)
def test_a_tiff_that_the_decoder_does_not_know_says_so(content: bytes) -> None:
    with pytest.raises(UnreadableImageError) as caught:
        read_radiograph(content)
    assert caught.value.code == "unreadable_image"
    assert "expected 8- or 16-bit grey or colour" in caught.value.message or "damaged" in caught.value.message


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bit_colour_files(suffix: str) -> None:
    done, content = cv2.imencode(suffix, np.repeat(DEEP[..., None], 3, axis=2))
    assert done
    assert_shows(read_radiograph(content.tobytes()), GREY, WITHIN_ONE)


def test_one_bit_files_are_black_and_white() -> None:
    bilevel = Image.fromarray(GREY > 100)
    expected = np.where(GREY > 100, 255, 0).astype(np.uint8)
    for content in (encode(bilevel, "PNG"), encode(bilevel, "TIFF", compression="group4"), encode(bilevel, "BMP")):
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
    for source in (picture, encode(picture, "PNG"), Image.fromarray(picture), picture.astype(np.uint16) * 257):
        assert np.unique(read_radiograph(source).pixels).tolist() == [0, grey]


@given(hnp.arrays(np.uint8, (MIN_SIDE, MIN_SIDE, 3)).filter(lambda array: np.ptp(array @ [299, 587, 114]) > 2000))
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
    options: dict[str, Any] = {"JPEG": {"quality": 100}, "WEBP": {"lossless": True}}.get(kind, {})
    tolerance = 2 * WITHIN_ONE if kind == "JPEG" else 0
    content = encode(pixels, kind, exif=exif, **options)
    assert_shows(read_radiograph(content), np.ascontiguousarray(TURNS[orientation](GREY)), tolerance)
    with Image.open(io.BytesIO(content)) as image:
        assert_shows(read_radiograph(image), np.ascontiguousarray(TURNS[orientation](GREY)), tolerance)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_damaged_exif_data_does_not_hide_the_film(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    film = read_radiograph(encode(GREY, kind, exif=b"Exif\0\0garbage", **options))
    assert_shows(film, GREY)
    assert film.warnings == ("the EXIF data is damaged; the film was taken to be upright",)


# Arrays


@pytest.mark.parametrize(
    "array",
    [
        GREY,
        GREY[..., None],
        np.repeat(GREY[..., None], 3, axis=2),
        np.dstack([GREY, GREY, GREY, np.full_like(GREY, 255)]),
        np.asfortranarray(GREY),
        GREY.astype(np.int16),
        GREY.astype(np.int32),
        GREY.astype(np.uint32),
        GREY.astype(np.int64),
        GREY.astype(">u2") * 257,
        GREY.astype("<u2") * 257,
        GREY.astype(np.int32) * 257,
        GREY.astype(np.uint64) * 257,
        GREY.astype(np.float32),
        GREY.astype(np.float64),
        GREY.astype(">f4"),
        GREY.astype(np.longdouble),
        (GREY / 255).astype(np.float32),
        GREY / 255,
        np.repeat(GREY[..., None] / 255, 3, axis=2),
        np.repeat(DEEP[..., None], 3, axis=2),
        np.ma.masked_array(GREY),
    ],
    ids=lambda array: f"{array.dtype.str} {array.shape}",
)
def test_arrays_of_every_kind(array: NDArray[Any]) -> None:
    film = read_radiograph(array)
    assert_shows(film, GREY, 1)
    assert type(film.pixels) is np.ndarray
    assert film.source == "array"


def test_half_precision_is_near_enough() -> None:
    assert_shows(read_radiograph((GREY / 255).astype(np.float16)), GREY, WITHIN_ONE)


def test_boolean_arrays_are_black_and_white() -> None:
    expected = np.where(GREY > 100, 255, 0).astype(np.uint8)
    assert_shows(read_radiograph(GREY > 100), expected)


@pytest.mark.parametrize("view", [GREY[::-1, ::-1], GREY[::2, ::3], GREY.T])
def test_views_are_read_as_they_look(view: NDArray[np.uint8]) -> None:
    assert_shows(read_radiograph(view), np.ascontiguousarray(view))


@given(grey_arrays, st.sampled_from([np.float32, np.float64, np.int32]))
def test_whole_numbers_mean_the_same_in_every_type(array: NDArray[np.uint8], dtype: type) -> None:
    if array.max() > 1:  # a film of 0 and 1 is taken for 0..1 where it is of floats
        assert_shows(read_radiograph(array.astype(dtype)), array)


@pytest.mark.parametrize("bits", range(8, 17))
def test_films_of_eight_to_twelve_bits_in_sixteen_are_stretched(bits: int) -> None:
    top = 2**bits - 1
    film = np.linspace(0, top, 64 * 48).round().astype(np.uint16).reshape(48, 64)
    read = read_radiograph(film)
    if bits <= 12:
        assert (read.pixels.min(), read.pixels.max()) == (0, 65535)
        assert np.abs(read.pixels - film * (65535 / top)).max() <= 0.51
        assert f"uses {bits} of its 16 bits" in read.warnings[0]
    else:
        assert np.array_equal(read.pixels, film)
        assert read.warnings == ()


def test_twelve_bits_mean_the_same_in_three_equal_channels() -> None:
    twelve = GREY.astype(np.uint16) * 16
    one = read_radiograph(twelve)
    three = read_radiograph(np.repeat(twelve[..., None], 3, axis=2))
    assert np.abs(sixteen_bit(one) - sixteen_bit(three)).max() <= WITHIN_ONE
    assert three.warnings == one.warnings != ()


def test_a_dark_film_of_floats_stays_dark() -> None:
    film = read_radiograph(GREY / 255 * 0.05)
    assert film.pixels.max() == pytest.approx(int(GREY.max()) * 257 * 0.05, abs=1)
    assert film.warnings == ()


@pytest.mark.parametrize(
    ("array", "code"),
    [
        (np.zeros(100, np.uint8), "bad_shape"),
        (np.zeros((), np.uint8), "bad_shape"),
        (np.zeros((32, 32, 2), np.uint8), "bad_shape"),
        (np.zeros((32, 32, 5), np.uint8), "bad_shape"),
        (np.zeros((3, 32, 32), np.uint8), "bad_shape"),
        (np.zeros((1, 32, 32, 3), np.uint8), "bad_shape"),
        (np.zeros((0, 0), np.uint8), "bad_shape"),
        (np.zeros((0, 32), np.float32), "bad_shape"),
        (np.zeros((32, 0, 3), np.uint8), "bad_shape"),
        (np.array([[None] * 32] * 32), "bad_dtype"),
        (np.zeros((32, 32), np.complex64), "bad_dtype"),
        (np.zeros((32, 32), "datetime64[s]"), "bad_dtype"),
        (np.zeros((32, 32), "S3"), "bad_dtype"),
        (np.zeros((32, 32), [("red", "u1")]), "bad_dtype"),
        (np.full((32, 32), np.nan), "non_finite_values"),
        (np.where(np.eye(32) > 0, np.nan, 0.5), "non_finite_values"),
        (np.where(np.eye(32) > 0, np.inf, 0.5), "non_finite_values"),
        (np.where(np.eye(32) > 0, -np.inf, 0.5).astype(np.float16), "non_finite_values"),
        (np.eye(32) - 0.5, "bad_value_range"),
        (np.eye(32) * 255.5, "bad_value_range"),
        (np.eye(32, dtype=np.int16) * -1, "bad_value_range"),
        (np.eye(32, dtype=np.int64) * 65536, "bad_value_range"),
        (np.eye(32, dtype=np.uint64) * (2**64 - 1), "bad_value_range"),
        (np.zeros((1, 1), np.uint8), "too_few_pixels"),
        (np.zeros((MIN_SIDE - 1, 400), np.uint8), "too_few_pixels"),
        (np.full((32, 32), 77, np.uint8), "constant_image"),
        (np.zeros((32, 32)), "constant_image"),
        (np.ones((32, 32, 3), np.uint16), "constant_image"),
        (np.broadcast_to(np.uint8(0), (20_000, 20_000)), "too_many_pixels"),
        (np.broadcast_to(np.float64(0), (MAX_PIXELS, 2, 3)), "too_many_pixels"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.dtype.str}{value.shape}",
)
def test_arrays_without_a_picture_say_what_was_found(array: NDArray[Any], code: str) -> None:
    with pytest.raises(UnsuitableImageError) as caught:
        read_radiograph(array)
    assert caught.value.code == code
    found = {"bad_shape": str(array.shape), "bad_dtype": str(array.dtype), "too_few_pixels": "pixels"}
    assert found.get(code, "") in caught.value.message


@given(
    hnp.arrays(
        hnp.scalar_dtypes() | st.just(np.dtype(object)),
        st.sampled_from([(), (0, 9), (2, 2), (16, 17), (17, 16, 1), (16, 16, 3), (16, 16, 4), (1, 16, 16)]),
    )
)
def test_any_array_is_a_film_or_a_film_error(array: NDArray[Any]) -> None:
    try:
        film = read_radiograph(array)
    except FilmError as error:
        assert error.code
    else:
        assert film.pixels.min() < film.pixels.max()


def test_the_limits_of_size_are_inclusive() -> None:
    assert read_radiograph(np.eye(MIN_SIDE, dtype=bool)).height == MIN_SIDE


# PIL images, paths, names


@pytest.mark.parametrize(
    "mode", ["L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F", "LA", "PA", "RGBX", "RGBa", "I;16", "I;16B"]
)
def test_pil_images_of_every_mode(mode: str) -> None:
    # Pillow converts some modes by way of another only.
    grey = Image.fromarray(GREY).convert({"HSV": "RGB", "RGBa": "RGBA"}.get(mode, "L"))
    image = grey.convert(mode)
    before = np.asarray(image).copy()
    film = read_radiograph(image)
    assert_shows(film, GREY, WITHIN_ONE)
    assert film.source == "image"
    assert np.array_equal(np.asarray(image), before)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16", "F"])
@pytest.mark.parametrize("size", [(0, 0), (0, 40), (40, 0), (1, 1), (40, 1)])
def test_pil_images_without_enough_pixels(mode: str, size: tuple[int, int]) -> None:
    assert code_of(Image.new(mode, size)) in ("too_few_pixels", "bad_shape")


def test_a_closed_pil_image_is_a_film_error() -> None:
    image = Image.open(io.BytesIO(encode(GREY, "PNG")))
    image.close()
    assert code_of(image) == "unreadable_image"


def test_every_way_of_naming_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a film.png"
    path.write_bytes(encode(GREY, "PNG"))
    (entry,) = os.scandir(os.fsencode(tmp_path))
    for source in (path, str(path), entry):
        assert_shows(read_radiograph(source), GREY)
    assert read_radiograph(path).source == str(path)
    assert read_radiograph(path, "patient 1").source == "patient 1"
    assert read_radiograph(path.read_bytes()).source == "bytes"


def test_a_name_that_is_not_utf_8_is_read(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    try:
        path.write_bytes(encode(GREY, "PNG"))
    except OSError:
        pytest.skip("the file system takes UTF-8 names only")
    assert_shows(read_radiograph(path), GREY)


@pytest.mark.parametrize("suffix", [".jpg", ".txt", ".dcm", "", ".png.gz"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_the_content_decides_not_the_suffix(tmp_path: Path, suffix: str, kind: str) -> None:
    path = tmp_path / f"film{suffix}"
    path.write_bytes(encode(GREY, kind))
    assert_shows(read_radiograph(path), GREY)


@pytest.mark.parametrize("content", [b"just some text\n", b"%PDF-1.7\n", bytes(128) + b"DICM", b"\0" * 5000, b"GIF89a"])
def test_another_content_with_a_right_suffix_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "film.jpeg"
    path.write_bytes(content)
    assert code_of(path) == code_of(content) == "unreadable_image"


@pytest.mark.parametrize("source", [None, 3, 2.5, [], [1, 2], {"a": 1}, object(), bytearray(b"x"), io.BytesIO(b"x")])
def test_what_is_no_source_at_all(source: object) -> None:
    assert code_of(source) == "unsupported_format"


# Files that cannot be opened


def test_paths_that_lead_to_no_file(tmp_path: Path) -> None:
    empty, link, pipe = tmp_path / "empty.png", tmp_path / "link.png", tmp_path / "pipe.png"
    empty.touch()
    link.symlink_to(tmp_path / "nowhere")
    os.mkfifo(pipe)
    expected = {
        tmp_path / "missing.png": "file_not_found",
        link: "file_not_found",
        empty / "film.png": "file_not_found",
        tmp_path: "not_a_file",
        pipe: "not_a_file",
        empty: "empty_file",
        tmp_path / ("x" * 5000): "unreadable_file",
        tmp_path / "a\0b": "file_not_found",
    }
    for path, code in expected.items():
        with pytest.raises(FileAccessError) as caught:
            read_radiograph(path)
        assert caught.value.code == code, path
        assert len(caught.value.message) < 200
    assert code_of("") == "not_a_file"
    assert code_of(b"") == "empty_file"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    path.write_bytes(encode(GREY, "PNG"))
    path.chmod(0)
    assert code_of(path) == "permission_denied"
    tmp_path.chmod(0)
    try:
        assert code_of(path) == "permission_denied"
    finally:
        tmp_path.chmod(0o700)


def test_a_file_too_large_for_any_film_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "film.tiff"
    with path.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    assert code_of(path) == "unreadable_file"


# Files that must not be decoded


def bombs() -> dict[str, bytes]:
    bitmap = struct.pack("<IiiHHIIiiII", 40, 20_000, 20_000, 1, 8, 0, 0, 0, 0, 256, 0)
    frame = struct.pack("<HH3x", 60_000, 60_000) + b"," + struct.pack("<HHHH", 0, 0, 60_000, 60_000)
    small = tiff(np.zeros((16, 16), np.uint8), "<")
    for tag in (256, 257):
        small = small.replace(struct.pack("<HHII", tag, 4, 1, 16), struct.pack("<HHII", tag, 4, 1, 20_000))
    return {
        "png": png_header(20_000, 20_000),
        "png just above the limit": png_header(MAX_PIXELS // 1000 + 1, 1000),
        "png between the limit and the decoder's": png_header(12_000, 12_000),
        "bmp": b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + bitmap + bytes(64),
        "gif": b"GIF89a" + frame + b"\0\x02\x02L\x01\0;",
        "tiff": small,
    }


@pytest.mark.filterwarnings("default::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", bombs())
def test_a_header_that_promises_too_much_is_refused_at_once(kind: str) -> None:
    content = bombs()[kind]
    tracemalloc.start()
    started = time.perf_counter()
    try:
        code = code_of(content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert code == "too_many_pixels"
    assert time.perf_counter() - started < 1
    assert peak < 1_000_000


def test_a_header_within_the_limit_is_only_truncated() -> None:
    assert code_of(png_header(MAX_PIXELS // 1000, 1000)) == "truncated_image"


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_more_than_one_picture_is_refused(kind: str) -> None:
    pages = [Image.fromarray(255 - GREY), Image.fromarray(GREY).rotate(180)]
    with pytest.raises(UnsuitableImageError, match="holds 3 pictures; give one film a file") as caught:
        read_radiograph(encode(GREY, kind, save_all=True, append_images=pages))
    assert caught.value.code == "multiple_frames"


def test_the_first_picture_of_a_jpeg_with_more_behind_it_is_read() -> None:
    content = encode(GREY, "MPO", save_all=True, append_images=[Image.fromarray(255 - GREY)], quality=100)
    assert_shows(read_radiograph(content), GREY, 3 * WITHIN_ONE)


# Damage


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF"])
def test_a_truncated_file_is_an_error_or_complete(kind: str) -> None:
    content = encode(GREY, kind)
    whole = read_radiograph(content).pixels
    codes = set()
    for length in range(1, len(content), max(1, len(content) // 150)):
        try:
            # Where nothing but the end mark is missing, all of the picture is there.
            assert np.array_equal(read_radiograph(content[:length]).pixels, whole)
        except FilmError as error:
            codes.add(error.code)
    assert codes <= {"unreadable_image", "truncated_image"}
    for share in (0.25, 0.5, 0.75, 0.9):
        assert code_of(content[: int(len(content) * share)]) in codes


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_random_bytes_are_film_errors(content: bytes) -> None:
    assert code_of(content) in ("empty_file", "unreadable_image")


def seeds() -> list[bytes]:
    """Return small valid files of every kind, with EXIF data, palettes, pages and frames."""
    exif = Image.Exif()
    exif[0x0112] = 6
    grey, colour = Image.fromarray(GREY), Image.fromarray(GREY).convert("RGB")
    return [
        encode(grey, "JPEG", exif=exif),
        encode(grey, "PNG", exif=exif),
        encode(DEEP, "PNG"),
        encode(grey.convert("P"), "PNG", transparency=3),
        encode(grey, "PNG", save_all=True, append_images=[Image.fromarray(255 - GREY)]),
        encode(DEEP, "TIFF", compression="tiff_lzw", exif=exif),
        encode(colour, "TIFF"),
        encode(grey, "TIFF", save_all=True, append_images=[colour]),
        encode(grey, "WEBP", exif=exif),
        encode(grey, "BMP"),
        encode(grey, "GIF"),
        encode(grey, "GIF", save_all=True, append_images=[Image.fromarray(255 - GREY)]),
        encode(grey, "MPO", save_all=True, append_images=[colour]),
    ]


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("seed", range(len(seeds())))
def test_damaged_files_raise_nothing_but_film_errors(seed: int) -> None:
    rng = random.Random(seed)
    original = seeds()[seed]
    outcomes = set()
    for _ in range(120):
        content = bytearray(original)
        for _ in range(rng.choice((1, 1, 2, 5))):
            # Half of the damage goes into the first bytes, where the headers are.
            place = rng.randrange(rng.choice((min(200, len(content)), len(content))))
            damage = rng.randrange(4)
            if damage == 0:
                content[place] = rng.randrange(256)
            elif damage == 1:
                content[place] ^= 1 << rng.randrange(8)
            elif damage == 2:
                del content[place : place + rng.randrange(1, 9)]
            else:
                content[place:place] = rng.randbytes(rng.randrange(1, 5))
        try:
            read_radiograph(bytes(content))
            outcomes.add("read")
        except FilmError as error:
            outcomes.add(error.code)
    assert outcomes & {"unreadable_image", "truncated_image", "too_many_pixels", "read"}


def test_messages_say_what_was_found_and_what_is_expected() -> None:
    expected = {
        b"hello": "these 5 bytes are not an image; expected JPEG, PNG, TIFF, WebP, BMP or GIF",
        encode(np.zeros((1, 1), np.uint8), "PNG"): "the picture has 1 x 1 pixels; expected 16 or more a side",
        encode(np.full((20, 20), 9, np.uint8), "PNG"): "every pixel has the grey value 9; there is no picture",
    }
    for content, message in expected.items():
        with pytest.raises(FilmError, match=f"^{re.escape(message)}$"):
            read_radiograph(content)
