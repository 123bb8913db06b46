"""Contestants in processes of their own, which take turns on the same films.

In one process the threads of one library go on spinning for work into the turn of the next. Here a turn
begins when no contestant has used the processor for a while. Films go to a process over a pipe, and it says
how long it took; starting it and its first turn do not count.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import cycle, islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from benchmarks.timing import Judge, Row, spread

QUIET = 0.05
"""Seconds for which the contestants must have used no processor time."""

PATIENCE = 5.0
"""Seconds after which a turn begins all the same."""


class Contestant(NamedTuple):
    """What makes a judge in a process of its own: a function of a module, and its arguments."""

    make: Callable[..., Judge]
    arguments: tuple[object, ...] = ()


class _Player(NamedTuple):
    process: int
    pipe: Connection


def _play(pipe: Connection, contestant: Contestant) -> None:
    """Judge what comes over a pipe and answer with the seconds; end where it is closed."""
    judge = contestant.make(*contestant.arguments)
    pipe.send("ready")
    while True:
        try:
            films = pipe.recv()
        except EOFError:
            return
        started = time.perf_counter()
        judge(films)
        pipe.send(time.perf_counter() - started)


@contextmanager
def _player(contestant: Contestant) -> Iterator[_Player]:
    context = multiprocessing.get_context("spawn")  # a forked process has no threads of its libraries
    ours, theirs = context.Pipe()
    process = context.Process(target=_play, args=(theirs, contestant), daemon=True)
    process.start()
    theirs.close()
    assert process.pid is not None
    try:
        _answer(ours, contestant)
        yield _Player(process.pid, ours)
    finally:
        ours.close()
        process.join(PATIENCE)
        if process.is_alive():
            process.kill()


def _answer(pipe: Connection, contestant: Contestant | str) -> object:
    try:
        return pipe.recv()
    except EOFError as error:
        raise RuntimeError(f"{contestant} ended before its turn did; its traceback is above") from error


def _ticks(process: int) -> int:
    """Return the processor time of a process, all threads, in ticks of the clock."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def wait_until_idle(processes: Sequence[int]) -> bool:
    """Wait until processes use no processor time; return whether they came to that."""
    if not Path("/proc/self/stat").exists():  # not Linux
        time.sleep(10 * QUIET)
        return False
    quiet = max(QUIET, 3 / os.sysconf("SC_CLK_TCK"))
    until = time.monotonic() + PATIENCE
    used = [_ticks(each) for each in processes]
    while time.monotonic() < until:
        time.sleep(quiet)
        now = [_ticks(each) for each in processes]
        if now == used:
            return True
        used = now
    return False


def seconds_by_turn(
    contestants: Mapping[str, Contestant], turns: Sequence[Sequence[Path]]
) -> dict[str, list[float]]:
    """Return how long each contestant takes over each turn's films; the first turn does not count.

    Parameters
    ----------
    contestants : mapping of str to Contestant
        Who begins changes from turn to turn.
    turns : sequence of sequence of Path
        At least two.
    """
    found: dict[str, list[float]] = {name: [] for name in contestants}
    with ExitStack() as stack:
        players = {name: stack.enter_context(_player(each)) for name, each in contestants.items()}
        names = list(players)
        for number, films in enumerate(turns):
            first = number % len(names)
            for name in (*names[first:], *names[:first]):
                wait_until_idle([player.process for player in players.values()])
                players[name].pipe.send(films)
                taken = _answer(players[name].pipe, name)
                assert isinstance(taken, float)
                if number:
                    found[name].append(taken)
    return found


def contest(
    contestants: Mapping[str, Contestant], films: Sequence[Path], count: int, rounds: int
) -> dict[str, Row]:
    """Time contestants on the same films, ``count`` a turn, in ``rounds`` turns that count; per film."""
    if len(films) < count:
        raise ValueError(f"{len(films)} films, expected at least the {count} of one turn")
    endless = cycle(films)
    turns = [list(islice(endless, count)) for _ in range(rounds + 1)]
    taken = seconds_by_turn(contestants, turns)
    return {name: spread([each / count for each in seconds]) for name, seconds in taken.items()}
