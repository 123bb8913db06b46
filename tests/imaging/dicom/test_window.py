"""The window from the histogram, and what counts as absurd."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pneumocascade.imaging.dicom.lut import Window
from pneumocascade.imaging.dicom.window import leaves_nothing, quantiles, window_from_histogram
from tests.imaging.dicom.objects import DEEP

VALUES = np.arange(4096, dtype=np.float64)


def counts_of(film: NDArray[np.uint16]) -> NDArray[np.int64]:
    return np.bincount(film.ravel(), minlength=4096).astype(np.int64)


@given(st.floats(0.05, 20), st.floats(-3000, 3000), st.booleans())
def test_exposure_does_not_change_what_is_shown(slope: float, offset: float, negative: bool) -> None:
    values = (-slope if negative else slope) * VALUES + offset
    first, second = (window_from_histogram(v, counts_of(DEEP)) for v in (VALUES, values))
    assert first is not None
    assert second is not None
    shown = second.of(values)
    expected = first.of(VALUES)
    present = counts_of(DEEP) > 0
    assert np.abs((1 - shown if negative else shown) - expected)[present].max() < 0.02


def test_a_few_extreme_pixels_do_not_count() -> None:
    spoilt = DEEP.copy()
    spoilt[0, 0], spoilt[0, 1] = 0, 4095
    clean = np.clip(DEEP, 500, 3000)
    clean_window, window = (window_from_histogram(VALUES, counts_of(film)) for film in (clean, spoilt))
    assert clean_window is not None
    assert window is not None
    inside = (VALUES >= 600) & (VALUES <= 2900)
    assert window.width < 4000
    assert np.abs(window.of(VALUES) - clean_window.of(VALUES))[inside].max() < 0.35


def test_there_is_none_where_nothing_varies() -> None:
    counts = np.zeros(4096, np.int64)
    assert window_from_histogram(VALUES, counts) is None
    counts[7] = 100
    assert window_from_histogram(VALUES, counts) is None
    counts[8] = 1
    window = window_from_histogram(VALUES, counts)
    assert window is not None
    assert window.of(VALUES[7:9]).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("window", "absurd"),
    [
        (Window(2048, 4096), False),
        (Window(1500, 2500), False),
        (Window(2048, 4096, "SIGMOID"), False),
        (Window(40, 400), True),
        (Window(9000, 500), True),
        (Window(-9000, 500), True),
        (Window(2048, 1_000_000), True),
        (Window(2048, 1), True),
    ],
)
def test_windows_that_leave_nothing_to_see(window: Window, absurd: bool) -> None:
    film = DEEP.copy()
    film[film < 600] = 600
    assert leaves_nothing(window.of(VALUES), counts_of(film)) == absurd


def test_no_pixels_no_verdict() -> None:
    assert not leaves_nothing(VALUES / 4095, np.zeros(4096, np.int64))


@given(st.lists(st.integers(0, 4095), min_size=1, max_size=300), st.floats(0, 1))
def test_quantiles_are_those_of_numpy(pixels: list[int], share: float) -> None:
    film = np.array(pixels, np.uint16)
    low, _ = quantiles(VALUES, counts_of(film), (share, 1))
    assert low == np.quantile(film, share, method="inverted_cdf") or share < 1 / film.size
    flipped, _ = quantiles(-VALUES, counts_of(film), (share, 1))
    assert flipped == np.quantile(-film.astype(int), share, method="inverted_cdf") or share < 1 / film.size
