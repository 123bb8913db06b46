from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from pneumocascade.training import augment as room
from pneumocascade.training.augment import DETAIL, FIRST, GRAFTS, PLAN, Change, Graft, augment, match_detail
from tests.conftest import draw_chest

CHANGES = [change for _, change in (*FIRST, *PLAN)]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("shape", [(96, 96), (150, 210)])
def test_a_change_gives_a_grey_film_and_leaves_the_given_one_alone(
    change: Change, shape: tuple[int, int]
) -> None:
    film = draw_chest(1, *shape)
    before = film.copy()
    for seed in range(20):
        changed = change(film, np.random.default_rng(seed))
        assert changed.dtype == np.uint8
        assert changed.ndim == 2
        assert changed.std() > 5, "the film is still there"
        np.testing.assert_array_equal(film, before)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_changes_something(change: Change) -> None:
    film = draw_chest(1, 128, 128)
    outcomes = [change(film, np.random.default_rng(seed)) for seed in range(5)]
    assert any(out.shape != film.shape or (out != film).any() for out in outcomes)


@pytest.mark.parametrize(
    "graft", [match_detail, *(graft for _, graft in GRAFTS)], ids=lambda graft: graft.__name__
)
def test_a_graft_changes_a_film_and_leaves_both_alone(graft: Graft) -> None:
    film, donor = draw_chest(1, 150, 210), draw_chest(5, 120, 100) // 2
    before = film.copy(), donor.copy()
    changed = graft(film, donor, np.random.default_rng(0))
    assert changed.dtype == np.uint8
    assert changed.shape == film.shape
    assert (changed != film).any()
    np.testing.assert_array_equal(film, before[0])
    np.testing.assert_array_equal(donor, before[1])


def test_another_film_is_asked_for_only_where_one_is_needed() -> None:
    film = draw_chest(1, 128, 128)
    asked = {"donor": 0, "detail": 0}

    def counted(name: str) -> NDArray[np.uint8]:
        asked[name] += 1
        return film

    for seed in range(200):
        rng = np.random.default_rng(seed)
        augment(film, rng, partial(counted, "donor"), partial(counted, "detail"))
    shares = sum(probability for probability, _ in GRAFTS)
    assert asked == {
        "donor": pytest.approx(200 * shares, rel=0.3),
        "detail": pytest.approx(200 * DETAIL, rel=0.15),
    }


def test_the_rng_is_the_only_source_of_chance() -> None:
    film = draw_chest(2, 128, 160)
    first, again, other = (augment(film, np.random.default_rng(seed)) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or (first != other).any()


def test_flip_twice_is_nothing(chest: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(room.flip(room.flip(chest, rng), rng), chest)


def test_moved_films_keep_the_anatomy_near_its_place() -> None:
    film = draw_chest(0, 224, 224)
    for seed in range(10):
        moved = room.move(film, np.random.default_rng(seed))
        assert np.corrcoef(film.ravel(), moved.ravel())[0, 1] > 0.35


def test_blur_and_sharpen_go_opposite_ways() -> None:
    film = draw_chest(0, 224, 224)

    def detail(picture: NDArray[np.uint8]) -> float:
        return float(np.abs(np.diff(picture.astype(np.int16), axis=1)).mean())

    rng = np.random.default_rng(0)
    assert detail(room.blur(film, rng)) < detail(film) < detail(room.sharpen(film, rng))
