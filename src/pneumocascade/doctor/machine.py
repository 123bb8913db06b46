"""Cores, processor, memory: what a control group leaves of them included."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pneumocascade.doctor.check import Check, megabytes
from pneumocascade.model.engines.processor import usable_cores

PREDICT_MEMORY = 340_000_000
"""Bytes: the most that ``predict`` was measured to take (docs/performance.md)."""

SERVE_MEMORY = 740_000_000
"""Bytes: the most that ``serve`` was measured to take on two cores (docs/deployment.md)."""

VNNI = ("avx512_vnni", "avx_vnni", "asimddp", "i8mm")
"""Flags of /proc/cpuinfo that tell of instructions for dot products of bytes (x86-64, ARM64)."""

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

_PROC = Path("/proc")
_GROUPS = Path("/sys/fs/cgroup")


def check_cores(proc: Path = _PROC, groups: Path = _GROUPS) -> list[Check]:
    """Check that no more threads run than the control group pays for."""
    cores, quota = usable_cores(), cpu_quota(proc, groups)
    found = (
        f"{cores} of {os.cpu_count()} may be used; predict and serve judge a batch on each, one thread a run"
    )
    given = ", ".join(f"{name}={os.environ[name]}" for name in VARIABLES if name in os.environ)
    if given:
        found += f"; {given} is set, which the models do not heed"
    if quota is None or quota > cores - 0.5:
        return [Check("cores", "ok", found)]
    whole = max(1, round(quota))
    chosen = "0" if whole == 1 else f"0-{whole - 1}"
    advice = (
        f"name cores in place of a share of time: docker run --cpuset-cpus {chosen}, or taskset --cpu-list "
        f"{chosen} pneumocascade ..."
    )
    return [Check("cores", "note", f"{found}; the control group allows the time of {quota:g}", advice)]


def check_processor(proc: Path = _PROC) -> list[Check]:
    """Check for instructions that make INT8 fast."""
    try:
        text = (proc / "cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return [Check("processor", "ok", f"{platform.machine()}; this system does not list its instructions")]
    flags = _flags(text)
    wide = [name for name in ("avx2", "avx512f", *VNNI) if name in flags]
    found = f"{platform.machine()} with {', '.join(wide) or 'none of AVX2, AVX-512, VNNI'}"
    if any(name in flags for name in VNNI):
        return [Check("processor", "ok", found)]
    advice = (
        "nothing to mend, answers are the same: on a processor with VNNI (Intel since 2019, AMD since Zen 4) "
        "the INT8 models run faster"
    )
    return [Check("processor", "note", f"{found}; no VNNI", advice)]


def check_memory(proc: Path = _PROC, groups: Path = _GROUPS) -> list[Check]:
    """Check that ``predict`` has the memory that it was measured to take."""
    system = _available(proc)
    group = memory_left(proc, groups)
    left = min((each for each in (system, group) if each is not None), default=None)
    if left is None:
        return [Check("memory", "ok", "this system does not tell how much is free")]
    who = "in the control group" if left == group else "on this machine"
    found = f"{megabytes(left)} free {who}; predict takes {megabytes(PREDICT_MEMORY)}"
    if left >= SERVE_MEMORY:
        return [Check("memory", "ok", found)]
    more = "raise the limit (docker run --memory 4g, MemoryMax=4G)" if left == group else "end other programs"
    if left >= PREDICT_MEMORY:
        advice = f"for serve, which takes {megabytes(SERVE_MEMORY)} on two cores: {more}"
        return [Check("memory", "note", found, advice)]
    return [
        Check("memory", "problem", found, f"{more}, or: pneumocascade predict --batch-size 1 --workers 1")
    ]


def check_telemetry() -> list[Check]:
    """Check that ONNX Runtime keeps to itself what it does."""
    value = os.environ.get("ORT_DISABLE_TELEMETRY")
    if value == "1":
        return [Check("telemetry", "ok", "ONNX Runtime's is off")]
    found = f"ONNX Runtime's may be on: ORT_DISABLE_TELEMETRY is {value!r}, expected '1'"
    return [Check("telemetry", "note", found, "unset ORT_DISABLE_TELEMETRY: the package sets it to 1")]


def cpu_quota(proc: Path = _PROC, groups: Path = _GROUPS) -> float | None:
    """Return how many cores' time the control groups of this process allow, ``None`` for no limit."""
    quotas = []
    for folder in _group_folders(proc, groups):
        with suppress(OSError, ValueError, ZeroDivisionError):  # "max" is no number: no limit
            quota, period = map(int, (folder / "cpu.max").read_text(encoding="ascii").split())
            quotas.append(quota / period)
    return min(quotas, default=None)


def memory_left(proc: Path = _PROC, groups: Path = _GROUPS) -> int | None:
    """Return how many bytes the control groups of this process leave, ``None`` for no limit."""
    left = []
    for folder in _group_folders(proc, groups):
        with suppress(OSError, ValueError):  # "max" is no number: no limit
            limit, used = (
                int((folder / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current")
            )
            # Files in memory are given up when it is needed.
            reclaimable = _value(folder / "memory.stat", "inactive_file") or 0
            left.append(max(0, limit - used + reclaimable))
    return min(left, default=None)


def _group_folders(proc: Path, groups: Path) -> Iterator[Path]:
    """Yield the folders of this process's control group and those above it (version 2, cgroups(7))."""
    with suppress(OSError):
        for line in (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines():
            if line.startswith("0::"):
                inner = groups / line.removeprefix("0::").strip("/")
                yield inner
                yield from (folder for folder in inner.parents if folder.is_relative_to(groups))


def _value(file: Path, name: str) -> int | None:
    """Return the number behind a name in a file of the kernel, ``None`` where there is none."""
    for line in file.read_text(encoding="ascii").splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return None


def _available(proc: Path) -> int | None:
    with suppress(OSError, ValueError):
        kilobytes = _value(proc / "meminfo", "MemAvailable:")
        return None if kilobytes is None else 1024 * kilobytes
    return None


def _flags(text: str) -> set[str]:
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return set(value.split())
    return set()
