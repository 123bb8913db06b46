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

from pneumocascade.errors import FilmError
from pneumocascade.imaging.read import bytes_if_undecoded, name_of
from pneumocascade.inference.prepare import PreparedFilm, prepare_film
from pneumocascade.inference.worker_protocol import (
    MAX_ANSWER,
    MAX_NUMBER,
    film_from_bytes,
    read_frame,
    write_frame,
)
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

_NONSENSE = "the decoder gave no usable answer to this film"

_NOT_STARTED = (
    "the process that decodes films could not be started; the film was not read, and nothing is known to be "
    "wrong with it: see that the machine has memory and processes left, and try again"
)

_log = logging.getLogger(__name__)


class IsolatedReader:
    """Prepares films as :func:`pneumocascade.inference.prepare.prepare_film` does, in other processes.

    May be shared between threads, of which as many as there are workers are served at a time. Whatever is
    still to be decoded goes to a worker: paths, bytes and buffers, binary files, and pydicom data sets.
    Arrays, tensors, PIL images and radiographs are prepared here.

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
        given, shown = named
        name = shown or name_of(given)
        try:
            source = bytes_if_undecoded(given)
        except FilmError as error:
            return PreparedFilm(name, "error", error=Reason(error.code, error.message))
        if not isinstance(source, (str, bytes, os.PathLike)):
            return prepare_film(named, specs=specs, gate=gate, display=display)
        worker = self._idle.get()
        kept: _Worker | None = None  # put back only where it answered
        try:
            if worker is not None and not worker.runs:
                worker.end()  # its pipes
                worker = None
                _log.warning("a worker that decodes films had died while it was idle")
            if worker is None:
                worker = _Worker(self.memory)
            path = None if isinstance(source, bytes) else os.fsencode(source).hex()
            settings = {"path": path, "name": name, "gate": gate, "display": display}
            content = source if isinstance(source, bytes) else b""
            film = worker.ask(settings, specs, content, self.seconds)
            kept = worker
            return film
        except _GoneError as gone:
            _log.error("a worker that decodes films is gone: %s", gone)
            return PreparedFilm(name, "error", error=Reason(gone.code, str(gone)))
        finally:
            if worker is not None and kept is None:
                worker.end()
            self._idle.put(kept)

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
    """A process that decodes.

    Raises
    ------
    _GoneError
        Where it does not start within ``START_SECONDS``.
    """

    def __init__(self, memory: int) -> None:
        command = [sys.executable, "-m", "pneumocascade.inference.worker", str(memory)]
        self._asked = 0
        try:
            self._process = subprocess.Popen(  # noqa: S603  this very interpreter, and no text from outside
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **SAFE_PATH},
            )
            self._exchange((), START_SECONDS)
        except (OSError, _GoneError) as error:
            raise _GoneError("decoder_not_started", _NOT_STARTED) from error

    @property
    def runs(self) -> bool:
        """Whether the process is there; one that is idle may have been killed, for its memory perhaps."""
        return self._process.poll() is None

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
        self._asked += 1
        answer = self._exchange((json.dumps(settings).encode(), stages, content), seconds)
        try:
            return film_from_bytes(answer)
        except (ValueError, LookupError, TypeError) as error:
            raise _GoneError("decoder_failed", _NONSENSE) from error

    def _exchange(self, frames: tuple[bytes, ...], seconds: float) -> bytes:
        """Send a request and return its answer; the process is ended where there is none, or not in time.

        What comes back must repeat the number of the request, so that no film gets the answer to another.
        Before the first request the worker says by itself, with the number 0, that it is ready.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        late = threading.Event()

        def kill() -> None:
            late.set()
            self._process.kill()

        number = b"%d" % self._asked
        watch = threading.Timer(seconds, kill)
        try:
            watch.start()
            for frame in (number, *frames) if frames else ():
                write_frame(self._process.stdin, frame)
            repeated = read_frame(self._process.stdout, MAX_NUMBER)
            if repeated != number:
                raise ValueError(f"an answer to request {repeated!r}, expected {number!r}")
            answer = read_frame(self._process.stdout, MAX_ANSWER)
        except (OSError, EOFError, ValueError) as error:
            watch.cancel()
            self.end()
            raise self._gone(error, seconds if late.is_set() else None) from error
        except BaseException:  # such as MemoryError: what was not read now must not be read for the next film
            self.end()
            raise
        finally:
            watch.cancel()
            if watch.ident is not None:
                watch.join()  # it may be about to kill, and must not do so while the next film is decoded
        if late.is_set():
            self.end()
            raise self._gone(None, seconds)
        return answer

    @staticmethod
    def _gone(error: Exception | None, seconds: float | None) -> _GoneError:
        """Return what an error of the pipes means, with the seconds of a process that had no more of them."""
        if seconds is not None:
            return _GoneError("decoder_timeout", f"the film was not decoded within {seconds:g} seconds")
        if isinstance(error, ValueError):
            return _GoneError("decoder_failed", _NONSENSE)
        return _GoneError("decoder_failed", "the decoder died of this film")

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
