"""Transactions are kept whole or not at all, also where the disk is full."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pneumocascade.audit.database import connect, transaction


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(tmp_path / "database.sqlite3")) as connection:
        connection.execute("CREATE TABLE numbers (number INTEGER, rest BLOB)")
        yield connection


def numbers(connection: sqlite3.Connection) -> list[int]:
    return [number for (number,) in connection.execute("SELECT number FROM numbers ORDER BY number")]


def enter(connection: sqlite3.Connection, number: int) -> None:
    with transaction(connection):
        connection.execute("INSERT INTO numbers VALUES (?, zeroblob(2000))", (number,))


def test_the_file_has_a_write_ahead_log(connection: sqlite3.Connection) -> None:
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_block_that_raises_leaves_nothing(connection: sqlite3.Connection) -> None:
    enter(connection, 1)
    with pytest.raises(ZeroDivisionError), transaction(connection):
        connection.execute("INSERT INTO numbers VALUES (2, NULL)")
        raise ZeroDivisionError
    assert numbers(connection) == [1]
    enter(connection, 3)
    assert numbers(connection) == [1, 3]


def test_a_full_disk_costs_one_transaction_and_no_other(connection: sqlite3.Connection) -> None:
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 4}")
    entered = 0
    with pytest.raises(sqlite3.OperationalError, match="disk is full"):
        for number in range(100):
            enter(connection, number)
            entered += 1
    assert entered > 0
    assert not connection.in_transaction
    assert numbers(connection) == list(range(entered))
    connection.execute("PRAGMA max_page_count = 1000")
    enter(connection, 100)
    assert numbers(connection) == [*range(entered), 100]


def test_a_block_that_failed_and_was_rolled_back_tells_why(connection: sqlite3.Connection) -> None:
    """SQLite rolls back by itself after some errors; a second roll-back would hide what went wrong."""
    with pytest.raises(sqlite3.OperationalError, match="the disk is full"), transaction(connection):
        connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("the disk is full")
    enter(connection, 1)
    assert numbers(connection) == [1]
