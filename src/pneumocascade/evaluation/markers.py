"""Where a film's side marker is: the letter R burnt in beside or above the chest.

Nearly every film of *Chest X-Ray Images (Pneumonia)* bears one, so that its mere presence tells little;
its place does, since normal films and films of pneumonia were marked in other places.

A letter is brighter than what is around it and thinner than a finger, and so is what a morphological
top-hat leaves of a film. Of that, at several levels, connected components near the border of the size of
a letter are compared with drawn letters; a rib or an electrode is none.

How often it is right was looked up by eye, by one person and on held-out films: see
``docs/subgroups.md``. It misses letters that touch the film's edge or other text, and those that are too
small or faint, mostly on films of 224 pixels; "not found" does not mean that there is none. Other text
(A-P, a date, kV) is not looked for.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from numpy.typing import NDArray

    Grey: TypeAlias = NDArray[np.uint8]
    Floats: TypeAlias = NDArray[np.float64]

PLACES = ("top", "side")
"""Where a marker may be found: centred in the top fifth of the film, or below it."""

TOP = 0.2
"""Share of the height that is the top."""

SIDE = 448
"""Shorter side, in pixels, that a larger film is shrunk to."""

LEVELS = (30, 50, 80, 120, 160)
"""Grey values by which a letter may stand out: little on the body, much on the dark background."""

NEAR = 0.25
"""A letter below the top is centred in this share of the width, at the left or at the right."""

STROKE = 0.08
"""What is wider than this share of the shorter side is no stroke of a letter."""

HEIGHTS = (0.025, 0.17)
"""Height of a letter, in shares of the film's shorter side."""

SLIMNESS = (0.8, 3.0)
"""Height of a letter over its width: large on films that were stretched to a square."""

LIKENESS = 0.5
"""Correlation with a drawn letter from which a component is taken for one."""

GLYPH = (16, 24)
"""Width and height, in pixels, at which letters are compared."""


def find_marker(film: Grey) -> str | None:
    """Return where the side marker R is.

    Parameters
    ----------
    film : ndarray of uint8, shape (H, W)

    Returns
    -------
    {"top", "side"} or None
        That of the likeliest letter; ``None`` where none is found.
    """
    shorter = min(film.shape)
    if shorter > SIDE:
        scale = SIDE / shorter
        film = cv2.resize(film, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.uint8)
    likeliest = max(_letters(film), default=(0.0, 0.0))
    if likeliest[0] < LIKENESS:
        return None
    return PLACES[0] if likeliest[1] < TOP else PLACES[1]


def _letters(film: Grey) -> Iterator[tuple[float, float]]:
    """Yield likeness to an R, and centre as a share of the height, of what may be a letter."""
    height, width = film.shape
    shorter = min(film.shape)
    side = round(STROKE * shorter) | 1
    thin = cv2.morphologyEx(film, cv2.MORPH_TOPHAT, np.ones((side, side), np.uint8))
    for level in LEVELS:
        _, areas, stats, centres = cv2.connectedComponentsWithStats((thin >= level).astype(np.uint8))
        across, down = centres[:, 0] / width, centres[:, 1] / height
        wide, tall = stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]
        possible = (np.minimum(across, 1 - across) < NEAR) | (down < TOP)
        possible &= (tall >= HEIGHTS[0] * shorter) & (tall <= HEIGHTS[1] * shorter)
        possible &= (tall >= SLIMNESS[0] * wide) & (tall <= SLIMNESS[1] * wide)
        for number in np.flatnonzero(possible):
            left, top, columns, rows = stats[number, :4]
            inside = (slice(top, top + rows), slice(left, left + columns))
            letter = np.where(areas[inside] == number, thin[inside], 0).astype(np.uint8)
            yield _likeness(letter), float(down[number])


def _likeness(letter: Grey) -> float:
    """Return the highest correlation with a drawn R, -1..1."""
    way = cv2.INTER_LINEAR if letter.shape[0] < GLYPH[1] else cv2.INTER_AREA
    return float(np.max(_drawn_letters() @ _normed(letter, way, 1.0)))


@lru_cache(maxsize=1)
def _drawn_letters() -> Floats:
    """Return letters R in thin and bold, with and without serifs, normed, shape (6, pixels)."""
    drawn = []
    for font in (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX):
        for thickness in (6, 12):
            canvas = np.zeros((200, 200), np.uint8)
            cv2.putText(canvas, "R", (40, 150), font, 4.0, 255, thickness, cv2.LINE_AA)
            rows, columns = np.nonzero(canvas > 127)
            letter = canvas[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            drawn.append(_normed(letter, cv2.INTER_AREA, 1.2))
    return np.stack(drawn)


def _normed(letter: Grey, way: int, sigma: float) -> Floats:
    """Bring a letter to one size and blur it, so that thickness matters less; mean 0, length 1."""
    sized = cv2.resize(letter, GLYPH, interpolation=way).astype(np.float64)
    values = np.asarray(cv2.GaussianBlur(sized, (0, 0), sigma), np.float64).ravel()
    values = values - values.mean()
    length = float(np.linalg.norm(values))
    normed: Floats = values / length if length > 0 else values
    return normed
