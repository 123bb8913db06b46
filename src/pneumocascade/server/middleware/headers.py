"""Security headers of every answer: what a page may load and run, and who may show it.

The web app's page may run its own scripts alone. Gradio's page has five scripts within its text, which
are allowed one by one by their SHA-256; ``'unsafe-inline'`` is not, so that markup which got into the
page, whatever its way, runs nothing. ``'unsafe-eval'`` is: Gradio makes functions of the scripts of
its components. Anything else is no page, and may load and run nothing.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders

from pneumocascade.server.middleware.base import HttpMiddleware

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE = "/"
"""Path of the web app. An HTML file that somebody uploaded is no such page."""

DOCS = "/api/v1/docs"
"""Path of the interactive documentation of the REST API, and of the folder of its scripts and styles."""

NOBODY = "'none'"

_COMMON = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_PERMISSIONS_OF_PAGE = _COMMON["Permissions-Policy"].replace("camera=()", "camera=(self)")
"""The page may ask for the camera, to take a picture as an upload; nothing that it holds may."""

NO_PAGE = "default-src 'none'; sandbox"
"""Policy of what is no page."""
DOCS_PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; object-src 'none'"
)
"""Policy of the interactive documentation: its scripts are files of this server."""

_INLINE = re.compile(rb"<script\b[^>]*>(.*?)</script>", re.DOTALL)


class SecurityHeaders(HttpMiddleware):
    """Add Content-Security-Policy (CSP level 3) and the headers that go with it to every answer.

    Parameters
    ----------
    app : ASGI application
    frame_ancestors : str
        Who may show the page in a frame, as CSP writes it: ``'none'``, or origins with spaces between,
        as a Hugging Face Space needs it (``https://huggingface.co``).
    """

    def __init__(self, app: ASGIApp, frame_ancestors: str = NOBODY) -> None:
        super().__init__(app)
        self.frame_ancestors = frame_ancestors

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers to the first message of an answer."""
        if scope["path"] == PAGE and scope["method"] in ("GET", "HEAD"):
            await self._page(scope, receive, send)
        else:
            await self.app(scope, receive, self._sender(scope, send))

    def _sender(self, scope: Scope, send: Send) -> Send:
        path = scope["path"]
        policy = DOCS_PAGE if path == DOCS else NO_PAGE
        private = path.startswith(("/api", "/dicomweb", "/metrics")) and not path.startswith(f"{DOCS}/")

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = self._add(message, policy)
                if private:
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        return with_headers

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold back the head of the page until the whole of it is there, and its scripts are known."""
        # A compressed page could not be read here. It is sent once; its scripts are compressed as ever.
        kept = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        head: Message | None = None
        body = b""

        async def gathered(message: Message) -> None:
            nonlocal head, body
            if message["type"] == "http.response.start":
                head = message
                return
            body += message.get("body", b"")
            if not message.get("more_body", False) and head is not None:
                headers = self._add(head, page_policy(body))
                headers["Permissions-Policy"] = _PERMISSIONS_OF_PAGE
                await send(head)
                await send({"type": "http.response.body", "body": body})

        await self.app({**scope, "headers": kept}, receive, gathered)

    def _add(self, message: Message, policy: str) -> MutableHeaders:
        message.setdefault("headers", [])
        headers = MutableHeaders(scope=message)
        headers.update(_COMMON)
        headers["Content-Security-Policy"] = f"{policy}; frame-ancestors {self.frame_ancestors}"
        if self.frame_ancestors == NOBODY:
            headers["X-Frame-Options"] = "DENY"  # for browsers that know no frame-ancestors
        return headers


def for_failures() -> dict[str, str]:
    """Return the headers of an answer that no middleware sees: that to an unexpected exception."""
    policy = f"{NO_PAGE}; frame-ancestors {NOBODY}"
    return {**_COMMON, "Content-Security-Policy": policy, "X-Frame-Options": "DENY"}


def page_policy(page: bytes) -> str:
    """Return the policy of the web app's page, which allows the scripts within its text by their digest.

    Parameters
    ----------
    page : bytes
        HTML of the page.
    """
    digests = (hashlib.sha256(script).digest() for script in _INLINE.findall(page) if script)
    scripts = "".join(f" 'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src 'self' 'unsafe-eval'{scripts}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; manifest-src 'self'; "
        "base-uri 'self'; form-action 'none'; object-src 'none'"
    )
