"""Arrays that are no films: odd shapes and types, numbers that are none."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torture.seeds import GREY, RGB, SIXTEEN

FLOAT: NDArray[np.float64] = GREY / 255.0


def _with(value: float, dtype: type[Any] = np.float32) -> NDArray[Any]:
    changed = FLOAT.astype(dtype)
    changed[3, 4] = value
    return changed


def _vast(shape: tuple[int, ...], dtype: type[Any]) -> NDArray[Any]:
    """Return an array of any size that takes no memory."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def _fields() -> NDArray[Any]:
    return np.zeros((64, 64), [("a", np.uint8), ("b", np.float32)])


ARRAYS: dict[str, Callable[[], NDArray[Any]]] = {
    **{
        f"{np.dtype(dtype)} with {value}": partial(_with, value, dtype)
        for value in (np.nan, np.inf, -np.inf, 256.0, -1e-9, 65_000.0)
        for dtype in (np.float16, np.float32, np.float64, np.longdouble)
    },
    "all nan": lambda: np.full((64, 64), np.nan),
    "masked": lambda: np.ma.masked_less(FLOAT, 0.5),
    "60,000 x 60,000 of uint8": lambda: _vast((60_000, 60_000), np.uint8),
    "60,000 x 60,000 of float64": lambda: _vast((60_000, 60_000), np.float64),
    "2^31 x 2^31": lambda: _vast((2**31, 2**31), np.uint8),
    "nothing": lambda: np.zeros((0, 64), np.uint8),
    "no dimension": lambda: np.zeros((), np.uint8),
    "five dimensions": lambda: np.zeros((1, 2, 3, 4, 5), np.uint8),
    "a thousand channels": lambda: np.zeros((64, 64, 1_000), np.uint8),
    "two channels": lambda: np.zeros((64, 64, 2), np.uint8),
    "objects": lambda: np.full((64, 64), None, object),
    "text": lambda: np.full((64, 64), "a"),
    "dates": lambda: np.zeros((64, 64), "datetime64[s]"),
    "fields": _fields,
    "complex": lambda: FLOAT.astype(np.complex64),
    "int64 at its ends": lambda: np.array([[-(2**63), 2**63 - 1]] * 64, np.int64),
    "uint64 at its end": lambda: np.full((64, 64), 2**64 - 1, np.uint64),
    "backwards": lambda: GREY[::-1, ::-1],
    "big endian": lambda: SIXTEEN.astype(">u2"),
    "transposed colour": lambda: RGB.transpose(1, 0, 2),
    "read-only": lambda: np.frombuffer(GREY.tobytes(), np.uint8).reshape(GREY.shape),
    "16-bit colour": lambda: RGB.astype(np.uint16) * 257,
}
