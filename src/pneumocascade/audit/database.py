"""SQLite files with a write-ahead log: readers do not wait for writers, a kill loses nothing committed."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pneumocascade.errors import UsageError

BUSY_SECONDS = 30.0
"""Longest wait for another process that writes."""


def connect(path: Path) -> sqlite3.Connection:
    """Open a file, or make it; the connection may be used by one thread at a time, whichever.

    Transactions are begun and ended by whoever uses it.

    Raises
    ------
    sqlite3.Error
        Where it cannot be opened, or is no such file.
    """
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _write_ahead(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def hold(path: Path, what: str) -> sqlite3.Connection:
    """Keep other processes out of what a file stands for, until the connection is closed or the process ends.

    Parameters
    ----------
    path : Path
        Of a file that serves for nothing else.
    what : str
        Name for the message.

    Raises
    ------
    UsageError
        Where another process holds it.
    sqlite3.Error
        Where the file cannot be opened or written.
    """
    held = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
    try:
        held.execute("PRAGMA locking_mode = EXCLUSIVE")
        held.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        held.close()
        if "locked" not in str(error):
            raise
        raise UsageError(f"another process uses {what}: stop it, or give another folder") from error
    return held


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Hold the lock for writing; what the block did is kept whole, or not at all.

    Raises
    ------
    sqlite3.Error
        Where it could not be kept. The connection can be used for the next transaction all the same.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # where a disk is full, SQLite rolls back by itself at times
            connection.execute("ROLLBACK")
        raise


def checkpoint(connection: sqlite3.Connection) -> bool:
    """Move what the write-ahead log holds into the file, and return whether all of it was moved.

    It is not where another connection reads or writes just now, or the disk is full; nothing is lost then.
    """
    try:
        (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error:
        return False
    return not busy


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch a new file to the write-ahead log.

    SQLite does not wait for other processes that do the same at the same moment: try again.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while not _switched(connection, last_try=time.monotonic() > deadline):
        time.sleep(0.01)


def _switched(connection: sqlite3.Connection, last_try: bool) -> bool:
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        if last_try or "locked" not in str(error):
            raise
        return False
    return True
