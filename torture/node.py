"""Kill a DICOM node at random moments, harass it, and send it films for hours: each is answered exactly once.

    python -m torture.node --kills 100 --callers 200 --objects 10000 --output docs/data/torture-node.json

A node runs as ``pneumocascade node`` does, with the tests' tiny models, and sends to an archive that counts
what it gets.

- ``kills``: it is killed (SIGKILL) again and again while films are sent. In the end each film that it said it
  took has its two results in the archive; no result has two UIDs, and none came with two contents.
- ``hostile``: so many callers at once send random bytes, half an association, objects without end, nothing.
  A caller that behaves gets its films answered meanwhile, and afterwards nothing is left of the others.
- ``sustained``: so many objects, one after the other. All are answered; memory is recorded.

What ``--only`` leaves out stays in the output as it was. Needs Linux, and DCMTK.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pynetdicom import AE

from benchmarks.timing import machine
from tests.node import hostile
from tests.node.archives import CountingArchive, counting_archive
from tests.node.processes import node_process, wait_until_up
from tests.node.programs import CALLED, echo, free_port, store
from tests.reports.sources import MEANS, film_object, film_of, saved
from tests.tiny_models import write_tiny_models
from torture.load import memory_of
from torture.serving import check

RESULTS = 2
"""Objects that a film is answered by: structured report and Secondary Capture."""

LONGEST = 600.0
"""Seconds by which everything must be in the archive, once nothing more is sent."""

Kind = Callable[[Path, int, random.Random], dict[str, Any]]


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


def options_of(folder: Path, archive: CountingArchive, *more: str) -> list[str]:
    """Return a node's options, with tiny models and a spool in a folder."""
    models = folder / "models"
    if not models.exists():
        models.mkdir()
        write_tiny_models(models, gate=True)
    destination = f"ARCHIVE@127.0.0.1:{archive.port}"
    return ["--destination", destination, "--models", str(models), "--spool", str(folder / "spool"), *more]


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until something holds, for ``LONGEST`` at most."""
    deadline = time.monotonic() + LONGEST
    while not condition():
        check(time.monotonic() < deadline, f"not in time: {what}")
        time.sleep(0.1)


def check_archive(archive: CountingArchive, films: int, log: Path) -> None:
    """Check that each film has its results, once each, and that the node's log tells of no failure."""
    check(len(archive.times) == RESULTS * films, f"{len(archive.times)} results of {films} films")
    check(len(archive.sources) == films, f"results of {len(archive.sources)} studies of {films}")
    check(
        all(len(contents) == 1 for contents in archive.contents.values()), "a result came with two contents"
    )
    check("Traceback" not in log.read_text(encoding="utf-8"), log.read_text(encoding="utf-8")[-3000:])


def ended(process: subprocess.Popen[bytes]) -> None:
    """Ask a node to end, which it must do well."""
    process.send_signal(signal.SIGTERM)
    check(process.wait(60) == 0, f"exit status {process.returncode}")


def kill(folder: Path, kills: int, rng: random.Random) -> dict[str, Any]:
    """Kill a node while films are sent; return how many films and how often a result came again."""
    port, log = free_port(), folder / "log"
    waiting = films_in(folder / "films", 3 * kills)
    films = len(waiting)
    over = threading.Event()

    def send() -> None:
        while waiting and not over.is_set():
            film = rng.choice(waiting)
            if store(port, film).returncode == 0:
                waiting.remove(film)

    with counting_archive() as archive:
        options = options_of(folder, archive)
        sender = threading.Thread(target=send)
        sender.start()
        try:
            for _ in range(kills):
                with node_process(port, options, log) as process:
                    wait_until_up(process, port, log)
                    time.sleep(rng.uniform(0.0, 2.0))
            with node_process(port, options, log) as process:
                wait_until_up(process, port, log)
                wait_until(lambda: not waiting, "films are taken")
                wait_until(lambda: len(archive.times) >= RESULTS * films, "films are answered")
                ended(process)
        finally:
            over.set()
            sender.join()
        check_archive(archive, films, log)
        return {"films": films, "results": len(archive.times), "sent_again": _again(archive)}


def _again(archive: CountingArchive) -> int:
    return sum(archive.times.values()) - len(archive.times)


def harass(folder: Path, callers: int, rng: random.Random) -> dict[str, Any]:
    """Let many hostile callers in at once; return what they did, and how one that behaves fared."""
    port, log = free_port(), folder / "log"
    films = films_in(folder / "films", 50)
    over, counts = threading.Event(), Counter[str]()
    limits = (
        "--max-associations",
        str(callers + 10),
        "--acse-timeout",
        "3",
        "--timeout",
        "5",
        "--max-object",
        "1",
    )

    def call(seed: int) -> None:
        own = random.Random(seed)
        while not over.is_set():
            kind = own.choice(tuple(_HOSTILE))
            try:
                with hostile.connected(port, 10) as caller:
                    for piece in _HOSTILE[kind](own):
                        caller.sendall(piece)
                    over.wait(own.uniform(0, 2))
            except OSError:
                kind += ", cut off"
            counts[kind] += 1

    with counting_archive() as archive:
        options = options_of(folder, archive, *limits)
        with node_process(port, options, log) as process:
            wait_until_up(process, port, log)
            threads = [threading.Thread(target=call, args=[rng.random()]) for _ in range(callers)]
            for thread in threads:
                thread.start()
            refused = 0
            memory = [memory_of(process.pid)]
            try:
                for film in films:
                    while store(port, film).returncode != 0:
                        refused += 1
                        check(refused < 100 * len(films), "a caller that behaves is never let in")
                    memory.append(memory_of(process.pid))
                wait_until(lambda: len(archive.times) == RESULTS * len(films), "films are answered")
            finally:
                over.set()
                for thread in threads:
                    thread.join()
            wait_until(lambda: echo(port), "a caller that behaves is let in afterwards")
            ended(process)
        check_archive(archive, len(films), log)
    return {
        "callers": callers,
        "films": len(films),
        "refused_at_first": refused,
        "memory_mb": {"before": round(memory[0]), "largest": round(max(memory))},
        "calls": dict(sorted(counts.items())),
    }


def _endless(_: random.Random) -> Iterator[bytes]:
    """Yield an object larger than is taken."""
    yield hostile.request()
    yield hostile.data(hostile.command("1.2.3"), command=True, last=True)
    for _piece in range(400):
        yield hostile.data(b"x" * 10_000)


_HOSTILE: dict[str, Callable[[random.Random], Iterator[bytes]]] = {
    "random bytes": lambda rng: iter([rng.randbytes(rng.randrange(1, 5000))]),
    "association, then random bytes": lambda rng: iter([hostile.request(), rng.randbytes(2000)]),
    "half an association": lambda rng: iter([hostile.request()[: rng.randrange(1, 150)]]),
    "a PDU of 4 GB": lambda _: iter([hostile.pdu(1, b"x" * 1000, announced=0xFFFFFFFF)]),
    "half an object": lambda _: iter(
        [hostile.request(), hostile.data(hostile.command("1.2"), command=True, last=True), hostile.data(b"x")]
    ),
    "nothing": lambda _: iter([]),
    "an object without end": _endless,
}


def sustain(folder: Path, objects: int, rng: random.Random) -> dict[str, Any]:
    """Send films one after the other; return the rate and the node's memory over time."""
    port, log = free_port(), folder / "log"
    over = threading.Event()
    memory: list[float] = []
    with counting_archive() as archive:
        with node_process(port, options_of(folder, archive), log) as process:
            wait_until_up(process, port, log)

            def watch() -> None:
                while not over.wait(2.0):
                    memory.append(round(memory_of(process.pid), 1))

            watcher = threading.Thread(target=watch)
            watcher.start()
            started = time.perf_counter()
            try:
                _send(port, objects, rng)
                wait_until(lambda: len(archive.times) == RESULTS * objects, "films are answered")
            finally:
                over.set()
                watcher.join()
            seconds = time.perf_counter() - started
            ended(process)
        check_archive(archive, objects, log)
        again = _again(archive)
    third = max(1, len(memory) // 3)
    middle, last = memory[third : 2 * third], memory[-third:]
    figures = {"largest": max(memory), "second_third": max(middle, default=0.0), "last_third": max(last)}
    return {
        "objects": objects,
        "films_per_second": round(objects / seconds, 1),
        "sent_again": again,
        "memory_mb": figures,
    }


def _send(port: int, objects: int, rng: random.Random) -> None:
    """Send films on associations of up to 50, one open at a time."""
    means = list(MEANS.values())
    sent = 0
    while sent < objects:
        entity = AE("MODALITY")
        entity.add_requested_context("1.2.840.10008.5.1.4.1.1.1")
        association = entity.associate("127.0.0.1", port, ae_title=CALLED)
        check(association.is_established, "an association was not accepted")
        for _ in range(min(50, objects - sent)):
            status = association.send_c_store(film_object(film_of(rng.choice(means))))
            check(status.get("Status") == 0, "an object was not taken")
            sent += 1
        association.release()


KINDS: dict[str, Kind] = {"kills": kill, "hostile": harass, "sustained": sustain}


def main() -> None:
    """Do harm, look, and write what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--callers", type=int, default=200)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--only", choices=tuple(KINDS), nargs="+", default=tuple(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    numbers = dict(zip(KINDS, (arguments.kills, arguments.callers, arguments.objects), strict=True))
    report: dict[str, Any] = {"machine": machine(), "seed": arguments.seed}
    with contextlib.suppress(FileNotFoundError):
        before = json.loads(arguments.output.read_text(encoding="utf-8"))
        report |= {name: before[name] for name in KINDS if name in before}
    for name in arguments.only:
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            found = KINDS[name](Path(folder), numbers[name], random.Random(arguments.seed))
        report[name] = {"times": numbers[name], **found, "seconds": round(time.perf_counter() - started)}
        print(name, report[name], flush=True)
        arguments.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
