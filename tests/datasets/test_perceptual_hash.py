from __future__ import annotations

import cv2
import numpy as np

from pneumocascade.datasets.perceptual_hash import NEAR_BITS, bits_apart, perceptual_hash
from pneumocascade.model.preprocess import to_eight_bit
from tests.conftest import vary_example


def grey(number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    film = vary_example(number)
    return np.asarray(film if film.ndim == 2 else film[..., 0], np.uint8)


def test_other_renderings_are_near_and_other_films_far() -> None:
    film, other = grey(0), grey(1)
    hashed = perceptual_hash(film)
    assert hashed.shape == (32,)
    stretched = cv2.resize(film, (224, 224), interpolation=cv2.INTER_CUBIC)
    _, encoded = cv2.imencode(".jpeg", stretched, [cv2.IMWRITE_JPEG_QUALITY, 75])
    again = cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)
    sixteen = film.astype(np.uint16) * 257
    others = np.stack([perceptual_hash(each) for each in (film, np.asarray(again, np.uint8), sixteen, other)])
    same, rendered, deep, different = bits_apart(hashed, others).tolist()
    assert same == 0
    assert rendered <= NEAR_BITS
    assert deep <= NEAR_BITS
    assert different > 3 * NEAR_BITS
    assert np.array_equal(to_eight_bit(sixteen), film)


def test_bits_apart_counts_bits() -> None:
    first = np.zeros(32, np.uint8)
    others = np.zeros((3, 32), np.uint8)
    others[1, 0], others[2] = 0b101, 255
    assert bits_apart(first, others).tolist() == [0, 2, 256]
