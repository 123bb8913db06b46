"""What the server says when it gives no answer: problem details (RFC 9457), ``application/problem+json``."""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from pneumocascade.errors import BusyError, FilmError, MissingExtraError, StorageError, UsageError
from pneumocascade.server.middleware.headers import for_failures

PROBLEM_JSON = "application/problem+json"

STORAGE_SECONDS = 60
"""When to try again where a disk is full or read-only: somebody has to see to it."""

_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})

_log = logging.getLogger(__name__)

_TITLES = {
    400: "Bad request",
    401: "Unauthorised",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    408: "Too slow",
    413: "Content too large",
    415: "Unsupported media type",
    421: "Misdirected request",
    422: "Unusable request",
    429: "Too many requests",
    500: "Failure of the server",
    501: "Not available",
    503: "Busy",
    504: "Too slow",
}

MEANINGS = {
    400: "The form is damaged",
    401: "The token is missing or wrong",
    403: "A page of another site made the browser send this",
    406: "No media type that the request accepts is one of an answer",
    408: "The body came too slowly",
    413: "Too many films, or too large",
    415: "The body is of a media type that is not taken",
    421: "The server answers for another host name",
    422: "The request makes no sense",
    429: "Too many requests from this address; see Retry-After",
    501: "Packages are missing on the server for what was asked for",
    503: "Too many films wait, or a disk is full; see Retry-After",
    504: "There was no answer in time",
}
"""What each status means in the API's description."""


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return a problem report (RFC 9457)."""
    body = {"type": "about:blank", "title": _TITLES.get(status, "Error"), "status": status, "detail": detail}
    return JSONResponse(body, status, headers, media_type=PROBLEM_JSON)


def add_problem_handlers(app: Starlette) -> None:
    """Answer every exception of an application's own routes with a problem report."""
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(RequestValidationError, _validation_problem)
    app.add_exception_handler(UsageError, _usage_problem)
    app.add_exception_handler(FilmError, _usage_problem)
    app.add_exception_handler(MissingExtraError, _missing_problem)
    app.add_exception_handler(BusyError, _busy_problem)
    app.add_exception_handler(StorageError, _storage_problem)
    app.add_exception_handler(OSError, _disk_problem)
    app.add_exception_handler(Exception, _failure_problem)


async def _http_problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    cause = error.__cause__  # FastAPI takes what a full disk raises for a fault of the request
    if isinstance(cause, OSError) and cause.errno in _DISK_ERRORS:
        return await _disk_problem(request, cause)
    return problem(error.status_code, str(error.detail), error.headers)


async def _validation_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return problem(422, "; ".join(map(_said, error.errors())))


def _said(error: Mapping[str, Any]) -> str:
    place = ".".join(map(str, error["loc"]))
    return f"{place}: {error['msg']}" if place else str(error["msg"])


async def _usage_problem(_: Request, error: Exception) -> JSONResponse:
    return problem(422, str(error))


async def _missing_problem(_: Request, error: Exception) -> JSONResponse:
    return problem(501, str(error))


async def _busy_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, BusyError)
    return problem(503, str(error), {"Retry-After": str(error.retry_after)})


async def _storage_problem(_: Request, error: Exception) -> JSONResponse:
    _log.error("%s", error)
    detail = "the answer cannot be kept as it must be, so it is not given; see the server's log"
    return problem(503, detail, {"Retry-After": str(STORAGE_SECONDS)})


async def _disk_problem(_: Request, error: Exception) -> JSONResponse:
    """Say that the disk cannot take the upload; any other failure is one of the server."""
    if not (isinstance(error, OSError) and error.errno in _DISK_ERRORS):
        raise error
    _log.error("an upload cannot be stored: %s", error.strerror)
    detail = "the server's disk takes no uploads now; see the server's log"
    return problem(503, detail, {"Retry-After": str(STORAGE_SECONDS)})


async def _failure_problem(_: Request, error: Exception) -> JSONResponse:
    # What went wrong is for the log, to which the server writes it once this answer is sent.
    return problem(
        500,
        f"an unexpected {type(error).__name__}: it is not the request's fault; see the server's log",
        for_failures(),
    )
