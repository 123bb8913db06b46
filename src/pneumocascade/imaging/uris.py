"""Films by URI, ``s3://bucket/film.png`` or ``file:///films/film.png``: found and read with fsspec.

fsspec comes with the extra ``[ray]``; most stores need one more package, which fsspec names. Keys and
endpoints are taken from where that package looks for them (environment, its files).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import PurePosixPath
from typing import Any

from pneumocascade.errors import FileAccessError, MissingExtraError, UsageError

# Two letters or more: one is a drive of Windows.
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)

_MAGIC = re.compile(r"[*?[]")


def is_uri(source: object) -> bool:
    """Return whether a source is a URI: text that begins with a scheme and ``://``."""
    return isinstance(source, str) and _SCHEME.match(source) is not None


def films_at(uri: str, suffixes: Collection[str]) -> list[str]:
    """Return the films that a URI means.

    A folder stands for the films in it and below, by suffix, sorted; a pattern for what it
    matches, sorted. Whatever is neither is returned as it is. The store is not asked about a URI that
    ends as a film does: a list of films costs no look-ups.

    Parameters
    ----------
    uri : str
    suffixes : collection of str
        By which films are found, in lower case, with their dot.

    Raises
    ------
    UsageError
        Where there is no such scheme, its package is not installed, or the store will not list.
    MissingExtraError
        Without fsspec.
    """
    fsspec = _fsspec()  # asked for here, too, so that a run fails before its first film
    is_film = PurePosixPath(uri).suffix.lower() in suffixes and not uri.endswith("/")
    if "::" in uri or (is_film and not _MAGIC.search(uri)):  # "::" names a film within another file
        return [uri]
    try:
        store, path = fsspec.core.url_to_fs(uri)
        pattern = _MAGIC.search(path) and not store.exists(path)
        found: list[str] = []
        for match in sorted(store.glob(path)) if pattern else [path]:
            below = [each for each in store.find(match) if PurePosixPath(each).suffix.lower() in suffixes]
            found += sorted(below, key=PurePosixPath) or [match]
    except FileNotFoundError:
        return [uri]
    except Exception as error:  # each store has exceptions of its own
        raise UsageError(f"{uri} cannot be looked into: {error}") from error
    return [uri] if found in ([], [path]) else [str(store.unstrip_protocol(each)) for each in found]


def read_uri(uri: str, limit: int) -> bytes:
    """Read one film's bytes.

    Parameters
    ----------
    uri : str
    limit : int
        Bytes; what has more is not read.

    Raises
    ------
    FileAccessError
        With the codes that a local file would get.
    MissingExtraError
        Without fsspec.
    """
    fsspec = _fsspec()
    try:
        store, path = fsspec.core.url_to_fs(uri)
        entry = store.info(path)
        if entry["type"] == "directory":
            raise FileAccessError("not_a_file", "this is a folder; give a film")
        if (size := entry.get("size") or 0) > limit:
            raise FileAccessError("unreadable_file", f"the file has {size} bytes, more than any film")
        return bytes(store.cat_file(path))
    except FileAccessError:
        raise
    except FileNotFoundError as error:
        raise FileAccessError("file_not_found", "there is no such file") from error
    except PermissionError as error:
        raise FileAccessError("permission_denied", "the file may not be read") from error
    except Exception as error:  # each store has exceptions of its own
        raise FileAccessError("unreadable_file", f"the file cannot be read: {error}") from error


def _fsspec() -> Any:
    try:
        import fsspec
        import fsspec.core
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading from a URI", "ray") from error
    return fsspec
