"""The queue of films that wait for the models: bounded, and fair to requests of one film beside large."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, NamedTuple

from pneumocascade.errors import BusyError

if TYPE_CHECKING:
    from pneumocascade.types import Prediction

_RECENT = 64
"""Answers that the rate is estimated from."""


class QueuedFilm(NamedTuple):
    """One film of a request.

    Attributes
    ----------
    name : str
        Shown as the answer's ``source``.
    read : callable
        Gives the file's bytes, however often it is called; called on another thread. A ``FilmError`` that it
        raises becomes the answer to this film; any other exception fails the request.
    """

    name: str
    read: Callable[[], bytes]


class Group:
    """The films of one request: those that wait, and the answers so far.

    Parameters
    ----------
    films : sequence of QueuedFilm
    operating_point : str
    prior : float, optional
    display : bool

    Attributes
    ----------
    waiting : deque of QueuedFilm
        Films not taken up yet. They are taken up in order, and may be answered in any.
    future : Future of list of Prediction
        Done when the last answer is given, or when judging one film fails. It cannot be cancelled: whoever
        waits for it may go away, and those who give the answers need not know.
    """

    def __init__(
        self,
        films: Sequence[QueuedFilm],
        operating_point: str,
        prior: float | None = None,
        display: bool = False,
        threshold: float | None = None,
    ) -> None:
        self.threshold = threshold
        self.operating_point = operating_point
        self.prior = prior
        self.display = display
        self.waiting = deque(films)
        self.future: Future[list[Prediction]] = Future()
        self.future.set_running_or_notify_cancel()
        self._size = len(films)
        self._answers: dict[int, Prediction] = {}
        self._lock = threading.Lock()  # it may fail on one thread while an answer is given on another

    @property
    def terms(self) -> tuple[str, float | None, bool, float | None]:
        """Operating point, prior, display copy, threshold: films that agree in these make a batch."""
        return self.operating_point, self.prior, self.display, self.threshold

    @property
    def taken(self) -> int:
        """How many films have been taken up."""
        return self._size - len(self.waiting)

    def answer(self, index: int, prediction: Prediction) -> None:
        """Take the answer to the film of that index."""
        with self._lock:
            self._answers[index] = prediction
            if len(self._answers) == self._size and not self.future.done():
                self.future.set_result([self._answers[number] for number in range(self._size)])

    def fail(self, error: Exception) -> None:
        """Raise an exception where the answers are waited for, unless they are there already."""
        with self._lock:
            if not self.future.done():
                self.future.set_exception(error)


class Taken(NamedTuple):
    """A film that has left the queue, the request that it is of, and its place in it, from 0."""

    group: Group
    place: int
    film: QueuedFilm


class FilmQueue:
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
        self._changed = threading.Condition()  # of all of these

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
            Where they do not fit, or the queue is closed.
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

    def wait(self, most: int) -> list[Taken]:
        """Take films of one operating point and prior as soon as there are any; none where closed.

        The first request's have their turn; of each of its requests one film is taken in
        turn, and a request that has more goes to the end of the queue, so that none waits for a large one.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._groups or not self._open)
            taken: list[Taken] = []
            while len(taken) < most and (group := self._next(taken)) is not None:
                taken.append(Taken(group, group.taken, group.waiting.popleft()))
                self._films -= 1
                self._groups.remove(group)
                if group.waiting:
                    self._groups.append(group)
            return taken

    def _next(self, taken: Sequence[Taken]) -> Group | None:
        """Return the first request, but none of another operating point or prior than those taken."""
        wanted = taken[0].group.terms if taken else None
        fitting = (group for group in self._groups if wanted in (None, group.terms))
        return next(fitting, None)

    def drop(self, group: Group, error: Exception) -> None:
        """Give a request an exception for its answer; its films that wait leave the queue."""
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
        """Return the whole seconds, at least 1, that those in the queue take at the recent rate."""
        if not self._seconds:
            return 1
        return max(1, math.ceil(self._films * sum(self._seconds) / len(self._seconds)))


def _closed() -> BusyError:
    return BusyError("the server is stopping: try again later", 1)
