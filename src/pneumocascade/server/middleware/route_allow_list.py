"""What of Gradio's own routes is open: those that the page asks for, and no others.

Gradio brings dozens of routes that this web app has no use for. Some of them do for a stranger what he
cannot do himself: ``/gradio_api/file=https://...`` fetches any page of the internet and hands it on as if
it were this server's own, ``/gradio_api/deep_link`` writes a session to the disk. A list of what is open
holds for the next version of Gradio, too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pneumocascade.server.problems import problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

OURS = ("/api", "/healthz", "/readyz", "/metrics")
"""Beginnings of paths that Gradio never sees."""

PAGE = ("/", "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt")
PARTS = ("/assets/", "/static/", "/svelte/")
"""The page, and beginnings of the paths of its scripts, styles and fonts."""

CALLS = (
    *("app_id", "cancel", "info", "queue/data", "queue/join", "queue/status", "reset"),
    *("startup-events", "theme.css", "upload", "upload_progress"),
)
"""What the page sends and asks, below ``/gradio_api/``."""

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)
"""Begins an address, as ``https:``; one letter before a colon is a drive of Windows."""


class RouteAllowList:
    """Answer 404 to what is neither a route of ours nor one that the web app's page needs.

    Parameters
    ----------
    app : ASGI application
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold the path against the list."""
        if scope["type"] == "lifespan" or (scope["type"] == "http" and is_open(scope["path"])):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":  # the page opens none
            await send({"type": "websocket.close", "code": 1008})
        else:
            await problem(404, "Not Found")(scope, receive, send)


def is_open(path: str) -> bool:
    """Return whether requests for a path, decoded and without its query, are passed on.

    Of ``/gradio_api/file=`` only paths are, which Gradio holds against the folder of uploads by itself;
    addresses, which it would fetch, are not.
    """
    if path in PAGE or path.startswith((*OURS, *PARTS)):
        return True
    rest = path.removeprefix("/gradio_api/")
    if rest == path:
        return False
    if rest.startswith("file="):
        return _ADDRESS.match(rest.removeprefix("file=").strip()) is None
    return rest in CALLS or rest.startswith("heartbeat/")
