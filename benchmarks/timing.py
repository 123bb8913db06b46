"""How long a piece of work takes, and how the times of several rounds are told."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]


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
