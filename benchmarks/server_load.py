"""Throughput and latency of the REST API under concurrent clients, with a queue and without.

    python -m benchmarks.server_load kermany224

Two servers with the same bundled models, in this process, on free ports of the loopback interface: in one
all films wait in one queue, and two batches for each core are judged at once, as ``serve`` does; in the other
each request takes its films through the cascade on a thread of its own, at most 40 at a time. Each client
posts one film after the other over one connection and waits for the answer. The servers take turns, round by
round, after requests that do not count. The clients run in this process too, and what they take is part of
every figure. Prints a table in Markdown; the ratios are the queue to each request alone. Needs a machine with
nothing else to do.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import os
import platform
import random
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn

from pneumocascade import Cascade, Prediction
from pneumocascade.audit.counter import STATE_VARIABLE
from pneumocascade.imaging.find import find_sources
from pneumocascade.inference.cascade import DEFAULT_OPERATING_POINT
from pneumocascade.model.engines.processor import usable_cores
from pneumocascade.server import create_app, listen
from pneumocascade.server.batcher import Batcher
from pneumocascade.server.queue import QueuedFilm

PERCENTILES = (50, 95, 99)
THREADS = 40
"""Requests that are judged at once without shared batches: the threads of such a server."""

WARM_UP = 8
"""Requests to each server that do not count."""

LONGEST = 120.0
"""Wait for one answer, in seconds."""

_BOUNDARY = "film-film-film"


class Alone(Batcher):
    """No line: each request goes through the cascade on a thread of its own."""

    def start(self) -> None:
        """Make the threads."""
        self.pool = ThreadPoolExecutor(THREADS)

    def stop(self) -> None:
        """Finish what is in work."""
        self.pool.shutdown()

    def submit(
        self,
        films: Sequence[QueuedFilm],
        operating_point: str = DEFAULT_OPERATING_POINT,
        prior: float | None = None,
        *,
        display: bool = False,
        threshold: float | None = None,
    ) -> Future[list[Prediction]]:
        """Judge the films of one request, whatever others do."""
        terms = {"prior": prior, "display": display, "threshold": threshold}
        return self.pool.submit(self._all, films, operating_point, **terms)

    def _all(self, films: Sequence[QueuedFilm], operating_point: str, **terms: Any) -> list[Prediction]:
        answers = self.cascade.predict_many(
            (film.read() for film in films),
            batch_size=self.batch_size,
            operating_point=operating_point,
            **terms,
            names=[film.name for film in films],
        )
        return list(answers)


@dataclass(slots=True)
class Load:
    """What a number of clients saw of one server, all rounds together."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    def figures(self) -> list[float]:
        """Return films a second and the percentiles of the latency in milliseconds."""
        return [
            len(self.latencies) / self.seconds,
            *(1000 * float(value) for value in np.percentile(self.latencies, PERCENTILES)),
        ]


@contextmanager
def serving(batcher: Batcher) -> Iterator[int]:
    """Run a server and give its port."""
    app = create_app(batcher.cascade, with_web=False, batcher=batcher)
    with listen("127.0.0.1", 0) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(LONGEST)


def body_of(content: bytes) -> bytes:
    """Return a request's body with one film in it."""
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="film"\r\n\r\n'
    return head.encode() + content + f"\r\n--{_BOUNDARY}--\r\n".encode()


def client(port: int, bodies: Iterator[bytes], start: threading.Barrier, deadline: float) -> list[float]:
    """Post films until there are no more or the time is over, and return how long each answer took."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONGEST)
    connection.connect()
    start.wait(LONGEST)
    latencies = []
    headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    for body in bodies:
        if time.perf_counter() > deadline:
            break
        began = time.perf_counter()
        connection.request("POST", "/api/v1/predictions", body, headers)
        response = connection.getresponse()
        answer = response.read()
        latencies.append(time.perf_counter() - began)
        if response.status != 200:
            raise RuntimeError(f"status {response.status}: {answer[:200]!r}")
    connection.close()
    return latencies


def put_load(load: Load, port: int, bodies: Sequence[bytes], clients: int, count: int, limit: float) -> None:
    """Let clients post so many films between them, for at most so many seconds, and add up what they saw."""
    posted = itertools.islice(itertools.cycle(bodies), count)
    shared = Shared(posted)
    start = threading.Barrier(clients + 1)
    deadline = time.perf_counter() + limit
    with ThreadPoolExecutor(clients) as pool:
        running = [pool.submit(client, port, shared, start, deadline) for _ in range(clients)]
        start.wait(LONGEST)
        began = time.perf_counter()
        for each in running:
            load.latencies += each.result()
        load.seconds += time.perf_counter() - began


class Shared(Iterator[bytes]):
    """An iterator that several threads may draw from."""

    def __init__(self, items: Iterator[bytes]) -> None:
        self.items = items
        self.lock = threading.Lock()

    def __next__(self) -> bytes:
        """Return the next item."""
        with self.lock:
            return next(self.items)


def print_rows(clients: int, loads: dict[str, Load]) -> None:
    """Print a row for each server, and their ratios."""
    found = {name: load.figures() for name, load in loads.items()}
    for name, figures in found.items():
        cells = " | ".join(f"{value:.1f}" for value in figures)
        print(f"| {clients} | {name} | {len(loads[name].latencies)} | {cells} |")
    alone, batched = found.values()
    ratios = " | ".join(f"{new / old:.2f}" for new, old in zip(batched, alone, strict=True))
    print(f"| {clients} | ratio | | {ratios} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("films", help="folder of films, searched recursively")
    parser.add_argument("--most-films", type=int, default=100, help="different films that are posted")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--requests", type=int, default=200, help="of all clients together, in one round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60, help="after which a round posts no more")
    parser.add_argument("--batch-size", type=int, help="as many as is fastest, by default")
    parser.add_argument("--workers", type=int, default=0, help="batches at once; 0: two per core")
    arguments = parser.parse_args()
    paths = list(find_sources([arguments.films]))
    random.Random(0).shuffle(paths)  # a folder may hold one class first, and stage 2 runs on one only
    bodies = [body_of(Path(path).read_bytes()) for path in paths[: arguments.most_films]]
    cascade = Cascade.load(threads=usable_cores())  # as ``serve`` does
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{len(bodies)} films, {machine}\n")
    names = ("each request alone", "one queue")
    with tempfile.TemporaryDirectory() as state, ExitStack() as stack:
        os.environ[STATE_VARIABLE] = state  # these films are not counted
        size, workers = arguments.batch_size, arguments.workers
        batchers = (
            Alone(cascade, batch_size=size),
            Batcher(cascade, batch_size=size, workers=workers),
        )
        ports = [stack.enter_context(serving(batcher)) for batcher in batchers]
        for port in ports:
            put_load(Load(), port, bodies, 1, WARM_UP, arguments.seconds)
        columns = ("clients", "server", "requests", "films/s", *(f"p{value} ms" for value in PERCENTILES))
        print("| " + " | ".join(columns) + " |\n" + "| --- " * len(columns) + "|")
        for clients in arguments.clients:
            loads = {name: Load() for name in names}
            for _ in range(arguments.rounds):
                for port, load in zip(ports, loads.values(), strict=True):
                    put_load(load, port, bodies, clients, arguments.requests, arguments.seconds)
            print_rows(clients, loads)


if __name__ == "__main__":
    main()
