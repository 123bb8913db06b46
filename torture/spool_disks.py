"""The disk of a node's spool fills up and is freed while films come in: part of ``python -m torture.node``.

As ``python -m torture.spool_disks FOLDER TIMES SEED``, within a namespace of its own, it prints JSON.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE

from tests.node.archives import counting_archive
from tests.node.programs import CALLED, free_port
from tests.reports.sources import MEANS, film_object, film_of
from torture.disks import disk, in_namespace, remount
from torture.nodes import (
    RESULTS,
    check_answers,
    ended,
    fast_node,
    memory_over_time,
    options_of,
    sent_again,
    state_of_node,
    wait_until,
)
from torture.serving import check

ROOM = 4_000_000
"""Kilobytes of the disk while it is free."""

FACTOR = 10.0
"""How many times as short the senders' pauses are: 3 s in place of 30 where the spool cannot be used."""

BETWEEN_FILMS = 0.1
"""Seconds."""

OUT_OF_RESOURCES = "A700"


@dataclass
class Sent:
    """What a modality was told.

    Attributes
    ----------
    taken : int
        Films that the node said it has.
    statuses : Counter
        Of each attempt to send one, in hexadecimal.
    """

    taken: int = 0
    statuses: Counter[str] = field(default_factory=Counter)

    @property
    def refused(self) -> int:
        """Attempts without success."""
        return self.statuses.total() - self.taken


def fill_spool(folder: Path, times: int, rng: random.Random) -> dict[str, Any]:
    """Fill the disk of a node's spool, in a namespace of its own; return what was counted."""
    return in_namespace("torture.spool_disks", folder, times, rng)


def _fill(folder: Path, times: int, rng: random.Random) -> dict[str, Any]:
    """Fill the disk at once, or down to a rest for a few films or results, and free it, in turn."""
    http_port = free_port()
    with disk(folder / "spool", ROOM) as place, counting_archive() as archive:
        options = options_of(folder, archive.port, "--http-port", str(http_port))
        with (
            fast_node(folder, options, 0, FACTOR) as (process, port),
            memory_over_time(process.pid) as memory,
        ):
            with _modality(port, random.Random(rng.random())) as sent:
                for number in range(times):
                    time.sleep(rng.uniform(0.0, 1.0))
                    refused = sent.refused
                    _leave(place, kilobytes=rng.randrange(2000) if number % 2 else 0)
                    wait_until(lambda refused=refused: sent.refused > refused, "a film is refused")  # type: ignore[misc]
                    time.sleep(rng.uniform(0.0, 3.0))
                    check(process.poll() is None, "the node has ended")
                    remount(place, f"size={ROOM}k")
                    taken = sent.taken
                    wait_until(lambda taken=taken: sent.taken > taken, "a film is taken again")  # type: ignore[misc]
            films = sent.taken
            wait_until(lambda: len(archive.times) >= RESULTS * films, "films are answered")
            wait_until(lambda: state_of_node(http_port)["waiting"] == 0, "all is entered as sent")
            counted = state_of_node(http_port)["spool_bytes"]
            ended(process)
        stored = sum(path.stat().st_size for path in (folder / "spool").glob("*/*"))
        check(counted == stored, f"the node counted {counted} bytes in its spool, there are {stored}")
        check_answers(archive, films, folder)
    check(sent.statuses[OUT_OF_RESOURCES] > 0, f"no film was refused with 0xA700: {sent.statuses}")
    said = (folder / "log").read_text(encoding="utf-8")
    return {
        "films": films,
        "results": len(archive.times),
        "sent_again": sent_again(archive),
        "statuses": dict(sorted(sent.statuses.items())),
        "films_judged_again": said.count("the film is judged again"),
        "sendings_put_off": said.count("results wait"),
        "memory_mb": {"first": memory[0], "largest": max(memory), "last": memory[-1]},
    }


def _leave(place: Path, kilobytes: int) -> None:
    """Leave so much room on a disk that is written to meanwhile."""
    for _ in range(100):
        found = os.statvfs(place)
        used = (found.f_blocks - found.f_bfree) * found.f_frsize // 1024
        try:
            remount(place, f"size={used + kilobytes}k")
            return
        except subprocess.CalledProcessError:  # it holds more than that by now
            time.sleep(0.01)
    raise RuntimeError("the disk could not be filled")


@contextmanager
def _modality(port: int, rng: random.Random) -> Iterator[Sent]:
    """Send films until the block ends, each again until it is taken."""
    over, sent = threading.Event(), Sent()

    def send() -> None:
        while not over.wait(BETWEEN_FILMS):
            film = film_object(film_of(rng.choice(list(MEANS.values()))))
            while (status := _status_of(port, film)) != "0000":
                sent.statuses[status] += 1
                time.sleep(BETWEEN_FILMS)
            sent.statuses[status] += 1
            sent.taken += 1

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield sent
    finally:
        over.set()
        sender.join()


def _status_of(port: int, film: Dataset) -> str:
    """Send a film, on an association of its own, and return the answer's status."""
    entity = AE("MODALITY")
    entity.add_requested_context(film.SOPClassUID)
    association = entity.associate("127.0.0.1", port, ae_title=CALLED)
    if not association.is_established:
        return "no association"
    try:
        status = association.send_c_store(film).get("Status")
        return "no answer" if status is None else f"{status:04X}"
    finally:
        association.release()


def main() -> None:
    """Fill, and print what was counted."""
    folder, times, rng = Path(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
    print(json.dumps(_fill(folder, times, rng)))


if __name__ == "__main__":
    main()
