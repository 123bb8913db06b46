"""The durable spool: what was received, what was judged, which results each destination has.

One folder with an SQLite file (write-ahead log, ``synchronous = FULL``) and the objects. A film goes
*received* -> *judged*, in one transaction with its results; each result goes *waiting* -> *sent* or *failed*
for each destination. A process that is killed at any moment goes on where the last transaction ended.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pneumocascade.audit.database import checkpoint, connect, hold, transaction
from pneumocascade.audit.files import PART, sync_folder, written_whole
from pneumocascade.errors import StorageError, UsageError
from pneumocascade.node.commitment_record import COMMITMENT_TABLE, CommitmentRecord, want

APPLICATION_ID = 0x504E4332
"""In the file's head, so that no other SQLite file is taken for a spool ("PNC2")."""

FILE_NAME = "spool.sqlite3"
_LOCK_NAME = "lock.sqlite3"
_FILMS, _RESULTS = "films", "results"

_TABLES = """
CREATE TABLE IF NOT EXISTS film (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sop_instance_uid TEXT NOT NULL,
    study_uid TEXT NOT NULL,
    content_sha256 TEXT NOT NULL,
    model_version TEXT NOT NULL,
    file TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    received REAL NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    judged REAL,
    outcome TEXT NOT NULL DEFAULT '',
    pixels_sha256 TEXT NOT NULL DEFAULT '',
    UNIQUE (sop_instance_uid, content_sha256, model_version)
) STRICT;
CREATE TABLE IF NOT EXISTS result (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    film INTEGER NOT NULL REFERENCES film ON DELETE CASCADE,
    kind TEXT NOT NULL,
    sop_class_uid TEXT NOT NULL,
    sop_instance_uid TEXT NOT NULL UNIQUE,
    file TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    series_uid TEXT NOT NULL DEFAULT '',
    modality TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE IF NOT EXISTS delivery (
    result INTEGER NOT NULL REFERENCES result ON DELETE CASCADE,
    destination TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'failed')),
    tries INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL,
    since REAL NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (result, destination)
) STRICT;
CREATE INDEX IF NOT EXISTS film_study ON film (study_uid);
CREATE INDEX IF NOT EXISTS film_waiting ON film (id) WHERE judged IS NULL;
CREATE INDEX IF NOT EXISTS film_uid ON film (sop_instance_uid);
CREATE INDEX IF NOT EXISTS result_film ON result (film);
CREATE INDEX IF NOT EXISTS delivery_waiting ON delivery (destination, due) WHERE state = 'waiting';
"""


_LATER_COLUMNS = ("series_uid", "modality")
"""Of results; spools of earlier versions lack them."""


class SpoolFullError(StorageError):
    """The spool holds as many bytes as it may."""


@dataclass(frozen=True, slots=True)
class ReceivedFilm:
    """A film that was received.

    Attributes
    ----------
    id : int
    sop_instance_uid, study_uid : str
    path : Path
        Of its object.
    """

    id: int
    sop_instance_uid: str
    study_uid: str
    path: Path


@dataclass(frozen=True, slots=True)
class ResultObject:
    """An object that was made of an answer.

    Attributes
    ----------
    kind : str
        ``"sr"``, ``"sc"``, ``"pdf"`` or ``"pr"``.
    sop_class_uid, sop_instance_uid : str
    content : bytes
        The whole file.
    series_uid, modality : str
        By which it is found.
    """

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    content: bytes
    series_uid: str = ""
    modality: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A result that a destination is to get.

    Attributes
    ----------
    result : int
    kind, sop_class_uid, sop_instance_uid : str
    path : Path
        Of the object.
    bytes : int
        That the object has.
    tries : int
        How often the destination was asked to take it.
    since : float
        When it was made, in seconds since 1970.
    """

    result: int
    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    path: Path
    bytes: int
    tries: int
    since: float


class Counts(NamedTuple):
    """How many films and deliveries are in which state."""

    received: int
    judged: int
    waiting: int
    sent: int
    failed: int


class Spool:
    """A spool in a folder, which one process at a time may use. May be shared between threads.

    Parameters
    ----------
    folder : Path
        Made, for its owner alone, where it is missing.
    max_bytes : int
        What all objects in it may have together.

    Raises
    ------
    UsageError
        Where it cannot be used, another process uses it, or something else lies there.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._lock = threading.RLock()
        try:
            for name in (_FILMS, _RESULTS):
                (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            self._held = hold(folder / _LOCK_NAME, f"the spool {folder}")
            self._connection = connect(folder / FILE_NAME)
            self._prepare()
        except (sqlite3.Error, OSError) as error:
            raise UsageError(f"{folder} cannot be used as a spool: {error}") from error
        self._bytes = self._sum_of_bytes()
        self.commitments = CommitmentRecord(self._reading, self._writing)

    def _prepare(self) -> None:
        execute = self._connection.execute
        execute("PRAGMA synchronous = FULL")
        execute("PRAGMA foreign_keys = ON")
        (tables,) = execute("SELECT count(*) FROM sqlite_master").fetchone()
        (found,) = execute("PRAGMA application_id").fetchone()
        if tables and found != APPLICATION_ID:
            raise UsageError(f"{self.folder / FILE_NAME} is a database, but not a spool of this package")
        execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._connection.executescript(_TABLES + COMMITMENT_TABLE)
        there = {name for _, name, *_ in execute("PRAGMA table_info(result)")}
        for name in _LATER_COLUMNS:
            if name not in there:
                execute(f"ALTER TABLE result ADD COLUMN {name} TEXT NOT NULL DEFAULT ''")
        self._sweep()

    def _sweep(self) -> None:
        """Delete files that no row names: a process was killed between file and row."""
        named = {name for (name,) in self._connection.execute("SELECT file FROM film")}
        named |= {name for (name,) in self._connection.execute("SELECT file FROM result")}
        for folder in (_FILMS, _RESULTS):
            for path in (self.folder / folder).iterdir():
                if path.suffix == PART or f"{folder}/{path.name}" not in named:
                    path.unlink()

    def _sum_of_bytes(self) -> int:
        statement = "SELECT sum(bytes) FROM (SELECT bytes FROM film UNION ALL SELECT bytes FROM result)"
        (found,) = self._connection.execute(statement).fetchone()
        return int(found or 0)

    @property
    def stored_bytes(self) -> int:
        """Bytes of all objects in it."""
        return self._bytes

    def close(self) -> None:
        """Move what the write-ahead log holds into the file, close it, and let another process in."""
        with self._lock:
            checkpoint(self._connection)
            self._connection.close()
            self._held.close()

    def find(self, sop_instance_uid: str, content_sha256: str, answered_by: str) -> int | None:
        """Return the number of a film that waits or has its answer; ``None`` where there is none."""
        statement = (
            "SELECT id FROM film WHERE sop_instance_uid = ? AND content_sha256 = ? AND model_version = ? "
            "AND outcome NOT IN ('failed', 'error')"  # those got no answer
        )
        with self._reading() as connection:
            row = connection.execute(statement, (sop_instance_uid, content_sha256, answered_by)).fetchone()
        return int(row[0]) if row else None

    def incoming(self) -> IncomingObject:
        """Return a place for an object that comes piece by piece.

        Raises
        ------
        StorageError
            Where nothing can be written.
        """
        return IncomingObject(self)

    def waiting(self) -> list[ReceivedFilm]:
        """Return the films that are not judged, those last that were tried most often."""
        statement = (
            "SELECT id, sop_instance_uid, study_uid, file FROM film WHERE judged IS NULL ORDER BY tries, id"
        )
        with self._reading() as connection:
            rows = connection.execute(statement).fetchall()
        return [ReceivedFilm(number, uid, study, self.folder / file) for number, uid, study, file in rows]

    def trying(self, film: int) -> float | None:
        """Enter that a film is about to be judged: one that ends the process comes last the next time.

        Returns
        -------
        float or None
            Where it was tried before: when it was received, in seconds since 1970.
        """
        with self._writing() as connection:
            connection.execute("UPDATE film SET tries = tries + 1 WHERE id = ?", (film,))
            found = connection.execute("SELECT received FROM film WHERE id = ? AND tries > 1", (film,))
            return next((float(moment) for (moment,) in found), None)

    def digests_of(self, film: ReceivedFilm, answered_by: str) -> set[str]:
        """Return the SHA-256 of the grey values of other films with the same SOP Instance UID."""
        statement = (
            "SELECT pixels_sha256 FROM film WHERE sop_instance_uid = ? AND model_version = ? AND id <> ? "
            "AND judged IS NOT NULL AND pixels_sha256 <> ''"
        )
        with self._reading() as connection:
            rows = connection.execute(statement, (film.sop_instance_uid, answered_by, film.id)).fetchall()
        return {digest for (digest,) in rows}

    def finish(
        self,
        film: ReceivedFilm,
        outcome: str,
        pixels_sha256: str,
        results: Sequence[ResultObject] = (),
        destinations: Iterable[str] = (),
    ) -> None:
        """Enter a film as judged, with its results, in one transaction.

        A result with a UID that is there already is not entered again.

        Raises
        ------
        StorageError
            Where it cannot be: the film stays as it was.
        """
        now = time.time()
        files = [(f"{_RESULTS}/{uuid.uuid4().hex}.dcm", result) for result in results]
        targets = list(destinations)
        entered: list[str] = []
        self._grow(sum(len(result.content) for result in results))
        try:
            with self._storage_errors("results cannot be kept"):
                for name, result in files:
                    _write(self.folder / name, result.content)
                with self._lock, transaction(self._connection) as connection:
                    for name, result in files:
                        if _enter(connection, film.id, name, result, targets, now):
                            entered.append(name)
                    connection.execute(
                        "UPDATE film SET judged = ?, outcome = ?, pixels_sha256 = ? WHERE id = ?",
                        (now, outcome, pixels_sha256, film.id),
                    )
        except BaseException:
            entered = []
            raise
        finally:
            left = [(name, result) for name, result in files if name not in entered]
            size = sum(len(result.content) for _, result in left)
            self._release(size, [self.folder / name for name, _ in left])

    def due(self, destination: str, limit: int) -> list[Delivery]:
        """Return what a destination is to get now, the oldest first."""
        statement = (
            "SELECT r.id, r.kind, r.sop_class_uid, r.sop_instance_uid, r.file, r.bytes, d.tries, d.since "
            "FROM delivery d JOIN result r ON r.id = d.result "
            "WHERE d.destination = ? AND d.state = 'waiting' AND d.due <= ? ORDER BY d.since, r.id LIMIT ?"
        )
        with self._reading() as connection:
            rows = connection.execute(statement, (destination, time.time(), limit)).fetchall()
        return [
            Delivery(number, kind, sop_class, uid, self.folder / file, size, tries, since)
            for number, kind, sop_class, uid, file, size, tries, since in rows
        ]

    def next_due(self, destination: str) -> float | None:
        """Return when a destination is to get something next, in seconds since 1970; ``None`` for never."""
        statement = "SELECT min(due) FROM delivery WHERE destination = ? AND state = 'waiting'"
        with self._reading() as connection:
            (found,) = connection.execute(statement, (destination,)).fetchone()
        return None if found is None else float(found)

    def sent(self, destination: str, delivery: Delivery, reason: str = "", *, commit: bool = False) -> None:
        """Enter that a destination has a result and, where it is asked to, is to commit to it."""
        self._set(destination, delivery.result, "sent", 0.0, reason, commit=commit)

    def failed(self, destination: str, delivery: Delivery, reason: str) -> None:
        """Enter that a destination will not get a result."""
        self._set(destination, delivery.result, "failed", 0.0, reason)

    def later(self, destination: str, delivery: Delivery, seconds: float, reason: str) -> None:
        """Enter that a destination did not take a result, and is to be asked again after some seconds."""
        self._set(destination, delivery.result, "waiting", time.time() + seconds, reason)

    def _set(
        self, destination: str, result: int, state: str, due: float, reason: str, *, commit: bool = False
    ) -> None:
        statement = (
            "UPDATE delivery SET state = ?, due = ?, reason = ?, tries = tries + 1 "
            "WHERE result = ? AND destination = ?"
        )
        with self._writing() as connection:
            connection.execute(statement, (state, due, reason, result, destination))
            if commit:
                want(connection, destination, result)

    def retry_failed(self) -> int:
        """Let deliveries that failed, or that nobody commits to, wait anew; return how many."""
        now = time.time()
        uncommitted = (
            "UPDATE delivery SET state = 'failed' WHERE (result, destination) IN "
            "(SELECT result, destination FROM commitment WHERE state = 'failed')"
        )
        statement = (
            "UPDATE delivery SET state = 'waiting', due = ?, since = ?, tries = 0 WHERE state = 'failed'"
        )
        with self._writing() as connection:
            connection.execute(uncommitted)
            connection.execute("DELETE FROM commitment WHERE state = 'failed'")
            return int(connection.execute(statement, (now, now)).rowcount)

    def retry_unanswered(self) -> int:
        """Let films without an answer, whose objects are still there, wait anew; return how many."""
        with self._writing() as connection:
            rows = connection.execute("SELECT id, file FROM film WHERE outcome IN ('failed', 'error')")
            there = [(number,) for number, file in rows if (self.folder / file).is_file()]
            connection.executemany("UPDATE film SET judged = NULL, outcome = '' WHERE id = ?", there)
        return len(there)

    def stranded(self, destinations: Iterable[str]) -> dict[str, int]:
        """Return how many results wait for destinations that are not among the given ones."""
        known = set(destinations)
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT destination, count(*) FROM delivery WHERE state = 'waiting' GROUP BY destination"
            ).fetchall()
        return {destination: count for destination, count in rows if destination not in known}

    def counts(self) -> Counts:
        """Return how many films and deliveries are in which state."""
        with self._reading() as connection:
            films = dict(connection.execute("SELECT judged IS NOT NULL, count(*) FROM film GROUP BY 1"))
            states = dict(connection.execute("SELECT state, count(*) FROM delivery GROUP BY 1"))
        return Counts(
            films.get(0, 0), films.get(1, 0), *(states.get(name, 0) for name in ("waiting", "sent", "failed"))
        )

    def outcomes_of(self, study_uid: str) -> dict[str, int]:
        """Return how many films of a study had which outcome."""
        statement = "SELECT outcome, count(*) FROM film WHERE study_uid = ? AND judged IS NOT NULL GROUP BY 1"
        with self._reading() as connection:
            return dict(connection.execute(statement, (study_uid,)))

    def results_of(self, study_uid: str) -> list[tuple[str, Path]]:
        """Return SOP Instance UID and file of each result of a study's films."""
        statement = (
            "SELECT r.sop_instance_uid, r.file FROM result r JOIN film f ON f.id = r.film "
            "WHERE f.study_uid = ? ORDER BY r.id"
        )
        with self._reading() as connection:
            rows = connection.execute(statement, (study_uid,)).fetchall()
        return [(uid, self.folder / file) for uid, file in rows]

    def rows(self, statement: str, values: Sequence[str | int] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a SELECT.

        Raises
        ------
        StorageError
            Where the spool cannot be read.
        """
        with self._reading() as connection:
            return connection.execute(statement, values).fetchall()

    def describe_result(self, result: int, series_uid: str, modality: str) -> None:
        """Enter by what a result of an earlier version is found."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE result SET series_uid = ?, modality = ? WHERE id = ?", (series_uid, modality, result)
            )

    def remove_finished(self, before: float) -> int:
        """Delete films that were judged before a time and whose results wait for nobody; return how many."""
        finished = (
            "SELECT f.id FROM film f WHERE f.judged < ? AND NOT EXISTS (SELECT 1 FROM result r "
            "JOIN delivery d ON d.result = r.id WHERE r.film = f.id AND d.state = 'waiting') "
            "AND NOT EXISTS (SELECT 1 FROM result r JOIN commitment c ON c.result = r.id "
            "WHERE r.film = f.id AND c.state IN ('wanted', 'asked'))"
        )
        with self._writing() as connection:
            numbers = [number for (number,) in connection.execute(finished, (before,))]
            files: list[tuple[str, int]] = []
            for number in numbers:
                files += connection.execute("SELECT file, bytes FROM film WHERE id = ?", (number,))
                files += connection.execute("SELECT file, bytes FROM result WHERE film = ?", (number,))
                connection.execute("DELETE FROM film WHERE id = ?", (number,))
        self._release(sum(size for _, size in files), [self.folder / name for name, _ in files])
        return len(numbers)

    def _reserve(self, size: int) -> None:
        with self._lock:
            if self._bytes + size > self.max_bytes:
                raise SpoolFullError(
                    f"the spool holds {self._bytes} of {self.max_bytes} bytes: no room for {size} more"
                )
            self._bytes += size

    def _grow(self, size: int) -> None:
        """Count results, which always find room: a film that was taken is to be answered."""
        with self._lock:
            self._bytes += size

    def _release(self, size: int, paths: Iterable[Path]) -> None:
        for path in paths:
            path.unlink(missing_ok=True)
        with self._lock:
            self._bytes -= size

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._storage_errors("it cannot be read"):
            yield self._connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with (
            self._lock,
            self._storage_errors("it cannot be written"),
            transaction(self._connection) as connection,
        ):
            yield connection

    @contextmanager
    def _storage_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StorageError(f"the spool {self.folder}: {what}: {error}") from error


class IncomingObject:
    """An object that comes piece by piece: a context that leaves nothing behind unless it was kept.

    Parameters
    ----------
    spool : Spool

    Attributes
    ----------
    path : Path
        Of what came so far.
    size : int
        Its bytes.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._name = f"{_FILMS}/{uuid.uuid4().hex}.dcm"
        self.path = spool.folder / f"{self._name}{PART}"
        self.size = 0
        self._kept = False
        with spool._storage_errors("an object cannot be kept"):
            self._file = self.path.open("xb")

    def __enter__(self) -> IncomingObject:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Delete what was not kept."""
        with contextlib.suppress(OSError):  # the disk is full: the rest goes with the file
            self._file.close()
        if not self._kept:
            self._spool._release(self.size, [self.path, self._spool.folder / self._name])

    def write(self, data: bytes | memoryview) -> None:
        """Take a piece.

        Raises
        ------
        SpoolFullError
            Where the spool would hold more than it may.
        StorageError
            Where it cannot be written.
        """
        self._spool._reserve(len(data))
        self.size += len(data)
        with self._spool._storage_errors("an object cannot be kept"):
            self._file.write(data)

    def flush(self) -> None:
        """Let others read at ``path`` what came so far.

        Raises
        ------
        StorageError
            Where it cannot be written.
        """
        with self._spool._storage_errors("an object cannot be kept"):
            self._file.flush()

    def keep(
        self, sop_instance_uid: str, study_uid: str, content_sha256: str, answered_by: str
    ) -> ReceivedFilm | None:
        """Keep what came as a whole object: when this returns, it is on the disk.

        A film that got no answer before waits again, with this object in place of its earlier one.

        Parameters
        ----------
        sop_instance_uid, study_uid : str
        content_sha256 : str
            Of the object as it was sent.
        answered_by : str
            As :class:`pneumocascade.node.intake.Intake` has it.

        Returns
        -------
        ReceivedFilm or None
            ``None`` where it waits already, or has its answer.

        Raises
        ------
        StorageError
            Where it cannot be written.
        """
        path = self._spool.folder / self._name
        key = (sop_instance_uid, content_sha256, answered_by)
        with self._spool._storage_errors("an object cannot be kept"):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()  # Windows renames no open file
            self.path.replace(path)
            sync_folder(path.parent)
            with self._spool._writing() as connection:
                entered = _enter_film(connection, key, study_uid, self._name, self.size)
            self._kept = entered is not None
        if entered is None:
            return None
        with contextlib.suppress(OSError):  # the next start deletes it
            self._spool._release(entered.freed, [self._spool.folder / name for name in entered.replaced])
        return ReceivedFilm(entered.id, sop_instance_uid, study_uid, path)


class _EnteredFilm(NamedTuple):
    id: int
    replaced: tuple[str, ...] = ()
    freed: int = 0


def _enter_film(
    connection: sqlite3.Connection, key: tuple[str, str, str], study_uid: str, file: str, size: int
) -> _EnteredFilm | None:
    """Enter a film; ``None`` where it waits already or has its answer. One that got none waits again.

    Its number of tries and its time stay: its answer may have an entry in the history.
    """
    unanswered = (
        "SELECT id, file, bytes FROM film WHERE sop_instance_uid = ? AND content_sha256 = ? "
        "AND model_version = ? AND outcome IN ('failed', 'error')"
    )
    replace = "UPDATE film SET judged = NULL, outcome = '', file = ?, bytes = ? WHERE id = ?"
    insert = (
        "INSERT INTO film "
        "(sop_instance_uid, content_sha256, model_version, study_uid, file, bytes, received) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    )
    for number, replaced, freed in connection.execute(unanswered, key).fetchall():
        connection.execute(replace, (file, size, number))
        return _EnteredFilm(number, (replaced,), freed)
    cursor = connection.execute(insert, (*key, study_uid, file, size, time.time()))
    return _EnteredFilm(int(cursor.lastrowid or 0)) if cursor.rowcount == 1 else None


def _write(path: Path, content: bytes) -> None:
    with written_whole(path) as part:
        part.write_bytes(content)


def _enter(
    connection: sqlite3.Connection,
    film: int,
    name: str,
    result: ResultObject,
    destinations: Iterable[str],
    now: float,
) -> bool:
    """Enter a result and who is to get it; return ``False`` where there is one with its UID."""
    statement = (
        "INSERT INTO result "
        "(film, kind, sop_class_uid, sop_instance_uid, file, bytes, series_uid, modality) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    )
    values = (film, result.kind, result.sop_class_uid, result.sop_instance_uid, name, len(result.content))
    cursor = connection.execute(statement, (*values, result.series_uid, result.modality))
    if cursor.rowcount != 1:
        return False
    connection.executemany(
        "INSERT INTO delivery (result, destination, state, due, since) VALUES (?, ?, 'waiting', ?, ?)",
        [(cursor.lastrowid, destination, now, now) for destination in destinations],
    )
    return True
