"""Batches shared by concurrent requests: one worker takes films of all of them through the cascade.

Requests that each run the models on their own wait without limit. Here they stand in one line: the
worker takes up what is there, a film of each request in turn, and never waits for a batch to fill.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

from pneumocascade.cascade import DEFAULT_OPERATING_POINT
from pneumocascade.errors import UsageError
from pneumocascade.line import Film, Group, Line, Taken

if TYPE_CHECKING:
    from pneumocascade.cascade import Cascade
    from pneumocascade.records import Prediction

BATCH_SIZE = 8
"""Films that go through a model at once."""

MAX_WAITING = 256
"""Films that may wait to be taken up, of all requests together."""

STOP_SECONDS = 30.0
"""Longest wait, when the worker is stopped, for the films that it has taken up."""

_RUN = 8
"""Batches of one operating point after which another one has its turn."""

_log = logging.getLogger(__name__)


class Batcher:
    """Gives films of concurrent requests to a cascade, in shared batches. May be shared between threads.

    Parameters
    ----------
    cascade : Cascade
        Gives every answer.
    batch_size : int
        Films that go through a model at once.
    max_waiting : int
        Films that may wait; a request of more is never taken.
    workers : int
        Threads that read and prepare the films of a batch; 0 for one per core, and never more than
        films in a batch.

    Raises
    ------
    UsageError
        Where one of these numbers makes no sense.
    """

    def __init__(
        self,
        cascade: Cascade,
        *,
        batch_size: int = BATCH_SIZE,
        max_waiting: int = MAX_WAITING,
        workers: int = 0,
    ) -> None:
        if batch_size < 1 or max_waiting < 1 or workers < 0:
            raise UsageError(
                f"batch_size is {batch_size}, max_waiting {max_waiting} and workers {workers}; "
                "expected at least 1, 1 and 0"
            )
        self.cascade = cascade
        self.batch_size = batch_size
        self.max_waiting = max_waiting
        self.workers = min(workers or os.cpu_count() or 1, batch_size)
        self._line = Line(max_waiting)
        self._worker: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """Films that are not taken up yet."""
        return len(self._line)

    def start(self) -> None:
        """Begin to take films."""
        self._line.open()
        if self._worker is None or not self._worker.is_alive():
            self._worker = threading.Thread(target=self._work, name="batcher", daemon=True)
            self._worker.start()

    def stop(self) -> None:
        """Refuse what waits, finish what is taken up, and end the worker; :meth:`start` begins again."""
        self._line.close()
        if self._worker is not None:
            self._worker.join(STOP_SECONDS)

    def submit(
        self, films: Sequence[Film], operating_point: str = DEFAULT_OPERATING_POINT
    ) -> Future[list[Prediction]]:
        """Put the films of one request in the line, all or none of them.

        Parameters
        ----------
        films : sequence of Film
        operating_point : {"balanced", "sensitive", "specific"}

        Returns
        -------
        Future of list of Prediction
            One answer for each film, in order. It raises :class:`pneumocascade.errors.BusyError` where the
            worker is stopped before, and whatever else judging one of the films raises; it cannot be
            cancelled.

        Raises
        ------
        BusyError
            Where they do not fit, or the worker was stopped. It need not be started: that is done here.
        UsageError
            For an unknown operating point, no film, or more films than may ever wait.
        """
        self.cascade.predict_many((), operating_point=operating_point)  # judges nothing: checks the name
        if not 0 < len(films) <= self.max_waiting:
            raise UsageError(f"{len(films)} films were given at once; expected 1 to {self.max_waiting}")
        if self._worker is None:  # whoever serves the app need not run its lifespan
            self.start()
        group = Group(films, operating_point)
        self._line.add(group)
        return group.future

    def _work(self) -> None:
        while (first := self._line.wait()) is not None:
            self._run(first)

    def _run(self, first: Taken) -> None:
        """Judge films of one operating point, until none waits or another point has its turn."""
        taken = deque([first])  # without an answer so far
        names: deque[str] = deque()  # not asked for so far
        try:
            answers = self.cascade.predict_many(
                self._contents(taken, names),
                batch_size=self.batch_size,
                operating_point=first.group.operating_point,
                workers=self.workers,
                names=_emptied(names),
            )
            before = time.perf_counter()
            for prediction in answers:
                taken.popleft().group.answer(prediction)
                now = time.perf_counter()
                self._line.note(now - before)
                before = now
        except Exception:  # noqa: BLE001  the worker goes on, whatever it is
            _log.exception("a batch failed: its films are judged one by one")
        # One film must not cost the others of its batch their answers.
        for each in taken:
            self._judge_alone(each)

    def _contents(self, taken: deque[Taken], names: deque[str]) -> Iterator[bytes]:
        """Read the film that is taken up, then take up and read others, as the cascade asks for them."""
        operating_point = taken[-1].group.operating_point
        for left in reversed(range(_RUN * self.batch_size)):
            try:
                content = taken[-1].film.read()
            except Exception as error:  # noqa: BLE001  it is raised where the answer is waited for
                self._line.drop(taken.pop().group, error)
            else:
                names.append(taken[-1].film.name)
                yield content
            following = self._line.take(operating_point) if left else None
            if following is None:
                return
            taken.append(following)

    def _judge_alone(self, each: Taken) -> None:
        if each.group.future.done():
            return
        try:
            (prediction,) = self.cascade.predict_many(
                [each.film.read()], operating_point=each.group.operating_point, names=[each.film.name]
            )
        except Exception as error:  # noqa: BLE001  it is raised where the answer is waited for
            self._line.drop(each.group, error)
        else:
            each.group.answer(prediction)


def _emptied(names: deque[str]) -> Iterator[str]:
    while names:
        yield names.popleft()
