"""Folders that cannot be written to, and ports that are taken."""

from __future__ import annotations

import shutil
import socket
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from pneumocascade.audit.counter import FILE_NAME, STATE_VARIABLE, Counter
from pneumocascade.doctor import places


def test_a_state_folder_that_is_missing_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "not" / "there"))
    (check,) = places.check_state()
    assert check.status == "ok"
    assert "made when it is needed" in check.found
    assert list(tmp_path.iterdir()) == []


def test_a_state_folder_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    assert Counter(tmp_path).add(3) == 3
    (check,) = places.check_state()
    assert check.status == "ok"
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    assert Counter(tmp_path).value() == 3


@pytest.mark.parametrize("below", ["", "state"])
def test_a_state_folder_that_is_a_file_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    monkeypatch.setenv(STATE_VARIABLE, str(file / below))
    (check,) = places.check_state()
    assert check.status == "problem"
    assert str(file) in check.found
    assert "Not a directory" in check.found
    assert f"export {STATE_VARIABLE}=" in check.advice


def test_a_counter_that_is_none_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    (tmp_path / FILE_NAME).write_bytes(b"no database" * 100)
    (check,) = places.check_state()
    assert check.status == "problem"
    assert FILE_NAME in check.found


def test_a_full_disk_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5_000_000))
    (check,) = places.check_temporary()
    assert check.status == "note"
    assert "5 MB free" in check.found


def test_a_temporary_folder_that_is_missing_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert places.check_temporary()[0].status in ("ok", "note")
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "missing")])
    (check,) = places.check_temporary()
    assert check.status == "problem"
    assert "export TMPDIR=" in check.advice


def test_a_history_needs_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(places.HISTORY_VARIABLE, raising=False)
    assert places.check_history() == []
    monkeypatch.setenv(places.HISTORY_VARIABLE, str(tmp_path / "history.sqlite3"))
    assert places.check_history()[0].status == "ok"
    (tmp_path / "history.sqlite3").write_bytes(b"no database, but long enough to be taken for one" * 100)
    (check,) = places.check_history()
    assert check.status == "problem"
    assert "cannot be used as a history" in check.found
    monkeypatch.setenv(places.HISTORY_VARIABLE, str(tmp_path / "missing" / "history.sqlite3"))
    (check,) = places.check_history()
    assert check.status == "problem"
    assert "missing is no folder" in check.found


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as server:
        server.bind((places.LOOPBACK, 0))
        server.listen()
        port = server.getsockname()[1]
        (check,) = places.check_port(port)
        assert check.status == "note"
        assert f"127.0.0.1:{port} is in use" in check.found
        assert "--port" in check.advice
    assert places.check_port(port)[0].status == "ok"
