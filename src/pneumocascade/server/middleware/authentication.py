"""Nobody without the token: bearer for programs, a password prompt for browsers."""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import TYPE_CHECKING

from pneumocascade.errors import UsageError
from pneumocascade.server.middleware.base import CheckMiddleware
from pneumocascade.server.middleware.headers import DOCS
from pneumocascade.server.problems import problem

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Scope

MIN_LENGTH = 16
"""Fewest characters of a token."""

NO_TOKEN_PATHS = frozenset({"/healthz", "/readyz"})
"""Paths that tell nothing but that the server runs: those who watch over it need no token."""

BROWSER_PATHS = (DOCS, "/api/v1/openapi.json")
"""Beginnings of the paths below ``/api`` that browsers open, and which only describe."""


def check_token(token: str) -> str:
    """Return a token, unless it is too easily guessed.

    Raises
    ------
    UsageError
        Where it is short, or not of visible ASCII characters: others cannot stand in a header.
    """
    if len(token) < MIN_LENGTH or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(
            f"the token has {len(token)} characters; expected {MIN_LENGTH} or more, visible and ASCII "
            "(python -c 'import secrets; print(secrets.token_urlsafe())' makes one)"
        )
    return token


class TokenCheck(CheckMiddleware):
    """Let only those in who know the token.

    ``/api`` and ``/metrics`` want ``Authorization: Bearer TOKEN`` (RFC 6750): a browser that was made to
    send a form here by another page brings no such header. All else, which is the web app and the
    documentation of the API, may also be opened with any user name and the token as password (RFC 7617),
    for which browsers ask.

    Parameters
    ----------
    app : ASGI application
    token : str
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        super().__init__(app)
        self._token = check_token(token).encode()

    def refusal(self, scope: Scope) -> Response | None:
        """Return status 401 unless the token is right."""
        if scope["path"] in NO_TOKEN_PATHS:
            return None
        path = scope["path"]
        for_programs = path.startswith(("/api", "/metrics")) and not path.startswith(BROWSER_PATHS)
        given = _password(dict(scope["headers"]).get(b"authorization", b""), basic=not for_programs)
        if hmac.compare_digest(given, self._token):  # takes as long, whatever is wrong
            return None
        scheme = "Bearer" if for_programs else 'Basic realm="pneumocascade", charset="UTF-8"'
        return problem(401, "the token is missing or wrong", {"WWW-Authenticate": scheme})


def _password(header: bytes, *, basic: bool) -> bytes:
    """Return the token in a header; nothing where there is none."""
    scheme, _, value = header.partition(b" ")
    if scheme.lower() == b"bearer":
        return value.strip()
    if basic and scheme.lower() == b"basic":
        try:
            return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""
