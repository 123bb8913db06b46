"""The checks on pixels let chests through and say why they do not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pneumocascade import read_radiograph
from pneumocascade.model.gate import MIN_JUDGED_SIDE, check_pixels
from pneumocascade.model.gate.pixel_checks import MAX_COLOURFULNESS, MIN_DEVIATION
from pneumocascade.types import Radiograph
from tests.conftest import draw_chest


def codes(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> list[str]:
    return [reason.code for reason in check_pixels(read_radiograph(pixels)).reasons]


@pytest.mark.parametrize("seed", range(5))
def test_phantoms_pass(seed: int) -> None:
    film = draw_chest(seed, opacity=seed / 5)
    assert codes(film) == []
    assert codes(film.astype(np.uint16) * np.uint16(257)) == []
    assert codes(255 - film) == []


@pytest.mark.parametrize("shape", [(MIN_JUDGED_SIDE - 1, 300), (300, MIN_JUDGED_SIDE - 1)])
def test_a_film_below_the_smallest_side_is_refused(shape: tuple[int, int]) -> None:
    film = draw_chest(height=shape[0], width=shape[1])
    (reason,) = check_pixels(read_radiograph(film)).reasons
    assert reason.code == "too_small"
    assert f"{MIN_JUDGED_SIDE - 1} pixels" in reason.message
    assert codes(draw_chest(height=MIN_JUDGED_SIDE, width=MIN_JUDGED_SIDE)) == []


def stripes(deviation: float) -> NDArray[np.uint8]:
    """Return a film of two tones, left and right, with the given standard deviation."""
    film = np.full((128, 128), 100, np.uint8)
    film[:, 64:] += np.uint8(round(2 * deviation))
    return film


def test_a_film_of_nearly_one_tone_is_refused() -> None:
    (reason,) = check_pixels(read_radiograph(stripes(MIN_DEVIATION - 1))).reasons
    assert reason.code == "blank"
    assert f"{MIN_DEVIATION - 1:.1f} of 255" in reason.message
    assert "blank" not in codes(stripes(MIN_DEVIATION + 1))


def test_noise_without_structure_is_blank() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1024, 1024), dtype=np.uint8)
    assert codes(noise) == ["blank"]


def test_a_picture_in_colour_is_refused_but_a_tint_is_not() -> None:
    grey = draw_chest()
    tinted = np.stack([grey, grey, np.clip(grey + 12.0, 0, 255).astype(np.uint8)], axis=2)
    coloured = np.stack([grey, 255 - grey, np.roll(grey, 200, axis=1)], axis=2)
    assert codes(tinted) == []
    assert codes(coloured) == ["not_a_radiograph"]


def test_the_limit_of_colour_is_inclusive() -> None:
    grey = draw_chest()
    assert check_pixels(Radiograph(grey, "film", MAX_COLOURFULNESS)).reasons == ()
    assert [
        reason.code for reason in check_pixels(Radiograph(grey, "film", MAX_COLOURFULNESS + 0.01)).reasons
    ] == ["not_a_radiograph"]


def test_every_reason_is_given_at_once() -> None:
    film = Radiograph(np.full((50, 50), 7, np.uint8), "film", 100.0)
    assert [reason.code for reason in check_pixels(film).reasons] == [
        "too_small",
        "blank",
        "not_a_radiograph",
    ]
