"""Who a request is for, and which page made a browser send it.

A page of another site can make a browser send requests to a server on this machine. It cannot read the
answers, but what it sends would be worked on; and with a name of its own that it lets point here (DNS
rebinding), it could read the answers, too.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware

from pneumocascade.errors import UsageError
from pneumocascade.server.middleware.base import CheckMiddleware, HttpMiddleware
from pneumocascade.server.problems import problem

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Names of this machine for itself."""

CROSS_ORIGIN_PATHS = ("/api/",)
"""Beginnings of the paths that pages of other origins may use where that is allowed."""

_SAFE = ("GET", "HEAD", "OPTIONS")
_PORTS = {"http": 80, "https": 443}


class HostCheck(CheckMiddleware):
    """Answer only requests for a host that is known (RFC 9110, 15.5.20: 421).

    Parameters
    ----------
    app : ASGI application
    hosts : iterable of str
        As :func:`check_hosts` returns them; empty for any.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        super().__init__(app)
        self.hosts = check_hosts(hosts)

    def refusal(self, scope: Scope) -> Response | None:
        """Return status 421 unless the Host header has one of the names."""
        given = Headers(scope=scope).getlist("host")
        if not self.hosts or (len(given) == 1 and host_of(given[0]) in self.hosts):
            return None
        named = ", ".join(sorted(self.hosts))
        return problem(421, f"this server answers for {named} and for no other host")


class CrossOrigin(HttpMiddleware):
    """Let pages of certain origins read the answers of the API (CORS, Fetch Standard 3.2).

    Only below ``CROSS_ORIGIN_PATHS``: the web app is for its own page alone. Cookies and passwords that a
    browser keeps are never let through; a page sends the token itself.

    Parameters
    ----------
    app : ASGI application
    origins : iterable of str
        As :func:`check_origins` returns them.
    """

    def __init__(self, app: ASGIApp, origins: Iterable[str]) -> None:
        super().__init__(app)
        self._cors = CORSMiddleware(
            app,
            allow_origins=sorted(check_origins(origins)),
            allow_methods=("GET", "HEAD", "POST"),
            allow_headers=("Authorization", "X-Request-ID"),
            expose_headers=("Accept-Post", "Retry-After", "WWW-Authenticate", "X-Request-ID"),
        )

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what a browser asks beforehand, and say in answers who may read them."""
        ours = scope["path"].startswith(CROSS_ORIGIN_PATHS)
        await (self._cors if ours else self.app)(scope, receive, send)


class SameOrigin(CheckMiddleware):
    """Refuse what a page of another site made a browser send (403), unless it only asks.

    Browsers say so in ``Sec-Fetch-Site``; older ones, and those that came by plain HTTP, in ``Origin``,
    which must then name the host that the request is for. Programs send neither. No proxy stands in
    the way of the first.

    Parameters
    ----------
    app : ASGI application
    origins : iterable of str
        Whose pages may send something below ``CROSS_ORIGIN_PATHS``, as :func:`check_origins` returns them.
    """

    def __init__(self, app: ASGIApp, origins: Iterable[str] = ()) -> None:
        super().__init__(app)
        self.origins = check_origins(origins)

    def refusal(self, scope: Scope) -> Response | None:
        """Return status 403 for a request of another site's page."""
        headers = Headers(scope=scope)
        if scope.get("method", "") in _SAFE or _at_home(headers):
            return None
        if headers.get("origin") in self.origins and scope["path"].startswith(CROSS_ORIGIN_PATHS):
            return None
        return problem(403, "a page of another site made this request")


def check_hosts(hosts: Iterable[str]) -> frozenset[str]:
    """Return names and addresses of hosts in small letters.

    Raises
    ------
    UsageError
        Where one of them is no name or address, or has a port.
    """
    found = frozenset(host.lower() for host in hosts)
    for host in found:
        if not (_is_ipv6(host) or host_of(host) == host):
            raise UsageError(f"{host!r} is no host; expected a name or an address without a port")
    return found


def check_origins(origins: Iterable[str]) -> frozenset[str]:
    """Return origins of web pages, as browsers write them.

    Raises
    ------
    UsageError
        Where one of them is no origin; ``*`` and ``null`` are none.
    """
    found = frozenset(origins)
    for origin in found:
        if origin != _origin_of(origin):
            raise UsageError(
                f"{origin!r} is no origin; expected scheme and host in small letters, and the port unless it "
                "is the scheme's own, as in https://viewer.example.org or http://localhost:3000"
            )
    return found


def _origin_of(text: str) -> str | None:
    try:
        split = urlsplit(text)
        port = split.port
    except ValueError:
        return None
    host = split.hostname
    if split.scheme not in _PORTS or not host or host_of(split.netloc) is None or "*" in host:
        return None
    shown = f"[{host}]" if ":" in host else host
    return f"{split.scheme}://{shown}" + ("" if port in (None, _PORTS[split.scheme]) else f":{port}")


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


def host_of(header: str) -> str | None:
    """Return the host of a Host header, in small letters and without its port; ``None`` where it has none."""
    try:
        split = urlsplit(f"//{header.strip()}")
        _ = split.port  # raises where it is no number
    except ValueError:
        return None
    if split.path or split.query or split.fragment or "@" in split.netloc:
        return None
    return split.hostname


def _at_home(headers: Headers) -> bool:
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site in ("same-origin", "none")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""
    except ValueError:
        return False
