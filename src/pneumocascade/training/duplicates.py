"""Exact and near duplicates among films, by file hash and perceptual hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pneumocascade.datasets.films import LabelledFilm
from pneumocascade.datasets.perceptual_hash import NEAR_BITS, bits_apart, perceptual_hash
from pneumocascade.errors import DataSetError, FilmError
from pneumocascade.imaging.read import read_radiograph


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A film that was dropped, and the film that stays in its place.

    Attributes
    ----------
    dropped, kept : LabelledFilm
    kind : {"exact", "near"}
        Same bytes, or the same picture to the eye.
    same_label : bool
        ``False`` where the two stand in different classes.
    """

    dropped: LabelledFilm
    kept: LabelledFilm
    kind: str
    same_label: bool


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A film that was dropped because it cannot be read, and what reading it said."""

    dropped: LabelledFilm
    reason: str


def drop_duplicates(
    films: Sequence[LabelledFilm],
) -> tuple[list[LabelledFilm], list[Duplicate], list[Unreadable]]:
    """Keep the first of each group of equal or nearly equal films; drop what cannot be read.

    Two films are near duplicates where their perceptual hashes differ in at most ``NEAR_BITS`` bits.

    Parameters
    ----------
    films : sequence of LabelledFilm
        One rendering of each film.

    Returns
    -------
    kept : list of LabelledFilm
        In the given order.
    duplicates : list of Duplicate
    unreadable : list of Unreadable

    Raises
    ------
    DataSetError
        Where none of the films can be read.
    """
    hashes, unreadable = _read(films)
    films = list(hashes)
    digests = [hashlib.sha256(film.path.read_bytes()).hexdigest() for film in films]
    stays = np.ones(len(films), bool)
    duplicates = []
    for first, second in _close_pairs(np.stack(list(hashes.values()))):
        if stays[first] and stays[second]:
            stays[second] = False
            kind = "exact" if digests[first] == digests[second] else "near"
            same = films[first].category == films[second].category
            duplicates.append(Duplicate(films[second], films[first], kind, same))
    return [film for film, keep in zip(films, stays, strict=True) if keep], duplicates, unreadable


def _read(films: Sequence[LabelledFilm]) -> tuple[dict[LabelledFilm, NDArray[np.uint8]], list[Unreadable]]:
    """Return the perceptual hashes of the films that can be read, and the films that cannot."""
    hashes: dict[LabelledFilm, NDArray[np.uint8]] = {}
    unreadable = []
    for film in films:
        try:
            hashed = perceptual_hash(read_radiograph(film.path).pixels)
        except FilmError as error:
            unreadable.append(Unreadable(film, str(error)))
            continue
        hashes[film] = hashed
    if not hashes:
        first = unreadable[0]
        raise DataSetError(f"none of {len(films)} films can be read; {first.dropped.path}: {first.reason}")
    return hashes, unreadable


def _close_pairs(packed: NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """Yield pairs (earlier, later) of perceptual hashes, shape (N, 32), that are close."""
    for index in range(len(packed) - 1):
        for offset in np.flatnonzero(bits_apart(packed[index], packed[index + 1 :]) <= NEAR_BITS):
            yield index, index + 1 + int(offset)
