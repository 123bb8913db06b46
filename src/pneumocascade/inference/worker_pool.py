"""A few workers, each asked about one film at a time, and replaced when it dies or takes too long."""

from __future__ import annotations

import json
import logging
import os
import queue
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from pneumocascade.imaging.read import name_of
from pneumocascade.inference.prepare import PreparedFilm, prepare_film
from pneumocascade.inference.worker_protocol import MAX_ANSWER, film_from_bytes, read_frame, write_frame
from pneumocascade.types import Reason

if TYPE_CHECKING:
    from pneumocascade.inference.prepare import AnySource
    from pneumocascade.model.spec import ModelSpec

SECONDS = 30.0
"""Longest time for one film: a hundred times what the largest takes."""

MEMORY = 3 << 30
"""Bytes that a worker may take besides what it starts with; the largest film that is read takes half."""

SAFE_PATH = {"PYTHONSAFEPATH": "1"}
"""Keeps a module that lies in the current folder from being loaded, from Python 3.11 on."""

START_SECONDS = 60.0
"""Longest time for a worker to start."""

_log = logging.getLogger(__name__)


class IsolatedReader:
    """Prepares films as :func:`pneumocascade.inference.prepare.prepare_film` does, in other processes.

    May be shared between threads, of which as many as there are workers are served at a time. Arrays,
    images and radiographs, which are decoded already, are prepared here.

    Parameters
    ----------
    workers : int
    seconds : float
        Longest time for one film.
    memory : int
        Bytes that a worker may take besides what it starts with.
    """

    def __init__(self, workers: int, *, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self.seconds = seconds
        self.memory = memory
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(workers):
            self._idle.put(None)  # started when it is needed

    def __call__(
        self,
        named: tuple[AnySource, str | None],
        *,
        specs: tuple[ModelSpec, ...],
        gate: bool = True,
        display: bool = False,
    ) -> PreparedFilm:
        """Prepare a film; one that costs its worker the life has status ``"error"``."""
        source, name = named
        if not isinstance(source, (str, bytes, os.PathLike)):
            return prepare_film(named, specs=specs, gate=gate, display=display)
        worker = self._idle.get()
        try:
            worker = worker or _Worker(self.memory)
            path = None if isinstance(source, bytes) else os.fsencode(source).hex()
            settings = {"path": path, "name": name, "gate": gate, "display": display}
            content = source if isinstance(source, bytes) else b""
            return worker.ask(settings, specs, content, self.seconds)
        except _GoneError as gone:
            _log.error("a worker that decodes films was replaced: %s", gone)
            worker = None
            return PreparedFilm(name or name_of(source), "error", error=Reason(gone.code, str(gone)))
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        """End the workers that are idle."""
        for _ in range(self._idle.qsize()):
            worker = self._idle.get()
            if worker is not None:
                worker.end()
            self._idle.put(None)


class _GoneError(Exception):
    """A worker died, or had to be killed."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Worker:
    """A process that decodes."""

    def __init__(self, memory: int) -> None:
        command = [sys.executable, "-m", "pneumocascade.inference.worker", str(memory)]
        self._process = subprocess.Popen(  # noqa: S603  this very interpreter, and no text from outside
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **SAFE_PATH},
        )
        self._exchange((), START_SECONDS)

    def ask(
        self,
        settings: dict[str, str | bool | None],
        specs: tuple[ModelSpec, ...],
        content: bytes,
        seconds: float,
    ) -> PreparedFilm:
        """Have a film prepared; see :mod:`pneumocascade.inference.worker`.

        Raises
        ------
        _GoneError
            Where the worker died of it, took too long, or answered nonsense.
        """
        stages = json.dumps([spec.to_json() for spec in specs]).encode()
        answer = self._exchange((json.dumps(settings).encode(), stages, content), seconds)
        try:
            return film_from_bytes(answer)
        except (ValueError, LookupError, TypeError) as error:
            self.end()
            raise _GoneError("decoder_failed", "the decoder gave no usable answer to this film") from error

    def _exchange(self, frames: tuple[bytes, ...], seconds: float) -> bytes:
        """Send frames and return the one that comes back, or kill the process when the time is over."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        late = threading.Event()

        def kill() -> None:
            late.set()
            self._process.kill()

        watch = threading.Timer(seconds, kill)
        watch.start()
        try:
            for frame in frames:
                write_frame(self._process.stdin, frame)
            return read_frame(self._process.stdout, MAX_ANSWER)
        except (OSError, EOFError, ValueError) as error:
            watch.cancel()
            self.end()
            if late.is_set():
                raise _GoneError(
                    "decoder_timeout", f"the film was not decoded within {seconds:g} seconds"
                ) from error
            raise _GoneError("decoder_failed", "the decoder died of this film") from error
        finally:
            watch.cancel()

    def end(self) -> None:
        """End the process and its pipes."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # what was not sent cannot be: the process is gone
                    _log.debug("a pipe to a worker was broken")
        self._process.wait()
