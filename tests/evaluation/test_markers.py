from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pneumocascade import read_radiograph
from pneumocascade.evaluation.markers import find_marker
from pneumocascade.model.preprocess import to_eight_bit
from tests.conftest import EXAMPLES, draw_chest


def written(
    film: NDArray[np.uint8], text: str, across: float, down: float, share: float = 0.06, grey: int = 250
) -> NDArray[np.uint8]:
    """Write a text in another font than the detector's, its centre at shares of width and height."""
    picture = Image.fromarray(film)
    where = (across * picture.width, down * picture.height)
    font = ImageFont.load_default(share * picture.height)
    ImageDraw.Draw(picture).text(where, text, grey, font, anchor="mm")
    return np.asarray(picture)


@pytest.mark.parametrize("height", [224, 480, 1600])
@pytest.mark.parametrize(
    ("across", "down", "place"),
    [(0.08, 0.07, "top"), (0.3, 0.06, "top"), (0.06, 0.5, "side"), (0.95, 0.3, "side")],
)
def test_a_letter_near_the_border_is_found(height: int, across: float, down: float, place: str) -> None:
    film = draw_chest(1, height, round(1.2 * height))
    assert find_marker(film) is None
    assert find_marker(written(film, "R", across, down)) == place


def test_what_is_no_side_marker() -> None:
    film = draw_chest(2)
    for text in ("I", "O", "-", "T", "."):
        assert find_marker(written(film, text, 0.08, 0.1)) is None, text
    assert find_marker(written(film, "R", 0.5, 0.5)) is None  # in the middle of the chest
    assert find_marker(written(film, "R", 0.08, 0.3, share=0.5)) is None
    assert find_marker(written(film, "R", 0.08, 0.3, share=0.02)) is None


def test_an_electrode_is_none() -> None:
    film = draw_chest(3)
    for radius in (8, 12, 16, 24):
        assert find_marker(cv2.circle(film.copy(), (60, 50), radius, 255, -1).astype(np.uint8)) is None


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_blank_films_have_none(grey: int) -> None:
    assert find_marker(np.full((100, 300), grey, np.uint8)) is None


# Looked up by eye.
MARKED = dict(zip([path.name for path in EXAMPLES], ("top", "top", "top", "top"), strict=True))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_films(path: Path) -> None:
    film = to_eight_bit(read_radiograph(path).pixels)
    assert find_marker(film) == MARKED[path.name]
    assert find_marker(cv2.bitwise_not(film).astype(np.uint8)) is None
    erased = film.copy()
    erased[: int(0.4 * film.shape[0]), : int(0.2 * film.shape[1])] = 0
    assert find_marker(erased) is None
