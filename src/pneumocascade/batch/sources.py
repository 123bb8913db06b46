"""From what a person names to a stream of paths."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pneumocascade.errors import UsageError
from pneumocascade.reading import SUFFIXES
from pneumocascade.uris import films_at, is_uri


def find_sources(named: Iterable[str]) -> Iterator[str]:
    """Yield the files that are meant, in a fixed order.

    A folder stands for the films in it and below, by suffix, sorted; a pattern for what it
    matches, sorted. A folder without films, and whatever is neither, is yielded as it is: what
    cannot be read is to be reported, not passed over.

    Parameters
    ----------
    named : iterable of str
        Files, folders and patterns (``*``, ``?``, ``[...]``, ``**``), as paths or as URIs
        (:func:`pneumocascade.uris.films_at`).

    Raises
    ------
    UsageError
        Where a name is empty, or the store that a URI names cannot be asked.
    MissingExtraError
        For a URI without fsspec.
    """
    for name in named:
        if not name:
            raise UsageError("a path is empty; give a file, a folder (. for this one) or a pattern")
        if is_uri(name):
            yield from films_at(name, SUFFIXES)
            continue
        # A file may have brackets in its name: only what is not there is taken for a pattern.
        matches = [] if os.path.exists(name) else sorted(glob.glob(name, recursive=True))  # noqa: PTH110, PTH207
        for match in matches or [name]:
            yield from _films_below(match) or [match]


def _films_below(folder: str) -> list[str]:
    """Return the films in a folder and below; none where it is no folder.

    ``os.path`` is asked, since ``Path`` fails where it may not look.
    """
    if not os.path.isdir(folder):  # noqa: PTH112
        return []
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES)
    return [str(path) for path in paths if not os.path.isdir(path)]  # noqa: PTH112
