"""Callers that misbehave towards a DICOM node: part of ``python -m torture.node``."""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode

from tests.node import hostile
from tests.node.archives import counting_archive
from tests.node.processes import node_process, wait_until_up
from tests.node.programs import echo, free_port, store
from torture.load import memory_of
from torture.nodes import RESULTS, check_answers, ended, films_in, options_of, wait_until
from torture.serving import check

FILMS = 25
"""Sent meanwhile by one who behaves."""

LIMITS = ("--acse-timeout", "3", "--timeout", "5", "--max-object", "4")
"""Short waits, so that each caller is cut off soon, and an object of 5 MB is too large."""

SLOW_BYTES = 30
"""Sent by a slow caller, one a second, each within one PDU: far more than the limits allow."""

MOST_MEMORY = 1000.0
"""Megabytes by which the node's memory may grow: less than one object of 2 GB."""

CUT_OFF, NEVER, AT_THE_END = ", cut off", ", never cut off", ", not yet cut off at the end"
"""How a call ended, where it was not by itself."""


def harass(folder: Path, callers: int, rng: random.Random, count: int = FILMS) -> dict[str, Any]:
    """Let many hostile callers in at once; return what they did, and how one that behaves fared."""
    port, log = free_port(), folder / "log"
    films = films_in(folder / "films", count)
    with counting_archive() as archive:
        options = options_of(folder, archive.port, *LIMITS, "--max-associations", str(callers + 10))
        with node_process(port, options, log) as process:
            wait_until_up(process, port, log)
            refused = 0
            memory = [memory_of(process.pid)]
            with _calling(port, callers, rng) as counts:
                for film in films:
                    while store(port, film).returncode != 0:
                        refused += 1
                        check(refused < 100 * len(films), "a caller that behaves is never let in")
                    memory.append(memory_of(process.pid))
                wait_until(lambda: len(archive.times) == RESULTS * len(films), "films are answered")
                wait_until(lambda: _all_seen(counts), "each kind of caller has called")
                memory.append(memory_of(process.pid))
            wait_until(lambda: echo(port), "a caller that behaves is let in afterwards")
            ended(process)
        check_answers(archive, len(films), folder)
    check(not any(kind.endswith(NEVER) for kind in counts), f"slow callers: {counts}")
    check(max(memory) - memory[0] < MOST_MEMORY, f"memory in MB: {memory}")
    return {
        "callers": callers,
        "films": len(films),
        "refused_at_first": refused,
        "memory_mb": {"before": round(memory[0]), "largest": round(max(memory))},
        "calls": dict(sorted(counts.items())),
    }


@contextmanager
def _calling(port: int, callers: int, rng: random.Random) -> Iterator[Counter[str]]:
    """Let callers in until the block ends; what they did is counted by kind, and by how it ended."""
    over, counts, lock = threading.Event(), Counter[str](), threading.Lock()

    def call(seed: float) -> None:
        own = random.Random(seed)
        while not over.is_set():
            kind = own.choice(tuple(KINDS_OF_CALLERS))
            try:
                with hostile.connected(port, 10) as caller:
                    ending = KINDS_OF_CALLERS[kind](caller, own, over) or ""
                    over.wait(own.uniform(0, 2))
            except OSError:
                ending = CUT_OFF
            with lock:
                counts[kind + ending] += 1

    threads = [threading.Thread(target=call, args=[rng.random()]) for _ in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield counts
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _all_seen(counts: Counter[str]) -> bool:
    """Return whether there were callers of each kind, slow ones until they were cut off."""
    endings = {kind: (CUT_OFF,) if kind in SLOW else ("", CUT_OFF) for kind in KINDS_OF_CALLERS}
    return all(any(counts[kind + each] for each in found) for kind, found in endings.items())


HostileCaller = Callable[[socket.socket, random.Random, threading.Event], str | None]
"""Sends something, and may return how that ended; what it raises tells that it was cut off."""


def _sends(make: Callable[[random.Random], bytes]) -> HostileCaller:
    """Return a caller who sends some bytes at once."""

    def send(caller: socket.socket, rng: random.Random, _: threading.Event) -> None:
        caller.sendall(make(rng))

    return send


def _after_association(
    make: Callable[[random.Random], bytes], request: bytes = hostile.request()
) -> HostileCaller:
    """Return a caller whose association is accepted before it sends some bytes."""

    def send(caller: socket.socket, rng: random.Random, _: threading.Event) -> None:
        _associate(caller, request)
        caller.sendall(make(rng))

    return send


def _associate(caller: socket.socket, request: bytes) -> None:
    caller.sendall(request)
    if caller.recv(65536)[:1] != b"\x02":
        raise ConnectionError("the association was not accepted")


def _slow_from_the_start(caller: socket.socket, _: random.Random, over: threading.Event) -> str:
    return _drip(caller, hostile.request(), over)


def _slow_in_an_object(caller: socket.socket, _: random.Random, over: threading.Event) -> str:
    _associate(caller, hostile.request())
    caller.sendall(hostile.data(hostile.command("1.2.3"), command=True, last=True))
    return _drip(caller, hostile.data(b"x" * 1000), over)


def _drip(caller: socket.socket, content: bytes, over: threading.Event) -> str:
    """Send a byte a second; return how that ended, unless the connection does."""
    for byte in content[:SLOW_BYTES]:
        caller.sendall(bytes([byte]))
        if over.wait(1.0):
            return AT_THE_END
    return NEVER


def _headed(rng: random.Random) -> Dataset:
    """Return the head of a film without its pixels: whatever is made of it, no result can be."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = hostile.CR, f"1.2.{rng.randrange(20)}"
    made.StudyInstanceUID, made.Modality = "1.2.3", "CR"
    made.Rows = made.Columns = 240
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 8, 8, 7
    return made


def _another_syntax(rng: random.Random) -> bytes:
    """Return an object in implicit or big endian where explicit little endian was accepted."""
    made, little = _headed(rng), rng.random() < 0.5
    return hostile.object_of(made.SOPInstanceUID, encode(made, little, little) or b"")


def _two_gigabytes(rng: random.Random) -> bytes:
    """Return an object with an element, its pixels or a private one, of which it says that it has 2 GB."""
    made = _headed(rng)
    group = rng.choice((0x0029, 0x7FE0))
    element = struct.pack("<HH2sHI", group, 0x0010, b"OB", 0, 0x7FFFFFFE)
    return hostile.object_of(made.SOPInstanceUID, (encode(made, False, True) or b"") + element + b"x" * 1000)


def _half(rng: random.Random) -> bytes:
    """Return an object up to somewhere within it, between two PDUs."""
    start = hostile.data(hostile.command("1.2.3"), command=True, last=True)
    return start + hostile.data(b"x" * 10_000) * rng.randrange(1, 10)


_START = hostile.data(hostile.command("1.2.3"), command=True, last=True)
_ABORT = hostile.pdu(7, b"\0" * 4)

KINDS_OF_CALLERS: dict[str, HostileCaller] = {
    "random bytes": _sends(lambda rng: rng.randbytes(rng.randrange(1, 5000))),
    "association, then random bytes": _sends(lambda rng: hostile.request() + rng.randbytes(2000)),
    "half an association": _sends(lambda rng: hostile.request()[: rng.randrange(1, 150)]),
    "a PDU of 4 GB": _sends(lambda _: hostile.pdu(1, b"x" * 1000, announced=0xFFFFFFFF)),
    "nothing": _sends(lambda _: b""),
    "half an object": _after_association(_half),
    "half an object, then A-ABORT": _after_association(lambda rng: _half(rng) + _ABORT),
    "an object without end": _after_association(lambda _: _START + hostile.data(b"x" * 10_000) * 500),
    "an object in another transfer syntax": _after_association(_another_syntax),
    "an element of 2 GB": _after_association(_two_gigabytes),
    "a context that was not accepted": _after_association(
        lambda _: (
            hostile.data(hostile.command("1.2.3", abstract=hostile.CT), command=True, last=True)
            + hostile.data(b"x" * 1000, last=True)
        ),
        hostile.request(abstract=hostile.CT),
    ),
    "a byte a second": _slow_from_the_start,
    "a byte a second of an object": _slow_in_an_object,
}
"""What callers do."""

SLOW = tuple(kind for kind in KINDS_OF_CALLERS if kind.startswith("a byte a second"))
