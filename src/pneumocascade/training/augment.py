"""Random changes to a training film that leave its finding alone.

The training films carry shortcuts: class goes along with sharpness, compression, resolution,
collimation and burned-in text. Each change below takes one of them away, so that the answer has to
depend on the film and not on its file. All act on 8-bit grey films of any shape (H, W), before the
preprocessing that serving uses as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Grey: TypeAlias = NDArray[np.uint8]
Change: TypeAlias = Callable[[Grey, np.random.Generator], Grey]

_FILTERS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


def crop_sides(film: Grey, rng: np.random.Generator) -> Grey:
    """Cut up to 8 % off each side on its own (collimation)."""
    height, width = film.shape
    top, bottom = (rng.uniform(0, 0.08, 2) * height).astype(int)
    left, right = (rng.uniform(0, 0.08, 2) * width).astype(int)
    return film[top : height - bottom, left : width - right]


def resample(film: Grey, rng: np.random.Generator) -> Grey:
    """Stretch to a square of 176 to 336 pixels with a random filter (resolution, aliasing)."""
    side = int(rng.integers(176, 337))
    return _grey(cv2.resize(film, (side, side), interpolation=int(rng.choice(_FILTERS))))


def move(film: Grey, rng: np.random.Generator) -> Grey:
    """Rotate by up to 12 degrees, zoom by up to 15 %, stretch and shift by up to 6 %."""
    height, width = film.shape
    angle = np.deg2rad(rng.uniform(-12, 12))
    zoom = np.exp(rng.uniform(-0.14, 0.14))
    across, down = zoom * np.exp(rng.uniform(-0.06, 0.06)), zoom * np.exp(rng.uniform(-0.06, 0.06))
    linear = np.array(
        [[across * np.cos(angle), -down * np.sin(angle)], [across * np.sin(angle), down * np.cos(angle)]]
    )
    centre = np.array([width / 2, height / 2])
    shift = rng.uniform(-0.06, 0.06, 2) * (width, height)
    matrix = np.column_stack([linear, centre + shift - linear @ centre])
    border = cv2.BORDER_CONSTANT if rng.random() < 0.7 else cv2.BORDER_REPLICATE
    return _grey(cv2.warpAffine(film, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border))


def flip(film: Grey, _rng: np.random.Generator) -> Grey:
    """Mirror left and right."""
    return np.ascontiguousarray(film[:, ::-1])


def expose(film: Grey, rng: np.random.Generator) -> Grey:
    """Change gamma, contrast and brightness (exposure and display curve)."""
    values = np.linspace(0, 1, 256) ** np.exp(rng.uniform(-0.45, 0.45))
    values = (values - 0.5) * rng.uniform(0.7, 1.3) + 0.5 + rng.uniform(-0.12, 0.12)
    table = np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return _grey(cv2.LUT(film, table))


def blur(film: Grey, rng: np.random.Generator) -> Grey:
    """Low-pass with a Gaussian of 0.4 to 1.4 pixels."""
    return _grey(cv2.GaussianBlur(film, (0, 0), rng.uniform(0.4, 1.4)))


def sharpen(film: Grey, rng: np.random.Generator) -> Grey:
    """Unsharp mask of up to 120 %."""
    amount = rng.uniform(0.2, 1.2)
    low = cv2.GaussianBlur(film, (0, 0), rng.uniform(0.7, 2.0))
    return _grey(cv2.addWeighted(film, 1 + amount, low, -amount, 0))


def add_noise(film: Grey, rng: np.random.Generator) -> Grey:
    """Add Gaussian noise of 1 to 8 grey values."""
    noise = rng.standard_normal(film.shape, np.float32) * rng.uniform(1, 8)
    return np.clip(film + noise, 0, 255).astype(np.uint8)


def compress(film: Grey, rng: np.random.Generator) -> Grey:
    """Pass through JPEG of quality 40 to 95, once or twice."""
    for _ in range(int(rng.integers(1, 3))):
        _, data = cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 96))])
        film = _grey(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))
    return film


def write_marker(film: Grey, rng: np.random.Generator) -> Grey:
    """Burn in a side marker or a line of text near a border."""
    film = film.copy()
    side = film.shape[0]
    text = "".join(rng.choice(list("LRAPSUP0123456789"), int(rng.integers(1, 7))))
    scale = rng.uniform(0.3, 0.9) * side / 224
    near, along = rng.uniform(0.02, 0.14), rng.uniform(0.02, 0.85)
    down, across = (near, along) if rng.random() < 0.5 else (along, rng.choice([near, 0.85 - near]))
    origin = (int(across * side), int((down + 0.08) * side))
    value = int(rng.integers(150, 256))
    cv2.putText(
        film, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, value, int(rng.integers(1, 3)), cv2.LINE_AA
    )
    return film


def mask_patches(film: Grey, rng: np.random.Generator) -> Grey:
    """Cover one to three patches near the borders with one grey value (masked text, shutters)."""
    film = film.copy()
    height, width = film.shape
    for _ in range(int(rng.integers(1, 4))):
        tall, wide = int(rng.uniform(0.04, 0.16) * height), int(rng.uniform(0.06, 0.3) * width)
        top = int(rng.choice([rng.uniform(0, 0.1), rng.uniform(0.78, 0.95)]) * height)
        left = int(rng.uniform(0, 0.95) * width)
        film[top : top + tall, left : left + wide] = 0 if rng.random() < 0.6 else rng.integers(0, 256)
    return film


PLAN: tuple[tuple[float, Change], ...] = (
    (0.6, crop_sides),
    (1.0, resample),
    (0.9, move),
    (0.5, flip),
    (0.25, mask_patches),
    (0.3, write_marker),
    (0.8, expose),
    (0.3, blur),
    (0.25, sharpen),
    (0.3, add_noise),
    (0.5, compress),
)
"""Probability and change, in the order in which they are applied."""


def augment(film: Grey, rng: np.random.Generator, plan: tuple[tuple[float, Change], ...] = PLAN) -> Grey:
    """Apply each change of a plan with its probability.

    Parameters
    ----------
    film : ndarray of uint8, shape (H, W)
    rng : numpy.random.Generator
        The only source of chance.
    plan : tuple of (probability, change)

    Returns
    -------
    ndarray of uint8, shape (S, S)
        A new film; the given one is left as it was.
    """
    for probability, change in plan:
        if rng.random() < probability:
            film = change(film, rng)
    return np.ascontiguousarray(film)


def _grey(picture: object) -> Grey:
    return np.asarray(picture, np.uint8)
