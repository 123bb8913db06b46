"""What the gate learns to refuse is what it says, and is drawn anew from every seed."""

from __future__ import annotations

import numpy as np
import pytest

from pneumocascade.model.preprocess import to_square
from pneumocascade.training.synthetic_pictures import (
    FROM_FILMS,
    PART_AREA,
    PICTURES,
    SIDE,
    inverted,
    part_of,
    shuffled,
    smeared,
    turned,
)
from pneumocascade.training.synthetic_radiographs import LATERALS, OTHER_FILMS
from tests.conftest import draw_chest

DRAWINGS = {**PICTURES, **OTHER_FILMS, **LATERALS}


@pytest.mark.parametrize("name", DRAWINGS)
def test_drawings_are_films_of_their_own(name: str) -> None:
    drawings = [DRAWINGS[name](np.random.default_rng(seed)) for seed in range(4)]
    for drawing in drawings:
        assert drawing.shape == (SIDE, SIDE)
        assert drawing.dtype == np.uint8
        assert drawing.std() > 3
    assert np.array_equal(drawings[0], DRAWINGS[name](np.random.default_rng(0)))
    assert all(not np.array_equal(drawings[0], other) for other in drawings[1:])


def test_a_negative_of_a_negative_is_the_film() -> None:
    film = draw_chest()
    assert np.array_equal(inverted(inverted(film)), film)
    assert inverted(film).mean() == pytest.approx(255 - film.mean())


def test_four_quarters_are_a_whole_turn() -> None:
    film = draw_chest(height=200, width=260)
    assert turned(film, 1).shape == (260, 200)
    assert np.array_equal(turned(turned(film, 3), 1), film)
    assert np.array_equal(turned(film, 2), film[::-1, ::-1])


def test_a_part_is_a_window_of_the_film() -> None:
    film = np.arange(200 * 250, dtype=np.uint32).reshape(200, 250)
    rng = np.random.default_rng(0)
    for _ in range(50):
        window = part_of(film, rng)  # type: ignore[arg-type]
        assert PART_AREA[0] - 0.02 < window.size / film.size <= PART_AREA[1]
        top, left = divmod(int(window[0, 0]), 250)
        assert np.array_equal(window, film[top : top + window.shape[0], left : left + window.shape[1]])


@pytest.mark.parametrize("name", FROM_FILMS)
def test_spoilt_films_show_no_chest(name: str) -> None:
    film = draw_chest()
    spoilt = FROM_FILMS[name](film, np.random.default_rng(0))
    assert spoilt.dtype == np.uint8
    small, other = (to_square(each, 16).astype(np.float32) for each in (film, spoilt))
    assert np.abs(small - other).mean() > 12


def test_shuffling_keeps_every_pixel_but_those_cut_off() -> None:
    film = draw_chest(height=300, width=300)
    counts = [
        np.bincount(each.ravel(), minlength=256) for each in (film, shuffled(film, np.random.default_rng(3)))
    ]
    assert np.abs(counts[0] - counts[1]).sum() <= film.size - shuffled(film, np.random.default_rng(3)).size


def test_smearing_leaves_no_edge() -> None:
    film = draw_chest()
    smooth = smeared(film, np.random.default_rng(0)).astype(int)
    assert np.abs(np.diff(smooth, axis=1)).max() < np.abs(np.diff(film.astype(int), axis=1)).max() / 4
