"""The audit trail: every answer once, nothing that tells who the patient is, whatever dies or races."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from pneumocascade import Cascade, Prediction, UsageError
from pneumocascade.audit.history import COLUMNS, History
from pneumocascade.cli import app
from pneumocascade.errors import StorageError
from pneumocascade.types import Acquisition, Radiograph
from tests.inference.test_cascade import NORMAL, VIRAL, film_of

UID = "1.2.840.99999.1.2.3"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite3"


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    with closing(History(path)) as history:
        yield history


def recording(cascade: Cascade, history: History) -> Cascade:
    """The same models, whose answers are entered."""
    return Cascade(cascade.stage1, cascade.stage2, cascade.version, cascade.gate, recorder=history.add)


def answer(number: int = 0) -> Prediction:
    return Prediction(f"Miller^Jane {number}.dcm", "ok", "balanced", "1.0.0", finding="normal")


def test_each_kind_of_answer_is_entered_as_it_was_given(tiny: Cascade, history: History) -> None:
    audited = recording(tiny, history)
    film = film_of(VIRAL)
    as_dicom = Radiograph(film, "a.dcm", acquisition=Acquisition(sop_instance_uid=UID))
    given = [*audited.predict_many([as_dicom, film_of(NORMAL), b"no film"]), audited.predict(film[:50, :50])]
    viral, normal, unread, refused = history.entries()
    assert [entry.status for entry in (viral, normal, unread, refused)] == [one.status for one in given]
    assert (viral.finding, viral.aetiology, normal.finding, normal.aetiology) == (
        *("pneumonia", "viral"),
        *("normal", None),
    )
    assert given[0].stage1 is not None and given[0].stage2 is not None
    assert viral.probability_pneumonia == given[0].stage1.probabilities["pneumonia"]
    assert viral.probability_viral == given[0].stage2.probabilities["viral"]
    assert normal.probability_viral is None
    assert viral.pixels_sha256 == hashlib.sha256(film.tobytes()).hexdigest()
    assert viral.sop_instance_uid_sha256 == hashlib.sha256(UID.encode()).hexdigest()
    assert (normal.sop_instance_uid_sha256, unread.pixels_sha256) == ("", "")
    assert (unread.codes, refused.codes) == ("unreadable_image", "too_small")
    assert {entry.model_version for entry in (viral, normal, unread, refused)} == {tiny.version}
    assert viral.elapsed_ms == given[0].elapsed_ms > 0


def test_an_answer_that_may_have_been_entered_is_entered_once(history: History) -> None:
    began = datetime.now(timezone.utc)
    one = replace(answer(), pixels_sha256="ab", acquisition=Acquisition(sop_instance_uid=UID))
    history.add(one)
    history.add(replace(one, elapsed_ms=7.0), since=began)
    assert len(list(history.entries())) == 1
    # Another film, another answer, an earlier film's answer, and one that tells no film.
    others = [
        replace(one, pixels_sha256="cd"),
        replace(one, acquisition=Acquisition(sop_instance_uid="1.2")),
        replace(one, finding="pneumonia"),
        replace(one, operating_point="high_sensitivity"),
    ]
    for other in others:
        history.add(other, since=began)
    history.add(one, since=datetime.now(timezone.utc) + timedelta(seconds=1))
    unread = replace(answer(), status="error")
    history.add(unread, since=began)
    history.add(unread, since=began)
    assert len(list(history.entries())) == 1 + len(others) + 1 + 2


def test_an_answer_that_is_not_to_be_recorded_is_not(tiny: Cascade, history: History) -> None:
    given = list(recording(tiny, history).predict_many([film_of(VIRAL)], record=False))
    assert list(history.entries()) == []
    recording(tiny, history).record(given[0])
    assert [entry.finding for entry in history.entries()] == ["pneumonia"]


def test_a_wrong_request_is_told_at_the_call_and_not_entered(tiny: Cascade, history: History) -> None:
    with pytest.raises(UsageError, match="operating point"):
        recording(tiny, history).predict_many([b""], operating_point="odd")
    assert list(history.entries()) == []


def test_no_name_and_no_pixel_is_in_the_file(tiny: Cascade, history: History, path: Path) -> None:
    acquisition = Acquisition(sop_instance_uid=UID, body_part="CHEST", age_years=3.5)
    film = Radiograph(film_of(VIRAL), "/data/Miller^Jane.dcm", acquisition=acquisition)
    recording(tiny, history).predict(film, name="Miller Jane")
    history.close()
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert tiny.version.encode() in content
    for planted in (b"Miller", b"Jane", b"/data", UID.encode(), film.pixels[100].tobytes()):
        assert planted not in content


def test_times_are_utc_and_bound_what_is_listed(history: History) -> None:
    before = datetime.now(timezone.utc)
    history.add(answer())
    (entry,) = history.entries()
    moment = datetime.fromisoformat(entry.time.replace("Z", "+00:00"))
    assert abs(moment - before) < timedelta(minutes=1)
    later = datetime.now(timezone(timedelta(hours=5))) + timedelta(seconds=1)
    assert list(history.entries(until=later)) == list(history.entries(since=moment)) == [entry]
    assert list(history.entries(since=later)) == list(history.entries(until=moment)) == []
    with pytest.raises(UsageError, match="no time zone"):
        list(history.entries(since=datetime(2026, 1, 1)))


def test_purged_entries_leave_no_trace_and_no_number_comes_again(history: History, path: Path) -> None:
    secret = "f" * 64
    history.add(replace(answer(), pixels_sha256=secret))
    assert history.purge(before=datetime.now(timezone.utc) - timedelta(days=1)) == 0
    assert history.purge() == 1
    history.add(answer())
    assert [entry.id for entry in history.entries()] == [2]
    history.close()
    assert secret.encode() not in b"".join(file.read_bytes() for file in path.parent.iterdir())


def test_a_purge_that_leaves_traces_says_so(history: History, path: Path) -> None:
    history.add(answer())
    history._connection.execute("PRAGMA busy_timeout = 10")
    with closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM analysis").fetchone()
        with pytest.raises(StorageError, match="1 analyses were deleted, but traces"):
            history.purge()
    assert history.purge() == 0
    assert list(history.entries()) == []


def test_threads_and_stores_enter_each_answer_once(path: Path) -> None:
    stores = [History(path) for _ in range(2)]

    def enter(store: History) -> None:
        for number in range(40):
            store.add(answer(number))

    threads = [threading.Thread(target=enter, args=[store]) for store in stores for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [entry.id for entry in stores[0].entries()] == list(range(1, 161))
    for store in stores:
        store.close()


def test_a_listing_does_not_wait_for_those_who_write(history: History) -> None:
    history.add(answer())
    entries = history.entries()
    first = next(entries)
    history.add(answer())
    assert first.id == 1
    assert list(entries) == [], "it shows what was there when it began"


_KILLED = """
import os, signal, sys
from pathlib import Path
from pneumocascade.audit.history import History
from pneumocascade.types import Prediction
history = History(Path(sys.argv[1]))
for number in range(10**6):
    history.add(Prediction("film", "ok", "balanced", "1.0.0", elapsed_ms=number))
    print(number, flush=True)
"""


@pytest.mark.parametrize("answers", [1, 30, 200])
def test_a_kill_loses_nothing_that_was_entered(path: Path, answers: int) -> None:
    child = subprocess.Popen([sys.executable, "-c", _KILLED, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for _ in range(answers):
        child.stdout.readline()
    child.kill()
    printed = answers + len(child.stdout.read().splitlines())
    child.wait()
    child.stdout.close()
    with closing(History(path)) as history:
        found = [int(entry.elapsed_ms) for entry in history.entries()]
    assert found == list(range(len(found)))
    assert len(found) >= printed - 1, "the last line may have been cut"


@pytest.mark.parametrize("content", [b"no database at all, but long enough to look like one" * 30, None])
def test_another_file_is_not_taken_for_a_history(path: Path, content: bytes | None) -> None:
    if content is None:
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE precious (x)")
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="history"):
        History(path)
    if content is not None:
        assert path.read_bytes() == before


def test_a_history_in_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be used as a history"):
        History(tmp_path / "missing" / "history.sqlite3")


@given(st.text(max_size=50), st.floats(0, 1))
def test_any_text_and_number_comes_back(
    tmp_path_factory: pytest.TempPathFactory, text: str, value: float
) -> None:
    with closing(History(tmp_path_factory.mktemp("any") / "history.sqlite3")) as history:
        text = text.encode("utf-8", "replace").decode()
        history.add(replace(answer(), model_version=text, elapsed_ms=value))
        (entry,) = history.entries()
    assert (entry.model_version, entry.elapsed_ms) == (text, value)


class TestCommand:
    runner = CliRunner()

    @pytest.fixture
    def filled(self, path: Path, tiny: Cascade) -> Path:
        with closing(History(path)) as history:
            audited = recording(tiny, history)
            list(audited.predict_many([film_of(VIRAL), film_of(NORMAL), b"no film"]))
        return path

    def test_list(self, filled: Path) -> None:
        shown = self.runner.invoke(
            app, ["history", "list", str(filled), "--last", "2"], env={"COLUMNS": "150"}
        )
        assert shown.exit_code == 0, shown.output
        assert "normal" in shown.output
        assert "error: unreadable_image" in shown.output
        assert "viral " not in shown.output.replace("P(viral)", "")

    def test_export(self, filled: Path, tmp_path: Path) -> None:
        lines = self.runner.invoke(app, ["history", "export", str(filled)]).output.splitlines()
        with closing(History(filled)) as history:
            assert [json.loads(line) for line in lines] == [asdict(entry) for entry in history.entries()]
        output = tmp_path / "out.csv"
        self.runner.invoke(
            app, ["history", "export", str(filled), "--format", "csv", "--output", str(output)]
        )
        assert output.read_text(encoding="utf-8").splitlines()[0] == ",".join(COLUMNS)
        assert len(output.read_text(encoding="utf-8").splitlines()) == 4

    def test_purge(self, filled: Path) -> None:
        for options in ([], ["--all", "--before", "2020-01-01"]):
            wrong = self.runner.invoke(app, ["history", "purge", str(filled), *options])
            assert isinstance(wrong.exception, UsageError)
        self.runner.invoke(app, ["history", "purge", str(filled), "--before", "2020-01-01"])
        assert len(self.runner.invoke(app, ["history", "export", str(filled)]).output.splitlines()) == 3
        self.runner.invoke(app, ["history", "purge", str(filled), "--all"])
        assert self.runner.invoke(app, ["history", "export", str(filled)]).output == ""

    def test_a_missing_file_is_not_made(self, path: Path) -> None:
        wrong = self.runner.invoke(app, ["history", "list", str(path)])
        assert isinstance(wrong.exception, UsageError)
        assert not path.exists()


def test_an_answer_that_cannot_be_entered_is_not_given(tiny: Cascade, history: History) -> None:
    """A database that may not grow stands for a full disk; torture.disks fills a real one."""
    audited = recording(tiny, history)
    (pages,) = history._connection.execute("PRAGMA page_count").fetchone()
    history._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    given = []
    with pytest.raises(StorageError, match="no answer can be entered: database or disk is full"):
        given += [audited.predict(film_of(NORMAL)) for _ in range(1000)]
    before = list(history.entries())
    history._connection.execute("PRAGMA max_page_count = 1000")
    given.append(audited.predict(film_of(VIRAL)))
    assert [entry.finding for entry in history.entries()] == [*(one.finding for one in before), "pneumonia"]
    assert before


def test_a_damaged_file_is_said_to_be_one(path: Path, history: History) -> None:
    for number in range(200):
        history.add(answer(number))
    history._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    with pytest.raises(StorageError, match="cannot be read"):
        list(history.entries())


def rows_of_the_file_alone(path: Path, folder: Path) -> int:
    """Return the entries of a copy of one file, as a backup program would make it."""
    folder.mkdir()
    copy = folder / "copy.sqlite3"
    copy.write_bytes(path.read_bytes())
    with closing(sqlite3.connect(copy)) as opened:
        (rows,) = opened.execute("SELECT count(*) FROM analysis").fetchone()
    return int(rows)


def test_a_closed_history_is_whole_without_its_write_ahead_log(path: Path, tmp_path: Path) -> None:
    with closing(History(path)) as history, closing(sqlite3.connect(path)) as another:
        another.execute("SELECT count(*) FROM analysis").fetchall()  # SQLite tidies up where it is the last
        for number in range(3):
            history.add(answer(number))
        history.close()
        assert rows_of_the_file_alone(path, tmp_path / "alone") == 3


def test_a_backup_is_one_whole_file_while_others_enter(history: History, path: Path, tmp_path: Path) -> None:
    for number in range(5):
        history.add(answer(number))
    target = tmp_path / "backup.sqlite3"
    done = CliRunner().invoke(app, ["history", "backup", str(path), "--output", str(target)])
    assert done.exit_code == 0, done.output
    history.add(answer(5))
    assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith(("backup", "."))) == [
        target.name
    ]
    assert rows_of_the_file_alone(target, tmp_path / "alone") == 5
    with closing(History(target, must_exist=True)) as copied:
        assert [entry.id for entry in copied.entries()] == [1, 2, 3, 4, 5]


def test_a_backup_never_replaces_the_history_itself_or_half_of_a_file(
    history: History, path: Path, tmp_path: Path
) -> None:
    history.add(answer())
    done = CliRunner().invoke(app, ["history", "backup", str(path), "--output", str(path)])
    assert isinstance(done.exception, UsageError)
    with pytest.raises(StorageError, match="no backup"):
        history.backup(tmp_path / "no folder" / "backup.sqlite3")
    assert len(list(history.entries())) == 1
