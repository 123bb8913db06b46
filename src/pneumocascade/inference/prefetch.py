"""Prefetching on threads: results in order, and a bounded number of them in advance."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch_map(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int, prefetch: int
) -> Generator[Result, None, None]:
    """Yield ``function(item)`` of each item, in order, while the next ones are being worked on.

    Parameters
    ----------
    function : callable
        Called on threads.
    items : iterable
        Taken up as results are asked for, on the thread that asks for results.
    workers : int
        Threads, at least 1.
    prefetch : int
        Items, at least 1, that are in work or wait to be asked for: what bounds the memory.

    Yields
    ------
    Result
        What the function raises comes out in its item's turn; what ``items`` raises, after the results
        of the items before.
    """
    left = iter(items)
    waiting: deque[Future[Result]] = deque()
    failure: Exception | None = None
    with ThreadPoolExecutor(workers) as pool:
        try:
            while True:
                try:
                    waiting.extend(
                        pool.submit(function, item) for item in islice(left, prefetch - len(waiting))
                    )
                except Exception as error:  # noqa: BLE001  whatever it is, it comes out in its turn
                    failure, left = error, iter(())
                if not waiting:
                    break
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
    if failure is not None:
        raise failure
