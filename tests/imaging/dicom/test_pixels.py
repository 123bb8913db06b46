"""What is shown: modality, then VOI, then polarity, once each, whatever the object's way of saying it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import Dataset, uid

from pneumocascade.imaging.dicom.pixels import ABSURD_WINDOW, FOR_PROCESSING, NO_WINDOW, TWO_POLARITIES
from tests.imaging.dicom.objects import (
    DEEP,
    GREY,
    as_eight_bit,
    assert_shows,
    code_of,
    dataset,
    film_of,
    sequence,
    table,
    to_bytes,
)

SHOWN = np.round(DEEP / 4095 * 255).astype(np.uint8)
"""What ``DEEP`` shows with the window of its whole range."""

WHOLE: dict[str, Any] = {"WindowCenter": 2048, "WindowWidth": 4096}

POLARITIES = [
    ("MONOCHROME2", None, False, False),
    ("MONOCHROME2", "IDENTITY", False, False),
    ("MONOCHROME2", "INVERSE", True, True),
    ("MONOCHROME1", None, True, False),
    ("MONOCHROME1", "INVERSE", True, False),
    ("MONOCHROME1", "IDENTITY", False, True),
]
"""Photometric Interpretation, Presentation LUT Shape, whether the smallest value is white, contradiction."""


def with_shape(item: Dataset, photometric: str, shape: str | None) -> Dataset:
    item.PhotometricInterpretation = photometric
    if shape is not None:
        item.PresentationLUTShape = shape
    return item


@pytest.mark.parametrize(("photometric", "shape", "inverted", "contradiction"), POLARITIES)
def test_polarity_is_applied_once(
    photometric: str, shape: str | None, inverted: bool, contradiction: bool
) -> None:
    stored = 4095 - DEEP if inverted else DEEP
    film = film_of(with_shape(dataset(stored, **WHOLE), photometric, shape))
    assert_shows(film, SHOWN)
    assert film.warnings == ((TWO_POLARITIES,) if contradiction else ())


@pytest.mark.parametrize(("photometric", "shape", "inverted", "_"), POLARITIES)
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_polarity_comes_after_the_window(
    photometric: str, shape: str | None, inverted: bool, _: bool, function: str
) -> None:
    window: dict[str, Any] = {"WindowCenter": 1400, "WindowWidth": 2000, "VOILUTFunction": function}
    plain = as_eight_bit(film_of(dataset(DEEP, **window)))
    film = film_of(with_shape(dataset(DEEP, **window), photometric, shape))
    assert_shows(film, 255 - plain if inverted else plain)


@settings(max_examples=40)
@given(
    bits=st.integers(8, 16),
    signed=st.booleans(),
    slope=st.sampled_from([1, 0.25, 3, -2]),
    intercept=st.sampled_from([0, -1024, 77.5]),
    way=st.sampled_from(["LINEAR", "LINEAR_EXACT", "table"]),
    first=st.booleans(),
)
def test_every_way_to_say_it_shows_the_same_picture(
    bits: int, signed: bool, slope: float, intercept: float, way: str, first: bool
) -> None:
    """Stored values are worked out backwards from the picture that is to be seen."""
    top = 2**bits - 1
    wanted = GREY.astype(np.int64) * top // 255
    seen = top - wanted if first else wanted  # what MONOCHROME1 turns around
    stored = top - seen if slope < 0 else seen
    if signed:
        stored = stored - 2 ** (bits - 1)
    low, high = sorted(slope * end + intercept for end in _ends(bits, signed))
    item = dataset(stored.astype(_kind(bits, signed)), bits, RescaleSlope=slope, RescaleIntercept=intercept)
    if way == "LINEAR":
        item.WindowCenter, item.WindowWidth = (low + high) / 2 + 0.5, high - low + 1
    elif way == "LINEAR_EXACT":
        item.WindowCenter, item.WindowWidth, item.VOILUTFunction = (low + high) / 2, high - low, way
    else:
        lowest, highest = _ends(bits, signed)
        item.RescaleSlope, item.RescaleIntercept = (1, 0) if slope > 0 else (-1, lowest + highest)
        entries = np.round(np.linspace(0, 4095, 2**bits)).astype(np.uint16)
        item.VOILUTSequence = sequence(table(lowest, entries, 12))
    film = film_of(with_shape(item, "MONOCHROME1" if first else "MONOCHROME2", None))
    assert_shows(film, GREY)
    assert film.warnings == ()
    assert film.pixels.dtype == (np.uint8 if bits == 8 else np.uint16)


def _ends(bits: int, signed: bool) -> tuple[int, int]:
    offset = 2 ** (bits - 1) if signed else 0
    return -offset, 2**bits - 1 - offset


def _kind(bits: int, signed: bool) -> type:
    return {(8, False): np.uint8, (8, True): np.int8}.get((bits, signed), np.int16 if signed else np.uint16)


def test_a_modality_table_comes_before_the_window() -> None:
    squared = np.round(np.arange(4096) ** 2 / 4095).astype(np.uint16)
    item = dataset(DEEP, ModalityLUTSequence=sequence(table(0, squared, 12)), **WHOLE)
    assert_shows(film_of(item), np.round(squared[DEEP] / 4095 * 255))


def test_a_table_comes_before_a_window() -> None:
    entries = np.arange(4096)[::-1]
    item = dataset(DEEP, VOILUTSequence=sequence(table(0, entries, 12)), **WHOLE)
    assert_shows(film_of(item), 255 - SHOWN)


def test_the_first_of_several_windows_is_taken() -> None:
    item = dataset(DEEP, WindowCenter=[2048, 100], WindowWidth=[4096, 10])
    assert_shows(film_of(item), SHOWN)


def test_windows_of_functional_groups_are_found() -> None:
    rescale, window, group = Dataset(), Dataset(), Dataset()
    rescale.RescaleSlope, rescale.RescaleIntercept = 1, 1000
    window.WindowCenter, window.WindowWidth = 3048, 4096
    group.PixelValueTransformationSequence = sequence(rescale)
    group.FrameVOILUTSequence = sequence(window)
    film = film_of(dataset(DEEP, SharedFunctionalGroupsSequence=sequence(group)))
    assert_shows(film, SHOWN)
    assert film.warnings == ()


def test_eight_bits_without_a_window_are_shown_as_they_are() -> None:
    film = film_of(dataset(GREY, 8))
    assert np.array_equal(film.pixels, GREY)
    assert film.warnings == ()


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("bits", range(9, 17))
def test_more_bits_without_a_window_get_one_from_the_histogram(bits: int, negative: bool) -> None:
    stored = (GREY.astype(np.uint32) * (2**bits - 1) // 1020 + 2 ** (bits - 2)).astype(np.uint16)
    item = dataset(2**bits - 1 - stored if negative else stored, bits)
    film = film_of(with_shape(item, "MONOCHROME1" if negative else "MONOCHROME2", None))
    assert film.warnings == (NO_WINDOW,)
    shown = as_eight_bit(film)
    assert (shown.min(), shown.max()) == (0, 255)
    low, high = np.quantile(GREY, [0.02, 0.98])
    inside = (low <= GREY) & (high >= GREY)
    stretched = (GREY.astype(float) - GREY.min()) / (int(GREY.max()) - int(GREY.min())) * 255
    assert np.abs(shown - stretched)[inside].max() < 30
    assert np.corrcoef(shown.ravel(), GREY.ravel())[0, 1] > 0.99


@pytest.mark.parametrize(
    "window",
    [
        {"WindowCenter": 40, "WindowWidth": 20},
        {"WindowCenter": 30000, "WindowWidth": 400},
        {"WindowCenter": -500, "WindowWidth": 100},
        {"WindowCenter": 2048, "WindowWidth": 0},
        {"WindowCenter": 2048, "WindowWidth": -400},
        {"WindowCenter": 2048, "WindowWidth": 9e9},
        {"VOILUTSequence": sequence(table(0, np.zeros(4096), 12))},
    ],
)
def test_an_absurd_window_gives_way_to_one_from_the_histogram(window: dict[str, Any]) -> None:
    film = film_of(dataset(DEEP, **window))
    assert film.warnings == (ABSURD_WINDOW,)
    assert np.array_equal(film.pixels, film_of(dataset(DEEP)).pixels)


def bordered() -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Return a film with a border that makes up more than half of it."""
    film = np.full((100, 120), 0, np.uint16)
    inside = np.zeros(film.shape, np.bool_)
    inside[26:74, 28:92] = True
    film[inside] = DEEP.ravel()
    return film, inside


@pytest.mark.parametrize(("photometric", "shape", "inverted", "_"), POLARITIES)
@pytest.mark.parametrize("value", [0, 4000])
def test_padding_is_black_and_does_not_count(
    photometric: str, shape: str | None, inverted: bool, _: bool, value: int
) -> None:
    film, inside = bordered()
    film[~inside] = value
    film[inside] = np.clip(film[inside], 200, 3800)
    padded = film_of(with_shape(dataset(film, PixelPaddingValue=value), photometric, shape)).pixels
    alone = np.clip(DEEP, 200, 3800)
    expected = film_of(with_shape(dataset(alone), photometric, shape)).pixels
    assert (padded[~inside] == 0).all()
    assert np.array_equal(padded[inside], expected.ravel())


@pytest.mark.parametrize(("value", "limit"), [(0, 150), (150, 0)])
def test_padding_may_be_a_range(value: int, limit: int) -> None:
    film, inside = bordered()
    film[~inside] = np.random.default_rng(0).integers(0, 151, (~inside).sum())
    film[inside] = np.clip(film[inside], 200, None)
    item = dataset(film, PixelPaddingValue=value, PixelPaddingRangeLimit=limit, **WHOLE)
    shown = as_eight_bit(film_of(with_shape(item, "MONOCHROME1", None)))
    assert (shown[~inside] == 0).all()
    assert shown[inside].max() > 200


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian])
def test_padding_of_signed_pixels(syntax: uid.UID) -> None:
    film, inside = bordered()
    signed = film.astype(np.int16) - 1000
    signed[~inside] = -2000
    item = dataset(signed, 16, WindowCenter=1048, WindowWidth=4096)
    item.add_new("PixelPaddingValue", "SS", -2000)
    shown = as_eight_bit(film_of(to_bytes(with_shape(item, "MONOCHROME1", None), syntax)))
    assert (shown[~inside] == 0).all()
    assert np.abs(shown[inside] - (255 - SHOWN.ravel().astype(int))).max() <= 1


def test_overlays_are_not_shown() -> None:
    item = dataset(GREY, 8)
    item.add_new((0x6000, 0x0010), "US", GREY.shape[0])
    item.add_new((0x6000, 0x0011), "US", GREY.shape[1])
    item.add_new((0x6000, 0x0040), "CS", "G")
    item.add_new((0x6000, 0x0050), "SS", [1, 1])
    item.add_new((0x6000, 0x0100), "US", 1)
    item.add_new((0x6000, 0x0102), "US", 0)
    item.add_new((0x6000, 0x3000), "OW", b"\xff" * (GREY.size // 8))
    assert np.array_equal(film_of(item).pixels, GREY)


def test_raw_films_are_said_to_be_raw() -> None:
    item = dataset(DEEP, PresentationIntentType="FOR PROCESSING", **WHOLE)
    assert film_of(item).warnings == (FOR_PROCESSING,)


def colour() -> NDArray[np.uint8]:
    return cv2.applyColorMap(GREY, cv2.COLORMAP_HOT)[..., ::-1].astype(np.uint8)


def test_colour_stays_colour() -> None:
    film = film_of(dataset(colour(), 8, Modality="SC"))
    assert film.pixels.dtype == np.uint8
    assert np.array_equal(film.pixels, colour())


def test_colour_of_sixteen_bits_becomes_eight() -> None:
    film = film_of(dataset(colour().astype(np.uint16) * 257, 16))
    assert np.array_equal(film.pixels, colour())


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_becomes_colour(bits: int) -> None:
    item = dataset(GREY, 8, PhotometricInterpretation="PALETTE COLOR")
    lookup = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], cv2.COLORMAP_HOT)[0, :, ::-1]
    for index, name in enumerate(("Red", "Green", "Blue")):
        entries = lookup[:, index].astype(np.uint16) * (257 if bits == 16 else 1)
        data = entries.astype("<u2" if bits == 16 else np.uint8).tobytes()
        item.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [256, 0, bits])
        item.add_new(f"{name}PaletteColorLookupTableData", "OW", data)
    assert_shows_colour(film_of(item).pixels, colour())
    del item.BluePaletteColorLookupTableData
    assert code_of(item) == "unreadable_image"


def assert_shows_colour(found: NDArray[Any], expected: NDArray[np.uint8]) -> None:
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_a_large_film_is_looked_up_in_blocks() -> None:
    film = np.random.default_rng(0).integers(0, 4096, (1500, 1700)).astype(np.uint16)
    expected = np.round(film / 4095 * 65535).astype(np.uint16)
    assert np.array_equal(film_of(dataset(film, **WHOLE)).pixels, expected)
