"""What is logged: whole and readable by programs, and never a name that was planted."""

from __future__ import annotations

import asyncio
import contextvars
import io
import json
import logging
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from pydicom.misc import is_dicom  # loads pydicom, whose logger is checked

import pneumocascade
from pneumocascade import UsageError, read_radiograph
from pneumocascade.imaging.dicom.quiet import quiet
from pneumocascade.server import logs
from tests.loops import run_apart

PLANTED = "Planted^Patient"
FIXED = ("time", "level", "logger", "message", "request_id")

ours = logging.getLogger("pneumocascade.tests")
theirs = logging.getLogger("some_package.module")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what set_up does to the whole process."""
    named = [logging.getLogger(name) for name in ("", "pneumocascade", "pydicom", "py.warnings")]
    before = [(one, one.level, one.handlers[:]) for one in named]
    yield
    logging.captureWarnings(False)
    for one, level, handlers in before:
        one.setLevel(level)
        one.handlers[:] = handlers


@pytest.fixture
def warnings_are_shown() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        yield


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def logged(say: Callable[[], None], level: str = "debug") -> dict[str, Any]:
    """Return the one line that is logged."""
    stream = io.StringIO()
    logs.set_up(level, as_json=True, stream=stream)
    say()
    (line,) = lines(stream)
    return line


def logged_as_text(say: Callable[[], None]) -> str:
    stream = io.StringIO()
    logs.set_up("debug", stream=stream)
    say()
    return stream.getvalue()


def test_a_json_line_says_when_who_what_and_for_which_request() -> None:
    with logs.request("the-id"):
        line = logged(lambda: ours.info("%d films", 3, extra={"films": 3, "share": float("nan")}))
    assert tuple(line) == (*FIXED, "films", "share")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    moment = datetime.fromisoformat(line["time"].replace("Z", "+00:00"))
    assert abs(datetime.now(timezone.utc) - moment) < timedelta(minutes=1)
    del line["time"]
    assert line == {
        "level": "info",
        "logger": "pneumocascade.tests",
        "message": "3 films",
        "request_id": "the-id",
        "films": 3,
        "share": "nan",
    }


def test_what_another_library_adds_to_records_is_left_out() -> None:
    make = logging.getLogRecordFactory()

    def hooked(*given: Any, **more: Any) -> logging.LogRecord:
        record = make(*given, **more)
        record._ray_timestamp_ns = 1  # as Ray's own factory does
        return record

    logging.setLogRecordFactory(hooked)
    try:
        row = logged(lambda: ours.warning("slow", extra={"films": 3}))
    finally:
        logging.setLogRecordFactory(make)
    assert row["films"] == 3
    assert "_ray_timestamp_ns" not in row


def test_a_line_of_text_says_the_same() -> None:
    with logs.request("the-id"):
        line = logged_as_text(lambda: ours.warning("slow", extra={"films": 3}))
    assert re.fullmatch(r"\S+Z WARNING pneumocascade\.tests: slow films=3 request_id=the-id\n", line)


@given(st.text(), st.text())
def test_whatever_is_said_is_one_line(message: str, extra: str) -> None:
    # In files and terminals these are lines, too, so str.splitlines is the judge.
    text = logged_as_text(lambda: ours.warning("%s", message, extra={"what": extra}))
    assert len(text.splitlines()) == 1
    text.encode()
    assert logged(lambda: ours.warning("%s", message, extra={"what": extra}))["what"] == extra


def test_an_extra_cannot_pass_for_the_logs_own_words() -> None:
    line = logged(lambda: ours.warning("said", extra={"level": "x", "time": "x", "path": Path(PLANTED)}))
    assert (line["level"], line["path"]) == ("warning", "(PosixPath)")
    assert line["time"] != "x"


@pytest.mark.parametrize("level", logs.LEVELS)
def test_the_level_is_that_of_our_own_loggers(level: str) -> None:
    stream = io.StringIO()
    logs.set_up(level, as_json=True, stream=stream)
    theirs.setLevel(logging.DEBUG)
    for logger in (ours, theirs):
        for one in logs.LEVELS:
            logger.log(logging.getLevelName(one.upper()), one)
    found = [(line["logger"], line["level"]) for line in lines(stream)]
    from_level = logs.LEVELS[logs.LEVELS.index(level) :]
    expected = [("pneumocascade.tests", one) for one in from_level]
    assert found == expected + [
        ("some_package.module", one) for one in from_level if one in ("warning", "error")
    ]


def test_another_level_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="'loud'; expected one of debug, info, warning, error"):
        logs.set_up("loud")


def test_what_uvicorn_set_up_by_itself_is_undone(capfd: pytest.CaptureFixture[str]) -> None:
    """Its own handler would write what an exception says."""
    uvicorn.Config(lambda: None, log_level="critical")
    stream = io.StringIO()
    logs.set_up("warning", as_json=True, stream=stream)
    try:
        raise FileNotFoundError(2, "no such file", PLANTED)
    except FileNotFoundError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    (line,) = map(json.loads, stream.getvalue().splitlines())
    assert (line["logger"], line["exception"]["type"]) == ("uvicorn.error", "builtins.FileNotFoundError")
    assert PLANTED not in stream.getvalue() + "".join(capfd.readouterr())


def test_a_second_set_up_replaces_the_first() -> None:
    first, second = io.StringIO(), io.StringIO()
    logs.set_up(stream=first)
    logs.set_up(as_json=True, stream=second)
    ours.warning("said once")
    assert (first.getvalue(), len(lines(second))) == ("", 1)


@pytest.mark.parametrize("shown", [logged, logged_as_text])
@pytest.mark.parametrize(
    "say",
    [
        lambda: theirs.warning("cannot read %s", PLANTED),
        lambda: theirs.error(f"cannot read {PLANTED}"),
        lambda: theirs.warning("odd", extra={"path": PLANTED}),
        lambda: logging.getLogger("py.warnings").warning("%s", f"/x.py:3: UserWarning: {PLANTED}\n  code"),
    ],
)
def test_the_words_of_other_packages_are_left_out(shown: Callable[..., Any], say: Callable[[], None]) -> None:
    said = str(shown(say))
    assert logs.LEFT_OUT in said
    assert "Planted" not in said


@pytest.mark.usefixtures("warnings_are_shown")
def test_the_place_is_logged_instead() -> None:
    line = logged(lambda: theirs.warning("cannot read %s", PLANTED))
    assert line["message"].startswith("test_logs:")
    line = logged(lambda: warnings.warn_explicit(PLANTED, UserWarning, "/x.py", 3), "warning")
    assert line["message"] == f"/x.py:3: UserWarning {logs.LEFT_OUT}"


def fail(secret: str) -> None:
    """Raise one exception because of another; both quote what was given."""
    try:
        raise FileNotFoundError(2, "no such file", secret)
    except FileNotFoundError as error:
        raise RuntimeError(f"cannot read {secret}") from error


def say_failure() -> None:
    try:
        fail(PLANTED)
    except RuntimeError:
        ours.exception("a film failed")


def test_an_exception_is_logged_by_type_and_place_without_its_words() -> None:
    line = logged(say_failure)
    found = line["exception"]
    assert found["type"] == "builtins.RuntimeError"
    assert [frame.rsplit(" ", 1)[1] for frame in found["traceback"]] == ["say_failure", "fail"]
    assert found["cause"]["type"] == "builtins.FileNotFoundError"
    assert "Planted" not in json.dumps(line)


def test_an_exception_in_text_is_logged_in_the_same_way() -> None:
    text = logged_as_text(say_failure)
    for part in ("RuntimeError", "because of", "FileNotFoundError", "in fail\n"):
        assert part in text
    assert "Planted" not in text


def test_what_another_handler_made_of_an_exception_is_not_taken_over() -> None:
    stream = io.StringIO()
    logs.set_up(stream=stream)
    other = logging.StreamHandler(io.StringIO())
    ours.addHandler(other)  # keeps its text of the exception, message and all, on the record
    try:
        say_failure()
    finally:
        ours.removeHandler(other)
    assert "Planted" in other.stream.getvalue()
    assert "Planted" not in stream.getvalue()


def test_causes_without_end_are_cut_short() -> None:
    first, second = ValueError(PLANTED), ValueError(PLANTED)
    first.__cause__, second.__cause__ = second, first
    line = logged(lambda: ours.error("x", exc_info=first))
    assert json.dumps(line).count("ValueError") == 6


def test_members_of_a_group_are_logged() -> None:
    group = type("Group", (Exception,), {"exceptions": (ValueError(PLANTED), KeyError(PLANTED))})()
    line = logged(lambda: ours.error("x", exc_info=group))
    assert [one["type"] for one in line["exception"]["members"]] == [
        "builtins.ValueError",
        "builtins.KeyError",
    ]
    assert "Planted" not in json.dumps(line)


def test_deep_tracebacks_are_cut_short() -> None:
    def down() -> None:
        down()

    try:
        down()
    except RecursionError as error:
        found = error
    line = logged(lambda: ours.error("x", exc_info=found))
    assert len(line["exception"]["traceback"]) == 50


@pytest.mark.usefixtures("warnings_are_shown")
def test_pydicom_stays_silent(tmp_path: Path) -> None:
    stream = io.StringIO()
    logs.set_up("debug", as_json=True, stream=stream)
    with quiet():
        pass
    logging.getLogger("pydicom").critical(PLANTED)
    broken = tmp_path / f"{PLANTED}.dcm"
    broken.write_bytes(bytes(128) + b"DICM" + b"\x10\x00\x10\x00PN\xff\x00Planted^Patient")
    assert is_dicom(broken)
    with pytest.raises(pneumocascade.FilmError):
        read_radiograph(broken)
    assert stream.getvalue() == ""


def test_facts_are_of_the_request_at_hand() -> None:
    logs.note(films=1)  # outside of a request: dropped
    with logs.request("a") as first:
        logs.note(films=2)
        thread = threading.Thread(target=contextvars.copy_context().run, args=(logs.note,), kwargs={"b": 3})
        thread.start()
        thread.join()
    logs.note(films=4)
    assert first.facts == {"films": 2, "b": 3}


def test_requests_at_once_keep_their_ids_apart() -> None:
    stream = io.StringIO()
    logs.set_up("info", as_json=True, stream=stream)

    async def handle(number: int) -> None:
        with logs.request(f"id-{number}"):
            for _ in range(3):
                await asyncio.sleep(0)
                ours.info("%d", number)

    async def all_of_them() -> None:
        await asyncio.gather(*map(handle, range(50)))

    run_apart(all_of_them())
    found = lines(stream)
    assert len(found) == 150
    assert all(line["request_id"] == f"id-{line['message']}" for line in found)
