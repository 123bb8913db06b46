"""From a film to a model's input: one implementation, used in training and in serving.

Grey film -> inner part -> square -> Gaussian low-pass -> CLAHE -> HOT colour map -> RGB -> normalised
float32 at the size of the network's input. Each parameter is a field of
:class:`~pneumocascade.model.spec.ModelSpec`.

CLAHE: Zuiderveld, "Contrast Limited Adaptive Histogram Equalization", Graphics Gems IV, 1994.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from pneumocascade.errors import UsageError
from pneumocascade.types import Original, Radiograph

if TYPE_CHECKING:
    from pneumocascade.model.spec import ModelSpec

Grey = NDArray[np.uint8]
Rgb = NDArray[np.uint8]
Pixels = TypeVar("Pixels", bound=np.generic)


MAX_DISPLAY_SIDE = 2048
"""Longest side of a display copy, in pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """The pictures between film and input, all at the size S of the specification.

    Attributes
    ----------
    grey : ndarray of uint8, shape (S, S)
        Resized and low-passed film.
    equalised : ndarray of uint8, shape (S, S)
        After CLAHE; equal to ``grey`` where the recipe has none.
    coloured : ndarray of uint8, shape (S, S, 3)
        RGB after the colour map; three equal channels where the recipe has none.
    """

    grey: Grey
    equalised: Grey
    coloured: Rgb


def inner(pixels: NDArray[Pixels], margin: float) -> NDArray[Pixels]:
    """Return a film, or what lies over one, without a share of its height and width on each side.

    Parameters
    ----------
    pixels : ndarray, shape (H, W)
    margin : float
        0 up to 0.25.

    Returns
    -------
    ndarray, shape (H', W')
        A view.
    """
    height, width = pixels.shape
    rows, columns = round(margin * height), round(margin * width)
    return pixels[rows : height - rows, columns : width - columns]


def to_square(pixels: NDArray[np.uint8] | NDArray[np.uint16], size: int) -> Grey:
    """Stretch a grey film to a square of 8-bit grey values.

    Averages areas along a film that shrinks (anti-aliased) and interpolates one that grows. The
    aspect ratio is given up on purpose: the training films are stretched, too.

    Parameters
    ----------
    pixels : ndarray of uint8 or uint16, shape (H, W)
    size : int
        Side S of the square, in pixels.

    Returns
    -------
    ndarray of uint8, shape (S, S)
    """
    height, width = pixels.shape
    if (width < size) != (height < size):
        # OpenCV averages areas only where both axes shrink: take them one at a time, the one that
        # shrinks first, so that a long and narrow film does not grow on the way.
        pixels = _resize(pixels, min(width, size), min(height, size))
    pixels = _resize(pixels, size, size)
    return to_eight_bit(pixels)


def to_eight_bit(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> Grey:
    """Return grey values as 8 bits, 16-bit ones rounded (65535 / 257 = 255); the shape stays."""
    if pixels.dtype == np.uint16:
        return np.round(pixels.astype(np.float32) / 257.0).astype(np.uint8)
    return pixels.astype(np.uint8, copy=False)


def _resize(
    pixels: NDArray[np.uint8] | NDArray[np.uint16], width: int, height: int
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    shrinks = width < pixels.shape[1] or height < pixels.shape[0]
    resized: NDArray[Any] = cv2.resize(
        pixels, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    return resized


@lru_cache(maxsize=1)
def _hot_rgb() -> Rgb:
    """OpenCV's HOT colour map as a look-up table, shape (256, 3), RGB."""
    greys = np.arange(256, dtype=np.uint8).reshape(1, 256)
    table: Rgb = np.ascontiguousarray(cv2.applyColorMap(greys, cv2.COLORMAP_HOT)[0, :, ::-1])
    return table


def square_of(radiograph: Radiograph, spec: ModelSpec) -> Grey:
    """Return a film's inner part stretched to the square, uint8, shape (S, S); a display copy holds it.

    Raises
    ------
    UsageError
        For a display copy that was made for models that stretch otherwise.
    """
    made = radiograph.original
    if made is None:
        seen: NDArray[Any] = inner(radiograph.pixels, spec.margin)
        return to_square(seen, spec.size)
    if made.square.shape != (spec.size, spec.size) or made.margin != spec.margin:
        raise UsageError(
            f"the display copy is for {made.square.shape[0]} pixels and a margin of {made.margin}, the model "
            f"takes {spec.size} and {spec.margin}; make another copy of the film"
        )
    return made.square


def display_copy(radiograph: Radiograph, spec: ModelSpec) -> Radiograph:
    """Return what people are shown of a film: 8 bits, at most ``MAX_DISPLAY_SIDE`` on its longest side.

    It holds the square that the model's preprocessing starts from: its steps are those of the film itself.

    Parameters
    ----------
    radiograph : Radiograph
    spec : ModelSpec
        Of stage 1.
    """
    longest = max(radiograph.height, radiograph.width)
    pixels: NDArray[Any] = radiograph.pixels
    if longest > MAX_DISPLAY_SIDE:
        height, width = (
            max(1, round(side * MAX_DISPLAY_SIDE / longest)) for side in (radiograph.height, radiograph.width)
        )
        pixels = _resize(pixels, width, height)
    height, width = radiograph.size_read
    square = square_of(radiograph, spec)
    original = Original(height, width, radiograph.bits_read, square, spec.margin)
    return replace(radiograph, pixels=to_eight_bit(pixels), original=original)


def steps_of(radiograph: Radiograph, spec: ModelSpec) -> Steps:
    """Return the pictures between a film and a model's input.

    Parameters
    ----------
    radiograph : Radiograph
    spec : ModelSpec
        Of the model that is to be given the film.
    """
    grey, equalised = _grey_steps(radiograph, spec)
    return Steps(grey, equalised, _colours(spec.colour_map)[equalised])


def _grey_steps(radiograph: Radiograph, spec: ModelSpec) -> tuple[Grey, Grey]:
    """Return a film resized and low-passed, and that after CLAHE; each of shape (S, S)."""
    grey = square_of(radiograph, spec)
    if spec.smoothing_sigma > 0:
        grey = cv2.GaussianBlur(grey, (0, 0), spec.smoothing_sigma).astype(np.uint8, copy=False)
    equalised = grey
    if spec.clahe_clip_limit is not None:
        clahe = cv2.createCLAHE(clipLimit=spec.clahe_clip_limit, tileGridSize=spec.clahe_tiles)
        equalised = clahe.apply(grey).astype(np.uint8, copy=False)
    return grey, equalised


def _colours(colour_map: str | None) -> Rgb:
    """Return the RGB colour of each grey value, shape (256, 3)."""
    if colour_map == "hot":
        return _hot_rgb()
    return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)


def normalise(coloured: Rgb, spec: ModelSpec) -> NDArray[np.float32]:
    """Turn the coloured picture of a film into a network's input.

    Parameters
    ----------
    coloured : ndarray of uint8, shape (S, S, 3)
        RGB, at ``spec.size``.
    spec : ModelSpec

    Returns
    -------
    ndarray of float32, shape (1, 3, I, I)
        (value - mean) / std per channel, at ``spec.input_size``; contiguous.
    """
    channels_last = _centred(coloured, spec.mean, spec.std)  # (S, S, 3)
    if spec.input_size != spec.size:
        shape = (spec.input_size, spec.input_size)
        channels_last = np.asarray(cv2.resize(channels_last, shape, interpolation=cv2.INTER_AREA))
    return np.ascontiguousarray(channels_last.transpose(2, 0, 1)[None])


def _centred(
    coloured: Rgb, mean: tuple[float, float, float], std: tuple[float, float, float]
) -> NDArray[np.float32]:
    """Return (value - mean) / std of each channel, the last axis."""
    offset, scale = np.asarray(mean, np.float32), np.asarray(std, np.float32)
    centred: NDArray[np.float32] = (coloured.astype(np.float32) - offset) / scale
    return centred


@lru_cache(maxsize=4)
def _normalised_colours(
    colour_map: str | None, mean: tuple[float, float, float], std: tuple[float, float, float]
) -> NDArray[np.float32]:
    """Return what each grey value becomes in each channel of a network's input, shape (3, 256)."""
    return np.ascontiguousarray(_centred(_colours(colour_map), mean, std).T)


def prepare(radiograph: Radiograph, spec: ModelSpec) -> NDArray[np.float32]:
    """Return a film as a network's input.

    Parameters
    ----------
    radiograph : Radiograph
    spec : ModelSpec

    Returns
    -------
    ndarray of float32, shape (1, 3, I, I)
        At ``spec.input_size``.
    """
    if spec.input_size != spec.size:
        return normalise(steps_of(radiograph, spec).coloured, spec)
    # The same values as above, from one table a channel: five times as fast as on coloured pixels.
    _, equalised = _grey_steps(radiograph, spec)
    batch = np.empty((1, 3, spec.size, spec.size), np.float32)
    tables = _normalised_colours(spec.colour_map, tuple(spec.mean), tuple(spec.std))
    for channel, table in zip(batch[0], tables, strict=True):
        cv2.LUT(equalised, table, dst=channel)
    return batch
