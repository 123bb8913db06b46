"""From what a person names to a stream of paths."""

from __future__ import annotations

import glob
import os
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from pneumocascade.errors import UsageError
from pneumocascade.imaging.read import SUFFIXES
from pneumocascade.imaging.studies import Found, Kind, frames_of, kind_of, listed_in, members_of
from pneumocascade.imaging.uris import films_at, is_uri


def find_sources(
    named: Iterable[str], *, all_frames: bool = False, left_out: list[str] | None = None
) -> Iterator[str]:
    """Yield the films that are meant, in a fixed order.

    A folder stands for the films in it and below, sorted: images by suffix, DICOM objects by content; a
    pattern for what it matches, sorted; a zip archive for its films, a DICOMDIR for the images that it
    lists, each in its own order. A folder or archive without films, and whatever is neither, is yielded as
    it is: what cannot be read is to be reported, not passed over.

    Parameters
    ----------
    named : iterable of str
        Files, folders and patterns (``*``, ``?``, ``[...]``, ``**``), as paths or as URIs
        (:func:`pneumocascade.imaging.uris.films_at`).
    all_frames : bool
        Each frame of a DICOM object counts as a film; otherwise the first one.
    left_out : list of str, optional
        Names of DICOM objects that hold no picture are added to it, and what a DICOMDIR lists outside its
        folder.

    Raises
    ------
    UsageError
        Where a name is empty, or the store that a URI names cannot be asked.
    MissingExtraError
        For a URI without fsspec.
    """
    others: list[str] = [] if left_out is None else left_out
    for name in named:
        if not name:
            raise UsageError("a path is empty; give a file, a folder (. for this one) or a pattern")
        if is_uri(name):
            yield from films_at(name, SUFFIXES)
            continue
        # A file may have brackets in its name: only what is not there is taken for a pattern.
        matches = [] if os.path.exists(name) else sorted(glob.glob(name, recursive=True))  # noqa: PTH110, PTH207
        for match in matches or [name]:
            films = [film for film, kind in _expanded(match) if _is_kept(film, kind, others)]
            for film in films or [match]:
                yield from frames_of(film) if all_frames else [film]


def _is_kept(film: str, kind: Kind, others: list[str]) -> bool:
    if kind == "other object":
        others.append(film)
    return kind == "film"


def _expanded(name: str) -> Iterator[Found]:
    """Yield what is in a folder, an archive or a DICOMDIR; any other file as it is.

    ``os.path`` is asked, since ``Path`` fails where it may not look.
    """
    if os.path.isdir(name):  # noqa: PTH112
        for path in sorted(Path(name).rglob("*")):
            if not os.path.isdir(path):  # noqa: PTH112
                yield str(path), kind_of(path)
    elif Path(name).suffix.lower() in SUFFIXES or not os.path.isfile(name):  # noqa: PTH113
        yield name, "film"
    elif Path(name).name.upper() == "DICOMDIR":
        yield from listed_in(name)
    elif zipfile.is_zipfile(name):
        yield from members_of(name)
    else:
        yield name, "film"
