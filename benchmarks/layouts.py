"""Pictures that show a film among other things: two films side by side, screenshots, photographs.

Made by code from films, with much left to chance: sizes, margins, gaps, tones, texts, perspective, colour,
resampling and compression.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Colour = NDArray[np.uint8]
Random = np.random.Generator

_WORDS = ("CHEST PA", "AP SUPINE", "R", "L", "File Edit View", "W 2048 L 1024", "Zoom 87%", "Patient", "1/2")


def _resized(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    size = (max(1, width), max(1, height))
    shrinks = size[0] < pixels.shape[1] or size[1] < pixels.shape[0]
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=way), np.uint8)


def _compressed(pixels: NDArray[np.uint8], rng: Random) -> NDArray[np.uint8]:
    """Return pixels after JPEG of quality 60 to 95, or as PNG keeps them."""
    if rng.random() < 0.35:
        return pixels
    quality = int(rng.integers(60, 96))
    data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), np.uint8)


def _write(canvas: NDArray[np.uint8], at: tuple[int, int], tone: object, rng: Random, scale: float) -> None:
    words = str(rng.choice(_WORDS))
    cv2.putText(canvas, words, at, cv2.FONT_HERSHEY_SIMPLEX, scale, tone, 1, cv2.LINE_AA)  # type: ignore[call-overload]


def _cut(film: Grey, rng: Random) -> Grey:
    """Return a film without up to 8 % of each side, a little brighter or darker."""
    height, width = film.shape
    top, left = int(rng.uniform(0, 0.08) * height), int(rng.uniform(0, 0.08) * width)
    bottom, right = int(rng.uniform(0, 0.08) * height), int(rng.uniform(0, 0.08) * width)
    cut = film[top : height - bottom, left : width - right].astype(np.float32)
    return np.asarray(np.clip(cut * rng.uniform(0.8, 1.2) + rng.uniform(-15, 15), 0, 255), np.uint8)


def two_films(one: Grey, other: Grey, rng: Random) -> Grey:
    """Return two films side by side, or one above the other in one of five pictures.

    Parameters
    ----------
    one, other : ndarray of uint8, shapes (H, W) and (H', W')
    rng : numpy.random.Generator
    """
    stacked = rng.random() < 0.2
    side = int(rng.integers(200, 1000))
    shape = float(rng.uniform(0.8, 1.25))  # width of a film over its height
    films = [_resized(_cut(film, rng), side, round(side * shape)) for film in (one, other)]
    gap = round(side * float(rng.choice([0.0, rng.uniform(0.005, 0.03), rng.uniform(0.03, 0.15)])))
    tone = (0, 0, 255, int(rng.integers(0, 256)))[rng.integers(4)]
    if stacked:
        between = np.full((gap, films[0].shape[1]), tone, np.uint8)
        canvas = np.vstack([films[0], between, films[1]])
    else:
        between = np.full((side, gap), tone, np.uint8)
        canvas = np.hstack([films[0], between, films[1]])
    if rng.random() < 0.4:
        border = round(side * rng.uniform(0.01, 0.12))
        canvas = cv2.copyMakeBorder(
            canvas, border, border, border, border, cv2.BORDER_CONSTANT, value=tone
        ).astype(np.uint8)
    for _ in range(int(rng.integers(0, 4))):
        at = (int(rng.uniform(0, 0.9) * canvas.shape[1]), int(rng.uniform(0.05, 1) * canvas.shape[0]))
        _write(canvas, at, 255 - tone, rng, side / 800)
    if rng.random() < 0.25:  # stretched to a square, as the films of some data sets are
        square = int(rng.integers(224, 600))
        canvas = _resized(canvas, square, square)
    return _compressed(canvas, rng)


def screenshot(film: Grey, rng: Random) -> Colour:
    """Return a viewer's window with a film in it: bars, panels, icons, texts.

    Parameters
    ----------
    film : ndarray of uint8, shape (H, W)
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of uint8, shape (H', W', 3)
    """
    height = int(rng.choice([720, 768, 900, 1080]))
    width = round(height * rng.choice([4 / 3, 16 / 10, 16 / 9]))
    dark = rng.random() < 0.6
    base = int(rng.integers(25, 90)) if dark else int(rng.integers(190, 250))
    tint = rng.integers(-6, 7, 3) * (rng.random() < 0.5)
    panel = tuple(int(each) for each in np.clip(base + tint, 0, 255))
    ink = 230 if dark else 30
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = panel
    top, bottom = (round(height * rng.uniform(*limits)) for limits in ((0.03, 0.14), (0.0, 0.06)))
    left = round(width * rng.choice([0.0, rng.uniform(0.06, 0.25)]))
    right = round(width * rng.choice([0.0, rng.uniform(0.06, 0.25)]))
    view = canvas[top : height - bottom, left : width - right]
    view[:] = int(rng.choice([0, 0, 0, 20, base]))
    scale = rng.uniform(0.75, 1.0) * min(view.shape[0] / film.shape[0], view.shape[1] / film.shape[1])
    shown = _resized(film, round(film.shape[0] * scale), round(film.shape[1] * scale))
    down, across = ((view.shape[axis] - shown.shape[axis]) // 2 for axis in (0, 1))
    view[down : down + shown.shape[0], across : across + shown.shape[1]] = shown[..., None]
    for corner in ((0.03, 0.05), (0.03, 0.97), (0.8, 0.05), (0.8, 0.97)):
        if rng.random() < 0.6:
            at = (left + round(corner[0] * view.shape[1]), top + round(corner[1] * view.shape[0]))
            _write(canvas, at, (220, 220, 220), rng, 0.5)
    _draw_controls(canvas, (top, left, right), film, ink, rng)
    if rng.random() < 0.5:
        smaller = rng.uniform(0.35, 1.0)
        canvas = _resized(canvas, round(height * smaller), round(width * smaller))
    return _compressed(canvas, rng)


def _draw_controls(canvas: Colour, edges: tuple[int, int, int], film: Grey, ink: int, rng: Random) -> None:
    """Draw icons into the bar at the top, and thumbnails or lines of text into the panels."""
    top, left, right = edges
    height, width, _ = canvas.shape
    step = max(14, round(top * rng.uniform(0.9, 1.6)))
    for place in range(step // 2, round(width * rng.uniform(0.2, 0.8)), step):
        size = max(2, round(top * 0.25))
        cv2.rectangle(canvas, (place, top // 2 - size), (place + size, top // 2 + size), (ink, ink, ink), 1)
    for start, room in ((0, left), (width - right, right)):
        if room < 30:
            continue
        if rng.random() < 0.5:
            small = _resized(film, round(room * 0.8), round(room * 0.8))
            count = int(rng.integers(1, 4))
            for number in range(count):
                down = top + 10 + number * (small.shape[0] + 12)
                if down + small.shape[0] < height:
                    into = canvas[down : down + small.shape[0], start + room // 10 :][:, : small.shape[1]]
                    into[:] = small[: into.shape[0], : into.shape[1], None]
        else:
            for down in range(top + 20, round(height * rng.uniform(0.3, 0.9)), 22):
                _write(canvas[:, start : start + room], (6, down), (ink, ink, ink), rng, 0.4)


def photograph(film: Grey, rng: Random) -> Colour:
    """Return a film on a light-box as a telephone sees it: at a slant, with a cast, uneven, noisy.

    Parameters
    ----------
    film : ndarray of uint8, shape (H, W)
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of uint8, shape (H', W', 3)
    """
    height, width = (int(rng.integers(480, 1100)) for _ in range(2))
    scene = np.full((height, width), rng.uniform(215, 255), np.float32)
    if rng.random() < 0.4:  # the wall beside the box
        wall, edge = rng.uniform(5, 60), round(min(height, width) * rng.uniform(0.02, 0.08))
        scene[:edge], scene[-edge:], scene[:, :edge], scene[:, -edge:] = wall, wall, wall, wall
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    margin = rng.uniform(0.1, 0.24)
    slant = corners * (1 - 2 * margin) + margin + rng.uniform(-0.06, 0.06, (4, 2))
    source = corners * np.array(film.shape[::-1], np.float32)
    goal = (slant * np.array([width, height])).astype(np.float32)
    warp = cv2.getPerspectiveTransform(source, goal)
    lit = np.asarray(cv2.warpPerspective(film, warp, (width, height), flags=cv2.INTER_AREA), np.float32)
    mask = np.asarray(cv2.warpPerspective(np.ones_like(film), warp, (width, height)), np.float32)
    # A film lets through at most part of the light of the box, and reflects a little.
    scene = scene * (1 - mask) + mask * (lit * rng.uniform(0.7, 0.95) + rng.uniform(5, 25))
    down, across = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    shade = 1 - rng.uniform(0.05, 0.3) * ((down - rng.uniform(-0.4, 0.4)) ** 2 + across**2) / 2
    blurred = cv2.GaussianBlur(scene * shade, (0, 0), float(rng.uniform(0.6, 2)))
    cast = 1 + rng.uniform(-0.12, 0.12, 3)
    noisy = blurred[..., None] * cast + rng.normal(0, rng.uniform(1, 6), (height, width, 3))
    return _compressed(np.clip(noisy, 0, 255).astype(np.uint8), rng)


MADE: dict[str, Callable[[Grey, Grey, Random], NDArray[np.uint8]]] = {
    "two films": two_films,
    "screenshot": lambda one, other, rng: screenshot(one, rng),  # noqa: ARG005
    "photograph": lambda one, other, rng: photograph(one, rng),  # noqa: ARG005
}
"""What makes each sort of picture, of two films."""
