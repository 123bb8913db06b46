"""Figures and distributions against values worked out by hand, and their properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from pneumocascade.explain.quality import (
    BINS,
    MEASURES,
    distributions,
    gradient_magnitude,
    local_contrast,
    local_entropy,
    quality_of,
)

GREYS = arrays(np.uint8, st.tuples(st.integers(9, 24), st.integers(9, 24)))


def halves(low: int, high: int) -> NDArray[np.uint8]:
    """Left half dark, right half bright; shape (20, 40)."""
    picture = np.full((20, 40), low, np.uint8)
    picture[:, 20:] = high
    return picture


def test_quality_of_two_tones() -> None:
    quality = quality_of(halves(50, 150))
    assert quality.mean == 100.0
    assert quality.deviation == 50.0
    assert quality.entropy == pytest.approx(1.0)  # two equally frequent values: one bit
    assert quality.michelson == pytest.approx(100 / 200)


def test_quality_of_every_grey_value() -> None:
    quality = quality_of(np.arange(256, dtype=np.uint8).reshape(16, 16))
    assert quality.entropy == pytest.approx(8.0)
    low, high = 2, 253  # the first values with 1 % and 99 % of the 256 pixels at or below them
    assert quality.michelson == pytest.approx((high - low) / (high + low))


def test_contrast_leaves_out_a_marker_and_a_thin_border() -> None:
    film = np.full((100, 100), 60, np.uint8)
    film[50:] = 180
    plain = quality_of(film).michelson
    film[0, :90] = 0
    film[99, :90] = 255
    assert quality_of(film).michelson == plain == pytest.approx(120 / 240)


def test_quality_of_black_is_all_zero() -> None:
    quality = quality_of(np.zeros((20, 20), np.uint8))
    assert (quality.mean, quality.deviation, quality.entropy, quality.michelson) == (0, 0, 0, 0)


def test_sixteen_bit_films_are_on_the_same_scale() -> None:
    eight = halves(50, 150)
    sixteen = eight.astype(np.uint16) * np.uint16(257)
    assert quality_of(sixteen) == quality_of(eight)


def test_colour_is_measured_by_its_luma() -> None:
    red = np.zeros((10, 10, 3), np.uint8)
    red[..., 0] = 255
    assert quality_of(red).mean == pytest.approx(0.299 * 255, abs=0.5)


def test_gradient_of_a_ramp_is_its_slope() -> None:
    ramp = np.tile(np.arange(0, 120, 3, dtype=np.uint8), (20, 1))
    assert gradient_magnitude(ramp)[5:-5, 5:-5] == pytest.approx(3.0)


def test_local_entropy_and_contrast_are_zero_on_one_tone_and_right_on_two() -> None:
    picture = np.full((30, 30), 70, np.uint8)
    assert np.all(local_entropy(picture) == 0)
    assert local_contrast(picture) == pytest.approx(0.0, abs=1e-3)
    stripes = np.tile(np.array([0, 200], np.uint8), (30, 15))
    middle = (15, 15)
    share = 5 / 9  # of the nine columns around a pixel, five are of its own tone
    bits = -share * np.log2(share) - (1 - share) * np.log2(1 - share)
    assert local_entropy(stripes)[middle] == pytest.approx(bits, abs=1e-5)
    assert local_contrast(stripes)[middle] == pytest.approx(200 * np.sqrt(share * (1 - share)), rel=1e-5)


@given(GREYS)
def test_maps_stay_in_their_range(picture: NDArray[np.uint8]) -> None:
    assert 0 <= local_entropy(picture).min() <= local_entropy(picture).max() <= 5.0 + 1e-4
    assert 0 <= local_contrast(picture).min() <= local_contrast(picture).max() <= 127.5 + 1e-3
    assert gradient_magnitude(picture).min() >= 0


@given(GREYS, st.sampled_from(sorted(MEASURES)))
def test_every_pixel_is_counted_once(picture: NDArray[np.uint8], name: str) -> None:
    measure = MEASURES[name]
    (found,) = distributions([picture], measure)
    assert found.edges.shape == (BINS + 1,)
    assert found.share.shape == (BINS,)
    if measure.cumulative:
        assert np.all(np.diff(found.share) >= 0)
        assert found.share[-1] == pytest.approx(1.0)
    else:
        assert found.share.sum() == pytest.approx(1.0)


def test_intensity_falls_into_the_bin_of_its_grey_value() -> None:
    (found,) = distributions([halves(0, 255)], MEASURES["intensity"])
    assert (found.share[0], found.share[-1]) == (0.5, 0.5)
    (found,) = distributions([halves(0, 128)], MEASURES["cumulative"])
    assert (found.share[31], found.share[32]) == (0.5, 1.0)


def test_pictures_compared_share_their_bins() -> None:
    soft, hard = distributions([halves(100, 110), halves(0, 255)], MEASURES["gradient"])
    assert np.array_equal(soft.edges, hard.edges)
