"""Connections: how many there may be, and how long one may be open without a request."""

from __future__ import annotations

import asyncio
import sys

from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 512
"""Connections at one time."""

HEADER_SECONDS = 15.0
"""How long a connection may take to send the head of a request."""

MAX_FILES = 65536
"""Files and connections that the process asks to be allowed to hold open; each film above 1 MB is one."""

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)


class TimeLimitedProtocol(H11Protocol):
    """HTTP/1.1 that closes connections on which no request comes to its end.

    uvicorn ends a connection that is idle after an answer; it waits forever for the first request, for
    the rest of a head, and for the rest of a body that was refused.
    """

    most = MAX_CONNECTIONS
    patience = HEADER_SECONDS

    _closing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, unless there are connections enough."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.write(_FULL)
            transport.close()
            return
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take what comes; only a whole head ends the wait."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Let the time run while nothing is worked on; what trickles in meanwhile does not stop it."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
        elif self._closing is None and not self.transport.is_closing():
            self._closing = self.loop.call_later(self.patience, self.transport.close)

    def _stop(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None


def allow_files(most: int = MAX_FILES) -> int:
    """Let this process hold more files open, as far as it may without asking anybody.

    Parameters
    ----------
    most : int
        What is enough.

    Returns
    -------
    int
        Files that it may hold open; 0 where that is unknown (Windows).
    """
    if sys.platform == "win32":
        return 0
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = most if hard == resource.RLIM_INFINITY else min(most, hard)
    if soft != resource.RLIM_INFINITY and soft < enough:
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))
        soft = enough
    return soft
