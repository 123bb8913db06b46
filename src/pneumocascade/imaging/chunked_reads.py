"""The largest pictures a chunk of rows at a time, so that no step needs several times their memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CHUNK_PIXELS = 1 << 20
"""Pixels of a chunk."""


def _chunks(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield an image in parts of whole rows, each with the number of its first row."""
    rows = max(1, CHUNK_PIXELS // max(1, image.width))
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def pixels_of(image: Image.Image, mode: str | None = None) -> NDArray[Any]:
    """Return an image of one channel as an array (H, W), converted to another mode perhaps."""
    if 0 in image.size:
        return np.asarray(image.convert(mode) if mode else image)
    parts = _chunks(image)
    first = next(parts)[1]
    pixels = np.asarray(first.convert(mode) if mode else first)
    whole = np.empty((image.height, image.width), pixels.dtype)
    whole[: len(pixels)] = pixels
    for top, chunk in parts:
        whole[top : top + chunk.height] = np.asarray(chunk.convert(mode) if mode else chunk)
    return whole


def over_white(image: Image.Image) -> Image.Image:
    """Return an image as one laid over white sees it, in RGB."""
    rgb = Image.new("RGB", image.size)
    for top, chunk in _chunks(image):
        rgba = chunk.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        rgb.paste(Image.alpha_composite(white, rgba).convert("RGB"), (0, top))
    return rgb
