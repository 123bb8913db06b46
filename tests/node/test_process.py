"""The command as it runs: killed at random moments it loses nothing; asked to end, it finishes."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pneumocascade.audit.history import History
from tests.node.archives import counting_archive
from tests.node.processes import node_process, wait_until_up
from tests.node.programs import echo, free_port, store, wait_for
from tests.reports.sources import MEANS

MakeFilm = Callable[..., Path]

pytestmark = pytest.mark.slow


def test_a_node_that_is_killed_again_and_again_answers_each_film_once(
    make_film: MakeFilm, tiny_folder: Path, tmp_path: Path
) -> None:
    rng = random.Random(11)
    port, log = free_port(), tmp_path / "log"
    films = [make_film(MEANS[kind]) for kind in ("normal", "bacterial", "viral") for _ in range(4)]
    accepted: set[Path] = set()
    over = threading.Event()

    def send() -> None:
        """Send every film until the node said that it has it."""
        while not over.is_set() and len(accepted) < len(films):
            film = rng.choice([film for film in films if film not in accepted])
            if store(port, film).returncode == 0:
                accepted.add(film)

    with counting_archive() as archive:
        options = ["--destination", f"ARCHIVE@127.0.0.1:{archive.port}", "--models", str(tiny_folder)]
        options += ["--spool", str(tmp_path / "spool")]
        sender = threading.Thread(target=send)
        sender.start()
        try:
            for _ in range(3):
                with node_process(port, options, log) as process:
                    wait_until_up(process, port, log)
                    time.sleep(rng.uniform(0.05, 3.0))
                    process.kill()
            with node_process(port, options, log) as process:
                wait_until_up(process, port, log)
                wait_for(lambda: len(accepted) == len(films), 120)
                wait_for(lambda: len(archive.times) == 2 * len(films), 120)
                time.sleep(1)  # nothing else comes
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0
        finally:
            over.set()
            sender.join()
    assert len(archive.times) == 2 * len(films)
    assert all(len(contents) == 1 for contents in archive.contents.values())
    assert {len(results) for results in archive.sources.values()} == {2}
    assert len(archive.sources) == len(films)
    with closing(sqlite3.connect(tmp_path / "spool" / "spool.sqlite3")) as spool:
        states = dict(spool.execute("SELECT state, count(*) FROM delivery GROUP BY state"))
    assert states == {"sent": 2 * len(films)}
    assert "Traceback" not in log.read_text(encoding="utf-8")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_node_that_is_asked_to_end_finishes_and_leaves_whole_files(
    make_film: MakeFilm, tiny_folder: Path, tmp_path: Path, number: signal.Signals
) -> None:
    port, log, history = free_port(), tmp_path / "log", tmp_path / "history.sqlite3"
    films = [make_film() for _ in range(8)]
    options = ["--destination", f"ARCHIVE@127.0.0.1:{free_port()}", "--models", str(tiny_folder)]
    options += ["--spool", str(tmp_path / "spool"), "--history", str(history), "--log-level", "info"]
    with node_process(port, options, log) as process:
        wait_until_up(process, port, log)
        assert store(port, *films).returncode == 0
        process.send_signal(number)
        assert process.wait(60) == 0
        assert not echo(port)
    assert sorted(path.name for path in tmp_path.glob("*sqlite3*")) == [history.name]
    assert not list((tmp_path / "spool").glob("*-wal"))
    with closing(sqlite3.connect(tmp_path / "spool" / "spool.sqlite3")) as spool:
        (received,) = spool.execute("SELECT count(*) FROM film").fetchone()
        (judged,) = spool.execute("SELECT count(*) FROM film WHERE judged IS NOT NULL").fetchone()
        (results,) = spool.execute("SELECT count(*) FROM result").fetchone()
    assert received == len(films)
    assert results == 2 * judged
    with closing(History(history)) as opened:
        assert len(list(opened.entries())) == judged
    text = log.read_text(encoding="utf-8")
    assert "Traceback" not in text
    assert "Doe" not in text
    assert all(film.stem not in text for film in films)


def test_a_second_node_on_one_spool_says_so(tiny_folder: Path, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    options = [
        "--destination",
        "A@127.0.0.1:1",
        "--models",
        str(tiny_folder),
        "--spool",
        str(tmp_path / "spool"),
    ]
    with node_process(port, options, log) as process:
        wait_until_up(process, port, log)
        command = [sys.executable, "-m", "pneumocascade", "node", "--port", str(free_port()), *options]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    assert second.returncode == 2
    assert "another process uses the spool" in second.stderr
