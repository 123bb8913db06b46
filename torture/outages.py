"""A node's destination is down for an hour, or for longer than it is waited for: part of ``torture.node``.

The hour passes faster: see :mod:`torture.fast_node`.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

from pneumocascade.node.sender import FIRST_PAUSE, LONGEST_PAUSE
from tests.node.archives import counting_archive
from tests.node.programs import free_port, store
from torture.nodes import (
    RESULTS,
    check_answers,
    ended,
    fast_node,
    films_in,
    memory_over_time,
    options_of,
    sent_again,
    state_of_node,
    unreachable,
    wait_until,
)
from torture.serving import check

HOUR = 3600.0
FACTOR = 60.0
"""How many times as fast the hour passes."""

GIVE_UP = HOUR / 2
"""Seconds after which results are given up, in the second part."""

GIVEN_UP_FILMS = 30


def fail_destination(folder: Path, films: int, rng: random.Random, factor: float = FACTOR) -> dict[str, Any]:
    """Let the destination be down for an hour while films come in, then for longer than is waited.

    Returns
    -------
    dict
        How often it was called, what came of the results, and the node's memory.
    """
    hour, longer = folder / "hour", folder / "longer"
    hour.mkdir()
    longer.mkdir()
    came_back = _come_back(hour, films, rng, factor)
    given_up = _give_up(longer, min(films, GIVEN_UP_FILMS), factor)
    return {"hours_down": 1, "factor": factor, **came_back, "given_up": given_up}


def _come_back(folder: Path, films: int, rng: random.Random, factor: float) -> dict[str, Any]:
    destination, http_port = free_port(), free_port()
    options = options_of(folder, destination, "--http-port", str(http_port))
    paths = films_in(folder / "films", films)
    moments = sorted(rng.uniform(0, HOUR / factor) for _ in paths)
    with fast_node(folder, options, time.time(), factor) as (process, port):
        began = time.monotonic()
        with memory_over_time(process.pid) as memory:
            for path, moment in zip(paths, moments, strict=True):
                time.sleep(max(0.0, began + moment - time.monotonic()))
                check(store(port, path).returncode == 0, "a film was not taken")
            time.sleep(max(0.0, began + HOUR / factor - time.monotonic()))
            wait_until(lambda: state_of_node(http_port)["received"] == 0, "films are judged")
            state, attempts = state_of_node(http_port), unreachable(http_port)
            down = (time.monotonic() - began) * factor
        waiting = state["waiting"], state["sent"], state["failed"]
        check(waiting == (RESULTS * films, 0, 0), f"results that wait, were sent, were given up: {waiting}")
        most = _most_attempts(down)
        check(0 < attempts <= most, f"{attempts} attempts, expected {most} at most")
        with counting_archive(destination) as archive:
            back = time.monotonic()
            wait_until(lambda: bool(archive.times), "a result is sent")
            seconds = (time.monotonic() - back) * factor
            wait_until(lambda: len(archive.times) == RESULTS * films, "films are answered")
            wait_until(lambda: state_of_node(http_port)["waiting"] == 0, "all is entered as sent")
            ended(process)
    check_answers(archive, films, folder)
    return {
        "films": films,
        "results": len(archive.times),
        "sent_again": sent_again(archive),
        "attempts": attempts,
        "attempts_at_most": most,
        "seconds_until_it_was_called_again": round(seconds),
        "memory_mb": {"first": memory[0], "largest": max(memory), "last": memory[-1]},
    }


def _give_up(folder: Path, films: int, factor: float) -> dict[str, Any]:
    """Wait until results are given up; they are sent once they are asked for."""
    destination, http_port = free_port(), free_port()
    options = options_of(
        folder, destination, "--http-port", str(http_port), "--give-up", str(GIVE_UP / 86400)
    )
    paths = films_in(folder / "films", films)
    results, real = RESULTS * films, time.time()
    with fast_node(folder, options, real, factor) as (process, port):
        began = time.monotonic()
        check(store(port, *paths).returncode == 0, "films were not taken")
        wait_until(lambda: state_of_node(http_port)["failed"] > 0, "results are given up")
        after = (time.monotonic() - began) * factor
        check(after >= GIVE_UP, f"results were given up after {after:.0f} s")
        wait_until(lambda: state_of_node(http_port)["failed"] == results, "all results are given up")
        with counting_archive(destination) as archive:
            time.sleep(2 * LONGEST_PAUSE / factor)
            check(not archive.times, "results were sent that had been given up")
        ended(process)
    with (
        counting_archive(destination) as archive,
        fast_node(folder, [*options, "--retry-failed"], real, factor) as (process, port),
    ):
        wait_until(lambda: state_of_node(http_port)["sent"] == results, "results are sent after all")
        check(state_of_node(http_port)["failed"] == 0, "results are still given up")
        ended(process)
    check_answers(archive, films, folder)
    said = (folder / "log").read_text(encoding="utf-8").count("it is given up")
    check(said == results, f"the log tells of {said} results that were given up, not of {results}")
    return {
        "films": films,
        "give_up_minutes": round(GIVE_UP / 60),
        "given_up_after_minutes": round(after / 60),
        "results": results,
        "sent_when_asked_for": len(archive.times),
    }


def _most_attempts(seconds: float) -> int:
    """Return how many attempts fit in some seconds where chance makes each pause as short as it may be."""
    attempts, passed = 0, 0.0
    while passed <= seconds:
        passed += 0.5 * min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**attempts)
        attempts += 1
    return attempts
