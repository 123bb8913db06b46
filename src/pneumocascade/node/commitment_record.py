"""What of the spool's results destinations were asked to commit to, and what they said.

A result goes *wanted* -> *asked* -> *committed* or *failed* at each destination that offers storage
commitment. It is wanted from the very transaction in which it is sent.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple

COMMITMENT_TABLE = """
CREATE TABLE IF NOT EXISTS commitment (
    result INTEGER NOT NULL REFERENCES result ON DELETE CASCADE,
    destination TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('wanted', 'asked', 'committed', 'failed')),
    transaction_uid TEXT NOT NULL DEFAULT '',
    due REAL NOT NULL,
    since REAL NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (result, destination)
) STRICT;
CREATE INDEX IF NOT EXISTS commitment_open ON commitment (destination, due)
    WHERE state IN ('wanted', 'asked');
CREATE INDEX IF NOT EXISTS commitment_transaction ON commitment (transaction_uid);
"""

ConnectionContext = Callable[[], AbstractContextManager[sqlite3.Connection]]


@dataclass(frozen=True, slots=True)
class SentResult:
    """A result that a destination took and is to commit to.

    Attributes
    ----------
    result : int
    sop_class_uid, sop_instance_uid : str
    """

    result: int
    sop_class_uid: str
    sop_instance_uid: str


class CommitmentCounts(NamedTuple):
    """How many results of destinations are wanted or asked for, committed to, and not."""

    commitments_open: int
    commitments_made: int
    commitments_failed: int


def want(connection: sqlite3.Connection, destination: str, result: int) -> None:
    """Enter that a destination is to commit to a result, within a transaction."""
    now = time.time()
    connection.execute(
        "INSERT INTO commitment (result, destination, state, due, since) VALUES (?, ?, 'wanted', ?, ?) "
        "ON CONFLICT DO UPDATE SET state = 'wanted', due = excluded.due, since = excluded.since, reason = ''",
        (result, destination, now, now),
    )


class CommitmentRecord:
    """The commitments of a spool.

    Parameters
    ----------
    reading, writing : callable
        Give the spool's connection, for reading, or within a transaction.
    """

    def __init__(self, reading: ConnectionContext, writing: ConnectionContext) -> None:
        self._reading = reading
        self._writing = writing

    def due(self, destination: str, limit: int) -> list[SentResult]:
        """Return what a destination is to be asked for now, the oldest first."""
        statement = (
            "SELECT r.id, r.sop_class_uid, r.sop_instance_uid FROM commitment c "
            "JOIN result r ON r.id = c.result WHERE c.destination = ? AND c.due <= ? "
            "AND c.state IN ('wanted', 'asked') ORDER BY c.since, r.id LIMIT ?"
        )
        with self._reading() as connection:
            rows = connection.execute(statement, (destination, time.time(), limit)).fetchall()
        return [SentResult(*row) for row in rows]

    def next_due(self, destination: str) -> float | None:
        """Return when a destination is to be asked next, in seconds since 1970; ``None`` for never."""
        statement = "SELECT min(due) FROM commitment WHERE destination = ? AND state IN ('wanted', 'asked')"
        with self._reading() as connection:
            (found,) = connection.execute(statement, (destination,)).fetchone()
        return None if found is None else float(found)

    def asked(
        self, destination: str, results: Sequence[SentResult], transaction_uid: str, seconds: float
    ) -> None:
        """Enter that a destination is asked for results; without a report, again after some seconds."""
        statement = (
            "UPDATE commitment SET state = 'asked', transaction_uid = ?, due = ? "
            "WHERE result = ? AND destination = ? AND state IN ('wanted', 'asked')"
        )
        due = time.time() + seconds
        with self._writing() as connection:
            connection.executemany(
                statement, [(transaction_uid, due, each.result, destination) for each in results]
            )

    def later(self, destination: str, results: Sequence[SentResult], seconds: float, reason: str) -> None:
        """Enter that a destination did not take the request, and is to be asked again after some seconds."""
        statement = (
            "UPDATE commitment SET state = 'wanted', transaction_uid = '', due = ?, reason = ? "
            "WHERE result = ? AND destination = ? AND state IN ('wanted', 'asked')"
        )
        due = time.time() + seconds
        with self._writing() as connection:
            connection.executemany(statement, [(due, reason, each.result, destination) for each in results])

    def reported(
        self, transaction_uid: str, committed: Iterable[str], failed: Mapping[str, str]
    ) -> str | None:
        """Enter a destination's report.

        Parameters
        ----------
        transaction_uid : str
        committed : iterable of str
            SOP Instance UIDs.
        failed : mapping of str to str
            Why it does not commit, by SOP Instance UID.

        Returns
        -------
        str or None
            The destination; ``None`` where no such transaction is open.
        """
        statement = (
            "UPDATE commitment SET state = ?, reason = ? WHERE transaction_uid = ? AND "
            "result = (SELECT id FROM result WHERE sop_instance_uid = ?)"
        )
        rows = [("committed", "", transaction_uid, uid) for uid in committed]
        rows += [("failed", reason, transaction_uid, uid) for uid, reason in failed.items()]
        with self._writing() as connection:
            found = connection.execute(
                "SELECT destination FROM commitment WHERE transaction_uid = ? LIMIT 1", (transaction_uid,)
            ).fetchone()
            if found is not None:
                connection.executemany(statement, rows)
        return str(found[0]) if found else None

    def give_up(self, destination: str, before: float) -> int:
        """Enter as failed what was sent before a time and not reported; return how many results."""
        statement = (
            "UPDATE commitment SET state = 'failed', reason = 'there was no report' "
            "WHERE destination = ? AND since < ? AND state IN ('wanted', 'asked')"
        )
        with self._writing() as connection:
            return int(connection.execute(statement, (destination, before)).rowcount)

    def counts(self) -> CommitmentCounts:
        """Return how many commitments are in which state."""
        with self._reading() as connection:
            states = dict(connection.execute("SELECT state, count(*) FROM commitment GROUP BY 1"))
        waiting = states.get("wanted", 0) + states.get("asked", 0)
        return CommitmentCounts(waiting, states.get("committed", 0), states.get("failed", 0))
