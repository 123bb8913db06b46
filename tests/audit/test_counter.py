"""The count of films under threads and processes, and without a folder to write to."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pneumocascade.audit.counter import STATE_VARIABLE, Counter, state_folder

_CHILD = """
import sys
from pathlib import Path
from pneumocascade.audit.counter import Counter
counter = Counter(Path(sys.argv[1]))
for _ in range(25):
    counter.add(2)
"""


def test_counts_from_nought_and_keeps_its_count(tmp_path: Path) -> None:
    counter = Counter(tmp_path / "not" / "there" / "yet")
    assert counter.value() == 0
    assert [counter.add(3), counter.add(0), counter.add(4)] == [3, 3, 7]
    assert Counter(tmp_path / "not" / "there" / "yet").value() == 7


def test_no_film_is_lost_between_threads(tmp_path: Path) -> None:
    counter = Counter(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(counter.add, [1] * 200))
    assert sorted(value for value in seen if value is not None) == list(range(1, 201))
    assert counter.value() == 200


def test_no_film_is_lost_between_processes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _CHILD, str(tmp_path)]
    children = [subprocess.Popen(command) for _ in range(4)]
    assert [child.wait(timeout=120) for child in children] == [0] * 4
    assert Counter(tmp_path).value() == 4 * 25 * 2


def test_writes_ahead(tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    counter = Counter(tmp_path)
    counter.add(1)
    with closing(sqlite3.connect(counter.path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_folder_that_cannot_be_used_costs_only_the_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    counter = Counter(tmp_path / "file")
    assert counter.add(1) is None
    assert counter.value() is None
    assert len(caplog.records) == 1


def test_a_damaged_file_costs_only_the_count(tmp_path: Path) -> None:
    counter = Counter(tmp_path)
    counter.path.write_bytes(b"this is not a database, but long enough to be taken for one" * 20)
    assert counter.add(1) is None


def test_films_are_not_taken_back(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        Counter(tmp_path).add(-1)


def test_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    assert state_folder() == tmp_path
    assert Counter().path.parent == tmp_path
    monkeypatch.delenv(STATE_VARIABLE)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert state_folder() == tmp_path / "xdg" / "pneumocascade"
