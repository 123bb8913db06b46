"""One queue for the films of concurrent requests: a few workers take them through the cascade, in batches.

Requests that each run the models on their own wait without limit. Here they stand in one queue: a worker
that is free takes up what is there, a film of each request in turn, and never waits for a batch to fill.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

from pneumocascade.errors import FilmError, UsageError
from pneumocascade.inference.cascade import DEFAULT_OPERATING_POINT
from pneumocascade.model.engines.processor import usable_cores
from pneumocascade.server.queue import FilmQueue, Group, QueuedFilm, Taken

if TYPE_CHECKING:
    from pneumocascade.inference.cascade import Cascade
    from pneumocascade.types import Prediction

MAX_WAITING = 256
"""Films that may wait to be taken up, of all requests together."""

STOP_SECONDS = 30.0
"""Longest wait, when the workers are stopped, for the films that they have taken up."""

_log = logging.getLogger(__name__)


class Batcher:
    """Gives films of concurrent requests to a cascade, in batches. May be shared between threads.

    Parameters
    ----------
    cascade : Cascade
        Gives every answer.
    batch_size : int, optional
        Films that go through a model at once; by default as many as is fastest: 1 on the CPU.
    max_waiting : int
        Films that may wait; a request of more is never taken.
    workers : int
        Batches that are judged at once; 0 for two for each core: one is read while another is in the models.

    Raises
    ------
    UsageError
        Where one of these numbers makes no sense.
    """

    def __init__(
        self,
        cascade: Cascade,
        *,
        batch_size: int | None = None,
        max_waiting: int = MAX_WAITING,
        workers: int = 0,
    ) -> None:
        batch_size = cascade.batch_size if batch_size is None else batch_size
        if batch_size < 1 or max_waiting < 1 or workers < 0:
            raise UsageError(
                f"batch_size is {batch_size}, max_waiting {max_waiting} and workers {workers}; "
                "expected at least 1, 1 and 0"
            )
        self.cascade = cascade
        self.batch_size = batch_size
        self.max_waiting = max_waiting
        self.workers = workers or 2 * usable_cores()
        self._queue = FilmQueue(max_waiting)
        self._threads: list[threading.Thread] = []

    @property
    def waiting(self) -> int:
        """Films that are not taken up yet."""
        return len(self._queue)

    def start(self) -> None:
        """Begin to take films."""
        self._queue.open()
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        for number in range(len(self._threads), self.workers):
            thread = threading.Thread(target=self._work, name=f"batcher {number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Refuse what waits, finish what is taken up, and end the workers; :meth:`start` begins again."""
        self._queue.close()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def submit(
        self,
        films: Sequence[QueuedFilm],
        operating_point: str = DEFAULT_OPERATING_POINT,
        prior: float | None = None,
        *,
        display: bool = False,
        threshold: float | None = None,
    ) -> Future[list[Prediction]]:
        """Put the films of one request in the queue, all or none of them.

        Parameters
        ----------
        films : sequence of QueuedFilm
        operating_point : {"balanced", "sensitive", "specific"}
        prior : float, optional
            Share of pneumonia among the films; by default the stored one.
        display : bool
            Whether the answers are to have a display copy.
        threshold : float, optional
            Of stage 1, in place of the operating point's.

        Returns
        -------
        Future of list of Prediction
            One answer for each film, in order. It raises :class:`pneumocascade.errors.BusyError` where the
            workers are stopped before, and whatever else judging one of the films raises; it cannot be
            cancelled.

        Raises
        ------
        BusyError
            Where they do not fit, or the workers were stopped. They need not be started: that is done here.
        UsageError
            For an unknown operating point, a prior that is no share, a threshold that is no probability, no
            film, or more films than may wait.
        """
        # Judges nothing, but checks all three.
        self.cascade.predict_many((), operating_point=operating_point, prior=prior, threshold=threshold)
        if not 0 < len(films) <= self.max_waiting:
            raise UsageError(f"{len(films)} films were given at once; expected 1 to {self.max_waiting}")
        if not self._threads:  # whoever serves the app need not run its lifespan
            self.start()
        group = Group(films, operating_point, prior, display, threshold)
        self._queue.add(group)
        return group.future

    def _work(self) -> None:
        while batch := self._queue.wait(self.batch_size):
            started = time.perf_counter()
            self._run(batch)
            self._queue.note((time.perf_counter() - started) / (len(batch) * self.workers))

    def _run(self, batch: Sequence[Taken]) -> None:
        """Judge films of one operating point."""
        contents = {taken: content for taken in batch if (content := self._content(taken)) is not None}
        try:
            predictions = self._judge(contents)
        except Exception:  # noqa: BLE001  the worker goes on, whatever it is
            _log.exception("a batch failed: its films are judged one by one")
            # One film must not cost the others of its batch their answers.
            for taken, content in contents.items():
                self._judge_alone(taken, content)
        else:
            for taken, prediction in zip(contents, predictions, strict=True):
                self._answer(taken, prediction)

    def _content(self, taken: Taken) -> bytes | None:
        """Return a film's bytes; where it has none it is answered, or its request dropped."""
        group = taken.group
        try:
            return taken.film.read()
        except FilmError as error:  # a damaged member of an archive costs none of the others its answer
            unread = self.cascade.unread(
                taken.film.name,
                error,
                operating_point=group.operating_point,
                prior=group.prior,
                threshold=group.threshold,
            )
            self._answer(taken, unread)
        except Exception as error:  # noqa: BLE001  it is raised where the answer is waited for
            self._queue.drop(group, error)
        return None

    def _judge_alone(self, taken: Taken, content: bytes) -> None:
        if taken.group.future.done():
            return
        try:
            (prediction,) = self._judge({taken: content})
        except Exception as error:  # noqa: BLE001  it is raised where the answer is waited for
            self._queue.drop(taken.group, error)
        else:
            self._answer(taken, prediction)

    def _answer(self, taken: Taken, prediction: Prediction) -> None:
        """Record an answer, once only, whatever became of the others of its batch, and give it."""
        if taken.group.future.done():
            return
        try:
            recorded = self.cascade.record(prediction)
        except Exception as error:  # noqa: BLE001  it is raised where the answer is waited for
            self._queue.drop(taken.group, error)
        else:
            taken.group.answer(taken.place, recorded)

    def _judge(self, contents: Mapping[Taken, bytes]) -> list[Prediction]:
        if not contents:
            return []
        group = next(iter(contents)).group
        predictions = self.cascade.predict_many(
            contents.values(),
            batch_size=self.batch_size,
            operating_point=group.operating_point,
            prior=group.prior,
            threshold=group.threshold,
            display=group.display,
            names=[taken.film.name for taken in contents],
            record=False,  # each answer is recorded once, whatever becomes of its batch
        )
        found = list(predictions)
        if len(found) != len(contents):
            raise RuntimeError(f"{len(contents)} films were judged and {len(found)} answers given")
        return found
