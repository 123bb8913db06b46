"""Files of a folder that nobody writes to any more."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pneumocascade.node.watch_record import FileState

PARTIAL = frozenset({".part", ".partial", ".tmp", ".temp", ".crdownload", ".download", ".filepart", ".swp"})
"""Suffixes of files that programs write to before they give them their name."""


def files_below(folder: Path, leave_out: Path) -> Iterator[Path]:
    """Yield the regular files of a folder and below, in order, that may be whole.

    Links are not followed; hidden files, those with a suffix of ``PARTIAL`` and one folder are left out.
    """
    for place, folders, files in os.walk(folder):
        kept = (each for each in folders if not each.startswith("."))
        folders[:] = sorted(each for each in kept if Path(place) / each != leave_out)
        yield from (path for name in sorted(files) if may_be_whole(path := Path(place) / name))


def may_be_whole(path: Path) -> bool:
    """Return whether a file is neither hidden nor named as one that is being written."""
    return not path.name.startswith(".") and path.suffix.lower() not in PARTIAL


def state_of(path: Path) -> FileState | None:
    """Return a file's state; ``None`` where it is gone or no regular file."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return FileState(found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


class Settling:
    """Files that wait until their size and time have not changed for some seconds.

    Parameters
    ----------
    seconds : float
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: dict[Path, tuple[FileState, float]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, paths: Iterable[Path], known: Mapping[Path, FileState], *, trust_age: bool = False) -> None:
        """Take files that are not there yet, unless they are as they are known.

        Parameters
        ----------
        paths : iterable of Path
        known : mapping of Path to FileState
        trust_age : bool
            Count the time since a file was changed as time that it was seen unchanged.
        """
        for path in paths:
            state = state_of(path)
            if path in self._waiting or state is None or known.get(path) == state:
                continue
            age = time.time() - state.mtime_ns / 1e9 if trust_age else 0.0
            self._waiting[path] = (state, time.monotonic() - max(0.0, age))

    def again(self, path: Path) -> None:
        """Let a file wait anew."""
        state = state_of(path)
        if state is not None:
            self._waiting[path] = (state, time.monotonic())

    def take(self, most: int) -> list[tuple[Path, FileState]]:
        """Return files that are settled, which wait no more; an empty one never is."""
        settled: list[tuple[Path, FileState]] = []
        now = time.monotonic()
        for path, (before, since) in list(self._waiting.items()):
            state = state_of(path)
            if state is None:
                del self._waiting[path]
            elif state != before:
                self._waiting[path] = (state, now)
            elif state.size and now - since >= self._seconds and len(settled) < most:
                del self._waiting[path]
                settled.append((path, state))
        return settled

    def drop_empty(self) -> None:
        """Let files without content wait no more."""
        self._waiting = {path: each for path, each in self._waiting.items() if each[0].size}
