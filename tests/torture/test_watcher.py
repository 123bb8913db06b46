"""A worker's crash, hang, or hunger for memory is reported, and the next input is read all the same."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator

import numpy as np
import pytest

from tests.imaging.film_files import GREY, encode
from torture import arrays
from torture.codes import CODES
from torture.watcher import Watcher
from torture.worker import Task

FILM = encode(GREY, "PNG")


@pytest.fixture(scope="module")
def watcher() -> Iterator[Watcher]:
    with Watcher([FILM], seconds=20) as made:
        yield made


def test_the_codes_are_those_of_the_docstring() -> None:
    assert {"file_not_found", "unreadable_image", "too_many_pixels", "non_finite_values"} <= CODES
    assert not {"a_code", "pneumocascade_error", "model_error"} & CODES


def test_films_and_codes_are_no_failures(watcher: Watcher) -> None:
    outcomes = [watcher.run(Task("bytes", "film", content)) for content in (FILM, b"text", FILM[:900])]
    assert [each.outcome for each in outcomes] == ["radiograph", "unreadable_image", "truncated_image"]
    assert not any(each.failed for each in outcomes)


def test_files_and_scenarios_go_through_the_cascade(watcher: Watcher) -> None:
    assert watcher.run(Task("file", "films.zip", b"PK")).outcome == "unreadable_image"
    assert watcher.run(Task("names", "named '/dev/zero'")).outcome == "not_a_file"
    assert watcher.run(Task("array", "all nan")).outcome == "non_finite_values"


def test_an_unlisted_exception_is_a_failure(watcher: Watcher) -> None:
    outcome = watcher.run(Task("array", "there is no such array"))
    assert outcome.failed
    assert "KeyError" in outcome.detail


def _worker_does(monkeypatch: pytest.MonkeyPatch, act: object) -> Watcher:
    """Return a watcher whose worker does something to itself when asked for an array of that name."""
    # A forked worker knows what was put in here; a spawned one would import the module anew.
    monkeypatch.setitem(arrays.ARRAYS, "act", act)
    context = multiprocessing.get_context("fork")
    monkeypatch.setattr(multiprocessing, "get_context", lambda kind: context)
    return Watcher([FILM], seconds=3, memory=1 << 28)


def test_a_crash_is_told_and_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    with _worker_does(monkeypatch, lambda: os.kill(os.getpid(), signal.SIGKILL)) as watcher:
        outcome = watcher.run(Task("array", "act"))
        assert (outcome.outcome, outcome.detail) == ("crash", "the worker was ended by SIGKILL")
        assert watcher.run(Task("bytes", "film", FILM)).outcome == "radiograph"
        assert watcher.starts == 2


def test_a_hang_is_told_and_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    with _worker_does(monkeypatch, lambda: time.sleep(60)) as watcher:
        assert watcher.run(Task("array", "act")).outcome == "hang"
        assert watcher.run(Task("bytes", "film", FILM)).outcome == "radiograph"


def test_memory_has_a_limit_and_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    with _worker_does(monkeypatch, lambda: np.ones((64, 1 << 20), np.float64)) as watcher:
        outcome = watcher.run(Task("array", "act"))
        assert outcome.outcome == "failure"
        assert "MemoryError" in outcome.detail
    with _worker_does(monkeypatch, lambda: np.ones((16, 1 << 20), np.float64)) as watcher:
        # While an input is read, the system may take back pages of libraries: one peak may be too low.
        assert max(watcher.run(Task("array", "act")).peak for _ in range(3)) > 100 << 20
