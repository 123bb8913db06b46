"""The audit trail: what was analysed, when, by which models, and with which result; no pixels, no names.

One SQLite file (:mod:`pneumocascade.audit.database`), appended to by any number of threads and processes.
Of a film it holds two digests, by which one who has the film finds what was said of it: of its grey values,
and of its SOP Instance UID. Neither its path nor any patient attribute is kept.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pneumocascade.audit.database import checkpoint, connect, transaction
from pneumocascade.audit.files import written_whole
from pneumocascade.errors import StorageError, UsageError
from pneumocascade.types import Prediction, reasons_of

APPLICATION_ID = 0x504E4331
"""In the file's head, so that no other SQLite file is taken for a history ("PNC1")."""

REJUDGED = "rejudged"
"""Code of an answer that was judged again from a former one: not another film."""

_TABLE = """CREATE TABLE IF NOT EXISTS analysis (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time TEXT NOT NULL,
    sop_instance_uid_sha256 TEXT NOT NULL,
    pixels_sha256 TEXT NOT NULL,
    model_version TEXT NOT NULL,
    operating_point TEXT NOT NULL,
    status TEXT NOT NULL,
    codes TEXT NOT NULL,
    finding TEXT,
    aetiology TEXT,
    probability_pneumonia REAL,
    probability_viral REAL,
    elapsed_ms REAL NOT NULL
) STRICT"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One analysis.

    Attributes
    ----------
    id : int
        Grows with each; never used again, not even after a purge.
    time : str
        When it was entered: UTC, ISO 8601, to the millisecond.
    sop_instance_uid_sha256, pixels_sha256 : str
        Digests in hexadecimal; empty where there was none.
    model_version, operating_point, status : str
    codes : str
        Why it was refused or could not be read, with spaces between; ``rejudged`` for an answer judged again
        at another operating point, without its film (``Cascade.rejudge``); empty otherwise.
    finding, aetiology : str or None
    probability_pneumonia, probability_viral : float or None
        Calibrated, 0..1; ``None`` for a stage that did not run.
    elapsed_ms : float
        Duration, in milliseconds.
    """

    id: int
    time: str
    sop_instance_uid_sha256: str
    pixels_sha256: str
    model_version: str
    operating_point: str
    status: str
    codes: str
    finding: str | None
    aetiology: str | None
    probability_pneumonia: float | None
    probability_viral: float | None
    elapsed_ms: float


COLUMNS = tuple(field.name for field in fields(Entry))


class History:
    """An audit trail in a file. May be shared between threads.

    Parameters
    ----------
    path : Path
    must_exist : bool
        Refuse to make a new file.

    Raises
    ------
    UsageError
        Where the file cannot be used, or is something else.
    """

    def __init__(self, path: Path, *, must_exist: bool = False) -> None:
        if must_exist and not path.is_file():
            raise UsageError(f"there is no history {path}")
        self.path = path
        self._lock = threading.Lock()
        try:
            self._connection = connect(path)
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise
        except sqlite3.Error as error:
            raise UsageError(f"{path} cannot be used as a history: {error}") from error

    def _prepare(self) -> None:
        self._connection.execute("BEGIN")  # both as of one moment: another process may make the file just now
        (tables,) = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (found,) = self._connection.execute("PRAGMA application_id").fetchone()
        self._connection.execute("COMMIT")
        if tables and found != APPLICATION_ID:
            raise UsageError(f"{self.path} is a database, but not a history of this package")
        if not tables:  # one that is there can be read on a full disk, too
            with transaction(self._connection):
                self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                self._connection.execute(_TABLE)

    def close(self) -> None:
        """Move what the write-ahead log holds into the file, and close it: the file alone is then whole.

        Where another process uses the file, its entries stay in the log, which goes with the file.
        """
        with self._lock:
            try:
                checkpoint(self._connection)
            finally:
                self._connection.close()

    def backup(self, target: Path) -> int:
        """Copy all entries into a new file, as of one moment, while others may go on entering.

        Parameters
        ----------
        target : Path
            Appears whole or not at all; what is there is replaced.

        Returns
        -------
        int
            How many analyses it holds.

        Raises
        ------
        StorageError
            Where it cannot be written.
        """
        with (
            written_whole(target) as part,
            self._storage_errors(f"no backup {target} can be written"),
            closing(connect(self.path)) as connection,
            closing(sqlite3.connect(part, isolation_level=None)) as copy,
        ):
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a second one beside it
            (entries,) = copy.execute("SELECT count(*) FROM analysis").fetchone()
        return int(entries)

    def add(self, prediction: Prediction, *, since: datetime | None = None) -> None:
        """Enter one answer, in a transaction of its own.

        Parameters
        ----------
        prediction : Prediction
        since : datetime, optional
            With a time zone: the same answer to the same film that was entered at or after this moment is not
            entered again. An answer without a digest of grey values, which tells no film, always is.

        Raises
        ------
        StorageError
            Where it cannot be: the disk is full, for instance.
        """
        values = _values(prediction)
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        statement = f"INSERT INTO analysis ({names}) SELECT {marks}"
        parameters = [*values.values()]
        if since is not None and prediction.pixels_sha256:
            same = [name for name in values if name not in ("time", "elapsed_ms")]
            test = " AND ".join(f"{name} IS ?" for name in same)
            statement += f" WHERE NOT EXISTS (SELECT 1 FROM analysis WHERE time >= ? AND {test})"  # noqa: S608  names are our own
            parameters += [_text(since), *(values[name] for name in same)]
        with (
            self._lock,
            self._storage_errors("no answer can be entered"),
            transaction(self._connection) as connection,
        ):
            connection.execute(statement, parameters)

    def entries(self, *, since: datetime | None = None, until: datetime | None = None) -> Iterator[Entry]:
        """Yield what was entered, in that order, as it was when the first was asked for.

        Parameters
        ----------
        since, until : datetime, optional
            With a time zone: entered at or after, and before.
        """
        condition, values = _between(since, until)
        statement = f"SELECT {', '.join(COLUMNS)} FROM analysis {condition} ORDER BY id"  # noqa: S608
        # A connection of its own: the store may be written to meanwhile.
        with self._storage_errors("cannot be read"), closing(connect(self.path)) as connection:
            for row in connection.execute(statement, values):
                yield Entry(*row)

    def purge(self, *, before: datetime | None = None) -> int:
        """Delete what was entered before a time, or all, also from the file's free space.

        Returns
        -------
        int
            How many analyses were deleted.

        Raises
        ------
        StorageError
            Where they cannot be deleted; or where they are, and traces stay in the file, since somebody else
            reads or writes it: purge again.
        """
        condition, values = _between(None, before)
        statement = f"DELETE FROM analysis {condition}"  # noqa: S608
        with self._lock, self._storage_errors("cannot be purged"):
            with transaction(self._connection) as connection:
                deleted = connection.execute(statement, values).rowcount
            self._connection.execute("VACUUM")
            clean = checkpoint(self._connection)
        if not clean:
            raise StorageError(
                f"{self.path}: {deleted} analyses were deleted, but traces of them stay in the file while "
                "somebody else reads or writes it: purge again"
            )
        return deleted

    @contextmanager
    def _storage_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StorageError(f"{self.path}: {what}: {error}") from error


def _between(since: datetime | None, until: datetime | None) -> tuple[str, tuple[str, ...]]:
    bounds = [("time >= ?", since), ("time < ?", until)]
    given = [(test, _text(bound)) for test, bound in bounds if bound is not None]
    if not given:
        return "", ()
    return "WHERE " + " AND ".join(test for test, _ in given), tuple(value for _, value in given)


def _text(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise UsageError(f"{moment.isoformat()} has no time zone")
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _codes(prediction: Prediction) -> list[str]:
    return [reason.code for reason in reasons_of(prediction)] + [REJUDGED] * prediction.rejudged


def _values(prediction: Prediction) -> dict[str, Any]:
    uid = prediction.acquisition.sop_instance_uid if prediction.acquisition else ""
    stages = (prediction.stage1, prediction.stage2)
    first, second = (stage.probabilities[stage.positive] if stage else None for stage in stages)
    return {
        "time": _text(datetime.now(timezone.utc)),
        "sop_instance_uid_sha256": hashlib.sha256(uid.encode()).hexdigest() if uid else "",
        "pixels_sha256": prediction.pixels_sha256,
        "model_version": prediction.model_version,
        "operating_point": prediction.operating_point,
        "status": prediction.status,
        "codes": " ".join(_codes(prediction)),
        "finding": prediction.finding,
        "aetiology": prediction.aetiology,
        "probability_pneumonia": first,
        "probability_viral": second,
        "elapsed_ms": prediction.elapsed_ms,
    }
