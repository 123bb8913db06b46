"""From a path to bytes: a file, or a member of a zip archive, named as if the archive were a folder.

``study.zip/series/film.dcm`` is the member ``series/film.dcm`` of the file ``study.zip``; ``#frame=2`` at the
end of a name is its second frame. What lies there under the very name comes first.
"""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path

from pneumocascade.errors import FileAccessError

MAX_BYTES = 1 << 30
"""Largest file that is read, in bytes: more than any film needs."""

MAX_RATIO = 200
"""How many times its size in an archive a member may have, from ``_SMALL`` on: films have 2 to 20 times."""

_SMALL = 1 << 24
"""Bytes of a member that is read whatever its ratio: a black film compresses a thousand times."""

_FRAME = re.compile(r"#frame=([1-9][0-9]{0,8})$")


def frame_of(name: str) -> tuple[str, int | None]:
    """Split a name into that of the file and the number of the frame, from 1; ``None`` where it has none."""
    if (found := _FRAME.search(name)) is None or os.path.lexists(name):
        return name, None
    return name[: found.start()], int(found.group(1))


def bytes_of(name: str, folder_is: str) -> bytes:
    """Return what is in a file or member.

    Parameters
    ----------
    name : str
    folder_is : str
        What to say of a folder.

    Raises
    ------
    FileAccessError
        ``file_not_found``, ``not_a_file``, ``permission_denied``, ``empty_file``, ``unreadable_file``.
    """
    try:
        data = _bytes_of(name, folder_is)
    except PermissionError as error:
        raise FileAccessError("permission_denied", "the file may not be read") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileAccessError("unreadable_file", f"the file cannot be read: {reason}") from error
    if not data:
        raise FileAccessError("empty_file", "the file is empty")
    return data


def _bytes_of(name: str, folder_is: str) -> bytes:
    path = Path(name)
    if not path.exists():
        if (inside := split_member(name)) is None:
            raise FileAccessError("file_not_found", "there is no such file")
        return _member(*inside)
    if path.is_dir():
        raise FileAccessError("not_a_file", folder_is)
    if not path.is_file():
        raise FileAccessError("not_a_file", "this is not a regular file")
    if (size := path.stat().st_size) > MAX_BYTES:
        raise FileAccessError("unreadable_file", f"the file has {size} bytes, more than any film")
    return path.read_bytes()


def split_member(name: str) -> tuple[str, str] | None:
    """Return the archive's path and the member's name; ``None`` where no file on the way is there."""
    for cut in (found.start() for found in re.finditer(r"/", name)):
        if cut and os.path.isfile(name[:cut]):  # noqa: PTH113  a member's name need not be a path
            return (name[:cut], name[cut + 1 :]) if zipfile.is_zipfile(name[:cut]) else None
    return None


def _member(archive: str, member: str) -> bytes:
    try:
        with zipfile.ZipFile(archive) as opened:
            return read_member(opened, opened.getinfo(member))
    except KeyError as error:
        raise FileAccessError("file_not_found", "there is no such file in the archive") from error
    except FileAccessError:
        raise
    except Exception as error:  # zipfile raises many kinds
        raise _unreadable(error) from error


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int | None = None) -> bytes:
    """Return what is in a member, or its first bytes; what the archive says of its size may be wrong.

    Raises
    ------
    FileAccessError
        ``unreadable_file`` where the member is damaged, encrypted or compressed in an unknown way, and where
        one that is read whole is far larger than a film of its size in the archive can be.
    """
    allowed = min(MAX_BYTES, max(_SMALL, MAX_RATIO * member.compress_size))
    try:
        with archive.open(member) as stream:
            content = stream.read(allowed + 1 if most is None else most)
    except Exception as error:  # zipfile and its decompressors raise many kinds
        raise _unreadable(error) from error
    if most is None and len(content) > allowed:
        found = f"it has more than {allowed} bytes, from {member.compress_size} in the archive"
        raise FileAccessError("unreadable_file", found)
    return content


def _unreadable(error: Exception) -> FileAccessError:
    # The error's text may quote what is in the archive, a patient's name perhaps.
    kind = type(error).__name__
    return FileAccessError("unreadable_file", f"it cannot be read from the archive ({kind})")
