"""TIFF files that Pillow does not open: floats of 16 and 64 bits or in colour, wide big-endian integers."""

from __future__ import annotations

import io
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import TiffImagePlugin, TiffTags

from pneumocascade.errors import UnreadableImageError, UnsuitableImageError

BEGINNINGS = (b"II*\0", b"MM\0*")
"""How TIFF files begin; what begins as BigTIFF is none of them."""

_WIDEST = 8
"""Bytes of the widest sample."""

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLES = 256, 257, 258, 262, 274, 277


class DeepTiff(NamedTuple):
    """The picture of a TIFF file.

    Attributes
    ----------
    pixels : ndarray, shape (H, W) or (H, W, C)
        As they are stored.
    white_is_zero : bool
    orientation : int
        As in EXIF data; 1 is upright.
    """

    pixels: NDArray[Any]
    white_is_zero: bool
    orientation: int


def read_deep_tiff(data: bytes, max_pixels: int) -> DeepTiff:
    """Decode a TIFF file with libtiff.

    Parameters
    ----------
    data : bytes
    max_pixels : int
        Largest picture that is decoded, in pixels.

    Raises
    ------
    UnreadableImageError
        ``unreadable_image`` where it is damaged, or of a kind that is not read.
    UnsuitableImageError
        ``too_many_pixels``, ``multiple_frames``.
    """
    directory = _first_directory(data)
    sizes = [_whole(directory, tag) for tag in (_WIDTH, _HEIGHT)]
    width, height = sizes
    samples, bits = _whole(directory, _SAMPLES, 1), _whole(directory, _BITS, 1)
    if width * height > max_pixels or width * height * samples * bits // 8 > _WIDEST * max_pixels:
        raise UnsuitableImageError(
            "too_many_pixels",
            f"the picture has {width} x {height} pixels; at most {max_pixels // 1_000_000} million are read",
        )
    if directory.next:
        raise UnsuitableImageError("multiple_frames", "the file holds several pictures; give one film a file")
    import imagecodecs  # takes a while to load

    try:
        pixels = np.asarray(imagecodecs.tiff_decode(data))
    except Exception as error:  # the decoder raises many kinds on damaged bytes
        raise _unreadable() from error
    if pixels.shape[:2] != (height, width) or pixels.dtype.kind not in "uif":
        raise _unreadable()
    return DeepTiff(pixels, directory.get(_PHOTOMETRIC) == 0, _whole(directory, _ORIENTATION, 1))


def _first_directory(data: bytes) -> TiffImagePlugin.ImageFileDirectory_v2:
    try:
        directory = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
        stream = io.BytesIO(data)
        stream.seek(directory.next)
        directory.load(stream)
    except Exception as error:  # Pillow's parser raises many kinds on damaged headers
        raise _unreadable() from error
    return directory


def _whole(directory: TiffImagePlugin.ImageFileDirectory_v2, tag: int, default: int = 0) -> int:
    """Return a tag's value, of several the largest."""
    try:
        value = directory.get(tag, default)
        found = max(value) if isinstance(value, tuple) else value
        whole = int(found)
    except Exception as error:  # values are decoded when they are asked for
        raise _unreadable() from error
    if whole < 1:
        raise _unreadable(TiffTags.lookup(tag).name)
    return whole


def _unreadable(tag: str = "") -> UnreadableImageError:
    found = f"its {tag} is missing" if tag else "it is damaged or of an unusual kind"
    return UnreadableImageError(
        "unreadable_image",
        f"the TIFF file cannot be read: {found}; expected grey or colour, 8 bits or more",
    )
