"""A hash of what a film looks like, by which copies and other renderings of it are found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from pneumocascade.model.preprocess import to_square

if TYPE_CHECKING:
    from numpy.typing import NDArray

HASH_SIDE = 16
"""Side of the perceptual hash; 16 gives 256 bits (chest films are too alike for the usual 64)."""

NEAR_BITS = 12
"""Most bits, of 256, in which two renderings of one film differ.

On the 4,978 films at hand, copies differ in none and the two most alike distinct films in 40.
"""

_THUMBNAIL = 64


def perceptual_hash(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return the perceptual hash of a film (DCT of the film; ImageHash's ``phash``).

    Parameters
    ----------
    pixels : ndarray of uint8 or uint16, shape (H, W)
        Stretched to a square first: the aspect ratio does not matter.

    Returns
    -------
    ndarray of uint8, shape (32,)
        256 bits.
    """
    import imagehash

    thumbnail = Image.fromarray(to_square(pixels, _THUMBNAIL))
    return np.packbits(imagehash.phash(thumbnail, HASH_SIDE).hash.ravel())


def bits_apart(first: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return in how many bits a hash, shape (32,), differs from others, shape (N, 32)."""
    apart: NDArray[np.int64] = np.bitwise_count(first ^ others).sum(axis=1, dtype=np.int64)
    return apart
