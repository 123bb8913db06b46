"""Folders that are written to, and the port that is listened on."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path

from pneumocascade.doctor.check import Check, megabytes, tilde
from pneumocascade.errors import UsageError

STATE_SPACE = 100_000_000
"""Bytes that should be free for the counter and a history."""

TEMPORARY_SPACE = 2 << 30
"""Bytes of uploads that ``serve`` takes at a time (docs/deployment.md, Limits)."""

HISTORY_VARIABLE = "PNEUMOCASCADE_HISTORY"
LOOPBACK = "127.0.0.1"


def check_state() -> list[Check]:
    """Check that the state folder can be written to; one that is not there yet is not made."""
    from pneumocascade.audit.counter import FILE_NAME, STATE_VARIABLE, Counter, state_folder

    folder = state_folder()
    advice = f"let this user write there, or: export {STATE_VARIABLE}=FOLDER"
    found = _folder("state folder", folder, STATE_SPACE, advice)
    if found.status == "ok" and (folder / FILE_NAME).exists() and Counter(folder).value() is None:
        text = f"{tilde(folder / FILE_NAME)} is no counter that this user may write to"
        return [Check("state folder", "problem", text, f"delete it, or: export {STATE_VARIABLE}=FOLDER")]
    return [found]


def check_history() -> list[Check]:
    """Check the history and its folder, where a variable names one."""
    from pneumocascade.audit.history import History

    value = os.environ.get(HISTORY_VARIABLE)
    if not value:
        return []
    folder = Path(value).absolute().parent
    advice = f"make it, let this user write there, or: export {HISTORY_VARIABLE}=FILE"
    if not folder.is_dir():
        return [Check("history", "problem", f"{tilde(folder)} is no folder", advice)]
    if not Path(value).exists():
        return [_folder("history", folder, STATE_SPACE, advice)]
    try:
        History(Path(value)).close()
    except UsageError as error:
        return [Check("history", "problem", tilde(str(error)), advice)]
    return [_folder("history", folder, STATE_SPACE, advice)]


def check_temporary() -> list[Check]:
    """Check that the folder for temporary files can be written to."""
    advice = "free some space there, or: export TMPDIR=FOLDER"
    try:
        folder = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        return [Check("temporary folder", "problem", tilde(str(error)), "export TMPDIR=FOLDER")]
    return [_folder("temporary folder", folder, TEMPORARY_SPACE, advice)]


def _folder(name: str, folder: Path, space: int, advice: str) -> Check:
    """Write a file there and delete it; to the nearest folder above where it does not exist."""
    shown = tilde(folder)
    try:
        place = next(each for each in (folder, *folder.absolute().parents) if each.exists())
        if place != folder:
            shown += ", which is made when it is needed,"
        with tempfile.NamedTemporaryFile(dir=place, prefix=".pneumocascade-") as file:
            file.write(bytes(1024))
            file.flush()
        free = shutil.disk_usage(place).free
    except OSError as error:
        return Check(name, "problem", f"{shown} cannot be written to: {error.strerror}", advice)
    if free < space:
        return Check(
            name, "note", f"{shown} has {megabytes(free)} free, {megabytes(space)} are better", advice
        )
    return Check(name, "ok", f"{shown} can be written to, {megabytes(free)} free")


def check_port(port: int) -> list[Check]:
    """Check that a server could listen on a port of this machine alone.

    Parameters
    ----------
    port : int
        1..65535.
    """
    title, advice = f"port {port}", "pneumocascade serve --port N, with another N (1024 or above)"
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        if sys.platform != "win32":  # there it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                found = f"{LOOPBACK}:{port} is in use, by a server that runs already or another program"
                return [Check(title, "note", found, advice)]
            found = f"{LOOPBACK}:{port} cannot be listened on: {error.strerror}"
            return [Check(title, "problem", found, advice)]
    return [Check(title, "ok", f"{LOOPBACK}:{port} is free")]
