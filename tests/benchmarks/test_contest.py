"""Contestants take turns in processes of their own, and are timed on the same films."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.contest import Contestant, contest, seconds_by_turn, wait_until_idle
from benchmarks.timing import Judge, spread

FILMS = [Path(f"film-{number}") for number in range(5)]


def writer(log: Path, name: str) -> Judge:
    """Return what notes its name, process and films."""

    def judge(paths: Sequence[Path]) -> object:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{name} {os.getpid()} {' '.join(map(str, paths))}\n")
        return None

    return judge


def sleeper(seconds: float) -> Judge:
    return lambda paths: time.sleep(seconds * len(paths))


def broken() -> Judge:
    raise SystemExit("cannot begin")


def test_all_get_the_same_films_in_turns_in_processes_of_their_own(tmp_path: Path) -> None:
    log = tmp_path / "log"
    ways = {name: Contestant(writer, (log, name)) for name in ("a", "b")}
    found = contest(ways, FILMS, 2, 3)
    lines = [line.split() for line in log.read_text().splitlines()]
    assert [line[0] for line in lines] == ["a", "b", "b", "a", "a", "b", "b", "a"]
    films = {name: [line[2:] for line in lines if line[0] == name] for name in ways}
    assert films["a"] == films["b"]
    assert films["a"][:3] == [["film-0", "film-1"], ["film-2", "film-3"], ["film-4", "film-0"]]
    processes = {name: {line[1] for line in lines if line[0] == name} for name in ways}
    assert [len(each) for each in processes.values()] == [1, 1]
    assert len({*processes["a"], *processes["b"], str(os.getpid())}) == 3
    assert {row["rounds"] for row in found.values()} == {3}


def test_what_a_turn_takes_is_told_without_the_first() -> None:
    taken = seconds_by_turn({"sleeper": Contestant(sleeper, (0.02,))}, [FILMS[:1], FILMS[:2]])
    assert len(taken["sleeper"]) == 1
    assert taken["sleeper"][0] >= 0.04


def test_a_contestant_that_cannot_begin_ends_the_contest() -> None:
    with pytest.raises(RuntimeError, match="ended before its turn did"):
        contest({"broken": Contestant(broken)}, FILMS, 1, 1)


def test_more_films_a_turn_than_there_are_is_an_error() -> None:
    with pytest.raises(ValueError, match="5 films, expected at least the 6 of one turn"):
        contest({"sleeper": Contestant(sleeper, (0.0,))}, FILMS, 6, 1)


def test_a_process_that_sleeps_is_idle() -> None:
    assert wait_until_idle([os.getppid()]) in (True, False)
    assert wait_until_idle([]) is True


def test_spread_tells_median_quartiles_and_extremes_in_milliseconds() -> None:
    assert spread([0.001, 0.002, 0.003, 0.004, 0.1]) == {
        "median_ms": 3.0,
        "min_ms": 1.0,
        "max_ms": 100.0,
        "quartiles_ms": [2.0, 4.0],
        "rounds": 5,
    }
