"""The process in which inputs are read: its memory has a limit, and its end is not that of the run."""

from __future__ import annotations

import os
import re
import resource
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

from pneumocascade import Cascade, FilmError, Prediction, read_radiograph
from pneumocascade.output.rows import to_csv
from tests.imaging.dicom.objects import NAME
from tests.tiny_models import write_tiny_models
from torture.arrays import ARRAYS
from torture.codes import CODES, is_sound
from torture.names import SCENARIOS, answered

MEMORY = 1 << 30
"""Bytes of address space that a worker may take beyond what it has once everything is loaded."""

Way = Literal["bytes", "array", "file", "names"]


@dataclass(frozen=True, slots=True)
class Task:
    """One input.

    Attributes
    ----------
    way : {"bytes", "array", "file", "names"}
        To :func:`pneumocascade.read_radiograph`, or through ``find_sources`` and ``Cascade.predict``
        from a file with ``name``, or of a scenario of :mod:`torture.names`.
    name : str
    content : bytes
        Of the file; nothing for an array or a scenario, which the worker makes by its name.
    """

    way: Way
    name: str
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an input.

    Attributes
    ----------
    outcome : str
        ``"radiograph"``, a code of :mod:`pneumocascade.errors`, ``"refused"``, ``"answers"`` for
        several, or, where it is a failure, ``"failure"``, ``"crash"`` or ``"hang"``.
    detail : str
        Of a failure.
    seconds : float
    peak : int
        Bytes of memory in use at most, beyond what the worker had before.
    out_of_memory : bool
        The limit was met on the way to this outcome.
    """

    outcome: str
    detail: str = ""
    seconds: float = 0.0
    peak: int = 0
    out_of_memory: bool = False

    @property
    def failed(self) -> bool:
        """Whether it is anything but a radiograph or a listed code."""
        return self.outcome in ("failure", "crash", "hang")


def serve(connection: Connection, warm: Sequence[bytes], memory: int) -> None:
    """Answer tasks until the other end closes; the first message says that the limit is set.

    Parameters
    ----------
    connection : Connection
    warm : sequence of bytes
        Sound films that load every decoder before the limit is set.
    memory : int
        Bytes beyond what the process has then.
    """
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)  # what the decoders in C say of damage, line upon line
    for film in warm:
        read_radiograph(film)
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder) / "models"
        models.mkdir()
        cascade = Cascade.load(write_tiny_models(models), threads=1)
        cascade.predict(warm[0])
        limit = _status("VmSize") + memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        connection.send("ready")
        while True:
            try:
                task = connection.recv()
            except EOFError:
                return
            connection.send(judged(task, cascade, Path(folder)))


def judged(task: Task, cascade: Cascade, folder: Path) -> Outcome:
    """Return what becomes of an input, with its time and memory."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the high-water mark starts again
    before = _status("VmRSS")
    started = time.perf_counter()
    met = False
    try:
        ended, detail = _read(task) if task.way in ("bytes", "array") else _named(task, cascade, folder)
    except FilmError as error:
        ended, detail = _checked(error.code, error.message)
        met = _met_the_limit(error)
    except BaseException as error:  # noqa: BLE001  whatever else comes out is a finding
        ended, detail = "failure", "".join(traceback.format_exception(error, limit=-6))
    seconds = time.perf_counter() - started
    return Outcome(ended, detail, seconds, max(0, _status("VmHWM") - before), met)


def _read(task: Task) -> tuple[str, str]:
    film = read_radiograph(task.content if task.way == "bytes" else ARRAYS[task.name]())
    return ("radiograph", "") if is_sound(film) else ("failure", f"an unsound radiograph: {film!r:.200}")


def _checked(code: str, message: str) -> tuple[str, str]:
    if code not in CODES:
        return "failure", f"the code {code!r} is not listed"
    if NAME.split("^")[0] in message:
        return "failure", f"the message tells the patient's name: {message}"
    return code, ""


def _met_the_limit(error: BaseException) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _named(task: Task, cascade: Cascade, folder: Path) -> tuple[str, str]:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        if task.way == "names":
            answers = SCENARIOS[task.name](Path(place), cascade)
        else:
            path = Path(place) / task.name
            path.write_bytes(task.content)
            answers = answered(str(path), cascade)
    return _summed_up(answers)


def _summed_up(answers: Sequence[Prediction]) -> tuple[str, str]:
    if not answers:
        return "failure", "what was named got no answer at all"
    for answer in answers:
        answer.to_json().encode()
        for reason in (answer.error, *answer.reasons):
            if reason is not None and answer.status == "error":
                ended, detail = _checked(reason.code, reason.message)
                if detail:
                    return ended, detail
    to_csv(answers).encode()
    first = answers[0]
    if len(answers) > 1:
        return "answers", ""
    return (first.error.code if first.error else "radiograph" if first.status == "ok" else "refused"), ""


def _status(field: str) -> int:
    """Return a figure of this process, in bytes."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
    assert found is not None
    return int(found.group(1)) * 1024
