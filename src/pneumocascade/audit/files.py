"""Files that are there whole or not at all, whatever is killed or loses power."""

from __future__ import annotations

import os
import re
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PART = ".part"
"""Suffix of a file that is being written."""


_OWN_PART = re.compile(rf"\..+\.[0-9a-f]{{12}}{re.escape(PART)}")


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Give the path of a new file; where the block succeeds, it takes the target's place.

    What was written is on the disk before the name is (``fsync`` of file and folder). Where the block fails,
    the target is as it was. A process that is killed leaves the new file: see :func:`remove_unfinished`.

    Parameters
    ----------
    target : Path
        In a folder that is there.

    Raises
    ------
    OSError
        Where it cannot be written.
    """
    part = target.with_name(f".{target.name[:100]}.{uuid.uuid4().hex[:12]}{PART}")
    try:
        yield part
        with part.open("r+b") as file:
            os.fsync(file.fileno())
        part.replace(target)
        sync_folder(target.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def remove_unfinished(folder: Path) -> None:
    """Delete what killed processes left of :func:`written_whole` in a folder and below.

    Only where no other process writes there.
    """
    for place, _, names in os.walk(folder):
        for name in filter(_OWN_PART.fullmatch, names):
            Path(place, name).unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Put the names of a folder's files on the disk, where the system can."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
