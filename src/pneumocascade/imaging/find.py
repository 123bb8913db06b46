"""From what a person names to a stream of paths."""

from __future__ import annotations

import glob
import os
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from pneumocascade.errors import UsageError
from pneumocascade.imaging.read import SUFFIXES
from pneumocascade.imaging.studies import (
    Found,
    Kind,
    frames_of,
    kind_of,
    kinds_at,
    listed_in,
    members_of,
)
from pneumocascade.imaging.uris import is_uri, listed_at, outermost


def find_sources(
    named: Iterable[str],
    *,
    all_frames: bool = False,
    follow_links: bool = False,
    left_out: list[Found] | None = None,
) -> Iterator[str]:
    """Yield the films that are meant, in a fixed order.

    A folder stands for the films in it and below, sorted, by suffix or content; a
    pattern for what it matches, sorted; a zip archive for its films, a DICOMDIR for the images that it
    lists, each in its own order. A folder or archive without films, and whatever is neither, is yielded as
    it is: what cannot be read is to be reported, not passed over.

    Parameters
    ----------
    named : iterable of str
        Files, folders and patterns (``*``, ``?``, ``[...]``, ``**``), as paths or as URIs
        (:func:`pneumocascade.imaging.uris.listed_at`).
    all_frames : bool
        Each frame of a DICOM object counts as a film; otherwise the first one.
    follow_links : bool
        Also look below folders that are links.
    left_out : list of (str, Kind), optional
        Gets the names of what is no film, with what it is instead: DICOM objects without a picture and what
        a DICOMDIR lists outside its folder, other files, and what cannot be opened.

    Raises
    ------
    UsageError
        Where a name is empty, or the store that a URI names cannot be asked.
    MissingExtraError
        For a URI without fsspec.
    """
    others: list[Found] = [] if left_out is None else left_out
    for name in named:
        if not name:
            raise UsageError("a path is empty; give a file, a folder (. for this one) or a pattern")
        for match, found in _matches(name, follow_links):
            films = [film for film, kind in found if _is_kept(film, kind, others)]
            for film in films or [match]:
                yield from frames_of(film) if all_frames else [film]


def _matches(name: str, follow_links: bool) -> Iterator[tuple[str, Iterator[Found]]]:
    """Yield what a name means, and what is in each: a pattern means what it matches."""
    if is_uri(name):
        for match, files in listed_at(name, SUFFIXES):
            yield match, kinds_at(files)
        return
    # A file may have brackets in its name: only what is not there is taken for a pattern.
    matches = [] if os.path.exists(name) else sorted(glob.glob(name, recursive=True))  # noqa: PTH110, PTH207
    for match in outermost(matches, filter(os.path.isdir, matches)) or [name]:
        yield match, _expanded(match, follow_links)


def _is_kept(film: str, kind: Kind, others: list[Found]) -> bool:
    if kind != "film":
        others.append((film, kind))
    return kind == "film"


def _expanded(name: str, follow_links: bool) -> Iterator[Found]:
    """Yield what is in a folder, an archive or a DICOMDIR; any other file as it is.

    ``os.path`` is asked, since ``Path`` fails where it may not look.
    """
    if os.path.isdir(name):  # noqa: PTH112
        yield from sorted(_below(name, follow_links), key=lambda found: Path(found[0]))
    elif Path(name).suffix.lower() in SUFFIXES or not os.path.isfile(name):  # noqa: PTH113
        yield name, "film"
    elif Path(name).name.upper() == "DICOMDIR":
        yield from listed_in(name)
    elif zipfile.is_zipfile(name):
        yield from members_of(name)
    else:
        yield name, "film"


def _below(folder: str, follow_links: bool) -> Iterator[Found]:
    """Yield what is in a folder and below, in no order, with links and folders that are not looked into."""
    unopened: list[str] = []
    seen: set[tuple[int, int]] = set()
    walk = os.walk(folder, onerror=lambda error: unopened.append(error.filename), followlinks=follow_links)
    for place, folders, files in walk:
        if follow_links:
            status = os.stat(place)  # noqa: PTH116  a circle of links leads to a folder again
            if (status.st_dev, status.st_ino) in seen:
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
        else:
            linked = (os.path.join(place, each) for each in folders)  # noqa: PTH118
            yield from ((each, "linked folder") for each in linked if os.path.islink(each))  # noqa: PTH114
        for each in files:
            path = Path(place) / each
            yield str(path), kind_of(path)
    yield from ((each, "unopened") for each in unopened)
