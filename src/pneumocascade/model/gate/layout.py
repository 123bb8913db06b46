"""How a picture is laid out: one film alone, several films, or a film in a screenshot or a photograph.

What no X-ray detector makes gives it away: edges that are sharp and straight all through the picture, panels
of exactly one tone, a bright surround in a tint. The limits stand beyond all films at hand (docs/gate.md).
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pneumocascade.i18n import gettext_noop
from pneumocascade.model.preprocess import to_eight_bit
from pneumocascade.types import Reason

Tones = NDArray[np.int16]

SEVERAL_FILMS = Reason(
    "several_films", "This looks like two films in one picture. Give each film as a file of its own."
)
SCREENSHOT = Reason(
    "screenshot",
    "This looks like a screenshot: there are bars or panels of one tone beside the film. Export the film "
    "from the viewer, or crop the picture to the film.",
)
PHOTOGRAPH = Reason(
    "photograph",
    "This looks like a photograph of a film on a light-box. Give the digital film, or a scan cropped to it.",
)

TINTED = gettext_noop(
    "The picture has a tint, as photographs and scans of films have; the models know digital radiographs."
)
"""Warning from ``MIN_TINT`` on."""

PADDED = gettext_noop(
    "There are bars of one tone on opposite sides of the film; crop the picture to the film, since the "
    "models judge the whole of it."
)
"""Warning for bars that are neither black nor parts of a viewer."""

SURROUNDED = gettext_noop(
    "There is a bright surround on all four sides: if this is a photograph of a film on a light-box, crop it "
    "to the film."
)
"""Warning for a grey picture that is laid out like a photograph: a few collimated films are, too."""

MIN_TINT = 3.0
"""Least mean spread between red, green and blue (0..255) of a picture with a tint."""

_SAMPLES = 128
"""Rows and columns of pixels that are looked at as they are, not averaged: a panel's tone stays exact."""

_MIDDLE = slice(46, 81)
"""Columns among which the line between two films is."""

_MIN_STEP, _MIN_STEP_ACROSS = 10, 5
"""Least sharpness of an upright and of a level edge between two films; the sharpest of 7,013: 7 and 1."""

_MIN_LINE = 6
"""Least sharpness of a line of one pixel between two films; the sharpest of 7,013 films: 4."""

_MIN_ALIKE, _MIN_MIDDLE = 0.25, 40
"""Least correlation of two halves, with each other and with their own mirror images, and how much brighter
their middles are than the line between them: halves of one chest are neither, and its spine is bright."""

_BLACK, _WHITE = 13, 250
"""Tones of panels lie between: films have borders of black, and white where they are overexposed."""

_MIN_PANEL_STEP, _MIN_FLAT, _MIN_FLAT_ALONE = 5, 0.03, 0.3
"""Least sharpness of a panel's edge, and least share of the picture in its tone, with such an edge or not."""

_MIN_SURROUND = 160
"""Least tone of a light-box: the 15th percentile along each side of the brightest pixel near it."""

_MIN_FALL = 30
"""Least fall from a light-box to the film on it."""


class Layout(NamedTuple):
    """What a picture shows besides one film.

    Attributes
    ----------
    reasons : tuple of Reason
        Why it must not be judged: all that apply.
    warnings : tuple of str
        What a reader of an answer should know.
    """

    reasons: tuple[Reason, ...]
    warnings: tuple[str, ...]


def layout_of(
    pixels: NDArray[np.uint8] | NDArray[np.uint16], coarse: NDArray[np.uint8], colourfulness: float
) -> Layout:
    """Return what a picture shows besides one film.

    Parameters
    ----------
    pixels : ndarray of uint8 or uint16, shape (H, W)
    coarse : ndarray of uint8, shape (64, 64)
        The same, averaged down.
    colourfulness : float
        0..255; a photograph is refused only with a tint.
    """
    sampled = _sampled(pixels)
    tinted, falls, panels = colourfulness >= MIN_TINT, _straight_falls(coarse), _panels(sampled)
    reasons = (
        (SEVERAL_FILMS, _is_two_films(sampled, coarse)),
        (SCREENSHOT, panels == "panels"),
        (PHOTOGRAPH, tinted and falls >= 3),
    )
    warnings = (
        (TINTED, tinted),
        (PADDED, panels == "padding"),
        (SURROUNDED, not tinted and panels == "none" and falls == 4),
    )
    return Layout(
        tuple(reason for reason, applies in reasons if applies),
        tuple(warning for warning, applies in warnings if applies),
    )


def _sampled(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> Tones:
    """Return the pixels on a grid of ``_SAMPLES`` rows and columns, none of them averaged."""
    # Pixels taken twice would look like edges.
    way = cv2.INTER_NEAREST if min(pixels.shape) >= _SAMPLES else cv2.INTER_LINEAR
    grid: NDArray[Any] = cv2.resize(pixels, (_SAMPLES, _SAMPLES), interpolation=way)
    return to_eight_bit(grid).astype(np.int16)


def _is_two_films(sampled: Tones, coarse: NDArray[np.uint8]) -> bool:
    return (
        _is_divided(sampled, _MIN_STEP)
        or _is_divided(np.ascontiguousarray(sampled.T), _MIN_STEP_ACROSS)
        or _halves_are_chests(coarse)
    )


def _is_divided(tones: Tones, min_step: int) -> bool:
    """Return whether a sharp upright edge or line runs near the middle, in three of five rows at least.

    An edge has a step far larger than those next to it, and not every other step is like it, as where pixels
    were doubled. A line is brighter than both its sides,
    or darker, all along: noise is not.
    """
    change = np.diff(tones[:, _MIDDLE], axis=1)
    beside = np.abs(change)
    next_to_it = np.maximum(beside[:, 1:-3], beside[:, 3:-1])
    farther = np.minimum(beside[:, :-4], beside[:, 4:])
    if _at_share(beside[:, 2:-2] - np.maximum(next_to_it, farther)) >= min_step:
        return True
    rises, falls = change[:, :-1], -change[:, 1:]
    return max(_at_share(np.minimum(rises, falls)), _at_share(-np.maximum(rises, falls))) >= _MIN_LINE


def _at_share(values: Tones) -> int:
    """Return the largest, over the columns, of what three of five values of a column reach."""
    place = int(0.4 * len(values))
    return int(np.partition(values, place, axis=0)[place].max())


def _halves_are_chests(coarse: NDArray[np.uint8]) -> bool:
    """Return whether both halves are bright in their middles, symmetric, and alike."""
    profile = coarse[10:54].mean(axis=0)
    half = profile.size // 2
    middles = min(profile[13:19].mean(), profile[45:51].mean())
    if middles - profile[half - 2 : half + 2].mean() <= _MIN_MIDDLE:
        return False
    tones = coarse.astype(np.float32)
    one, other = tones[:, :half], tones[:, half:]
    pairs = ((one, other), (one, one[:, ::-1]), (other, other[:, ::-1]))
    return all(float(np.corrcoef(a.ravel(), b.ravel())[0, 1]) > _MIN_ALIKE for a, b in pairs)


def _panels(sampled: Tones) -> Literal["none", "padding", "panels"]:
    """Return whether the border has bars of one tone that end in a sharp, straight edge.

    The same on opposite sides they are padding, such as makes a film square.
    """
    counted = np.bincount(sampled.ravel(), minlength=256)
    counted[:_BLACK], counted[_WHITE:] = 0, 0
    tone = int(np.convolve(counted, (1, 1, 1), "same").argmax())  # JPEG shifts some pixels by one
    if (sampled < tone - 6).mean() < 0.005:
        return "none"  # the darkest there is: a film's own black
    alike = np.abs(sampled - tone) <= 2
    share = float((alike[1:, 1:] & alike[:-1, 1:] & alike[1:, :-1]).mean())
    if share < _MIN_FLAT:
        return "none"
    sides = ((alike, sampled), (alike[::-1], sampled[::-1]), (alike.T, sampled.T))
    bars = [_bar(*side) for side in (*sides, (alike.T[::-1], sampled.T[::-1]))]
    if max(sharpness for _, sharpness in bars) < _MIN_PANEL_STEP:
        return "panels" if share >= _MIN_FLAT_ALONE else "none"
    (top, _), (bottom, _), (left, _), (right, _) = bars
    return "padding" if abs(top - bottom) <= 2 and abs(left - right) <= 2 else "panels"


def _bar(alike: NDArray[np.bool_], tones: Tones) -> tuple[int, int]:
    """Return how deep a bar at the top is, and how sharp its edge is in half of the columns at least."""
    inside = alike[2:].mean(axis=1) >= 0.55
    depth = 2 + (len(inside) if inside.all() else int(inside.argmin()))
    if not 5 <= depth <= 100:
        return 0, 0
    beside = np.abs(np.diff(tones[depth - 4 : depth + 5], axis=0))
    return depth, int(np.median(beside[1:-1] - np.maximum(beside[:-2], beside[2:]), axis=1).max())


def _straight_falls(coarse: NDArray[np.uint8]) -> int:
    """Return on how many sides a bright surround falls off to the film along a straight line, 0 to 4.

    Parameters
    ----------
    coarse : ndarray of uint8, shape (64, 64)
    """
    sides = (coarse, coarse[:, ::-1], coarse.T, coarse[::-1].T)
    brightest = (side[6:58, :9].max(axis=1) for side in sides)
    if any(np.partition(each, 7)[7] < _MIN_SURROUND for each in brightest):
        return 0
    return sum(_falls_straight(side[8:56].astype(np.int16)) for side in sides)


def _falls_straight(rays: Tones) -> bool:
    """Return whether rays from the left fall off along a straight line."""
    outer = rays[:, :28]
    falls = (outer - rays[:, 2:30] >= _MIN_FALL) & (outer >= _MIN_SURROUND - _MIN_FALL)
    crossed = falls.any(axis=1)
    if crossed.mean() < 0.6:
        return False
    places, depths = np.flatnonzero(crossed), falls.argmax(axis=1)[crossed]
    away = np.abs(np.polyval(np.polyfit(places, depths, 1), places) - depths)
    return bool(np.quantile(away, 0.7) < 1.2)
