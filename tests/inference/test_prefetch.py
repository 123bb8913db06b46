"""Results in order, no more in work than asked for, and failures in their turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pneumocascade.inference.prefetch import prefetch_map


@settings(max_examples=40)
@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 4), st.integers(1, 9))
def test_results_come_in_order(delays: list[int], workers: int, prefetch: int) -> None:
    def slow(item: tuple[int, int]) -> int:
        time.sleep(item[1] / 2000)
        return item[0]

    assert list(prefetch_map(slow, enumerate(delays), workers=workers, prefetch=prefetch)) == list(
        range(len(delays))
    )


@pytest.mark.parametrize("prefetch", [1, 2, 5])
def test_no_more_is_taken_up_than_asked_for(prefetch: int) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(50):
            taken += 1
            yield number

    for given_out, _ in enumerate(prefetch_map(str, items(), workers=2, prefetch=prefetch)):
        assert taken <= given_out + prefetch


def test_work_goes_on_while_results_are_used() -> None:
    started = [threading.Event() for _ in range(3)]

    def begin(number: int) -> int:
        started[number].set()
        return number

    results = prefetch_map(begin, range(3), workers=1, prefetch=3)
    assert next(results) == 0
    assert all(event.wait(5) for event in started), "the next ones wait until they are asked for"
    results.close()


def test_failures_come_in_their_turn() -> None:
    results = prefetch_map(lambda number: 1 // number, [2, 1, 0, 1], workers=2, prefetch=4)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_what_the_items_raise_comes_after_the_results_before() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2, 3)
        raise ValueError("no more")

    results = prefetch_map(str, items(), workers=2, prefetch=8)
    assert [next(results) for _ in range(3)] == ["1", "2", "3"]
    with pytest.raises(ValueError, match="no more"):
        next(results)


def test_what_is_no_longer_wanted_is_not_begun() -> None:
    begun = []
    release = threading.Event()

    def wait(number: int) -> int:
        begun.append(number)
        if number:
            release.wait(5)
        return number

    results = prefetch_map(wait, range(100), workers=1, prefetch=50)
    next(results)
    threading.Timer(0.05, release.set).start()
    results.close()
    assert len(begun) <= 3
