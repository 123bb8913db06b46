"""Two films in one picture, screenshots and photographs are refused by name; films as they come are not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.layouts import MADE
from pneumocascade import Cascade, read_radiograph
from pneumocascade.datasets.films import find_films
from pneumocascade.evaluation.shift_conditions import CONDITIONS
from pneumocascade.evaluation.shift_suite import choose_films
from pneumocascade.model.gate import check_pixels
from pneumocascade.model.gate.layout import PADDED, SURROUNDED, TINTED
from pneumocascade.types import Radiograph
from tests.conftest import draw_chest, vary_example

CODES = {"two films": "several_films", "screenshot": "screenshot", "photograph": "photograph"}

NEW = set(CODES.values())


def codes(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> list[str]:
    return [reason.code for reason in check_pixels(read_radiograph(pixels)).reasons]


def warnings_of(pixels: NDArray[np.uint8]) -> tuple[str, ...]:
    return check_pixels(read_radiograph(pixels)).warnings


@pytest.mark.parametrize("kind", MADE)
def test_pictures_of_each_kind_are_refused_by_its_code_or_warned_of(kind: str) -> None:
    rng = np.random.default_rng(5)
    films = [vary_example(seed, 420, 500) for seed in range(4)]
    named = noticed = 0
    for _ in range(40):
        one, other = rng.choice(4, 2, replace=False)
        checks = check_pixels(read_radiograph(MADE[kind](films[one], films[other], rng)))
        named += CODES[kind] in [reason.code for reason in checks.reasons]
        noticed += bool(checks.reasons or checks.warnings)
    assert named >= 30
    assert noticed >= 35


@pytest.mark.parametrize("gap", [0, 2, 12])
@pytest.mark.parametrize("tone", [0, 128, 255])
def test_two_films_side_by_side_or_above_each_other(gap: int, tone: int) -> None:
    one, other = vary_example(0, 480, 480), vary_example(2, 480, 480) // 2 + 60
    between = np.full((480, gap), tone, np.uint8)
    assert "several_films" in codes(np.hstack([one, between, other]))
    assert "several_films" in codes(np.vstack([one, between.T, other]))


def test_the_answer_says_that_there_are_two_films(cascade: Cascade) -> None:
    pair = np.hstack([vary_example(0, 400, 400), np.zeros((400, 12), np.uint8), vary_example(1, 400, 400)])
    prediction = cascade.predict(pair)
    assert prediction.status == "refused"
    assert prediction.reasons[0].code == "several_films"
    assert "file of its own" in prediction.reasons[0].message
    assert cascade.predict(pair, gate=False).status == "ok"


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("seed", range(4))
def test_a_film_is_none_of_these(seed: int, depth: type) -> None:
    for film in (vary_example(seed, 700, 900), vary_example(seed, 120, 110), draw_chest(seed)):
        wide = film.astype(depth) * depth(np.iinfo(depth).max // 255)
        assert codes(wide) == []
        assert check_pixels(read_radiograph(wide)).warnings == ()


def test_black_borders_and_a_lifted_black_are_usual() -> None:
    film = vary_example(0, 500, 400)
    square = cv2.copyMakeBorder(film, 0, 0, 50, 50, cv2.BORDER_CONSTANT, value=0).astype(np.uint8)
    lifted = np.clip(square.astype(np.int16) + 60, 0, 255).astype(np.uint8)
    for usual in (square, lifted, film // 2 + 100):
        assert codes(usual) == []
        assert warnings_of(usual) == ()


def test_grey_bars_on_opposite_sides_are_padding_and_warned_of() -> None:
    padded = cv2.copyMakeBorder(
        vary_example(0, 500, 400), 0, 0, 50, 50, cv2.BORDER_CONSTANT, value=128
    ).astype(np.uint8)
    assert codes(padded) == []
    assert warnings_of(padded) == (PADDED,)


def test_a_bar_on_one_side_is_a_screenshot() -> None:
    bar = cv2.copyMakeBorder(vary_example(0, 500, 400), 60, 0, 90, 0, cv2.BORDER_CONSTANT, value=70).astype(
        np.uint8
    )
    assert codes(bar) == ["screenshot"]


def test_a_tint_is_warned_of_and_a_bright_surround_too() -> None:
    film = vary_example(0, 400, 400)
    tinted = np.stack([film, film, np.clip(film + 12.0, 0, 255).astype(np.uint8)], axis=2)
    assert codes(tinted) == []
    assert warnings_of(tinted) == (TINTED,)
    rng = np.random.default_rng(0)
    box = rng.integers(215, 245, (600, 600)).astype(np.uint8)
    box[100:500, 100:500] = film // 2
    assert codes(box) == []
    assert warnings_of(box) == (SURROUNDED,)


@pytest.mark.data
@pytest.mark.slow
def test_no_real_film_is_refused_by_its_layout_not_even_spoilt(data: Path) -> None:
    films = [film.path for film in choose_films(find_films(data / "kermany224"), 300)]
    films += sorted((data / "other-films" / "nih").rglob("*.jpeg"))[::4]
    refused = [path.name for path in films if NEW & set(codes(read_radiograph(path).pixels))]
    assert refused == []
    rng = np.random.default_rng(0)
    pixels = [np.asarray(read_radiograph(path).pixels, np.uint8) for path in films[::30]]
    changed = [
        (str(condition), number)
        for condition in CONDITIONS
        for number, film in enumerate(pixels)
        if NEW & set(spoilt_codes(condition.apply(film, pixels[number - 1], rng)))
    ]
    assert len(changed) <= 2, changed  # of about 800


def spoilt_codes(pixels: NDArray[np.uint8]) -> list[str]:
    reasons = check_pixels(Radiograph(np.ascontiguousarray(pixels), "spoilt")).reasons
    return [reason.code for reason in reasons]
