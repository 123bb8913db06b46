"""What an input may end as."""

from __future__ import annotations

import re

import numpy as np

from pneumocascade import Radiograph, errors
from pneumocascade.imaging.read import MIN_READABLE_SIDE

CODES = frozenset(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", (errors.__doc__ or "").split("ModelError")[0]))
"""The codes that the docstring of :mod:`pneumocascade.errors` lists."""


def is_sound(film: Radiograph) -> bool:
    """Return whether a film is what its docstring promises."""
    pixels = film.pixels
    return (
        pixels.ndim == 2
        and pixels.dtype in (np.uint8, np.uint16)
        and min(pixels.shape) >= MIN_READABLE_SIDE
        and bool(pixels.flags.c_contiguous)
        and int(pixels.min()) < int(pixels.max())
        and bool(np.isfinite(film.colourfulness))
    )
