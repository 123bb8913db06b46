from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pneumocascade import Prediction, Reason, UsageError
from pneumocascade.audit.history import History
from pneumocascade.cli import app
from tests.conftest import EXAMPLES
from torture.serving import post, running

runner = CliRunner()


@pytest.fixture
def history(tmp_path: Path) -> Path:
    path = tmp_path / "history.sqlite3"
    reasons = (Reason("not_a_chest_radiograph", "It is not one."),)
    with contextlib.closing(History(path)) as opened:
        for number in range(3):
            digest = hashlib.sha256(bytes([number])).hexdigest()
            opened.add(
                Prediction("film", "refused", "balanced", "1.1.0-rc", reasons=reasons, pixels_sha256=digest)
            )
    return path


@pytest.mark.parametrize("columns", ["20", "80", "200"])
def test_a_list_that_is_piped_shows_all_of_time_and_digest(
    history: Path, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    shown = runner.invoke(app, ["history", "list", str(history)]).stdout
    with contextlib.closing(History(history)) as opened:
        entries = list(opened.entries())
    assert len(entries) == 3
    for entry in entries:
        assert any(
            all(text in line for text in (entry.time, entry.pixels_sha256[:12], "not_a_chest_radiograph"))
            for line in shown.splitlines()
        ), shown


def test_a_history_is_not_exported_over_itself(history: Path, tmp_path: Path) -> None:
    before = history.read_bytes()
    (tmp_path / "link").symlink_to(history)
    for output in (history, tmp_path / "link"):
        result = runner.invoke(app, ["history", "export", str(history), "--output", str(output)])
        assert isinstance(result.exception, UsageError)
        assert history.read_bytes() == before
    result = runner.invoke(app, ["history", "export", str(history), "--output", str(tmp_path / "out")])
    assert result.exit_code == 0
    assert len((tmp_path / "out").read_text().splitlines()) == 3


@pytest.mark.slow
def test_a_server_that_is_asked_to_end_leaves_a_history_that_is_whole_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    with running(
        ("--history", str(path)), {"PNEUMOCASCADE_STATE": str(tmp_path)}, tmp_path / "log"
    ) as server:
        assert post(server.port, EXAMPLES[0].read_bytes()).status == 200
    assert sorted(each.name for each in tmp_path.glob("history*")) == [path.name]
    with contextlib.closing(History(path)) as history:
        assert len(list(history.entries())) == 1
