"""Which files of a watched folder have their answer."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pneumocascade.audit.database import checkpoint, connect, hold, transaction
from pneumocascade.errors import StorageError, UsageError

_RECORD_NAME = ".pneumocascade-watch.sqlite3"
_LOCK_NAME = ".pneumocascade-watch.lock"

_APPLICATION_ID = 0x504E4333
_TABLE = """CREATE TABLE IF NOT EXISTS file (
    path TEXT PRIMARY KEY,
    bytes INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    status TEXT NOT NULL,
    done REAL NOT NULL
) STRICT"""


FAILED_FILM = "failed"
"""Status of a film on which this software failed."""


class FileState(NamedTuple):
    """What tells whether a file was written to: its size, and when it was changed last, in nanoseconds."""

    size: int
    mtime_ns: int


class WatchRecord:
    """A record in an SQLite file, which one process at a time may use. May be shared between threads.

    Parameters
    ----------
    folder : Path
        Of the results.

    Raises
    ------
    UsageError
        Where the file cannot be used, another process uses it, or it is something else.
    """

    def __init__(self, folder: Path) -> None:
        self._path = path = folder / _RECORD_NAME
        self._lock = threading.Lock()
        try:
            self._held = hold(folder / _LOCK_NAME, f"the results in {folder}")
            self._connection = connect(path)
            (tables,) = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            (found,) = self._connection.execute("PRAGMA application_id").fetchone()
            if tables and found != _APPLICATION_ID:
                raise UsageError(f"{path} is a database, but not a record of this package")
            self._connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            self._connection.execute(_TABLE)
        except sqlite3.Error as error:
            raise UsageError(f"{path} cannot be used as a record: {error}") from error

    def close(self) -> None:
        """Move what the write-ahead log holds into the file, close it, and let another process in."""
        with self._lock:
            checkpoint(self._connection)
            self._connection.close()
            self._held.close()

    def states(self) -> dict[str, FileState]:
        """Return each file that has its answer, as it was then.

        Raises
        ------
        StorageError
            Where the record cannot be read.
        """
        statement = "SELECT path, bytes, mtime_ns FROM file WHERE status <> ?"
        with self._lock, self._storage_errors("it cannot be read"):
            rows = self._connection.execute(statement, (FAILED_FILM,)).fetchall()
        return {path: FileState(size, mtime) for path, size, mtime in rows}

    def digest_of(self, path: str) -> str | None:
        """Return the SHA-256 of a file when it was answered; ``None`` where it was not, or not read.

        Raises
        ------
        StorageError
            Where the record cannot be read.
        """
        statement = "SELECT sha256 FROM file WHERE path = ? AND status NOT IN (?, 'error') AND sha256 <> ''"
        with self._lock, self._storage_errors("it cannot be read"):
            row = self._connection.execute(statement, (path, FAILED_FILM)).fetchone()
        return str(row[0]) if row else None

    def enter(self, path: str, state: FileState, sha256: str, status: str) -> None:
        """Enter that a file has its answer.

        Parameters
        ----------
        path : str
        state : FileState
        sha256 : str
            Of its content; empty where that was not read.
        status : str

        Raises
        ------
        StorageError
            Where it cannot be.
        """
        statement = "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?)"
        values = (path, state.size, state.mtime_ns, sha256, status, time.time())
        with (
            self._lock,
            self._storage_errors("a file cannot be entered"),
            transaction(self._connection) as connection,
        ):
            connection.execute(statement, values)

    @contextmanager
    def _storage_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StorageError(f"{self._path}: {what}: {error}") from error
