"""Pictures that are no upright, frontal, whole chest film: what the gate learns to refuse.

Some are made from films (turned, negative, cut up), the others drawn by code from nothing but chance.
All are 8-bit grey (H, W). None is meant to deceive a radiologist: they only have to lie, for a
network, on the side of the real ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    Rng: TypeAlias = np.random.Generator

Grey = NDArray[np.uint8]
Plane = NDArray[np.float32]

SIDE = 288
"""Side of a drawn picture, in pixels; the models shrink it."""

PART_AREA = (0.25, 0.45)
"""Least and largest share of a film that counts as a part of it."""


def inverted(film: Grey) -> Grey:
    """Return the negative of a film."""
    return 255 - film


def turned(film: Grey, quarters: int) -> Grey:
    """Return a film turned counter-clockwise by quarters of a circle."""
    return np.ascontiguousarray(np.rot90(film, quarters))


def part_of(film: Grey, rng: Rng) -> Grey:
    """Return a window of a film, of a share of its area in ``PART_AREA``, anywhere on it."""
    area, aspect = rng.uniform(*PART_AREA), np.exp(rng.uniform(-0.5, 0.5))
    down, across = min(1.0, np.sqrt(area * aspect)), min(1.0, np.sqrt(area / aspect))
    height, width = int(film.shape[0] * down), int(film.shape[1] * across)
    top, left = int(rng.integers(film.shape[0] - height + 1)), int(rng.integers(film.shape[1] - width + 1))
    return np.ascontiguousarray(film[top : top + height, left : left + width])


def shuffled(film: Grey, rng: Rng) -> Grey:
    """Return a film cut into 9 to 36 tiles and put together in another order."""
    count = int(rng.integers(3, 7))
    height, width = film.shape[0] // count, film.shape[1] // count
    tiles = film[: count * height, : count * width].reshape(count, height, count, width)
    tiles = tiles.transpose(0, 2, 1, 3).reshape(count * count, height, width)
    mixed = tiles[rng.permutation(len(tiles))].reshape(count, count, height, width)
    return np.ascontiguousarray(mixed.transpose(0, 2, 1, 3).reshape(count * height, count * width))


def smeared(film: Grey, rng: Rng) -> Grey:
    """Return a film so blurred (sigma of 5 to 10 % of a side) that no organ can be told."""
    sigma = float(rng.uniform(0.05, 0.1)) * min(film.shape)
    return _stretched(np.asarray(cv2.GaussianBlur(film.astype(np.float32), (0, 0), sigma), np.float32))


FROM_FILMS: Mapping[str, Callable[[Grey, Rng], Grey]] = {"shuffled": shuffled, "smeared": smeared}
"""What becomes of a film that then shows no chest any more, by name."""


def spectrum(rng: Rng) -> Grey:
    """Draw noise whose amplitude falls with the frequency: white, pink, brown, clouds."""
    exponent = rng.uniform(0, 2.5)
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None])
    frequency[0, 0] = 1 / SIDE
    waves = np.fft.rfft2(rng.standard_normal((SIDE, SIDE))) / frequency**exponent
    return _stretched(np.fft.irfft2(waves, (SIDE, SIDE)), rng.uniform(0.3, 1))


def gradient(rng: Rng) -> Grey:
    """Draw a smooth passage from dark to light: along a line, or around a point."""
    down, across = np.mgrid[0 : 1 : SIDE * 1j, 0 : 1 : SIDE * 1j]
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        plane = down * np.sin(angle) + across * np.cos(angle)
    else:
        plane = rng.choice([-1, 1]) * np.hypot(down - rng.uniform(0, 1), across - rng.uniform(0, 1))
    return _stretched(plane, rng.uniform(0.4, 1))


def pattern(rng: Rng) -> Grey:
    """Draw a checkerboard, stripes or waves."""
    down, across = np.mgrid[0:SIDE, 0:SIDE]
    angle, step = rng.uniform(0, np.pi), rng.uniform(8, 60)
    first = (down * np.sin(angle) + across * np.cos(angle)) / step
    second = (down * np.cos(angle) - across * np.sin(angle)) / step
    waves = np.sin(np.pi * first) * (np.sin(np.pi * second) if rng.random() < 0.6 else 1)
    return _stretched(np.sign(waves) if rng.random() < 0.6 else waves, rng.uniform(0.4, 1))


def document(rng: Rng) -> Grey:
    """Draw a page: headings, lines of letters and digits, rules, a box; now and then white on black."""
    page = np.full((SIDE, SIDE), rng.integers(216, 256), np.uint8)
    ink, down, margin = int(rng.integers(0, 80)), int(rng.integers(8, 40)), int(rng.integers(5, 40))
    letters = list("abcdefghijklmnopqrstuvwxyz    ABCDEFG0123456789.,:")
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_DUPLEX]))
    size = rng.uniform(0.25, 0.8)
    while down < SIDE - 5:
        heading = rng.random() < 0.12
        text = "".join(rng.choice(letters, int(rng.integers(4, 70))))
        scale = size * (1.6 if heading else 1)
        cv2.putText(page, text, (margin, down), cv2.FONT_HERSHEY_DUPLEX if heading else font, scale, ink, 1)
        if rng.random() < 0.08:
            cv2.line(page, (margin, down + 4), (SIDE - margin, down + 4), ink, 1)
        down += int((6 + scale * 36) * rng.choice([1, 1, 1, 2]))
    if rng.random() < 0.4:
        corners = rng.integers(10, SIDE - 10, (2, 2))
        first, second = (tuple(map(int, corner)) for corner in corners)
        cv2.rectangle(page, first, second, int(rng.integers(0, 220)), -1)
    return 255 - page if rng.random() < 0.15 else page


def shapes(rng: Rng) -> Grey:
    """Draw circles, boxes and lines of any tone on one tone."""
    picture = np.full((SIDE, SIDE), rng.uniform(0, 255), np.float32)
    for _ in range(int(rng.integers(1, 15))):
        first, second = (tuple(map(int, rng.integers(0, SIDE, 2))) for _ in range(2))
        tone, kind = float(rng.uniform(0, 255)), rng.integers(3)
        width = int(rng.choice([-1, 2, 6]))
        if kind == 0:
            cv2.circle(picture, first, int(rng.integers(8, SIDE // 2)), tone, width, cv2.LINE_AA)
        elif kind == 1:
            cv2.rectangle(picture, first, second, tone, width)
        else:
            cv2.line(picture, first, second, tone, abs(width) + 1, cv2.LINE_AA)
    return _grey(picture)


def scene(rng: Rng) -> Grey:
    """Draw things that hide one another, large and small, lit and textured, as on a photograph.

    The dead leaves model: Lee, Mumford & Huang, "Occlusion Models for Natural Images", IJCV 2001.
    """
    picture = gradient(rng).astype(np.float32)
    grain = spectrum(rng).astype(np.float32) - 128
    radii = np.exp(rng.uniform(np.log(6), np.log(130), int(rng.integers(15, 80))))
    for radius in sorted(radii, reverse=True):
        at = rng.uniform(0, SIDE, 2)
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 12))))
        spread = radius * rng.uniform(0.6, 1.3, len(angles)) * np.array([[rng.uniform(0.3, 1)], [1.0]])
        outline = (at[:, None] + spread * np.stack([np.sin(angles), np.cos(angles)])).T.astype(np.int32)
        leaf = np.zeros((SIDE, SIDE), np.uint8)
        cv2.fillPoly(leaf, [outline], 1)
        picture = np.where(leaf > 0, rng.uniform(0, 255) + rng.uniform(0, 0.6) * grain, picture)
    blurred = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), rng.uniform(0.5, 1.5))
    return _grey(np.asarray(blurred, np.float32))


def _grey(picture: NDArray[np.floating]) -> Grey:
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


def _stretched(plane: NDArray[np.floating], span: float = 1.0) -> Grey:
    """Return a plane as grey values that fill a share of the scale, about its middle."""
    low, high = float(plane.min()), float(plane.max())
    scaled = (plane - low) / max(high - low, 1e-6)
    return _grey(255 * (0.5 + span * (scaled - 0.5)))


PICTURES: Mapping[str, Callable[[Rng], Grey]] = {
    "spectrum": spectrum,
    "gradient": gradient,
    "pattern": pattern,
    "document": document,
    "shapes": shapes,
    "scene": scene,
}
"""Drawings of what is no radiograph, by name."""
