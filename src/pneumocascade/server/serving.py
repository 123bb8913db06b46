"""From a cascade to a server that listens."""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
from typing import TYPE_CHECKING

import uvicorn

from pneumocascade.errors import UsageError
from pneumocascade.server.app import create_app

if TYPE_CHECKING:
    from pneumocascade.cascade import Cascade


def serve(cascade: Cascade, host: str = "127.0.0.1", port: int = 7860, *, token: str | None = None) -> None:
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

    Raises
    ------
    UsageError
        Where the port is taken or the address cannot be listened on.
    """
    with listen(host, port) as listener:
        app = create_app(cascade, token=token)
        taken = listener.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        print(f"pneumocascade is at http://{shown}:{taken} (stop with Ctrl-C)", flush=True)
        if token is None and not _is_loopback(listener):
            print("warning: whoever reaches this address may use it; see --token-file", file=sys.stderr)
        config = uvicorn.Config(app, log_level="warning", server_header=False)
        uvicorn.Server(config).run(sockets=[listener])


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
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"port {port} of {host} is taken by another program: stop it, or choose another port"
            ) from error
        raise UsageError(f"cannot listen on port {port} of {host}: {error}") from error


def _is_loopback(listener: socket.socket) -> bool:
    return ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback
