"""Random changes to a training film that leave its finding alone.

The training films carry shortcuts: class goes along with sharpness, compression, resolution,
collimation and burned-in text. Each change below takes one of them away, so that the answer has to
depend on the film and not on its file. All act on 8-bit grey films of any shape (H, W), before the
preprocessing that serving uses as well; what they do is in :mod:`pneumocascade.datasets.perturbations`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np

from pneumocascade.datasets import perturbations
from pneumocascade.datasets.perturbations import Grey

Change: TypeAlias = Callable[[Grey, np.random.Generator], Grey]
Graft: TypeAlias = Callable[[Grey, Grey, np.random.Generator], Grey]

_FILTERS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


def mix_low_frequencies(film: Grey, donor: Grey, rng: np.random.Generator) -> Grey:
    """Mix the amplitudes of the 1 to 5 lowest frequencies with another film's by up to 100 %."""
    return perturbations.mix_amplitudes(film, donor, int(rng.integers(1, 6)), rng.uniform(0, 1))


def match_detail(film: Grey, donor: Grey, rng: np.random.Generator) -> Grey:
    """Move the contrast of each band of detail by 70 to 130 % to that of another film (image processing)."""
    return perturbations.match_detail(film, donor, rng.uniform(0.7, 1.3))


def crop_sides(film: Grey, rng: np.random.Generator) -> Grey:
    """Cut up to 15 % off each side on its own (collimation)."""
    return perturbations.crop(film, *rng.uniform(0, 0.15, 4))


def resample(film: Grey, rng: np.random.Generator) -> Grey:
    """Stretch to a square of 176 to 336 pixels with a random filter (resolution, aliasing)."""
    return perturbations.resize(film, int(rng.integers(176, 337)), int(rng.choice(_FILTERS)))


def move(film: Grey, rng: np.random.Generator, stretch: float = 0.2) -> Grey:
    """Rotate by up to 12 degrees, zoom by up to 15 %, stretch each axis by up to 22 %, shift by up to 6 %.

    Films are stretched to a square, and those of pneumonia were wider: how wide a thorax is must not tell.

    Parameters
    ----------
    film : ndarray of uint8, shape (H, W)
    rng : numpy.random.Generator
    stretch : float
        Logarithm of the greatest stretch of an axis.
    """
    height, width = film.shape
    angle = np.deg2rad(rng.uniform(-12, 12))
    zoom = np.exp(rng.uniform(-0.14, 0.14))
    across, down = zoom * np.exp(rng.uniform(-stretch, stretch, 2))
    linear = np.array(
        [[across * np.cos(angle), -down * np.sin(angle)], [across * np.sin(angle), down * np.cos(angle)]]
    )
    centre = np.array([width / 2, height / 2])
    shift = rng.uniform(-0.06, 0.06, 2) * (width, height)
    matrix = np.column_stack([linear, centre + shift - linear @ centre])
    border = cv2.BORDER_CONSTANT if rng.random() < 0.7 else cv2.BORDER_REPLICATE
    moved = cv2.warpAffine(film, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border)
    return np.asarray(moved, np.uint8)


def flip(film: Grey, _rng: np.random.Generator) -> Grey:
    """Mirror left and right."""
    return np.ascontiguousarray(film[:, ::-1])


def expose(film: Grey, rng: np.random.Generator) -> Grey:
    """Change gamma, contrast and brightness (exposure and display curve)."""
    return perturbations.expose(
        film,
        gamma=np.exp(rng.uniform(-0.45, 0.45)),
        contrast=rng.uniform(0.7, 1.3),
        brightness=rng.uniform(-0.12, 0.12),
    )


def blur(film: Grey, rng: np.random.Generator) -> Grey:
    """Low-pass with a Gaussian of 0.4 to 1.4 pixels."""
    return perturbations.blur(film, rng.uniform(0.4, 1.4))


def sharpen(film: Grey, rng: np.random.Generator) -> Grey:
    """Unsharp mask of 20 to 120 %."""
    return perturbations.sharpen(film, rng.uniform(0.2, 1.2), rng.uniform(0.7, 2.0))


def add_noise(film: Grey, rng: np.random.Generator) -> Grey:
    """Add Gaussian noise of 1 to 8 grey values."""
    return perturbations.add_noise(film, rng.uniform(1, 8), rng)


def compress(film: Grey, rng: np.random.Generator) -> Grey:
    """Pass through JPEG of quality 40 to 95, once or twice."""
    for _ in range(int(rng.integers(1, 3))):
        film = perturbations.compress(film, int(rng.integers(40, 96)))
    return film


def mask_patches(film: Grey, rng: np.random.Generator) -> Grey:
    """Cover one to three patches near the borders."""
    for _ in range(int(rng.integers(1, 4))):
        film = perturbations.mask_patch(film, rng)
    return film


GRAFTS: tuple[tuple[float, Graft], ...] = ((0.2, mix_low_frequencies),)
"""Probability and change that needs another film, applied before all others."""

DETAIL = 0.75
"""Probability of :func:`match_detail`, where it is asked for."""

FIRST: tuple[tuple[float, Change], ...] = ((0.7, crop_sides), (1.0, resample))
"""Probability and change, in the order in which they are applied. These come before detail is changed and
make the film small."""

PLAN: tuple[tuple[float, Change], ...] = (
    (0.9, move),
    (0.5, flip),
    (0.25, mask_patches),
    (0.3, perturbations.write_marker),
    (0.8, expose),
    (0.3, blur),
    (0.25, sharpen),
    (0.3, add_noise),
    (0.5, compress),
)
"""The same for those that come after it."""


def augment(
    film: Grey,
    rng: np.random.Generator,
    donor: Callable[[], Grey] | None = None,
    detail_donor: Callable[[], Grey] | None = None,
) -> Grey:
    """Apply each change with its probability.

    Parameters
    ----------
    film : ndarray of uint8, shape (H, W)
    rng : numpy.random.Generator
        The only source of chance.
    donor : callable, optional
        Returns another film, of uint8 and shape (H', W'); without it, ``GRAFTS`` are left out.
    detail_donor : callable, optional
        Returns the film whose contrast of detail is taken; without it, none is.

    Returns
    -------
    ndarray of uint8, shape (S, S)
        A new film; the given one is left as it was.
    """
    if donor is not None:
        for probability, graft in GRAFTS:
            if rng.random() < probability:
                film = graft(film, donor(), rng)
    film = _changed(film, rng, FIRST)
    if detail_donor is not None and rng.random() < DETAIL:
        film = match_detail(film, detail_donor(), rng)
    return np.ascontiguousarray(_changed(film, rng, PLAN))


def _changed(film: Grey, rng: np.random.Generator, plan: tuple[tuple[float, Change], ...]) -> Grey:
    for probability, change in plan:
        if rng.random() < probability:
            film = change(film, rng)
    return film
