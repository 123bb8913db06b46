"""How long a piece of work takes, how several rounds are reported, and what they are taken on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from pneumocascade.datasets.films import find_films

Row: TypeAlias = dict[str, Any]
Judge: TypeAlias = Callable[[Sequence[Path]], object]


REST = 0.05
"""Seconds between two turns: threads that spin for more work of the turn before have gone to sleep."""


def seconds_of(work: Callable[..., object], *arguments: object) -> float:
    """Return how long a piece of work takes, after a rest."""
    time.sleep(REST)
    started = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - started


def spread(values: Sequence[float]) -> Row:
    """Return median, least and largest value, in milliseconds."""
    low, middle, high = (1000 * value for value in (min(values), statistics.median(values), max(values)))
    return {"median_ms": round(middle, 2), "min_ms": round(low, 2), "max_ms": round(high, 2)}


def contest(ways: dict[str, Judge], films: Sequence[Path], count: int, rounds: int) -> dict[str, Row]:
    """Time each way on the same films, ``count`` a turn; per film, after a round that does not count."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        chosen = films[number * count : (number + 1) * count]
        for name, judge in ways.items():
            taken = seconds_of(judge, chosen) / count
            if number:
                found[name].append(taken)
    return {name: spread(values) for name, values in found.items()}


def machine() -> Row:
    """Return what was measured on."""
    lines = (
        Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if Path("/proc/cpuinfo").exists()
        else []
    )
    model = next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    flags = next((line for line in lines if line.startswith("flags")), "")
    return {
        "processor": model,
        "cpus": os.cpu_count(),
        "vnni": "avx512_vnni" in flags or "avx_vnni" in flags,
        "pytorch": _version("torch"),
        "onnxruntime": _version("onnxruntime"),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _version(package: str) -> str | None:
    """Return the version of a package; ``None`` where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def some(folder: Path, count: int) -> list[Path]:
    """Return films of a folder, a quarter of them normal, in a fixed order."""
    rng = np.random.default_rng(0)
    films = find_films(folder)
    groups = [
        [film.path for film in films if (film.finding == "normal") is normal] for normal in (True, False)
    ]
    for group in groups:
        rng.shuffle(group)
    return list(_mixed(*groups))[:count]


def _mixed(normal: list[Path], pneumonia: list[Path]) -> Iterator[Path]:
    for index in range(min(len(normal), len(pneumonia) // 3)):
        yield from (normal[index], *pneumonia[3 * index : 3 * index + 3])
