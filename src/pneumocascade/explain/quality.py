"""Figures and distributions of grey pictures: what people compare before and after preprocessing.

NumPy and OpenCV only. Nothing here is used by a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pneumocascade.i18n import gettext_noop
from pneumocascade.model.preprocess import to_eight_bit

BINS = 64
"""Bins of a distribution."""

WINDOW = 9
"""Side, in pixels, of the square window of local entropy and local contrast."""

_TAILS = np.array([0.01, 0.99])

ENTROPY_LEVELS = 32
"""Grey values are put into this many levels for local entropy, which is then at most 5 bits."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Figures of one picture, on the scale of 8-bit grey values.

    Attributes
    ----------
    mean, deviation : float
        Mean and standard deviation of the grey values, 0..255.
    entropy : float
        Shannon entropy of the 256-bin histogram, in bits, 0..8.
    michelson : float
        Michelson contrast (high - low) / (high + low), 0..1, of the 99th and the 1st percentile: a
        marker and a collimated border would make it 1 on every film. 0 for a black picture.
    """

    mean: float
    deviation: float
    entropy: float
    michelson: float


@dataclass(frozen=True, slots=True, eq=False)
class Distribution:
    """How a measure is distributed over the pixels of one picture.

    Attributes
    ----------
    edges : ndarray of float64, shape (BINS + 1,)
        Limits of the bins, in the unit of the measure; the same for all pictures compared.
    share : ndarray of float64, shape (BINS,)
        Share of the pixels in each bin, 0..1; for a cumulative measure, in this bin or below.
    """

    edges: NDArray[np.float64]
    share: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measure:
    """A property of each pixel and its surroundings.

    Attributes
    ----------
    title : str
        Shown to people.
    unit : str
        Label of the axis.
    of : callable
        Grey picture (H, W) of uint8 -> map (H, W) of float32.
    limit : float or None
        Upper end of the axis, which begins at 0; ``None``: the 99.5th percentile of the pictures
        compared.
    cumulative : bool
    """

    title: str
    unit: str
    of: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    limit: float | None
    cumulative: bool = False


def grey_of(picture: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return a picture's grey values (or luma, ITU-R BT.601, of RGB) as uint8, shape (H, W).

    Parameters
    ----------
    picture : ndarray of uint8 or uint16, shape (H, W), or of uint8, shape (H, W, 3)
    """
    if picture.ndim == 3:
        return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)
    return to_eight_bit(picture)


def quality_of(picture: NDArray[np.uint8] | NDArray[np.uint16]) -> Quality:
    """Return the figures of a grey or RGB picture; of RGB, those of its luma.

    Parameters
    ----------
    picture : ndarray of uint8 or uint16, shape (H, W), or of uint8, shape (H, W, 3)
    """
    grey = grey_of(picture)
    counts = np.bincount(grey.ravel(), minlength=256)
    used = counts[counts > 0] / grey.size
    low, high = (int(value) for value in np.searchsorted(np.cumsum(counts), _TAILS * grey.size))
    return Quality(
        mean=float(grey.mean()),
        deviation=float(grey.std()),
        entropy=abs(float(np.sum(used * np.log2(used)))),
        michelson=(high - low) / (high + low) if high else 0.0,
    )


def intensity(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the grey values themselves, 0..255."""
    return grey.astype(np.float32)


def gradient_magnitude(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the length of the Sobel gradient, in grey values per pixel."""
    # The Sobel kernel sums eight differences over one pixel.
    across = cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    down = cv2.Sobel(grey, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    return cv2.magnitude(across, down).astype(np.float32, copy=False)


def local_entropy(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the entropy of the grey values around each pixel, in bits, 0..5."""
    level = grey // (256 // ENTROPY_LEVELS)
    total = np.zeros(grey.shape, np.float32)
    for value in np.unique(level):
        share = cv2.blur((level == value).astype(np.float32), (WINDOW, WINDOW))
        # Where the level is absent, p log p is 0; the maximum keeps log2 away from 0.
        total -= share * np.log2(np.maximum(share, 1e-12))
    return np.maximum(total, 0.0, dtype=np.float32)


def local_contrast(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the standard deviation of the grey values around each pixel, 0..127.5."""
    values = grey.astype(np.float64)
    mean = cv2.blur(values, (WINDOW, WINDOW))
    variance = cv2.blur(values * values, (WINDOW, WINDOW)) - mean * mean
    return np.sqrt(np.maximum(variance, 0.0)).astype(np.float32)


_BITS = gettext_noop("bits in %(window)s pixels")
_DEVIATION = gettext_noop("standard deviation in %(window)s pixels")

MEASURES: Mapping[str, Measure] = {
    "intensity": Measure(gettext_noop("Intensity histogram"), gettext_noop("grey value"), intensity, 256.0),
    "gradient": Measure(
        gettext_noop("Gradient magnitude"), gettext_noop("grey values per pixel"), gradient_magnitude, None
    ),
    "entropy": Measure(
        gettext_noop("Local entropy"), _BITS % {"window": f"{WINDOW} x {WINDOW}"}, local_entropy, 5.0
    ),
    "contrast": Measure(
        gettext_noop("Local contrast"), _DEVIATION % {"window": f"{WINDOW} x {WINDOW}"}, local_contrast, None
    ),
    "cumulative": Measure(gettext_noop("Cumulative"), "grey value", intensity, 256.0, cumulative=True),
}
"""The measures that can be chosen, by name."""


def distributions(pictures: Sequence[NDArray[np.uint8]], measure: Measure) -> list[Distribution]:
    """Return the distribution of a measure in each picture, over common bins.

    Values above the last bin's limit are counted in it.

    Parameters
    ----------
    pictures : sequence of ndarray of uint8, shape (H, W) or (H, W, 3)
        Of RGB the luma is measured.
    measure : Measure
        One of ``MEASURES``.
    """
    maps = [measure.of(grey_of(picture)) for picture in pictures]
    limit = measure.limit
    if limit is None:
        limit = max(1.0, *(float(np.percentile(values, 99.5)) for values in maps))
    edges = np.linspace(0.0, limit, BINS + 1)
    return [Distribution(edges, _share(values, edges, measure.cumulative)) for values in maps]


def _share(values: NDArray[np.float32], edges: NDArray[np.float64], cumulative: bool) -> NDArray[np.float64]:
    counts, _ = np.histogram(np.minimum(values, edges[-1]), edges)
    share: NDArray[np.float64] = counts / values.size
    return np.cumsum(share) if cumulative else share
