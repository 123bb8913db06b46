"""What goes wrong on the server is kept apart from what is wrong with a request."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient

from pneumocascade.errors import BusyError, StorageError, UsageError
from pneumocascade.server.problems import PROBLEM_JSON, STORAGE_SECONDS, add_problem_handlers


def raised_by_a_parser() -> NoReturn:
    """Raise what FastAPI makes of an upload that the disk cannot take."""
    try:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise HTTPException(400, "There was an error parsing the body") from error


FAILURES: dict[str, Exception | Callable[[], NoReturn]] = {
    "storage": StorageError("/secret/history.sqlite3: no answer can be entered"),
    "full": OSError(errno.ENOSPC, "No space left on device", "/secret/upload"),
    "read-only": OSError(errno.EROFS, "Read-only file system", "/secret/upload"),
    "parser": raised_by_a_parser,
    "bug": OSError(errno.EBADF, "Bad file descriptor", "/secret/upload"),
    "usage": UsageError("batch size is 0"),
    "busy": BusyError("too many films wait", 7),
    "refused": HTTPException(400, "There was an error parsing the body"),
}


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = FastAPI()
    add_problem_handlers(app)

    @app.get("/{name}")
    def fail(name: str) -> None:
        failure = FAILURES[name]
        if isinstance(failure, Exception):
            raise failure
        failure()

    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(
    ("name", "status", "retry_after"),
    [
        ("storage", 503, str(STORAGE_SECONDS)),
        ("full", 503, str(STORAGE_SECONDS)),
        ("read-only", 503, str(STORAGE_SECONDS)),
        ("parser", 503, str(STORAGE_SECONDS)),
        ("bug", 500, None),
        ("usage", 422, None),
        ("busy", 503, "7"),
        ("refused", 400, None),
    ],
)
def test_each_failure_has_its_status(
    client: TestClient, name: str, status: int, retry_after: str | None
) -> None:
    response = client.get(f"/{name}")
    assert response.status_code == response.json()["status"] == status
    assert response.headers.get("Retry-After") == retry_after
    assert response.headers["Content-Type"] == PROBLEM_JSON
    assert "secret" not in response.text
