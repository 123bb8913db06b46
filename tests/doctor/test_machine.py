"""Control groups, memory and processors, in files as Linux writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pneumocascade.doctor import machine
from pneumocascade.model.engines.processor import usable_cores

MIB = 1 << 20


class Linux:
    """/proc and /sys/fs/cgroup, made of files."""

    def __init__(self, folder: Path) -> None:
        self.proc = folder / "proc"
        self.groups = folder / "cgroup"

    def write(self, name: str, text: str) -> None:
        path = self.proc.parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")

    def memory(self, available: int, limit: str, used: int, inactive: int = 0) -> None:
        self.write("proc/self/cgroup", "0::/box/inner\n")
        self.write("proc/meminfo", f"MemTotal: 1 kB\nMemAvailable: {available * 1024} kB\n")
        self.write("cgroup/box/memory.max", f"{limit}\n")
        self.write("cgroup/box/memory.current", f"{used * MIB}\n")
        self.write("cgroup/box/memory.stat", f"anon 5\ninactive_file {inactive * MIB}\n")
        self.write("cgroup/box/inner/memory.max", "max\n")
        self.write("cgroup/box/inner/memory.current", "0\n")


@pytest.fixture
def linux(tmp_path: Path) -> Linux:
    return Linux(tmp_path)


def test_a_group_that_pays_for_less_time_is_a_note(linux: Linux, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: 8)
    linux.write("proc/self/cgroup", "0::/box\n")
    linux.write("cgroup/box/cpu.max", "150000 100000\n")
    (check,) = machine.check_cores(linux.proc, linux.groups)
    assert check.status == "note"
    assert "allows the time of 1.5" in check.found
    assert "--cpuset-cpus 0-1" in check.advice
    linux.write("cgroup/box/cpu.max", "max 100000\n")
    assert machine.check_cores(linux.proc, linux.groups)[0].status == "ok"
    linux.write("cgroup/cpu.max", "100000 100000\n")  # of the group above
    assert machine.cpu_quota(linux.proc, linux.groups) == 1
    assert "taskset --cpu-list 0 " in machine.check_cores(linux.proc, linux.groups)[0].advice


def test_without_groups_there_is_no_limit(linux: Linux) -> None:
    assert machine.cpu_quota(linux.proc, linux.groups) is None
    assert machine.memory_left(linux.proc, linux.groups) is None
    (check,) = machine.check_memory(linux.proc, linux.groups)
    assert check.status == "ok"
    assert "does not tell" in check.found


def test_the_cores_are_those_of_this_process(monkeypatch: pytest.MonkeyPatch, linux: Linux) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    (check,) = machine.check_cores(linux.proc, linux.groups)
    assert check.found.startswith(f"{usable_cores()} of ")
    assert "OMP_NUM_THREADS=3" in check.found


@pytest.mark.parametrize(
    ("available", "limit", "used", "inactive", "status"),
    [
        (4000, "max", 0, 0, "ok"),
        (500, "max", 0, 0, "note"),
        (200, "max", 0, 0, "problem"),
        (4000, str(1000 * MIB), 100, 0, "ok"),
        (4000, str(1000 * MIB), 500, 0, "note"),
        (4000, str(1000 * MIB), 900, 0, "problem"),
        (4000, str(1000 * MIB), 900, 800, "ok"),
    ],
)
def test_memory_is_what_machine_and_group_leave(
    linux: Linux, available: int, limit: str, used: int, inactive: int, status: str
) -> None:
    linux.memory(available, limit, used, inactive)
    (check,) = machine.check_memory(linux.proc, linux.groups)
    assert check.status == status, check
    if status == "problem":
        assert ("control group" in check.found) == (limit != "max")
        assert ("docker run --memory" in check.advice) == (limit != "max")


@pytest.mark.parametrize(
    ("text", "status", "expected"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_vnni\n", "ok", "avx512_vnni"),
        ("flags\t\t: fpu avx2\n", "note", "avx2; no VNNI"),
        ("flags\t\t: fpu sse2\n", "note", "none of AVX2"),
        ("Features\t: fp asimd asimddp\n", "ok", "asimddp"),
        (None, "ok", "does not list"),
    ],
)
def test_instructions_are_read_from_cpuinfo(
    linux: Linux, text: str | None, status: str, expected: str
) -> None:
    if text is not None:
        linux.write("proc/cpuinfo", f"processor\t: 0\n{text}")
    (check,) = machine.check_processor(linux.proc)
    assert check.status == status
    assert expected in check.found


def test_telemetry_that_is_on_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "1")
    assert machine.check_telemetry()[0].status == "ok"
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    assert machine.check_telemetry()[0].status == "note"
