"""Torture a DICOM node: kills, hostile callers, outages, full disks, films for hours; each is answered once.

    python -m torture.node --output docs/data/torture-node.json

A node runs as ``pneumocascade node`` does, with the tests' tiny models, and sends to an archive that counts
what it gets. After each kind every film that the node said it took has its two results in the archive, under
one UID and with one content, one entry in the history, and no file in the spool is left over.

- ``kills``: it is killed (SIGKILL) again and again while films are sent.
- ``hostile``: so many callers at once misbehave (:mod:`torture.callers`). One that behaves gets its films
  answered meanwhile, and afterwards nothing is left of the others.
- ``sustained``: so many objects, one after the other; memory is recorded.
- ``outage``: the destination is down for an hour while so many films come in, then for longer than
  ``--give-up`` (:mod:`torture.outages`).
- ``disk``: the disk of spool and history fills up and is freed, so often (:mod:`torture.spool_disks`).

What ``--only`` leaves out stays in the output as it was. Needs Linux, and DCMTK.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pynetdicom import AE

from benchmarks.timing import machine
from tests.node.archives import counting_archive
from tests.node.processes import node_process, wait_until_up
from tests.node.programs import CALLED, free_port, store
from tests.reports.sources import MEANS, film_object, film_of
from torture.callers import harass
from torture.nodes import (
    RESULTS,
    check_answers,
    ended,
    films_in,
    memory_over_time,
    options_of,
    sent_again,
    wait_until,
)
from torture.outages import fail_destination
from torture.serving import check
from torture.spool_disks import fill_spool

Kind = Callable[[Path, int, random.Random], dict[str, Any]]


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
        options = options_of(folder, archive.port)
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
        check_answers(archive, films, folder)
        return {"films": films, "results": len(archive.times), "sent_again": sent_again(archive)}


def sustain(folder: Path, objects: int, rng: random.Random) -> dict[str, Any]:
    """Send films one after the other; return the rate and the node's memory over time."""
    port, log = free_port(), folder / "log"
    with counting_archive() as archive:
        with node_process(port, options_of(folder, archive.port), log) as process:
            wait_until_up(process, port, log)
            started = time.perf_counter()
            with memory_over_time(process.pid) as memory:
                _send(port, objects, rng)
                wait_until(lambda: len(archive.times) == RESULTS * objects, "films are answered")
            seconds = time.perf_counter() - started
            ended(process)
        check_answers(archive, objects, folder)
    third = max(1, len(memory) // 3)
    middle, last = memory[third : 2 * third], memory[-third:]
    figures = {"largest": max(memory), "second_third": max(middle, default=0.0), "last_third": max(last)}
    return {
        "objects": objects,
        "films_per_second": round(objects / seconds, 1),
        "results": len(archive.times),
        "sent_again": sent_again(archive),
        "memory_mb": figures,
    }


def _send(port: int, objects: int, rng: random.Random) -> None:
    """Send films on associations of up to 50, one open at a time.

    A film whose answer is lost is sent again: on a busy machine pynetdicom's client takes one for a request
    now and then.
    """
    entity = AE("MODALITY")
    entity.add_requested_context("1.2.840.10008.5.1.4.1.1.1")
    means = list(MEANS.values())
    association, lost = None, 0
    for number in range(objects):
        film, status = film_object(film_of(rng.choice(means))), None
        while status is None:
            if association is None:
                association = entity.associate("127.0.0.1", port, ae_title=CALLED)
                check(association.is_established, "an association was not accepted")
            status = association.send_c_store(film).get("Status")
            if status is None:
                lost += 1
                check(lost <= 1 + objects // 100, "too many films were not answered")
            if status is None or number % 50 == 49 or number + 1 == objects:
                association.release()
                association = None
        check(status == 0, "an object was not taken")


KINDS: dict[str, Kind] = {
    "kills": kill,
    "hostile": harass,
    "sustained": sustain,
    "outage": fail_destination,
    "disk": fill_spool,
}


def main() -> None:
    """Do harm, look, and write what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--callers", type=int, default=200, help="hostile ones, at once")
    parser.add_argument("--objects", type=int, default=10_000, help="films, one after the other")
    parser.add_argument("--films", type=int, default=200, help="films while the destination is down")
    parser.add_argument("--disks", type=int, default=30, help="how often the disk fills up")
    parser.add_argument("--only", choices=tuple(KINDS), nargs="+", default=tuple(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    given = (arguments.kills, arguments.callers, arguments.objects, arguments.films, arguments.disks)
    numbers = dict(zip(KINDS, given, strict=True))
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
