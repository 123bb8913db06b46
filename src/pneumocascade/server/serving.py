"""From a cascade to a server that listens."""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import uvicorn

from pneumocascade.errors import UsageError
from pneumocascade.server.app import create_app
from pneumocascade.server.batcher import Batcher
from pneumocascade.server.middleware.access_log import AccessLog
from pneumocascade.server.middleware.connections import TimeLimitedProtocol, allow_files
from pneumocascade.server.middleware.origins import LOOPBACK
from pneumocascade.server.middleware.stack import Access

if TYPE_CHECKING:
    import ssl

    from starlette.types import ASGIApp

    from pneumocascade.inference.cascade import Cascade

GRACE_SECONDS = 20
"""Answers that are in work when the server is stopped have so long; an open page of the web app has a stream
that never ends by itself."""


def serve(
    cascade: Cascade,
    host: str = "127.0.0.1",
    port: int = 7860,
    *,
    token: str | None = None,
    access: Access | None = None,
    batch_size: int | None = None,
) -> None:
    """Serve web app and REST API until interrupted, and print where.

    Parameters
    ----------
    cascade : Cascade
    host : str
        Address to listen on; others than ``127.0.0.1`` can be reached from other machines.
    port : int
        0 for any free one.
    token : str, optional
        Asked of every request; see :func:`create_app`.
    access : Access, optional
        Who may come in. Where it names no hosts, and only this machine reaches the address, requests for
        this machine.
    batch_size : int, optional
        Films that go through a model at once; see :class:`pneumocascade.server.batcher.Batcher`.

    Raises
    ------
    UsageError
        Where the port is taken or the address cannot be listened on.
    """
    with listen(host, port) as listener:
        allow_files()
        access = access or Access()
        if access.hosts is None and _is_loopback(listener):
            access = replace(access, hosts=LOOPBACK)
        batcher = Batcher(cascade, batch_size=batch_size)
        app = create_app(cascade, batcher=batcher, token=token, access=access)
        taken = listener.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        print(f"pneumocascade is at http://{shown}:{taken} (stop with Ctrl-C)", flush=True)
        if token is None and not _is_loopback(listener):
            print("warning: anyone who can reach this address can use it; see --token-file", file=sys.stderr)
        uvicorn.Server(_configuration(app)).run(sockets=[listener])


class BackgroundServer:
    """Serves an application on a thread of its own.

    Parameters
    ----------
    app : ASGI application
    host : str
    port : int
        0 for any free one; see ``port``.
    tls : ssl.SSLContext, optional

    Raises
    ------
    UsageError
        Where the port is taken or the address cannot be listened on.
    """

    def __init__(self, app: ASGIApp, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._listener = listen(host, port)
        self.port = int(self._listener.getsockname()[1])
        config = _configuration(app)
        config.load()
        config.ssl = tls
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="http-server", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._server.run(sockets=[self._listener])

    def stop(self, seconds: float) -> None:
        """Take no more requests, finish those that are worked on for so many seconds, and end."""
        self._server.should_exit = True
        self._thread.join(seconds)
        self._server.force_exit = True
        self._thread.join(seconds)
        self._listener.close()


def _configuration(app: ASGIApp) -> uvicorn.Config:
    # The log is around all the rest, so that answers to failures have their line and id, too.
    return uvicorn.Config(
        AccessLog(app),
        http=TimeLimitedProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address.

    Raises
    ------
    UsageError
        Where that cannot be.
    """
    if not 0 <= port <= 65535:
        raise UsageError(f"cannot listen on port {port}; expected 0 to 65535")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family)
        # asyncio sends small packets at once only through a socket that says it is TCP's, which this one does
        # not: each answer would wait 40 ms until the client acknowledges the packet before.
        return socket.socket(family, listener.type, socket.IPPROTO_TCP, fileno=listener.detach())
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"port {port} of {host} is taken by another program: stop it, or choose another port"
            ) from error
        raise UsageError(f"cannot listen on port {port} of {host}: {error}") from error


def _is_loopback(listener: socket.socket) -> bool:
    return ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback
