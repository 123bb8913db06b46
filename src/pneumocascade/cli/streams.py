"""Standard streams that a command can rely on, whatever it was started with."""

from __future__ import annotations

import io
import os
import sys

_STREAMS = (
    ("stdin", "r", os.O_RDONLY),
    # To be read only: a write fails, as it does where standard output is full, and is reported alike.
    ("stdout", "w", os.O_RDONLY),
    ("stderr", "w", os.O_WRONLY),
)


def make_usable() -> None:
    """Stand in for streams that are closed, and escape what their encodings cannot write.

    A closed standard input is empty, a closed standard output cannot be written to, and what is written to a
    closed standard error is lost. No file that is opened later gets a number that others take for that of a
    standard stream.
    """
    for name, mode, flags in _STREAMS:
        if getattr(sys, name) is None:
            number = os.open(os.devnull, flags)  # the lowest that is free: the one that is missing
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def drop_unwritten() -> bool:
    """Return whether standard output fails; what it has not taken is not tried again as Python ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False
