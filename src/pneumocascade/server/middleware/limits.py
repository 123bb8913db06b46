"""Middleware around the whole application: how much may be sent, how slowly, how often, by how many.

Each middleware answers by itself what it refuses, with a problem report and, where it helps to come
back, the seconds after which to.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from fastapi import HTTPException

from pneumocascade.server.middleware.base import CheckMiddleware, HttpMiddleware, refuse
from pneumocascade.server.problems import problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_TOTAL_BYTES = 2 * 1024**3
"""Largest sum of all bodies that are taken in at one time, in bytes."""

MAX_REQUESTS = 256
"""Requests that are worked on at one time."""

GRACE_SECONDS = 15.0
"""How long a client may send nothing, in sum over its request, before its rate is checked."""

MIN_BYTES_PER_SECOND = 8 * 1024
"""Least rate, after the grace, at which a body must come: a film of 64 MiB may take over two hours."""

OWN_BITS = 64
"""Bits of an IPv6 address that a network is given: its owner chooses the rest of them at will."""

MAX_CLIENTS = 10_000
"""Addresses that a :class:`RateLimit` remembers."""

RETRY_SECONDS = 5
"""When those who are refused may try again."""

UNLIMITED_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that are answered however busy the server is: they cost nothing and tell how busy it is."""


class BodyLimit(HttpMiddleware):
    """Refuse a request whose body is too large, or which does not fit beside the others, before it is stored.

    Parameters
    ----------
    app : ASGI application
    limit : int
        Of one body, in bytes.
    prefix : str or tuple of str
        Paths that it holds for.
    total : int
        Of all bodies whose requests are not answered yet, in bytes.
    """

    def __init__(
        self, app: ASGIApp, limit: int, prefix: str | tuple[str, ...], total: int = MAX_TOTAL_BYTES
    ) -> None:
        super().__init__(app)
        self.limit = limit
        self.prefix = prefix
        self.total = total
        self.held = 0

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the bytes as they come; a declared length is believed only if it is too large."""
        if not scope["path"].startswith(self.prefix):
            await self.app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self.limit:
            await problem(413, self._too_large())(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            size = len(message.get("body", b""))
            received += size
            self.held += size
            if received > self.limit:
                raise HTTPException(413, self._too_large())
            if self.held > self.total:
                raise HTTPException(503, "the server has no room for more uploads now", _later())
            return message

        try:
            await self.app(scope, counted, send)
        finally:
            self.held -= received

    def _too_large(self) -> str:
        return f"the request is larger than {self.limit} bytes"


class SlowBodies(HttpMiddleware):
    """Give up on a client that sends its request's body too slowly (408), so that it holds nothing for long.

    Only the time counts in which the server waits for the client. A client may keep it waiting for
    ``grace`` seconds in all, and a second more for every ``rate`` bytes that it sent.

    Parameters
    ----------
    app : ASGI application
    grace : float
        In seconds.
    rate : float
        In bytes a second.
    """

    def __init__(
        self, app: ASGIApp, grace: float = GRACE_SECONDS, rate: float = MIN_BYTES_PER_SECOND
    ) -> None:
        super().__init__(app)
        self.grace = grace
        self.rate = rate

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait for the body no longer than what was sent of it allows."""
        left = self.grace
        whole = False

        async def timed() -> Message:
            nonlocal left, whole
            if whole:  # what comes now is that the client leaves, whenever it does
                return await receive()
            started = time.monotonic()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, left))
            except asyncio.TimeoutError as error:
                text = f"the request came too slowly: less than {self.rate:g} bytes a second"
                raise HTTPException(408, text, {"Connection": "close"}) from error
            left += len(message.get("body", b"")) / self.rate - (time.monotonic() - started)
            whole = not message.get("more_body", False)
            return message

        await self.app(scope, timed, send)


class RequestLimit:
    """Refuse requests while as many are worked on as may be (503); health and metrics are always answered.

    Parameters
    ----------
    app : ASGI application
    most : int
        Requests at one time.
    """

    def __init__(self, app: ASGIApp, most: int = MAX_REQUESTS) -> None:
        self.app = app
        self.most = most
        self.current = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count those that are worked on."""
        if scope["type"] == "lifespan" or scope["path"] in UNLIMITED_PATHS:
            await self.app(scope, receive, send)
            return
        if self.current >= self.most:
            text = f"{self.current} requests are worked on and at most {self.most} may be"
            await refuse(problem(503, text, _later()), scope, receive, send, close_code=1013)
            return
        self.current += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.current -= 1


class RateLimit(CheckMiddleware):
    """Refuse what one address sends beyond a rate (429): a bucket of tokens that fills as time goes by.

    What only asks (GET, HEAD, OPTIONS) is not counted. Addresses of one IPv6 network (/64) are one. Behind
    a proxy the address is that of the proxy unless it sends ``X-Forwarded-For`` and the server trusts it.

    Parameters
    ----------
    app : ASGI application
    per_minute : int
        Requests of one address; as many may come at once.
    clock : callable
        Returns the time in seconds, which never goes back.
    """

    def __init__(self, app: ASGIApp, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(app)
        self.clock = clock
        self.per_minute = per_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def refusal(self, scope: Scope) -> Response | None:
        """Take one out of the sender's bucket; return status 429 where there is none."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return None
        wait = self._wait(sender(scope["client"][0] if scope.get("client") else ""), self.clock())
        if wait == 0:
            return None
        text = f"more than {self.per_minute} requests came from this address within a minute"
        return problem(429, text, _later(int(wait) + 1))

    def _wait(self, address: str, now: float) -> float:
        """Return 0 and take one out, or return the seconds until there is one."""
        left, last = self._buckets.pop(address, (float(self.per_minute), now))
        left = min(float(self.per_minute), left + (now - last) * self.per_minute / 60)
        wait = 0.0 if left >= 1 else (1 - left) * 60 / self.per_minute
        self._buckets[address] = (left - 1 if wait == 0 else left, now)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)  # who has not come for longest; its bucket may be full by now
        return wait


def sender(address: str) -> str:
    """Return what stands for a client: its IPv4 address, the network of its IPv6 address, or what it is."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:  # a proxy may say anything, a Unix socket says nothing
        return address
    if found.version == 4:
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found, OWN_BITS), strict=False))


def _later(seconds: int = RETRY_SECONDS) -> dict[str, str]:
    return {"Retry-After": str(seconds)}
