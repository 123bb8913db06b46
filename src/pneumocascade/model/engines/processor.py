"""What the processor has: cores for this process, and instructions for products of bytes."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

INSTRUCTIONS = ("amx_int8", "avx512_vnni", "avx_vnni", "avx512f", "avx2", "i8mm", "asimddp")
"""Flags of /proc/cpuinfo that decide how fast INT8 networks run (x86-64, then ARM64), the fastest first."""

_CPUINFO = Path("/proc/cpuinfo")


def usable_cores() -> int:
    """Return how many cores this process may run on, at least 1."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@lru_cache(maxsize=2)
def instructions(cpuinfo: Path = _CPUINFO) -> frozenset[str]:
    """Return the instruction sets that the processor has, as Linux names them; none on other systems."""
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        return frozenset()
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def fastest_instructions(cpuinfo: Path = _CPUINFO) -> str:
    """Return the first of ``INSTRUCTIONS`` that the processor has, empty where that cannot be known."""
    return next((each for each in INSTRUCTIONS if each in instructions(cpuinfo)), "")
