"""A node with the tests' tiny models, as it is tortured: films, options, and what must hold in the end."""

from __future__ import annotations

import http.client
import json
import re
import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from pneumocascade.node.spool import FILE_NAME
from tests.node.archives import CountingArchive
from tests.node.processes import node_process, wait_until_up
from tests.node.programs import free_port
from tests.reports.sources import MEANS, film_object, film_of, saved
from tests.tiny_models import write_tiny_models
from torture.load import memory_of
from torture.serving import check

RESULTS = 2
"""Objects that a film is answered by: structured report and Secondary Capture."""

LONGEST = 600.0
"""Seconds by which everything must be in the archive, once nothing more is sent."""


def films_in(folder: Path, count: int) -> list[Path]:
    """Write films with UIDs of their own, and return their paths."""
    folder.mkdir()
    means = list(MEANS.values())
    paths = []
    for number in range(count):
        made = film_object(film_of(means[number % len(means)]))
        path = folder / f"{number}.dcm"
        path.write_bytes(saved(made))
        paths.append(path)
    return paths


def options_of(folder: Path, archive: int, *more: str) -> list[str]:
    """Return a node's options, with tiny models, a spool and a history in a folder.

    Parameters
    ----------
    folder : Path
    archive : int
        Its port.
    *more : str
        Further options.
    """
    models = folder / "models"
    if not models.exists():
        models.mkdir()
        write_tiny_models(models, gate=True)
    spool = folder / "spool"
    spool.mkdir(exist_ok=True)
    kept = ("--spool", str(spool), "--history", str(spool / "history.sqlite3"))
    return ["--destination", f"ARCHIVE@127.0.0.1:{archive}", "--models", str(models), *kept, *more]


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until something holds, for ``LONGEST`` at most."""
    deadline = time.monotonic() + LONGEST
    while not condition():
        check(time.monotonic() < deadline, f"not in time: {what}")
        time.sleep(0.1)


@contextmanager
def fast_node(
    folder: Path, options: Sequence[str], began: float, factor: float
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a node of :mod:`torture.fast_node`, with its log in a folder; give its process and port."""
    port, log = free_port(), folder / "log"
    program = ("-m", "torture.fast_node", str(factor), str(began))
    with node_process(port, options, log, program) as process:
        wait_until_up(process, port, log)
        yield process, port


def ended(process: subprocess.Popen[bytes]) -> None:
    """Ask a node to end, which it must do well."""
    process.send_signal(signal.SIGTERM)
    check(process.wait(60) == 0, f"exit status {process.returncode}")


def check_answers(archive: CountingArchive, films: int, folder: Path) -> None:
    """Check, once the node has ended, that each film was answered and entered once, and nothing is left."""
    check(len(archive.times) == RESULTS * films, f"{len(archive.times)} results of {films} films")
    check(len(archive.sources) == films, f"results of {len(archive.sources)} studies of {films}")
    check(
        all(len(contents) == 1 for contents in archive.contents.values()), "a result came with two contents"
    )
    said = (folder / "log").read_text(encoding="utf-8")
    check("Traceback" not in said, said[-3000:])
    spool = folder / "spool"
    with closing(sqlite3.connect(spool / "history.sqlite3")) as history:
        entries = history.execute("SELECT status, count(*) FROM analysis GROUP BY 1").fetchall()
    check(Counter(dict(entries))["ok"] == films, f"entries in the history of {films} films: {entries}")
    with closing(sqlite3.connect(spool / FILE_NAME)) as opened:
        check(opened.execute("PRAGMA integrity_check").fetchone() == ("ok",), "the spool is damaged")
        states = dict(opened.execute("SELECT state, count(*) FROM delivery GROUP BY 1"))
        named = {name for (name,) in opened.execute("SELECT file FROM film UNION SELECT file FROM result")}
    check(states == {"sent": RESULTS * films}, f"deliveries of {films} films: {states}")
    found = {f"{path.parent.name}/{path.name}" for path in spool.glob("*/*")}
    check(found == named, f"{len(found - named)} files are left over, {len(named - found)} are missing")


@contextmanager
def memory_over_time(session: int, seconds: float = 2.0) -> Iterator[list[float]]:
    """Measure a node's memory again and again, in megabytes, until the block ends; once at least."""
    memory = [round(memory_of(session), 1)]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(seconds):
            if now := memory_of(session):  # nothing where the node has ended
                memory.append(round(now, 1))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield memory
    finally:
        over.set()
        watcher.join()


def sent_again(archive: CountingArchive) -> int:
    """Return how often a result came that the archive had."""
    return sum(archive.times.values()) - len(archive.times)


def state_of_node(http_port: int) -> dict[str, Any]:
    """Return what ``/readyz`` says, once the node is ready: it listens a moment before."""
    deadline = time.monotonic() + 60
    while (found := _get(http_port, "/readyz"))[0] == 503 and time.monotonic() < deadline:
        time.sleep(0.1)
    status, text = found
    check(status == 200, f"/readyz: status {status}")
    return dict(json.loads(text))


def unreachable(http_port: int) -> int:
    """Return how often a node found its destination unreachable, by its metrics."""
    _, text = _get(http_port, "/metrics")
    found = re.search(r'^\w+_results_total\{.*state="unreachable"\} ([\d.]+)', text, re.MULTILINE)
    return int(float(found.group(1))) if found else 0


def _get(http_port: int, path: str) -> tuple[int, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", http_port, timeout=20)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
