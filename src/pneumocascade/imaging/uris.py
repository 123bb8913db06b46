"""Films by URI, ``s3://bucket/film.png`` or ``file:///films/film.png``: found and read with fsspec.

fsspec comes with the extra ``[ray]``; most stores need one more package, which fsspec names. Keys and
endpoints are taken from where that package looks for them (environment, its files).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import PurePath, PurePosixPath
from typing import Any

from pneumocascade.errors import FileAccessError, MissingExtraError, UsageError

# Two letters or more: one is a drive of Windows.
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)

_MAGIC = re.compile(r"[*?[]")

_AT_ONCE = 256
"""Files of which the beginning is asked for at once."""


def is_uri(source: object) -> bool:
    """Return whether a source is a URI: text that begins with a scheme and ``://``."""
    return isinstance(source, str) and _SCHEME.match(source) is not None


def listed_at(uri: str, suffixes: Collection[str]) -> list[tuple[str, list[str]]]:
    """Return what a URI means, each with the files below it, sorted, where it is a folder.

    A pattern means what it matches, sorted; all else means itself. The store is not asked about a URI that
    ends as a film does: a list of films costs no look-ups.

    Parameters
    ----------
    uri : str
    suffixes : collection of str
        Of films, in lower case, with their dot.

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
        return [(uri, [])]
    try:
        store, path = fsspec.core.url_to_fs(uri)
        if not _MAGIC.search(path) or store.exists(path):
            return [(uri, _files_below(store, path))]
        found = store.glob(path, detail=True)
        folders = {match for match, entry in found.items() if entry["type"] == "directory"}
        return [
            (str(store.unstrip_protocol(match)), _files_below(store, match) if match in folders else [])
            for match in outermost(sorted(found), folders)
        ] or [(uri, [])]
    except FileNotFoundError:
        return [(uri, [])]
    except Exception as error:  # each store has exceptions of its own
        raise UsageError(f"{uri} cannot be looked into: {error}") from error


def outermost(matches: Iterable[str], folders: Iterable[str]) -> list[str]:
    """Return what a pattern matches, without what lies in a folder that it matches, too."""
    containers = {PurePath(folder) for folder in folders}
    return [match for match in matches if containers.isdisjoint(PurePath(match).parents)]


def _files_below(store: Any, path: str) -> list[str]:
    """Return the URIs of the files of a folder and below; none where the path is a file."""
    found = store.find(path)
    if found == [path]:
        return []
    return [str(store.unstrip_protocol(each)) for each in sorted(found, key=PurePosixPath)]


def heads_of(uris: Sequence[str], length: int) -> Iterator[bytes | Exception]:
    """Yield the first bytes of files of one store, or why they cannot be had; many are asked for at once.

    Parameters
    ----------
    uris : sequence of str
        Of :func:`listed_at`.
    length : int
        Bytes of each.
    """
    for start in range(0, len(uris), _AT_ONCE):
        asked = uris[start : start + _AT_ONCE]
        store, _ = _fsspec().core.url_to_fs(asked[0])
        paths = [store._strip_protocol(uri) for uri in asked]
        yield from store.cat_ranges(paths, 0, length, on_error="return")


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
