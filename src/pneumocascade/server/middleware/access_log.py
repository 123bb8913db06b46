"""One line in the log for each request, and an id to find by it whatever else was logged for the request."""

from __future__ import annotations

import logging
import re
import time
import uuid
from typing import TYPE_CHECKING

from pneumocascade.audit.logs import Request, request
from pneumocascade.server.middleware.base import HttpMiddleware

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

HEADER = b"x-request-id"
"""Of requests, where a proxy or client may give an id, and of answers."""

_SAFE = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_log = logging.getLogger(__name__)


class AccessLog(HttpMiddleware):
    """Give each request an id, say it in the answer's header, and log the request when it is over.

    The line has the method, the route's template, status, milliseconds, bytes in and out and, where it is
    known, the number of films. It has neither the path, which a client chooses, nor the query, nor who the
    client is. To be put around the whole application, so that answers to failures have their id, too.

    Parameters
    ----------
    app : ASGI application
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count what goes in and out."""
        with request(request_id(scope)) as at_hand:
            exchange = _Exchange(at_hand, receive, send)
            try:
                await self.app(scope, exchange.receive, exchange.send)
            except Exception:  # the server logs it, with the id
                exchange.failed = True
                raise
            finally:
                exchange.tell(scope)


class _Exchange:
    """What goes to and fro for one request."""

    def __init__(self, at_hand: Request, receive: Receive, send: Send) -> None:
        self._request = at_hand
        self._receive = receive
        self._send = send
        self._started = time.perf_counter()
        self.status: int | None = None
        self.failed = False
        self.bytes_in = 0
        self.bytes_out = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self.bytes_in += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            kept = [pair for pair in message.get("headers", ()) if pair[0].lower() != HEADER]
            message = {**message, "headers": [*kept, (HEADER, self._request.id.encode())]}
        self.bytes_out += len(message.get("body", b""))
        await self._send(message)

    def tell(self, scope: Scope) -> None:
        """Log the request; without a status, the client went away before there was an answer."""
        status = 500 if self.failed and self.status is None else self.status
        wrong = self.failed or (status is not None and status >= 500 and status != 503)
        facts = {
            **self._request.facts,
            "method": scope["method"] if scope["method"] in _METHODS else "other",
            "route": _template(scope),
            "status": status,
            "duration_ms": round(1000 * (time.perf_counter() - self._started), 1),
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
        }
        _log.log(logging.ERROR if wrong else logging.INFO, "request", extra=facts)


def request_id(scope: Scope) -> str:
    """Return the id that a request brings, where it is 1 to 64 of ``A-Z a-z 0-9 . _ -``; else a new one.

    Other characters could begin a new line in a log, or a new header in an answer.
    """
    given = [value for name, value in scope["headers"] if name.lower() == HEADER]
    if len(given) == 1 and _SAFE.fullmatch(given[0]):
        return bytes(given[0]).decode()
    return uuid.uuid4().hex


def _template(scope: Scope) -> str:
    """Return the route as the code has it, for instance ``/api/{rest:path}``; "other" where there is none."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) and path else "other"
