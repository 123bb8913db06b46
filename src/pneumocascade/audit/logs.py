"""What the program says of its own work: one handler, plain text or JSON lines, no patient data.

A film's name may hold a patient's, and so may whatever was asked for. What is written is therefore decided
here, for all loggers, rather than trusted to each call:

- This package's loggers: level, logger, message and extras as given. Their messages never hold the name of a
  film, a path or query from a client, or a value of a DICOM object.
- uvicorn's: from ``WARNING`` up, the message as it is. Below, it tells paths and queries.
- Those of other packages: from ``WARNING`` up, the place in their code in place of the message: what was put
  into that cannot be known.
- Warnings of Python: place and kind, for the same reason.
- Exceptions: type, causes and traceback, without the values of variables and *without their messages*, which
  often quote the name of a file. Where that is too little, the traceback tells which line to look at.
- pydicom's: nothing; see :mod:`pneumocascade.imaging.dicom.quiet`.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, TextIO

from pneumocascade.errors import UsageError

LEVELS = ("debug", "info", "warning", "error")
"""What :func:`set_up` takes, from most to least."""

LEFT_OUT = "(message left out: it may quote a file's name)"

_WITH_HANDLERS = ("uvicorn", "uvicorn.error", "uvicorn.access")
"""Loggers that bring handlers of their own, which would quote what a client sent."""

_OURS = "pneumocascade"
_BELIEVED = (_OURS, "uvicorn")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_WARNED_AT = re.compile(r".+?:\d+: \w+(?=:)")
_MOST_FRAMES = 50
_MOST_CAUSES = 5


@dataclass(frozen=True, slots=True)
class Request:
    """The current request.

    Attributes
    ----------
    id : str
        Stands in every line that is logged on its behalf.
    facts : dict of str to object
        What :func:`note` was given.
    """

    id: str
    facts: dict[str, object] = field(default_factory=dict)


_request: ContextVar[Request | None] = ContextVar("pneumocascade_request", default=None)


@contextmanager
def request(identifier: str) -> Iterator[Request]:
    """Let all that is logged inside carry an id; threads that are given the context carry it, too.

    An exception leaves the id in place: the server logs it outside, in the same task, and ends that.
    """
    at_hand = Request(identifier)
    token = _request.set(at_hand)
    yield at_hand
    _request.reset(token)


def note(**facts: object) -> None:
    """Add facts to the log line of the current request; outside of a request they are dropped.

    Parameters
    ----------
    **facts
        Numbers, or words of this package's own; nothing that a client sent.
    """
    at_hand = _request.get()
    if at_hand is not None:
        at_hand.facts.update(facts)


def set_up(level: str = "warning", *, as_json: bool = False, stream: TextIO | None = None) -> None:
    """Send everything that is logged, by whomever, through one handler; a second call replaces the first.

    Parameters
    ----------
    level : {"debug", "info", "warning", "error"}
        Of this package's loggers; those of others say nothing below ``"warning"``.
    as_json : bool
        One JSON object a line, rather than text.
    stream : text file, optional
        By default standard error.

    Raises
    ------
    UsageError
        For another level.
    """
    if level not in LEVELS:
        raise UsageError(f"the log level is {level!r}; expected one of {', '.join(LEVELS)}")
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    handler.addFilter(_is_wanted)
    number = logging.getLevelName(level.upper())
    handler.setLevel(number)
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
    logging.getLogger(_OURS).setLevel(number)
    for name in _WITH_HANDLERS:  # where uvicorn was set up by itself before, in this process
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    logging.captureWarnings(True)


def _is_wanted(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or _is_of(record, (_OURS,))


def _is_of(record: logging.LogRecord, packages: tuple[str, ...]) -> bool:
    return record.name.split(".", 1)[0] in packages


class JsonFormatter(logging.Formatter):
    """A record as one JSON object in one line: time, level, logger, message, request_id, then extras.

    The time is UTC, ISO 8601, in milliseconds. ``exception`` holds type, frames and cause, and no message.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at_hand = _request.get()
        row: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
            "request_id": at_hand.id if at_hand is not None else None,
        }
        row = {**row, **{name: value for name, value in _extras(record).items() if name not in row}}
        error = _error_of(record)
        if error is not None:
            row["exception"] = _exception(error)
        return json.dumps(row)


class TextFormatter(logging.Formatter):
    """A record as a line for people; an exception goes below it, without its message."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line or lines."""
        at_hand = _request.get()
        parts = [_time(record), record.levelname, f"{record.name}:", _one_line(_message(record))]
        parts += [f"{name}={_one_line(str(value))}" for name, value in _extras(record).items()]
        if at_hand is not None:
            parts.append(f"request_id={at_hand.id}")
        error = _error_of(record)
        below = _exception_lines(_exception(error)) if error is not None else []
        return "\n".join([" ".join(parts), *below])


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _message(record: logging.LogRecord) -> str:
    """Return what may be said of a record's message; see this module's docstring."""
    if _is_of(record, _BELIEVED):
        return record.getMessage().strip()
    if record.name == "py.warnings":
        found = _WARNED_AT.match(record.getMessage())
        return f"{found.group()} {LEFT_OUT}" if found else LEFT_OUT
    return f"{record.module}:{record.lineno} {LEFT_OUT}"


def _extras(record: logging.LogRecord) -> dict[str, object]:
    if not _is_of(record, (_OURS,)):
        return {}
    # What begins with an underscore was put there by a library that hooks into logging, as Ray does.
    own = {name: value for name, value in vars(record).items() if name[:1] != "_" and name not in _STANDARD}
    return {name: _plain(value) for name, value in own.items()}


def _plain(value: object) -> object:
    """Return numbers and text as they are, and the type of all else: its own words may hold anything."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such number
    return value if value is None or isinstance(value, (str, int, float)) else f"({type(value).__name__})"


def _error_of(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


def _exception(error: BaseException, depth: int = 0) -> dict[str, Any]:
    """Return an exception's type, frames and cause, and the members of a group."""
    described: dict[str, Any] = {"type": f"{type(error).__module__}.{type(error).__qualname__}"}
    described["traceback"] = _frames(error)
    if depth == _MOST_CAUSES:
        return described
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        described["cause"] = _exception(cause, depth + 1)
    members = getattr(error, "exceptions", None)  # of an ExceptionGroup, which Python 3.10 lacks
    if isinstance(members, (tuple, list)):
        inside = [one for one in members[:_MOST_CAUSES] if isinstance(one, BaseException)]
        described["members"] = [_exception(one, depth + 1) for one in inside]
    return described


def _frames(error: BaseException) -> list[str]:
    """Return the last frames, the innermost last: file, line and function, nothing of their variables."""
    walked = traceback.walk_tb(error.__traceback__)
    frames = [f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_name}" for frame, line in walked]
    return frames[-_MOST_FRAMES:]


def _exception_lines(described: dict[str, Any], indent: str = "  ") -> list[str]:
    lines = [
        f"{indent}{described['type']} {LEFT_OUT}",
        *(f"{indent}  {frame}" for frame in described["traceback"]),
    ]
    causes = ([described["cause"]] if "cause" in described else []) + described.get("members", [])
    for cause in causes:
        lines += [f"{indent}because of", *_exception_lines(cause, indent + "  ")]
    return lines


def _one_line(text: str) -> str:
    """Escape what would begin another line or move the cursor, and what is not UTF-8."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
