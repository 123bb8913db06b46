"""An archive that takes results by STOW-RS: its URL, and how this node is known to it."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pneumocascade.errors import UsageError
from pneumocascade.node.peers import Peer, is_loopback

_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750, 2.1."""


@dataclass(frozen=True, slots=True)
class WebArchive:
    """An archive by the URL below which ``/studies`` is.

    Attributes
    ----------
    url : str
        Without a slash at its end.
    """

    url: str

    @classmethod
    def parse(cls, text: str) -> WebArchive:
        """Read ``https://HOST[:PORT]/PATH``; ``http`` is taken for this machine alone.

        Raises
        ------
        UsageError
            Where the text is something else, or holds a password or a query.
        """
        try:
            found = urlsplit(text)
            named = bool(found.hostname) and found.port != 0
        except ValueError:
            named = False
        if not named or not text.isascii() or not text.isprintable() or " " in text:
            raise UsageError("a destination is no URL: expected https://HOST[:PORT]/PATH")
        if "@" in found.netloc or found.query or found.fragment:
            raise UsageError(
                f"the URL of the destination at {found.hostname} holds a user, a query or a fragment: "
                "expected https://HOST[:PORT]/PATH (a password goes into --destination-token-file)"
            )
        if found.scheme != "https" and not is_loopback(found.hostname or ""):
            raise UsageError(f"{text!r} would send results unencrypted: expected https://")
        return cls(text.rstrip("/"))

    def __str__(self) -> str:
        """Return the URL."""
        return self.url


@dataclass(frozen=True, slots=True)
class ArchiveToken:
    """What is said in the header Authorization of every request to an archive; never shown.

    Attributes
    ----------
    header : str
    """

    header: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> ArchiveToken:
        """Read a bearer token (RFC 6750), or ``USER:PASSWORD`` (RFC 7617).

        Raises
        ------
        UsageError
            Where the text is neither.
        """
        if ":" in text and text.isprintable():
            return cls(f"Basic {base64.b64encode(text.encode()).decode()}")
        if not _BEARER.fullmatch(text):
            raise UsageError(
                f"the destination's token has {len(text)} characters, some of which a token cannot have; "
                "expected a bearer token, or USER:PASSWORD"
            )
        return cls(f"Bearer {text}")


def destination_of(text: str) -> Peer | WebArchive:
    """Read what ``--destination`` takes: ``AET@HOST:PORT``, or the URL of an archive.

    Raises
    ------
    UsageError
        Where the text is something else.
    """
    if text.lower().startswith(("https://", "http://")):
        return WebArchive.parse(text)
    return Peer.parse(text)
