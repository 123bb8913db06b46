"""How many films were analysed since installation: one number in an SQLite file."""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pneumocascade.audit.database import connect, transaction

STATE_VARIABLE = "PNEUMOCASCADE_STATE"
"""Environment variable with the folder of the counter's file."""

FILE_NAME = "counter.sqlite3"

_TABLE = "CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY CHECK (id = 1), films INTEGER NOT NULL)"
_log = logging.getLogger(__name__)


def state_folder() -> Path:
    """Return the folder of this user's state: ``PNEUMOCASCADE_STATE``, or what the system provides."""
    chosen = os.environ.get(STATE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "pneumocascade"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "pneumocascade"
    return Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "pneumocascade"


class Counter:
    """Films analysed since installation; may be shared by threads and processes.

    A state folder that cannot be written to costs the count, never an answer: it is logged once and
    the count is ``None``.

    Parameters
    ----------
    folder : Path, optional
        By default :func:`state_folder`.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.path = (folder if folder is not None else state_folder()) / FILE_NAME
        self._warned = False

    def add(self, films: int) -> int | None:
        """Add to the count, in one transaction, and return the new one.

        Parameters
        ----------
        films : int
            At least 0.

        Returns
        -------
        int or None
            ``None`` where the state folder cannot be used.
        """
        if films < 0:
            raise ValueError(f"films is {films}, expected at least 0")
        try:
            with self._transaction() as connection:
                connection.execute("UPDATE counter SET films = films + ?", (films,))
                return int(connection.execute("SELECT films FROM counter").fetchone()[0])
        except (sqlite3.Error, OSError) as error:
            if not self._warned:
                _log.warning("films are not counted: %s: %s", self.path, error)
                self._warned = True
            return None

    def value(self) -> int | None:
        """Return the count; ``None`` where the state folder cannot be used."""
        return self.add(0)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Open the file for one transaction that holds the write lock from its first statement."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(connect(self.path)) as connection, transaction(connection):
            connection.execute(_TABLE)
            connection.execute("INSERT OR IGNORE INTO counter (id, films) VALUES (1, 0)")
            yield connection
