"""Which films the models were learnt from: figures on these are no test of anything.

A folder of models may hold ``learnt-films.npz``: for each film that training or calibration used, a part of
the SHA-256 of its name, and its perceptual hash, from which no film can be made. A film counts as learnt from

1. by name, where a film of this file name (without suffix) was; or
2. by picture, where its perceptual hash is within ``NEAR_BITS`` of one that was: a copy of another name, size
   or compression.

``tools/learnt_films.py`` writes it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pneumocascade.datasets.perceptual_hash import NEAR_BITS, bits_apart, perceptual_hash
from pneumocascade.errors import ModelError
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.model.store import STAGES, read_manifest
from pneumocascade.types import encodable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from pneumocascade.datasets.films import LabelledFilm
    from pneumocascade.types import Radiograph

LEARNT_FILE = "learnt-films.npz"

BY_NAME, BY_PICTURE = "name", "picture"
"""How a film may be known."""

NO_RECORD = "the models hold no record of their training films"


@dataclass(frozen=True, slots=True, eq=False)
class LearntFilms:
    """The films that a pair of models was learnt from.

    Attributes
    ----------
    names : ndarray of uint32, shape (N,)
        From :func:`name_hash`, ascending.
    pictures : ndarray of uint8, shape (N, 32)
        From :func:`~pneumocascade.datasets.perceptual_hash.perceptual_hash`.
    """

    names: NDArray[np.uint32]
    pictures: NDArray[np.uint8]

    def known(self, name: str, radiograph: Radiograph | None) -> tuple[str, ...]:
        """Return how a film is known, of ``"name"`` and ``"picture"``; empty where it was not learnt from.

        Parameters
        ----------
        name : str
            File name without suffix.
        radiograph : Radiograph or None
            ``None`` where it cannot be read.
        """
        how = []
        hashed = np.uint32(name_hash(name))
        place = int(np.searchsorted(self.names, hashed))
        if place < len(self.names) and self.names[place] == hashed:
            how.append(BY_NAME)
        if radiograph is not None and len(self.pictures):
            apart = bits_apart(perceptual_hash(radiograph.pixels), self.pictures)
            if apart.min() <= NEAR_BITS:
                how.append(BY_PICTURE)
        return tuple(how)


def name_hash(name: str) -> int:
    """Return the first 32 bits of the SHA-256 of a film's name.

    Of 5,000 names, a film of another name has the hash of one in about a millionth of cases.
    """
    return int.from_bytes(hashlib.sha256(encodable(name).encode()).digest()[:4], "big")


def read_learnt_films(folder: Path) -> LearntFilms | None:
    """Read what a folder of models records of the films that they were learnt from.

    Returns
    -------
    LearntFilms or None
        ``None`` where there is no record.

    Raises
    ------
    ModelError
        Where the record cannot be read, or is of other models.
    """
    path = folder / LEARNT_FILE
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as content:
            models, names, pictures = (content[key] for key in ("models", "names", "pictures"))
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ModelError(f"{path} is no record of films that can be read; write it again") from error
    if names.dtype != np.uint32 or pictures.dtype != np.uint8 or pictures.shape != (len(names), 32):
        raise ModelError(
            f"{path} holds {names.dtype} of shape {names.shape} and {pictures.dtype} of shape "
            f"{pictures.shape}; expected uint32 of shape (N,) and uint8 of shape (N, 32)"
        )
    if models.tolist() != _models_of(folder):
        raise ModelError(f"{path} is a record of other models than those beside it; write it again")
    return LearntFilms(names, pictures)


def write_learnt_films(folder: Path, films: Iterable[LabelledFilm]) -> int:
    """Write ``learnt-films.npz`` beside models and return how many films are in it.

    Parameters
    ----------
    folder : Path
        Of models with their manifest.
    films : iterable of LabelledFilm
        All that training or calibration used, one rendering of each.

    Raises
    ------
    FilmError
        Where a film cannot be read.
    ModelError
        Where there are no models.
    """
    models = _models_of(folder)
    hashes = sorted(
        (name_hash(film.name), perceptual_hash(read_radiograph(film.path).pixels).tobytes()) for film in films
    )
    names = np.array([name for name, _ in hashes], np.uint32)
    pictures = np.frombuffer(b"".join(picture for _, picture in hashes), np.uint8).reshape(-1, 32)
    np.savez(folder / LEARNT_FILE, models=np.array(models), names=names, pictures=pictures)
    return len(hashes)


def _models_of(folder: Path) -> list[str]:
    """Return the SHA-256 of the models in a folder."""
    manifest = read_manifest(folder)
    return [manifest.sha256[stage] for stage in STAGES if stage in manifest.sha256]


def count_learnt(known: Sequence[tuple[str, ...]] | None) -> dict[str, Any]:
    """Return what ``metrics.json`` says of films that were learnt from.

    Parameters
    ----------
    known : sequence of tuple of str, or None
        How each film is known; ``None`` where the models hold no record.

    Returns
    -------
    dict
        ``n`` films that are known, ``by_name`` and ``by_picture``; each ``None``, with a ``reason``, without
        a record.
    """
    if known is None:
        return {"n": None, "by_name": None, "by_picture": None, "reason": NO_RECORD}
    return {
        "n": sum(bool(how) for how in known),
        "by_name": sum(BY_NAME in how for how in known),
        "by_picture": sum(BY_PICTURE in how for how in known),
    }
