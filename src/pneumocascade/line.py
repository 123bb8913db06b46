"""The line of films that wait for the models: bounded, and fair to requests of one film beside large ones."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, NamedTuple

from pneumocascade.errors import BusyError

if TYPE_CHECKING:
    from pneumocascade.records import Prediction

_RECENT = 64
"""Answers that the rate is estimated from."""


class Film(NamedTuple):
    """One film of a request.

    Attributes
    ----------
    name : str
        Shown as the answer's ``source``.
    read : callable
        Gives the file's bytes, however often it is called; called on another thread.
    """

    name: str
    read: Callable[[], bytes]


class Group:
    """The films of one request: those that wait, and the answers so far.

    Parameters
    ----------
    films : sequence of Film
    operating_point : str

    Attributes
    ----------
    waiting : deque of Film
        Films not taken up yet. They are to be taken up, and answered, in order.
    future : Future of list of Prediction
        Done when the last answer is given, or when one film fails. It cannot be cancelled: whoever
        waits for it may go away, and those who give the answers need not know.
    """

    def __init__(self, films: Sequence[Film], operating_point: str) -> None:
        self.operating_point = operating_point
        self.waiting = deque(films)
        self.future: Future[list[Prediction]] = Future()
        self.future.set_running_or_notify_cancel()
        self._size = len(films)
        self._answers: list[Prediction] = []
        self._lock = threading.Lock()  # it may fail on one thread while an answer is given on another

    def answer(self, prediction: Prediction) -> None:
        """Take the answer to the next film."""
        with self._lock:
            self._answers.append(prediction)
            if len(self._answers) == self._size and not self.future.done():
                self.future.set_result(self._answers)

    def fail(self, error: Exception) -> None:
        """Raise an exception where the answers are waited for, unless they are there already."""
        with self._lock:
            if not self.future.done():
                self.future.set_exception(error)


class Taken(NamedTuple):
    """A film that has left the line, and the request that it is of."""

    group: Group
    film: Film


class Line:
    """Requests that wait, closed until it is opened. May be shared between threads.

    Parameters
    ----------
    limit : int
        Films that may wait, of all requests together.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._groups: deque[Group] = deque()
        self._films = 0
        self._seconds: deque[float] = deque(maxlen=_RECENT)
        self._open = False
        self._changed = threading.Condition()  # guards all of these

    def __len__(self) -> int:
        return self._films

    def open(self) -> None:
        """Let requests in."""
        with self._changed:
            self._open = True

    def close(self) -> None:
        """Let no more requests in, and refuse those that wait, wholly or in part."""
        with self._changed:
            self._open = False
            for group in list(self._groups):
                self.drop(group, _closed())
            self._changed.notify_all()

    def add(self, group: Group) -> None:
        """Let a request in, with all its films.

        Raises
        ------
        BusyError
            Where they do not fit, or the line is closed.
        """
        films = len(group.waiting)
        with self._changed:
            if not self._open:
                raise _closed()
            if self._films + films > self.limit:
                raise BusyError(
                    f"{self._films} films wait and at most {self.limit} may: no room for {films} more, "
                    "try again later",
                    self._seconds_left(),
                )
            self._groups.append(group)
            self._films += films
            self._changed.notify_all()

    def wait(self) -> Taken | None:
        """Take a film as soon as there is one; ``None`` where the line is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._groups or not self._open)
            return self.take()

    def take(self, operating_point: str | None = None) -> Taken | None:
        """Take a film of the first request of an operating point, or of any, if one waits.

        A request that has more films goes to the end of the line, so that none waits for a large one.
        """
        with self._changed:
            fitting = (one for one in self._groups if operating_point in (None, one.operating_point))
            group = next(fitting, None)
            if group is None:
                return None
            self._groups.remove(group)
            self._films -= 1
            taken = Taken(group, group.waiting.popleft())
            if group.waiting:
                self._groups.append(group)
            return taken

    def drop(self, group: Group, error: Exception) -> None:
        """Give a request an exception for its answer; its films that wait leave the line."""
        with self._changed:
            if group in self._groups:
                self._groups.remove(group)
                self._films -= len(group.waiting)
        group.fail(error)

    def note(self, seconds: float) -> None:
        """Learn how long one film took, for the rate."""
        with self._changed:
            self._seconds.append(seconds)

    def _seconds_left(self) -> int:
        """Return the whole seconds, at least 1, that those in the line take at the recent rate."""
        if not self._seconds:
            return 1
        return max(1, math.ceil(self._films * sum(self._seconds) / len(self._seconds)))


def _closed() -> BusyError:
    return BusyError("the server is stopping: try again later", 1)
