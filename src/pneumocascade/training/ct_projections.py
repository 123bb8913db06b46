"""Films made of a chest CT: the patient turned, reshaped and exposed at random, from the front or the side.

Real films from the side that may be learnt from could not be had. Attenuation added up along parallel rays
makes such films of a CT. As one patient is not many, each film is made of another shape of this one; and as a
projection is not a real film, projections from the front stand on the other side: what tells the two apart is
the view alone.

The CT is LIDC-IDRI-0001 (Armato et al., "The Lung Image Database Consortium (LIDC) and Image Database
Resource Initiative (IDRI)", Medical Physics 2011; The Cancer Imaging Archive, CC BY 3.0), averaged to 2.5 mm
and 8 bits by ``tools/chest_ct.py``.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing import TypeAlias

    Rng: TypeAlias = np.random.Generator

Grey = NDArray[np.uint8]
Volume = NDArray[np.float32]

CT_FILE = Path(__file__).with_name("chest_ct.npz")

HOUNSFIELD = 8
"""Hounsfield units of one grey value of the stored CT, from -1000 on."""


@lru_cache(maxsize=1)
def chest_ct() -> Volume:
    """Return the CT in Hounsfield units, float32 of shape (Z, Y, X): from the top, front and right on."""
    with np.load(CT_FILE, allow_pickle=False) as archive:
        stored = archive["ct"]
    hounsfield: Volume = stored.astype(np.float32) * HOUNSFIELD - 1000
    return hounsfield


def frontal(rng: Rng) -> Grey:
    """Return a film from the front, turned by a few degrees."""
    return project(rng, rng.normal(0, 6))


def lateral(rng: Rng) -> Grey:
    """Return a film from either side, turned by up to some twenty degrees."""
    return project(rng, rng.choice([90, 270]) + np.clip(rng.normal(0, 9), -22, 22))


def project(rng: Rng, degrees: float) -> Grey:
    """Return a film of a body like that of the CT.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the shape of the body, how much of it is on the film, the exposure and the grain.
    degrees : float
        By which the body is turned about its long axis; 0 shows it from the front.

    Returns
    -------
    ndarray of uint8, shape (H, W)
        Dense parts bright.
    """
    thickness = _turned(_attenuation(chest_ct(), rng), rng, degrees)
    return _exposed(_framed(thickness, rng), rng)


def _attenuation(hounsfield: Volume, rng: Rng) -> Volume:
    """Return attenuation relative to water; bones, lungs and soft tissue weigh differently each time."""
    attenuation = np.maximum(hounsfield / 1000 + 1, 0)
    bone = np.maximum(hounsfield - 180, 0) / 1000
    lung = np.where(hounsfield < -400, attenuation, 0)
    weights = rng.uniform(-0.3, 1.8), rng.uniform(-0.6, 0.8)
    return np.asarray(attenuation + weights[0] * bone + weights[1] * lung, np.float32)


def _turned(attenuation: Volume, rng: Rng, degrees: float) -> NDArray[np.float32]:
    """Return the sum along the rays, shape (Z, W), of a body reshaped and turned."""
    depth, width = attenuation.shape[1:]
    deeper, wider = np.exp(rng.uniform(-0.25, 0.25, 2))
    side = int(1.1 * np.hypot(depth * 1.3, width * 1.3))
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag([wider, deeper])
    bend, sway = rng.uniform(-12, 12, 2)  # voxels by which the back is bent, and the body leans
    rows = []
    for number, layer in enumerate(attenuation):
        height = number / len(attenuation)
        shift = turn @ [sway * (height - 0.5), bend * np.sin(np.pi * height)]
        offset = np.array([side / 2, side / 2]) + shift - linear @ [width / 2, depth / 2]
        matrix = np.column_stack([linear, offset])
        rows.append(cv2.warpAffine(layer, matrix, (side, side), flags=cv2.INTER_LINEAR).sum(axis=0))
    return np.asarray(rows, np.float32)


def _framed(thickness: NDArray[np.float32], rng: Rng) -> NDArray[np.float32]:
    """Cut to what is on the film: from the neck or the shoulders to the diaphragm or below, with some air."""
    rows = len(thickness)
    top, bottom = int(rng.uniform(0, 0.12) * rows), int(rng.uniform(0.62, 1.0) * rows)
    part = thickness[top:bottom]
    inside = np.flatnonzero(part.max(axis=0) > 0.08 * part.max())
    left, right = int(inside[0]), int(inside[-1]) + 1
    margins = rng.uniform(-0.12, 0.15, 2) * (right - left)
    start, end = max(0, int(left - margins[0])), min(part.shape[1], int(right + margins[1]))
    return part[:, start:end]


def _exposed(thickness: NDArray[np.float32], rng: Rng) -> Grey:
    """Return 8-bit grey values: display curve, exposure, size and grain vary."""
    side = int(rng.integers(224, 400))
    shape = (side, int(side * np.exp(rng.uniform(-0.25, 0.25))))
    film = np.asarray(cv2.resize(thickness, shape, interpolation=cv2.INTER_CUBIC), np.float32)
    low, high = np.percentile(film, (rng.uniform(0, 12), rng.uniform(96, 100)))
    film = np.clip((film - low) / max(high - low, 1e-6), 0, 1)
    if rng.random() < 0.5:  # a film that darkens with what reaches it, not with the thickness
        strength = rng.uniform(0.8, 2.5)
        film = (1 - np.exp(-strength * film)) / (1 - np.exp(-strength))
    film = 255 * film ** np.exp(rng.uniform(-0.4, 0.4)) + rng.normal(0, rng.uniform(0.5, 6), film.shape)
    film = film[:, ::-1] if rng.random() < 0.5 else film
    return np.asarray(np.clip(np.round(film), 0, 255), np.uint8)
