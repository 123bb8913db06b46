"""Hostile and broken files: each must end as a radiograph or with a listed code, in time and memory.

    python -m torture.files --inputs 100000 --seconds 1200 --output docs/data/torture-files.json

Every input has a number, and the number alone says what it is: ``--only 12345`` makes and reads that one
again. Inputs are first every format cut at each hundredth of its length, then the files of
:mod:`torture.monsters` and :mod:`torture.dicom_monsters` and the places of :mod:`torture.names`, then
random damage, format by format, until the count or the time is reached.
"""

from __future__ import annotations

import argparse
import collections
import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import machine
from pneumocascade import FilmError, read_radiograph
from torture.arrays import ARRAYS
from torture.dicom_monsters import dicom_monsters
from torture.monsters import monsters
from torture.mutations import PERCENT, mutated, truncated
from torture.names import SCENARIOS
from torture.seeds import all_seeds
from torture.watcher import Watcher
from torture.worker import MEMORY, Outcome, Task

SEED = 20_240

SLOWEST = 10

MIB = 1 << 20

TOLD = 2_000
"""Letters of a failure that are reported."""


class Corpus:
    """All inputs by number."""

    def __init__(self) -> None:
        self.seeds, self.left_out = all_seeds()
        self._names = list(self.seeds)
        self._contents = list(self.seeds.values())
        self._monsters = [*monsters(), *dicom_monsters()]
        self._scenarios, self._arrays = list(SCENARIOS), list(ARRAYS)
        self.cuts = len(self._names) * PERCENT
        self.made = self.cuts + len(self._monsters) + len(self._scenarios) + len(self._arrays)

    def task(self, number: int) -> tuple[str, Task]:
        """Return the kind of an input, by which outcomes are counted, and the input."""
        if number < self.cuts:
            name = self._names[number // PERCENT]
            cut = truncated(self.seeds[name], number % PERCENT)
            return name, _as_task(name, f"{name} cut to {number % PERCENT} %", cut)
        number -= self.cuts
        if number < len(self._monsters):
            name, make = self._monsters[number]
            return "monsters", Task("bytes", name, make())
        number -= len(self._monsters)
        if number < len(self._scenarios):
            return "names and places", Task("names", self._scenarios[number])
        number -= len(self._scenarios)
        if number < len(self._arrays):
            name = self._arrays[number]
            return "arrays", Task("array", name)
        return self._damaged(number + self.made)

    def _damaged(self, number: int) -> tuple[str, Task]:
        which = number % len(self._names)
        done, content = mutated(self._contents, which, np.random.default_rng([SEED, number]))
        name = self._names[which]
        return name, _as_task(name, f"{name}: {done}", content)

    def warm(self) -> list[bytes]:
        """Return the sound films: every decoder is loaded by them."""
        return [content for content in self._contents if _is_read(content)]


def _as_task(kind: str, name: str, content: bytes) -> Task:
    if kind.startswith("zip"):
        return Task("file", "films.zip", content)
    if kind == "dicomdir":
        return Task("file", "DICOMDIR", content)
    return Task("bytes", name, content)


def _is_read(content: bytes) -> bool:
    try:
        read_radiograph(content)
    except FilmError:
        return False
    return True


@dataclass(slots=True)
class Counts:
    """What became of the inputs so far."""

    by_format: dict[str, collections.Counter[str]] = field(
        default_factory=lambda: collections.defaultdict(collections.Counter)
    )
    failures: list[dict[str, Any]] = field(default_factory=list)
    slowest: list[tuple[float, int, str]] = field(default_factory=list)
    largest: list[tuple[int, int, str]] = field(default_factory=list)
    out_of_memory: list[str] = field(default_factory=list)
    inputs: int = 0

    def add(self, number: int, kind: str, name: str, outcome: Outcome) -> None:
        """Count one outcome."""
        self.inputs += 1
        self.by_format[kind][outcome.outcome] += 1
        self.slowest = sorted([*self.slowest, (outcome.seconds, number, name)], reverse=True)[:SLOWEST]
        self.largest = sorted([*self.largest, (outcome.peak, number, name)], reverse=True)[:SLOWEST]
        if outcome.out_of_memory:
            self.out_of_memory.append(f"{number}: {name}")
        if outcome.failed:
            row = {"number": number, "format": kind, "name": name, "outcome": outcome.outcome}
            self.failures.append({**row, "detail": outcome.detail[:TOLD]})

    def report(self) -> dict[str, Any]:
        """Return the figures."""
        total: collections.Counter[str] = collections.Counter()
        for counts in self.by_format.values():
            total += counts
        return {
            "inputs": self.inputs,
            "failures": self.failures,
            "outcomes": dict(total.most_common()),
            "met_the_memory_limit": self.out_of_memory,
            "slowest": [
                {"seconds": round(s, 2), "number": number, "name": name} for s, number, name in self.slowest
            ],
            "most_memory": [
                {"mib": peak // MIB, "number": number, "name": name} for peak, number, name in self.largest
            ],
            "by_format": {kind: dict(counts.most_common()) for kind, counts in self.by_format.items()},
        }


def run(corpus: Corpus, numbers: Iterator[int], seconds: float, watcher: Watcher, kept: Path) -> Counts:
    """Give inputs to a worker until they, or the time, are at an end."""
    counts, started = Counts(), time.perf_counter()
    for number in numbers:
        if time.perf_counter() - started > seconds:
            break
        kind, task = corpus.task(number)
        outcome = watcher.run(task)
        counts.add(number, kind, task.name, outcome)
        if outcome.failed:
            print(
                f"{outcome.outcome}: --only {number} ({kind}, {task.name})", outcome.detail[:TOLD], sep="\n"
            )
            _keep(kept, number, task)
        if counts.inputs % 5_000 == 0:
            print(f"{counts.inputs} inputs, {len(counts.failures)} failures", file=sys.stderr, flush=True)
    return counts


def _keep(folder: Path, number: int, task: Task) -> None:
    """Write the input that failed to a file, to examine it."""
    if isinstance(task.content, bytes) and task.content:
        folder.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"[^A-Za-z0-9]+", "-", task.name)[:80]
        (folder / f"{number}-{name}").write_bytes(task.content)


def main() -> int:
    """Run, print and write the figures; 1 where an input failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=1_200, help="of the whole run")
    parser.add_argument("--limit", type=float, default=5, help="seconds for one input")
    parser.add_argument("--only", type=int, help="number of a single input")
    parser.add_argument("--kept", type=Path, default=Path("torture-failures"), help="folder for what failed")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    corpus = Corpus()
    numbers = range(arguments.inputs) if arguments.only is None else [arguments.only]
    started = time.perf_counter()
    with Watcher(corpus.warm(), arguments.limit) as watcher:
        counts = run(corpus, iter(numbers), arguments.seconds, watcher, arguments.kept)
    report = {
        "command": f"python -m torture.files --inputs {arguments.inputs} --seconds {arguments.seconds:g}",
        "machine": machine(),
        "limits": {"seconds": arguments.limit, "memory_mib": MEMORY // MIB},
        "seconds": round(time.perf_counter() - started, 1),
        "workers": watcher.starts,
        "formats": len(corpus.seeds),
        "encoders_missing": corpus.left_out,
        **counts.report(),
    }
    text = json.dumps(report, indent=1, ensure_ascii=True)
    if arguments.output is not None:
        arguments.output.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 1 if counts.failures else 0


if __name__ == "__main__":
    sys.exit(main())
