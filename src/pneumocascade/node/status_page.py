"""A small HTTP server on this machine for health and metrics."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pneumocascade.errors import UsageError
from pneumocascade.node.metrics import CONTENT_TYPE_TEXT

HOST = "127.0.0.1"

_SECONDS = 5.0
"""Longest time for a request."""


class StatusPage:
    """``/healthz``, ``/readyz`` and ``/metrics`` of a node; ``GET`` and ``HEAD`` only.

    Parameters
    ----------
    port : int
        0 for any free one.
    ready : callable
        Returns what is said of the node's state, and whether it takes films.
    metrics : callable
        Returns all figures in Prometheus' text format.

    Raises
    ------
    UsageError
        Where the port cannot be listened on.
    """

    def __init__(
        self, port: int, ready: Callable[[], tuple[dict[str, Any], bool]], metrics: Callable[[], bytes]
    ) -> None:
        class Handler(_Handler):
            answers = (ready, metrics)

        try:
            self._server = ThreadingHTTPServer((HOST, port), Handler)
        except OSError as error:
            raise UsageError(f"cannot listen on port {port} of {HOST}: {error.strerror or error}") from error
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="status-page", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_SECONDS)


class _Handler(BaseHTTPRequestHandler):
    answers: tuple[Callable[[], tuple[dict[str, Any], bool]], Callable[[], bytes]]
    timeout = _SECONDS
    server_version, sys_version = "pneumocascade", ""

    def do_GET(self) -> None:
        """Answer."""
        ready, metrics = self.answers
        path = self.path.partition("?")[0]
        if path == "/healthz":
            self._send(200, "application/json", b'{"status": "ok"}')
        elif path == "/readyz":
            found, takes = ready()
            self._send(200 if takes else 503, "application/json", json.dumps(found).encode())
        elif path == "/metrics":
            self._send(200, CONTENT_TYPE_TEXT, metrics())
        else:
            self._send(404, "application/json", b'{"status": "not found"}')

    do_HEAD = do_GET  # noqa: N815  http.server's name

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  http.server's name
        """Say nothing: a health check every second would fill the log."""
