"""The record of one check, and what keeps one that fails from taking the others along."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Status = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found.

    Attributes
    ----------
    name : str
        Of what was checked.
    status : {"ok", "note", "problem"}
        ``note``: it works, but less well, or something is not there that not everyone needs.
    found : str
        What is the case; paths below the home folder begin with ``~``.
    advice : str
        What to do, the very command or setting; empty where all is well, and only there.
    """

    name: str
    status: Status
    found: str
    advice: str = ""

    def __post_init__(self) -> None:
        assert (self.status == "ok") == (not self.advice), f"{self.name}: advice belongs to what is amiss"


def checked(name: str, check: Callable[[], list[Check]]) -> list[Check]:
    """Return what a check finds; one that raises is itself a problem.

    A broken library may raise anything while it is imported.
    """
    try:
        return check()
    except Exception as error:  # noqa: BLE001  the very reason for this command
        text = tilde(f"{type(error).__name__}: {error}")
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        advice = f"{pip()} --force-reinstall {_distribution(missing or 'pneumocascade')}"
        return [Check(name, "problem", f"could not be checked: {text}", advice)]


def _distribution(module: str) -> str:
    return {"cv2": "opencv-python-headless", "PIL": "pillow"}.get(module, module.partition(".")[0])


def pip() -> str:
    """Return how to call pip for the very Python that runs this: another's installs elsewhere."""
    return f"{tilde(sys.executable)} -m pip install"


def tilde(text: str | Path) -> str:
    """Return text with this user's home folder as ``~``: it may name the user."""
    try:
        home = str(Path.home())
    except RuntimeError:  # a user without a home
        return str(text)
    if len(home) < 2:  # / is the home of some services
        return str(text)
    return re.sub(re.escape(home) + r"(?![\w.-])", "~", str(text))


def megabytes(amount: float) -> str:
    """Return bytes as text, in MB or GB of 1000."""
    return f"{amount / 1e9:.1f} GB" if amount >= 1e9 else f"{amount / 1e6:.0f} MB"
