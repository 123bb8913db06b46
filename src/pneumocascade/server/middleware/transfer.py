"""How answers travel: compressed where that helps, and kept by browsers where they never change."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware

from pneumocascade.server.middleware.base import HttpMiddleware

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MIN_COMPRESSED_BYTES = 1024
"""Smaller answers fit into one packet either way."""

LEVEL = 6
"""Of gzip, 1 to 9: the page is 1 % larger than at 9, in half the time."""

STREAMS = ("/gradio_api/heartbeat/", "/gradio_api/queue/data", "/gradio_api/upload_progress")
"""Beginnings of paths of event streams, which no compressor may hold back."""

KEPT = "private, max-age=31536000, immutable"
"""For files whose names change with their content."""

ASKED_AGAIN = "no-cache"
"""For files whose names do not: the browser asks each time whether its copy still holds (ETag)."""

_NAMED_BY_CONTENT = re.compile(r"/assets/.*-[A-Za-z0-9_-]{8}\.\w+|/viewer/.*-\d+\.\d+\.\d+\.min\.js")
_FILES = ("/assets/", "/static/", "/viewer/", "/svelte/", "/favicon.ico", "/theme.css")


class Compression(HttpMiddleware):
    """Compress answers with gzip for clients that take it, unless they are compressed or streams of events.

    To stand outside of the middleware that adds the security headers, which reads the page.

    Parameters
    ----------
    app : ASGI application
    """

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app)
        self._compressed = GZipMiddleware(app, MIN_COMPRESSED_BYTES, LEVEL)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, by way of the compressor where the answer is no stream."""
        app = self.app if scope["path"].startswith(STREAMS) else self._compressed
        await app(scope, receive, send)


class CacheHeaders(HttpMiddleware):
    """Tell browsers how long they may keep the page's scripts, styles and fonts.

    Parameters
    ----------
    app : ASGI application
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add ``Cache-Control`` to the files that are there, where they have none."""
        path = scope["path"]
        if not path.startswith(_FILES):
            await self.app(scope, receive, send)
            return
        rule = KEPT if _NAMED_BY_CONTENT.fullmatch(path) else ASKED_AGAIN

        async def with_rule(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in (200, 304):
                message.setdefault("headers", [])
                MutableHeaders(scope=message).setdefault("Cache-Control", rule)
            await send(message)

        await self.app(scope, receive, with_rule)
