"""Compiled networks on disk, in a folder of the user, so that a process starts faster.

OpenVINO runs a compiled network whose bytes were damaged without a word, and answers otherwise. So each file
here begins with the SHA-256 of what follows, and its name is that of the model, the engine's version and the
processor. A folder that cannot be written to, or that others may write to, costs time, never an answer.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

CACHE_VARIABLE = "PNEUMOCASCADE_CACHE"
"""Environment variable with the folder of what may be deleted at any time."""

MAX_FILES = 8
"""Compiled networks that are kept; of the bundled models each takes 24 MB."""

_SUFFIX = ".compiled"
_log = logging.getLogger(__name__)


class Compiled(NamedTuple):
    """A compiled network, the metadata of its ONNX file, and the SHA-256 of what it answers to noise."""

    network: bytes
    metadata: Mapping[str, str]
    answers: str


def cache_folder() -> Path:
    """Return the folder of this user's cache: ``PNEUMOCASCADE_CACHE``, or what the system provides."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "pneumocascade" / "cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "pneumocascade"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "pneumocascade"


class CompiledCache:
    """Files of compiled networks.

    Parameters
    ----------
    folder : Path, optional
        By default :func:`cache_folder`; made where it is missing, for this user alone.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    @staticmethod
    def key(model: bytes, *made_with: str) -> str:
        """Return the name of a model compiled by an engine of a version for a processor."""
        digest = hashlib.sha256(hashlib.sha256(model).digest())
        digest.update(json.dumps(made_with).encode())
        return digest.hexdigest()

    def get(self, key: str) -> Compiled | None:
        """Return what was kept under a name; ``None`` where nothing was, or it is damaged."""
        try:
            folder = self._trusted()
            content = (folder / f"{key}{_SUFFIX}").read_bytes()
        except (OSError, RuntimeError) as error:  # no home folder is a RuntimeError
            _log.debug("no compiled network is read: %s", error)
            return None
        digest, _, rest = content.partition(b"\n")
        if hashlib.sha256(rest).hexdigest().encode() != digest:
            _log.warning("a compiled network in %s is damaged; it is made again", folder)
            return None
        head, _, network = rest.partition(b"\n")
        return Compiled(network, **json.loads(head))

    def put(self, key: str, compiled: Compiled) -> None:
        """Keep a compiled network, whole or not at all, and delete the oldest ones beyond ``MAX_FILES``."""
        head = {"metadata": dict(compiled.metadata), "answers": compiled.answers}
        rest = json.dumps(head).encode() + b"\n" + compiled.network
        try:
            folder = self._trusted(make=True)
            with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
                try:
                    file.write(hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest)
                    file.close()
                    Path(file.name).replace(folder / f"{key}{_SUFFIX}")
                except BaseException:
                    Path(file.name).unlink(missing_ok=True)
                    raise
            self._delete_oldest(folder)
        except (OSError, RuntimeError) as error:
            _log.debug("no compiled network is kept: %s", error)

    def _trusted(self, *, make: bool = False) -> Path:
        """Return the folder.

        Raises
        ------
        OSError
            Where there is none, or another user could have put something into it.
        """
        folder = cache_folder() if self._folder is None else self._folder
        if make:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        if hasattr(os, "geteuid"):  # Windows has no such modes: the folder is the user's own
            others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            if found.st_uid != os.geteuid() or others:
                raise PermissionError(f"others may write to {folder}")
        return folder

    @staticmethod
    def _delete_oldest(folder: Path) -> None:
        aged = sorted(folder.glob(f"*{_SUFFIX}"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in aged[MAX_FILES:]:
            with suppress(OSError):  # another process was faster
                path.unlink()
