"""What is killed at random moments, and what must hold of what it leaves."""

from __future__ import annotations

import itertools
import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

from PIL import Image

from pneumocascade.audit.database import connect
from pneumocascade.audit.history import History
from tests.conftest import vary_example
from tests.tiny_models import write_tiny_models
from torture.answers import sources_in
from torture.serving import check, free_port, post, processes_of, started, wait_until_ready

PYTHON = (sys.executable, "-m", "pneumocascade")

_ENTERING = """
import sys
from pathlib import Path
from pneumocascade.audit.history import History
from pneumocascade.types import Prediction
history = History(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), 10**9):
    history.add(Prediction("film", "ok", "balanced", "1.0.0", elapsed_ms=number))
    print(number, flush=True)
"""


def film_in(folder: Path) -> Path:
    """Write a film and return its path."""
    path = folder / "film.png"
    Image.fromarray(vary_example(0, 128, 128)).save(path)
    return path


def kill_batch(folder: Path, kills: int, rng: random.Random) -> dict[str, Any]:
    """Kill ``predict --resume``; return how many runs came to their end meanwhile."""
    models = write_tiny_models(folder)
    film = film_in(folder)
    # Different names of one film, and every third that leads nowhere.
    names = [f"{folder}/{'./' * (index % 300)}film.png{'?' * (index % 3 == 2)}" for index in range(4000)]
    check(film.exists(), "there is no film")
    done = finished = 0
    for shape in itertools.cycle(("jsonl", "csv", "parquet")):
        output = folder / f"answers-{finished}.{shape}"
        command = (*PYTHON, "predict", "-", "--resume", "--models", str(models), "--output", str(output))
        while True:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            assert process.stdin is not None
            process.stdin.write("\n".join(names))
            process.stdin.close()
            ended = killed(process, rng.uniform(0.2, 4.0) if done < kills else None)
            sources = sources_in(output, shape)
            check(sources == names[: len(sources)], f"{output}: answers are not those of the first films")
            if ended:
                check(
                    process.returncode == 1, f"exit status {process.returncode}, some films were unreadable"
                )
                check(len(sources) == len(names), f"{output}: {len(sources)} answers for {len(names)} films")
                finished += 1
                break
            done += 1
        if done >= kills:
            return {"films": len(names), "finished_runs": finished}
    raise AssertionError("the cycle has no end")


def killed(process: subprocess.Popen[Any], after: float | None) -> bool:
    """Kill a process after some seconds, unless it ends before; return whether it did."""
    try:
        process.wait(after)
        return True
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return False


def kill_history(folder: Path, kills: int, rng: random.Random) -> dict[str, Any]:
    """Kill a process that enters answers; return how many there are in the end."""
    path = folder / "history.sqlite3"
    expected = 0
    for _ in range(kills):
        command = (sys.executable, "-c", _ENTERING, str(path), str(expected))
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        said: list[str] = []
        reader = threading.Thread(target=said.extend, args=[process.stdout])
        reader.start()
        check(not killed(process, rng.uniform(0.1, 0.8)), "it ended by itself")
        reader.join()
        process.stdout.close()
        reported = [int(line) for line in said if line.endswith("\n")]
        with closing(History(path)) as history:
            found = [int(entry.elapsed_ms) for entry in history.entries()]
        check(found == list(range(len(found))), "entries are missing, doubled or out of order")
        check(
            len(found) >= (reported[-1] + 1 if reported else expected),
            "an entry that was reported is missing",
        )
        expected = len(found)
    return {"entries": expected}


def kill_server(folder: Path, kills: int, rng: random.Random) -> dict[str, Any]:
    """Kill a server under clients; return how many answers they were given."""
    models = write_tiny_models(folder)
    content = film_in(folder).read_bytes()
    path = folder / "history.sqlite3"
    given = 0
    for _ in range(kills):
        port = free_port()
        options = ("--models", str(models), "--history", str(path))
        variables = {"PNEUMOCASCADE_STATE": str(folder), "TMPDIR": str(folder)}
        with started(port, options, variables, folder / "server.log") as process:
            wait_until_ready(port, process)
            with _clients(port, content, 4) as answers:
                check(not killed(process, rng.uniform(0.0, 1.0)), "the server ended by itself")
        given += len(answers)
        with closing(connect(path)) as connection:
            check(
                connection.execute("PRAGMA integrity_check").fetchone() == ("ok",), "the history is damaged"
            )
            (entries,) = connection.execute("SELECT count(*) FROM analysis").fetchone()
        check(entries >= given, f"{given} answers were given, {entries} are in the history")
        _wait_for_none_of(process.pid)
        with socket.create_server(("127.0.0.1", port)):
            pass  # the port is free again
    return {"answers": given, "entries": entries}


@contextmanager
def _clients(port: int, content: bytes, count: int) -> Iterator[list[dict[str, Any]]]:
    """Let clients post films until the server is gone; the answers are whole when the block has ended."""
    answers: list[dict[str, Any]] = []

    def ask() -> None:
        # It goes in the middle of an answer, perhaps.
        with suppress(OSError, ValueError, HTTPException):
            while True:
                answers.append(json.loads(post(port, content, seconds=30).text)["predictions"][0])

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    yield answers
    for thread in threads:
        thread.join(60)
        check(not thread.is_alive(), "a client still waits for a server that is gone")


def _wait_for_none_of(session: int) -> None:
    """Wait until no process of a session is left: those that decode end with their server."""
    deadline = time.monotonic() + 10
    while left := processes_of(session):
        check(time.monotonic() < deadline, f"processes {left} outlived their server")
        time.sleep(0.02)
