"""Whether what a command is to write can be written, and would write over nothing that it needs."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from itertools import permutations
from pathlib import Path

from pneumocascade.errors import UsageError
from pneumocascade.imaging.files import frame_of
from pneumocascade.imaging.uris import is_uri

Destinations = Mapping[str, Path | None]
"""Paths by the option that names them; ``None`` where it is not given."""

_Identity = tuple[int, int]
"""Device and inode: of a file they are the same by whatever name or link it is reached."""


def check_destinations(files: Destinations, folders: Destinations, inputs: Iterable[str]) -> None:
    """Refuse destinations that are the same file, and those that are a film.

    Inputs are checked only where a destination exists, and never opened; URIs are passed over.

    Parameters
    ----------
    files, folders : mapping of str to Path or None
        What will be written.
    inputs : iterable of str
        What will be read: names as :func:`pneumocascade.read_radiograph` takes them.

    Raises
    ------
    UsageError
        Where two files are one by whatever path or link, one destination lies below the file that another
        is, or a file is an input, or an archive that holds one.
    """
    given = [(option, path) for option, path in files.items() if path is not None]
    others = [(option, path) for option, path in folders.items() if path is not None]
    for file, other in permutations([*given, *others], 2):
        if file in given:
            _check_apart(file, other)
    there = {found: option for option, path in given if (found := identity(path))}
    if not there:
        return
    for name in dict.fromkeys(inputs):
        if not is_uri(name) and (found := _identity_of_film(name)) in there:
            raise UsageError(
                f"{there[found]} would write over {name!r}, which is to be read: give it another file"
            )


def _check_apart(file: tuple[str, Path], other: tuple[str, Path]) -> None:
    (option, path), (other_option, other_path) = file, other
    if is_same_file(path, other_path):
        raise UsageError(f"{option} and {other_option} are both {path}: give each a path of its own")
    if Path(_real(path)) in Path(_real(other_path)).parents:
        raise UsageError(f"{other_option} {other_path} lies below {option} {path}, which is to be a file")


def is_same_file(one: Path, other: Path) -> bool:
    """Return whether two paths, whose files need not exist, lead to one regular file."""
    found = identity(one)
    return _real(one) == _real(other) or (found is not None and found == identity(other))


def _real(path: Path) -> str:
    return os.path.realpath(path)  # Path.resolve fails on links that lead in a circle


def identity(path: str | Path) -> _Identity | None:
    """Return what tells a regular file from all others; ``None`` where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116  as below
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def _identity_of_film(name: str) -> _Identity | None:
    """Return that of the file that a film is in: its own, or that of the archive on the way to it."""
    path, _ = frame_of(name)
    while path:
        try:
            found = os.stat(path)  # noqa: PTH116  100,000 films: a Path each takes several times as long
        except (OSError, ValueError):
            path = os.path.dirname(path) if os.path.dirname(path) != path else ""  # noqa: PTH120
            continue
        return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None
    return None


def check_folder(option: str, folder: Path) -> None:
    """Refuse a folder that cannot be made or written to, and make none.

    Raises
    ------
    UsageError
        Where the nearest thing that exists on the way to it is no folder, or may not be written to.
    """
    nearest = folder.absolute()
    while not os.path.lexists(nearest) and nearest != nearest.parent:
        nearest = nearest.parent
    if not os.path.isdir(nearest):  # noqa: PTH112  Path.is_dir fails where it may not look
        raise UsageError(f"{option} {folder}: {nearest} is not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UsageError(f"{option} {folder}: the folder {nearest} may not be written to")


def check_file(option: str, file: Path) -> None:
    """Refuse a file that cannot be made, or written anew where it exists; nothing is changed.

    Raises
    ------
    UsageError
        Where it is a folder, may not be written to, or its folder will not do (:func:`check_folder`).
    """
    if not os.path.exists(file):  # noqa: PTH110  Path.exists fails where it may not look
        check_folder(option, file.parent)
    elif os.path.isdir(file):  # noqa: PTH112
        raise UsageError(f"{option} {file} is a folder: give a file")
    elif not os.access(file, os.W_OK):
        raise UsageError(f"{option} {file} may not be written to")
