"""What of Gradio's own routes is open: those that the page asks for, and no others.

Gradio brings dozens of routes that this web app has no use for. Some of them do for a stranger what he
cannot do himself: ``/gradio_api/file=https://...`` fetches any page of the internet and hands it on as if
it were this server's own, ``/gradio_api/deep_link`` writes a session to the disk. A list of what is open
holds for the next version of Gradio, too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pneumocascade.server.middleware.base import CheckMiddleware
from pneumocascade.server.problems import problem

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import Scope

OURS = ("/api", "/healthz", "/readyz", "/metrics")
"""Beginnings of paths that Gradio never sees."""

PAGES = ("/", "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt")
PARTS = ("/assets/", "/static/", "/svelte/", "/viewer/")
"""The page, and beginnings of the paths of its scripts, styles and fonts."""

CALLS = (
    *("app_id", "cancel", "info", "queue/data", "queue/join", "queue/status", "reset"),
    *("startup-events", "theme.css", "upload", "upload_progress"),
)
"""What the page sends and asks, below ``/gradio_api/``."""

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)
"""Begins an address, as ``https:``; one letter before a colon is a drive of Windows."""


class RouteAllowList(CheckMiddleware):
    """Answer 404 to what is neither a route of ours nor one that the web app's page needs.

    Parameters
    ----------
    app : ASGI application
    """

    def refusal(self, scope: Scope) -> Response | None:
        """Return status 404 unless the path is on the list; the page opens no WebSocket."""
        if scope["type"] == "http" and is_open(scope["path"]):
            return None
        return problem(404, "Not Found")


def is_open(path: str) -> bool:
    """Return whether requests for a path, decoded and without its query, are passed on.

    Of ``/gradio_api/file=`` only paths are, which Gradio holds against the folder of uploads by itself;
    addresses, which it would fetch, are not.
    """
    if path in PAGES or path.startswith((*OURS, *PARTS)):
        return True
    rest = path.removeprefix("/gradio_api/")
    if rest == path:
        return False
    if rest.startswith("file="):
        return _ADDRESS.match(rest.removeprefix("file=").strip()) is None
    return rest in CALLS or rest.startswith("heartbeat/")
