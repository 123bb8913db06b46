"""One worker at a time, watched: a crash or a hang is reported, and the next worker goes on."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType

from torture.worker import MEMORY, Outcome, Task, serve

START = 120.0
"""Seconds within which a worker is to be ready."""


class Watcher:
    """Gives inputs to a worker process, which is started again where one ends it.

    Parameters
    ----------
    warm : sequence of bytes
        See :func:`torture.worker.serve`.
    seconds : float
        After which an input counts as a hang.
    memory : int
        Bytes of address space beyond those at the worker's start.

    Attributes
    ----------
    starts : int
        How many workers there were.
    """

    def __init__(self, warm: Sequence[bytes], seconds: float = 5.0, memory: int = MEMORY) -> None:
        self.warm, self.seconds, self.memory = tuple(warm), seconds, memory
        self.starts = 0
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None

    def __enter__(self) -> Watcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def run(self, task: Task) -> Outcome:
        """Return what becomes of one input."""
        connection = self._started()
        started = time.perf_counter()
        try:
            connection.send(task)
            if not connection.poll(self.seconds):
                self.stop()
                return Outcome("hang", f"no answer in {self.seconds:g} s", time.perf_counter() - started)
            outcome = connection.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            seconds = time.perf_counter() - started
            return Outcome("crash", self._how_it_ended(), seconds)
        assert isinstance(outcome, Outcome)
        if outcome.out_of_memory:
            self.stop()  # what was left half done must not be the next input's
        return outcome

    def stop(self) -> None:
        """End the worker."""
        if self._process is None or self._connection is None:
            return
        self._connection.close()
        self._process.kill()
        self._process.join()
        self._process = self._connection = None

    def _started(self) -> Connection:
        if self._connection is None:
            context = multiprocessing.get_context("spawn")
            self._connection, theirs = context.Pipe()
            self._process = context.Process(target=serve, args=(theirs, self.warm, self.memory), daemon=True)
            self._process.start()
            theirs.close()
            if not self._connection.poll(START) or self._connection.recv() != "ready":
                self.stop()
                raise RuntimeError("the worker did not start")
            self.starts += 1
        return self._connection

    def _how_it_ended(self) -> str:
        assert self._process is not None
        self._process.join()
        code = self._process.exitcode or 0
        self.stop()
        if code >= 0:
            return f"the worker ended with status {code}"
        return f"the worker was ended by {signal.Signals(-code).name}"
