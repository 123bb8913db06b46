"""Ways to damage a file: each takes bytes and a random generator and returns other bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from torture.writers import PNG_START, mended_png

Mutation: TypeAlias = Callable[[bytes, np.random.Generator], bytes]

HEADER = 512
"""Bytes at the beginning of a file that are hit as often as all the others."""

PERCENT = 100

NUMBERS = (0, 1, 2, 127, 128, 255, 256, 32767, 32768, 60_000, 65_535, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1)
"""Sizes, counts and offsets at which readers go wrong."""


def truncated(data: bytes, percent: int) -> bytes:
    """Return the first ``percent`` hundredths of a file."""
    return data[: len(data) * percent // PERCENT]


def place(data: bytes, rng: np.random.Generator) -> int:
    """Return where to hit a file: as often within the header as anywhere."""
    return int(rng.integers(0, min(len(data), HEADER) if rng.random() < 0.5 else len(data)))


def flipped_bits(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip 1 to 64 bits."""
    changed = bytearray(data)
    for _ in range(2 ** int(rng.integers(0, 7))):
        changed[place(data, rng)] ^= 1 << int(rng.integers(0, 8))
    return bytes(changed)


def byte_run(data: bytes, rng: np.random.Generator) -> bytes:
    """Put a run of zeros, of ones, or of noise over what is there."""
    at, length = place(data, rng), int(rng.integers(1, 257))
    run = (bytes(length), b"\xff" * length, rng.bytes(length))[int(rng.integers(0, 3))]
    return data[:at] + run[: len(data) - at] + data[at + length :]


def number(data: bytes, rng: np.random.Generator) -> bytes:
    """Put a number at which readers go wrong somewhere, in 1 to 8 bytes and either byte order."""
    width = int(rng.choice([1, 2, 4, 8]))
    value = int(rng.choice(NUMBERS)) & (256**width - 1)
    content: bytes = value.to_bytes(width, "little" if rng.random() < 0.5 else "big")
    at = place(data, rng)
    return data[:at] + content + data[at + width :]


def cut_out(data: bytes, rng: np.random.Generator) -> bytes:
    """Leave out a part."""
    at = place(data, rng)
    return data[:at] + data[at + int(rng.integers(1, 1 + max(1, len(data) // 4))) :]


def repeated(data: bytes, rng: np.random.Generator) -> bytes:
    """Put a part in several times."""
    at, length = place(data, rng), int(rng.integers(1, 1025))
    return data[:at] + data[at : at + length] * int(rng.integers(2, 9)) + data[at + length :]


def truncated_anywhere(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut a file off."""
    return data[: place(data, rng)]


SIMPLE: tuple[Mutation, ...] = (
    flipped_bits,
    byte_run,
    number,
    cut_out,
    repeated,
    truncated_anywhere,
)


def spliced(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """Put the beginning of another file before the end of this one."""
    return other[: place(other, rng)] + data[place(data, rng) :]


def wrong_header(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """Put the magic number of another file over this one's; that of DICOM stands at 128."""
    at = 128 if other[128:132] == b"DICM" else 0
    length = int(rng.integers(2, 33))
    padded = data.ljust(at, b"\0")
    return padded[:at] + other[at : at + length] + padded[at + length :]


def mutated(seeds: Sequence[bytes], which: int, rng: np.random.Generator) -> tuple[str, bytes]:
    """Damage one of several files in 1 to 4 ways.

    Returns
    -------
    name : str
        Of what was done.
    content : bytes
    """
    data = seeds[which]
    other = seeds[int(rng.integers(0, len(seeds)))]
    draw = rng.random()
    if draw < 0.1:
        return "wrong header", wrong_header(data, other, rng)
    if draw < 0.2:
        return "spliced", spliced(data, other, rng)
    chosen = [SIMPLE[int(at)] for at in rng.integers(0, len(SIMPLE), int(rng.integers(1, 5)))]
    for mutation in chosen:
        data = mutation(data, rng) if data else data
    if data.startswith(PNG_START) and rng.random() < 0.7:
        data = mended_png(data)
    return " + ".join(mutation.__name__ for mutation in chosen), data
