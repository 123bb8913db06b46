"""Radiographs of other parts of the body and tomographic slices, drawn as tissue and bone.

Thicknesses are laid over one another and turned into grey values by the law of attenuation. The
shapes are simple and their proportions drawn by chance; see :mod:`pneumocascade.training.synthetic_pictures`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from pneumocascade.training.synthetic_pictures import SIDE, Grey, Plane

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    Rng: TypeAlias = np.random.Generator
    Point: TypeAlias = tuple[float, float]


class _Body:
    """Thickness of tissue and bone over a square of side 1, positions as (across, down)."""

    def __init__(self) -> None:
        self.thickness: Plane = np.zeros((SIDE, SIDE), np.float32)

    def _add(self, shape: NDArray[np.uint8], amount: float, softness: float) -> None:
        soft = cv2.GaussianBlur(shape.astype(np.float32), (0, 0), softness * SIDE)
        self.thickness += np.float32(amount) * np.asarray(soft, np.float32)

    def ellipse(
        self, at: Point, axes: Point, amount: float, *, angle: float = 0, softness: float = 0.008
    ) -> None:
        """Lay a filled ellipse, half axes as (across, down), over what there is."""
        shape = np.zeros((SIDE, SIDE), np.uint8)
        cv2.ellipse(shape, _pixels(at), _pixels(axes), angle, 0, 360, 1, -1)
        self._add(shape, amount, softness)

    def rod(self, ends: tuple[Point, Point], width: float, amount: float, softness: float = 0.006) -> None:
        """Lay a rod with round ends over what there is."""
        shape = np.zeros((SIDE, SIDE), np.uint8)
        cv2.line(shape, _pixels(ends[0]), _pixels(ends[1]), 1, max(1, round(width * SIDE)))
        self._add(shape, amount, softness)

    def bone(self, ends: tuple[Point, Point], width: float, amount: float) -> None:
        """Lay a long bone: a thick rind, a thin marrow, wider ends."""
        self.rod(ends, width, amount)
        self.rod(ends, width * 0.5, -0.45 * amount)
        for end in ends:
            self.ellipse(end, (width * 0.75, width * 0.6), 0.7 * amount)

    def exposed(self, rng: Rng, turn: float = 25) -> Grey:
        """Return the film: a turn of up to so many degrees, attenuation, exposure, grain."""
        zoom = rng.uniform(0.75, 1.3)
        matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), rng.uniform(-turn, turn), zoom)
        thickness = cv2.warpAffine(self.thickness, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
        film = 1 - np.exp(-rng.uniform(0.7, 1.6) * np.maximum(thickness, 0))
        clouds = cv2.resize(rng.standard_normal((12, 12)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        film = (
            (film + 0.02 * clouds) ** rng.uniform(0.7, 1.4)
            if film.min() > 0.1
            else film * (1 + 0.03 * clouds)
        )
        film = 255 * film / max(float(film.max()), 1e-6) + rng.normal(0, rng.uniform(1, 5), film.shape)
        return np.asarray(np.clip(np.round(film), 0, 255), np.uint8)


def _pixels(at: Point) -> tuple[int, int]:
    return round(at[0] * SIDE), round(at[1] * SIDE)


def hand(rng: Rng) -> Grey:
    """Draw a hand: fingers of three bones in a sleeve of tissue, palm, wrist, forearm."""
    body = _Body()
    body.rod(((0.5, 0.75), (0.5, 1.1)), 0.2, 0.5)
    body.ellipse((0.5, 0.68), (0.17, 0.2), 0.5)
    for finger, spread in enumerate(np.linspace(-1, 1, 5)):
        angle = spread * rng.uniform(0.35, 0.6)
        length = 0.5 if finger else 0.36
        root = (0.5 + 0.12 * spread, 0.62 + (0.1 if finger == 0 else 0))
        direction = (np.sin(angle), -np.cos(angle))
        joints = [0.0, 0.35, 0.6, 0.82, 1.0][: 5 if finger else 4]
        points = [(root[0] + length * j * direction[0], root[1] + length * j * direction[1]) for j in joints]
        body.rod((points[0], points[-1]), 0.075, 0.4)
        heel = (0.5 + 0.05 * spread, 0.84)
        for first, second in zip([heel, *points[:-1]], points, strict=True):
            body.bone((_between(first, second, 0.1), _between(first, second, 0.9)), 0.028, 0.8)
    for wrist in range(6):
        body.ellipse((0.44 + 0.05 * (wrist % 3), 0.84 + 0.04 * (wrist // 3)), (0.028, 0.022), 0.7)
    for side in (-1, 1):
        body.bone(((0.5 + side * 0.045, 0.93), (0.5 + side * 0.05, 1.2)), 0.05, 0.9)
    return body.exposed(rng)


def _between(first: Point, second: Point, share: float) -> Point:
    return tuple(a + share * (b - a) for a, b in zip(first, second, strict=True))  # type: ignore[return-value]


def limb(rng: Rng) -> Grey:
    """Draw a knee or an elbow: one long bone above, two below, in a sleeve of tissue."""
    body = _Body()
    joint, width = rng.uniform(0.4, 0.6), rng.uniform(0.09, 0.14)
    body.rod(((0.5, -0.2), (0.5, 1.2)), rng.uniform(0.36, 0.6), 0.8, 0.03)
    body.bone(((0.48, -0.2), (0.5, joint - 0.05)), width, 1.1)
    for side in (-1, 1):
        body.ellipse((0.5 + side * 0.07, joint - 0.05), (0.085, 0.07), 0.7)
        body.ellipse((0.5 + side * 0.07, joint + 0.07), (0.09, 0.05), 0.7)
    body.bone(((0.5, joint + 0.08), (0.51, 1.2)), width, 1.1)
    body.bone(((0.63, joint + 0.13), (0.62, 1.2)), width * 0.4, 0.7)
    if rng.random() < 0.6:
        body.ellipse((0.5, joint - 0.08), (0.07, 0.07), 0.5)
    return body.exposed(rng)


def skull(rng: Rng) -> Grey:
    """Draw a skull: a bright rim, orbits, nose, jaw, teeth."""
    body = _Body()
    wide = rng.uniform(0.28, 0.36)
    body.rod(((0.5, 0.7), (0.5, 1.2)), 0.35, 0.6)
    body.ellipse((0.5, 0.42), (wide + 0.03, 0.36), 0.5)
    body.ellipse((0.5, 0.42), (wide, 0.34), 1.2)
    body.ellipse((0.5, 0.42), (wide - 0.04, 0.3), -0.7)
    body.ellipse((0.5, 0.68), (wide * 0.65, 0.2), 0.8)
    for side in (-1, 1):
        body.ellipse((0.5 + side * wide * 0.45, 0.5), (0.085, 0.075), -0.5)
        body.rod(((0.5 + side * 0.2, 0.62), (0.5 + side * 0.08, 0.88)), 0.06, 0.6)
    body.ellipse((0.5, 0.62), (0.04, 0.07), -0.5)
    for tooth in range(8):
        for row in (0.74, 0.79):
            body.ellipse((0.4 + tooth * 0.028, row), (0.012, 0.02), 0.6, softness=0.004)
    return body.exposed(rng)


def spine(rng: Rng) -> Grey:
    """Draw a spine in soft tissue, now and then on a pelvis."""
    body = _Body()
    body.ellipse((0.5, 0.5), (rng.uniform(0.35, 0.6), 0.75), 1.0, softness=0.04)
    height, bend = rng.uniform(0.1, 0.16), rng.uniform(-0.08, 0.08)
    for number in range(-1, 11):
        down = number * height
        across = 0.5 + bend * np.sin(down * np.pi)
        body.rod(((across - 0.06, down), (across + 0.06, down)), height * 0.75, 0.7)
        body.ellipse((across, down + height * 0.25), (0.015, height * 0.3), 0.5)
        for side in (-1, 1):
            body.rod(((across, down), (across + side * 0.16, down + 0.02)), 0.025, 0.35)
    if rng.random() < 0.5:
        for side in (-1, 1):
            body.ellipse((0.5 + side * 0.22, 0.72), (0.18, 0.14), 0.7, angle=side * 35)
            body.ellipse((0.5 + side * 0.2, 0.9), (0.07, 0.07), -0.5)
            body.ellipse((0.5 + side * 0.33, 0.9), (0.06, 0.06), 0.9)
    return body.exposed(rng)


def lateral(rng: Rng) -> Grey:
    """Draw a chest from the side: both lungs as one field before the spine, heart, domed diaphragm."""
    body = _Body()
    front, back = rng.uniform(-0.05, 0.2), rng.uniform(0.78, 1.05)
    middle, deep = (front + back) / 2, back - front
    bone, soft = rng.uniform(0.05, 0.45), rng.uniform(0.006, 0.03)
    body.ellipse((middle, 0.55), (deep / 2 + 0.07, 0.8), 1.0, softness=0.03)
    body.rod(((middle, 0.02), (middle + rng.uniform(-0.4, 0.1), -0.2)), 0.35, rng.uniform(0, 0.6), 0.03)
    lung = rng.uniform(0.3, 0.65)
    for shift in rng.uniform(-0.03, 0.03, 2):
        axes = (deep * rng.uniform(0.34, 0.42), rng.uniform(0.3, 0.4))
        at = (middle + shift, 0.44 + rng.uniform(-0.04, 0.04))
        body.ellipse(at, axes, -lung / 2, angle=rng.uniform(-12, 4), softness=soft)
    for number in range(-1, 9):
        at = (back - 0.13 * deep + 0.06 * np.sin(number / 2.5), 0.08 + number * 0.11)
        body.rod(((at[0] - 0.04, at[1]), (at[0] + 0.04, at[1])), 0.08, bone, soft / 2)
    for number in range(8):
        down = 0.1 + number * 0.085
        body.rod(((back - 0.08, down), (middle, down + 0.1)), 0.018, 0.4 * bone)
        body.rod(((middle, down + 0.1), (front + 0.08, down + 0.22)), 0.018, 0.35 * bone)
    heart = (middle - 0.12 * deep, 0.58 + rng.uniform(-0.05, 0.05))
    size = rng.uniform(0.15, 0.24) * deep
    body.ellipse(heart, (size, 1.2 * size), rng.uniform(0.2, 0.6), angle=-30, softness=0.02)
    body.ellipse((middle, 0.4), (0.06, 0.08), rng.uniform(0, 0.35), softness=0.02)
    dome = (deep * rng.uniform(0.45, 0.6), rng.uniform(0.18, 0.32))
    body.ellipse((middle - 0.05, rng.uniform(0.9, 1.0)), dome, rng.uniform(0.4, 0.8), softness=soft)
    film = body.exposed(rng, turn=12)
    return np.ascontiguousarray(film[:, ::-1]) if rng.random() < 0.5 else film


def tomogram(rng: Rng) -> Grey:
    """Draw an axial slice as by CT or MR: ellipses in an ellipse on black.

    After Shepp & Logan, "The Fourier Reconstruction of a Head Section", IEEE TNS 1974.
    """
    picture = np.zeros((SIDE, SIDE), np.float32)

    def ellipse(at: Point, axes: Point, tone: float, angle: float = 0) -> None:
        cv2.ellipse(picture, _pixels(at), _pixels(axes), angle, 0, 360, tone, -1, cv2.LINE_AA)

    across, down = rng.uniform(0.28, 0.46), rng.uniform(0.28, 0.46)
    rind, inside = rng.uniform(120, 255), rng.uniform(60, 180)
    ellipse((0.5, 0.5), (across, down), rind)
    ellipse((0.5, 0.5), (across - rng.uniform(0.02, 0.05), down - rng.uniform(0.02, 0.05)), inside)
    for _ in range(int(rng.integers(2, 12))):
        radius, direction = np.sqrt(rng.uniform(0, 0.6)), rng.uniform(0, 2 * np.pi)
        at = (0.5 + across * radius * np.cos(direction), 0.5 + down * radius * np.sin(direction))
        axes = (across * rng.uniform(0.05, 0.35), down * rng.uniform(0.05, 0.35))
        tone = float(np.clip(inside + rng.normal(0, 60), 0, 255))
        ellipse(at, axes, tone, rng.uniform(0, 180))
        if rng.random() < 0.6:
            ellipse((1 - at[0], at[1]), axes, tone, rng.uniform(0, 180))
    soft = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.8, 3))
    noisy = soft + rng.normal(0, rng.uniform(2, 10), soft.shape) * (soft > 8)
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8)


LATERALS: Mapping[str, Callable[[Rng], Grey]] = {"lateral": lateral}
OTHER_FILMS: Mapping[str, Callable[[Rng], Grey]] = {
    "hand": hand,
    "limb": limb,
    "skull": skull,
    "spine": spine,
    "tomogram": tomogram,
}
"""Drawings of what is no chest from the front, by name."""
