"""Arrays and PIL images of every kind are films, or say what was found."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from pneumocascade import FilmError, read_radiograph
from pneumocascade.errors import UnsuitableImageError
from pneumocascade.imaging.read import MAX_PIXELS, MIN_READABLE_SIDE
from tests.imaging.film_files import (
    DEEP,
    GREY,
    WITHIN_ONE,
    assert_shows,
    code_of,
    encode,
    grey_arrays,
    sixteen_bit,
)

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
def test_films_of_fewer_than_sixteen_bits_in_sixteen_are_stretched(bits: int) -> None:
    top = 2**bits - 1
    film = np.linspace(0, top, 64 * 48).round().astype(np.uint16).reshape(48, 64)
    read = read_radiograph(film)
    if bits < 16:
        assert (read.pixels.min(), read.pixels.max()) == (0, 65535)
        assert np.abs(read.pixels - film * (65535 / top)).max() <= 0.51
        assert f"uses {bits} of its 16 bits" in read.warnings[0]
    else:
        assert np.array_equal(read.pixels, film)
        assert read.warnings == ()


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_a_few_values_above_a_depth_do_not_make_it_another(bits: int) -> None:
    top = 2**bits - 1
    film = np.linspace(0, top, 64 * 48).round().astype(np.uint16).reshape(48, 64)
    film[0, :3] = round(1.015 * top)  # as resampling overshoots
    read = read_radiograph(film)
    assert f"uses {bits} of its 16 bits" in read.warnings[0]
    assert (read.pixels[0, :3] == 65535).all()
    assert np.abs(read.pixels[1:] - film[1:] * (65535 / top)).max() <= 0.51


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
        (np.zeros((1, 32, 32, 3), np.uint8), "bad_shape"),
        (np.zeros((0, 0), np.uint8), "bad_shape"),
        (np.zeros((0, 32), np.float32), "bad_shape"),
        (np.zeros((32, 0, 3), np.uint8), "bad_shape"),
        (np.array([[None] * 32] * 32), "bad_dtype"),
        (np.zeros((32, 32), np.complex64), "bad_dtype"),
        (np.ma.masked_less(np.arange(1024.0).reshape(32, 32), 10), "bad_dtype"),
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
        (np.zeros((MIN_READABLE_SIDE - 1, 400), np.uint8), "too_few_pixels"),
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
    assert read_radiograph(np.eye(MIN_READABLE_SIDE, dtype=bool)).height == MIN_READABLE_SIDE


# PIL images


@pytest.mark.parametrize(
    "mode",
    ["L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F", "LA", "PA", "RGBX", "RGBa", "I;16", "I;16B"],
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
