"""Runs of many Ray actors, simulated from measured times, beside a real run of two.

    python -m benchmarks.actors kermany224 --output docs/data/actors.json

Measured for each engine: how long an actor takes to load its models, and to judge blocks of films while
another actor has the other core. A simulated run gives each block to the actor that is free first, as Ray
does; how long a block takes is drawn from what was measured. The real run is ``predict --engine ray --workers
2`` without the start of the command. Ray's own start is measured apart and added to each simulated run of the
archive. Films are on a local disk, and all simulated actors are as fast as the measured ones. Needs the
extras ``[ray]`` and ``[openvino]`` and a machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import Row, machine, some
from pneumocascade.output.ray_engine import CascadeActor, Job, block_size, connected, predict_on_ray

ACTORS = 2
"""Of the measured run."""

FILMS = 1024
"""Of the measured run."""

BATCHES = {"cpu": 1, "openvino": 16}
"""Films that go through a model at once, by engine: as ``predict`` chooses."""

SIMULATED = (1, 8, 64, 512)
ARCHIVE = 10_000_000


@dataclass(frozen=True)
class Times:
    """What was measured of actors.

    Attributes
    ----------
    load : list of float
        Seconds from the start of an actor's process until its models are loaded.
    film : list of float
        Seconds a film, of each block.
    """

    load: list[float]
    film: list[float]


def simulate(films: int, actors: int, times: Times, size: int, rng: np.random.Generator) -> float:
    """Return the seconds from the start of the actors to the last answer.

    Parameters
    ----------
    films, actors, size : int
        ``size``: films of a block; the last one may have fewer.
    times : Times
    rng : numpy.random.Generator
        Draws the times.
    """
    free = [float(each) for each in rng.choice(times.load, actors)]
    heapq.heapify(free)
    blocks = math.ceil(films / size)
    of_film = rng.choice(times.film, blocks)
    last = 0.0
    for number in range(blocks):
        done = heapq.heappop(free) + float(of_film[number]) * min(size, films - number * size)
        heapq.heappush(free, done)
        last = max(last, done)
    return last


def _act(job: Job, blocks: Sequence[Sequence[str]], started: float, results: Any) -> None:
    """Load an actor and judge blocks, in a process of its own."""
    import pyarrow as pa

    actor = CascadeActor(job)
    loaded = time.time() - started
    film = []
    for block in blocks:
        names = [name.encode() for name in block]
        begun = time.perf_counter()
        actor(pa.table({"source": pa.array(names, pa.binary())}))
        film.append((time.perf_counter() - begun) / len(block))
    results.put((loaded, film))


def measure(job: Job, films: Sequence[str], size: int) -> Times:
    """Return the times of actors that judge films at the same time, each in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    blocks = [films[start : start + size] for start in range(0, len(films), size)]
    started = time.time()
    actors = [
        spawn.Process(target=_act, args=(job, blocks[number::ACTORS], started, results))
        for number in range(ACTORS)
    ]
    for actor in actors:
        actor.start()
    found = [results.get() for _ in actors]
    for actor in actors:
        actor.join()
    return Times([load for load, _ in found], [each for _, film in found for each in film])


def run(films: Sequence[str], job: Job) -> tuple[float, float]:
    """Return the seconds of Ray's start, and of the answers of a real run of ``ACTORS`` actors."""
    started = time.perf_counter()
    with connected(ACTORS):
        ready = time.perf_counter()
        answers = sum(1 for _ in predict_on_ray(films, job, workers=ACTORS))
        seconds = time.perf_counter() - ready
    assert answers == len(films)
    return ready - started, seconds


def compare(films: Sequence[str], provider: str, rng: np.random.Generator) -> Row:
    """Return measured times, the real run beside its simulation, and simulated runs of an archive."""
    batch = BATCHES[provider]
    job = Job.made_here(provider=provider, batch_size=batch)
    size = block_size(len(films), batch, ACTORS)
    times = measure(job, films, size)
    start, real = run(films, job)
    simulated = [simulate(len(films), ACTORS, times, size, rng) for _ in range(100)]
    film = float(np.mean(times.film))
    rows = []
    for actors in SIMULATED:
        seconds = start + simulate(ARCHIVE, actors, times, block_size(ARCHIVE, batch, actors), rng)
        share = ARCHIVE * film / (actors * seconds)
        rows.append({"actors": actors, "hours": round(seconds / 3600, 2), "share": round(share, 4)})
    return {
        "start_s": round(start, 2),
        "load_s": round(float(np.mean(times.load)), 2),
        "film_ms": round(1000 * film, 2),
        "films_per_core_hour": round(3600 / film),
        "block": size,
        "real_s": round(real, 2),
        "simulated_s": round(float(np.median(simulated)), 2),
        "archive": rows,
    }


def main() -> None:
    """Measure, simulate, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("films", type=Path)
    parser.add_argument("--count", type=int, default=FILMS, help="films of the measured runs")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    films = [str(path) for path in some(arguments.films, arguments.count)]
    report: Row = {"machine": machine(), "films": len(films), "actors": ACTORS, "archive": ARCHIVE}
    report["engines"] = {provider: compare(films, provider, np.random.default_rng(0)) for provider in BATCHES}
    arguments.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
