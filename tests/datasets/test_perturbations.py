from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pneumocascade import Radiograph
from pneumocascade.datasets import perturbations
from pneumocascade.model.preprocess import to_eight_bit, to_square
from tests.conftest import draw_chest

Grey = NDArray[np.uint8]

CHANGES: dict[str, Callable[[Grey], Grey]] = {
    "darker": lambda film: perturbations.expose(film, gamma=1.5),
    "less contrast": lambda film: perturbations.expose(film, contrast=0.6),
    "blur": lambda film: perturbations.blur(film, 1.5),
    "sharpen": lambda film: perturbations.sharpen(film, 1.0),
    "noise": lambda film: perturbations.add_noise(film, 6, np.random.default_rng(0)),
    "JPEG": lambda film: perturbations.compress(film, 30),
    "crop": lambda film: perturbations.crop(film, 0.1, 0.05, 0.2, 0.0),
    "collimate": lambda film: perturbations.collimate(film, 0.1),
    "resize": lambda film: perturbations.resize(film, 80),
    "rotate": lambda film: perturbations.rotate(film, 8),
    "marker": lambda film: perturbations.write_marker(film, np.random.default_rng(0)),
    "mask": lambda film: perturbations.mask_patch(film, np.random.default_rng(0)),
    "frame": lambda film: perturbations.transplant_frame(film, draw_chest(9, 120, 100), 0.1),
    "tone": lambda film: perturbations.swap_tone(film, draw_chest(9, 120, 100) // 2, 1.0),
    "detail": lambda film: perturbations.match_detail(film, draw_chest(9, 120, 100) // 2, 1.0),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("shape", [(160, 160), (300, 210)])
def test_a_change_changes_a_copy(name: str, shape: tuple[int, int]) -> None:
    film = draw_chest(1, *shape)
    before = film.copy()
    changed = CHANGES[name](film)
    np.testing.assert_array_equal(film, before)
    assert changed.dtype == np.uint8
    assert changed.ndim == 2
    assert changed.shape != film.shape or (changed != film).any()


def test_neutral_strengths_change_nothing() -> None:
    film = draw_chest(0, 224, 260)
    donor = draw_chest(5, 100, 100)
    for same in (
        perturbations.expose(film),
        perturbations.crop(film, 0, 0, 0, 0),
        perturbations.collimate(film, 0),
        perturbations.rotate(film, 0),
        perturbations.transplant_frame(film, donor, 0),
        perturbations.swap_tone(film, donor, 0),
        perturbations.match_detail(film, donor, 0),
        perturbations.match_detail(film, film, 1),
    ):
        np.testing.assert_array_equal(same, film)


def test_lengths_are_those_of_a_film_of_224_pixels() -> None:
    small = draw_chest(0, 224, 224)
    large = np.asarray(cv2.resize(small, (896, 896), interpolation=cv2.INTER_CUBIC), np.uint8)
    shrunk = perturbations.resize(perturbations.blur(large, 2.0), 224)
    difference = np.abs(shrunk.astype(float) - perturbations.blur(small, 2.0))
    assert difference.mean() < 1.0


def test_frame_and_inside_come_from_two_films() -> None:
    film, donor = np.full((100, 200), 50, np.uint8), np.full((64, 64), 200, np.uint8)
    framed = perturbations.transplant_frame(film, donor, 0.1)
    assert set(framed[:10].ravel()) == {200}
    assert set(framed[:, :20].ravel()) == {200}
    assert set(framed[10:-10, 20:-20].ravel()) == {50}


def test_the_tone_becomes_the_donors_and_keeps_the_order() -> None:
    film = draw_chest(0, 224, 224)
    donor = perturbations.expose(draw_chest(1, 224, 224), gamma=2.0)
    toned = perturbations.swap_tone(film, donor, 1.0)
    assert abs(float(toned.mean()) - float(donor.mean())) < 3
    order = np.argsort(film.ravel(), kind="stable")
    assert (np.diff(toned.ravel()[order].astype(int)) >= 0).all()


def test_detail_gets_the_contrast_that_it_has_in_the_donor() -> None:
    film = draw_chest(0, 224, 224)
    for donor in (perturbations.expose(film, contrast=0.6), perturbations.blur(draw_chest(1, 300, 260), 2.0)):
        matched = perturbations.match_detail(film, donor, 1.0)
        assert abs(perturbations.fine_detail(film) / perturbations.fine_detail(donor) - 1) > 0.15
        assert perturbations.fine_detail(matched) == pytest.approx(perturbations.fine_detail(donor), rel=0.12)
        assert np.corrcoef(matched.ravel(), film.ravel())[0, 1] > 0.95


def test_fine_detail_grows_with_contrast_and_not_with_the_size_of_the_film() -> None:
    small = draw_chest(0, 224, 224)
    flat = perturbations.expose(small, contrast=0.5)
    assert perturbations.fine_detail(flat) == pytest.approx(perturbations.fine_detail(small) / 2, rel=0.03)
    large = np.asarray(cv2.resize(small, (896, 896), interpolation=cv2.INTER_CUBIC), np.uint8)
    assert perturbations.fine_detail(large) == pytest.approx(perturbations.fine_detail(small), rel=0.03)
    assert perturbations.fine_detail(np.full((224, 224), 90, np.uint8)) == 0


def test_sixteen_bits_become_eight_as_in_serving() -> None:
    values = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    eight = to_eight_bit(Radiograph(values, "deep").pixels)
    np.testing.assert_array_equal(eight, np.round(values / 257))
    np.testing.assert_array_equal(eight, to_square(values, 64))


def test_noise_leaves_the_mean_where_it_was() -> None:
    film = np.full((400, 400), 100, np.uint8)
    noisy = perturbations.add_noise(film, 4, np.random.default_rng(0))
    assert abs(float(noisy.mean()) - 100) < 0.1
    assert float(noisy.std()) == pytest.approx(4, abs=0.1)
