"""What the middlewares here have in common: which messages they leave alone, and how they refuse."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from starlette.websockets import WebSocketClose

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send


class HttpMiddleware(ABC):
    """Middleware for HTTP requests; all else is passed on. Subclasses override :meth:`handle`.

    Parameters
    ----------
    app : ASGI application
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is no HTTP request."""
        await (self.handle if scope["type"] == "http" else self.app)(scope, receive, send)

    @abstractmethod
    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Work on an HTTP request, as an ASGI application does."""


class CheckMiddleware(ABC):
    """Middleware that passes a request on or refuses it. Subclasses override :meth:`refusal`.

    Parameters
    ----------
    app : ASGI application
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer with the refusal."""
        refusal = None if scope["type"] == "lifespan" else self.refusal(scope)
        if refusal is None:
            await self.app(scope, receive, send)
        else:
            await refuse(refusal, scope, receive, send)

    @abstractmethod
    def refusal(self, scope: Scope) -> Response | None:
        """Return the answer to a request that is refused; ``None`` to pass it on."""


async def refuse(
    refusal: Response, scope: Scope, receive: Receive, send: Send, close_code: int = 1008
) -> None:
    """Answer with a refusal; close a WebSocket (RFC 6455, 7.4.1; 1008: it violates a policy)."""
    is_socket = scope["type"] == "websocket"
    await (WebSocketClose(close_code) if is_socket else refusal)(scope, receive, send)
