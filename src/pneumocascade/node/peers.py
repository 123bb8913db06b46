"""Who is at the other end: destinations, and who may send."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pneumocascade.errors import UsageError

_AE_TITLE = re.compile(r"[\x21-\x5b\x5d-\x7e](?:[\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?")
"""1 to 16 characters without control characters and backslash (DICOM PS3.5, 6.2: AE)."""

ANYONE = "any"
"""What ``--allow`` takes to let everybody in."""


def ae_title_of(text: str) -> str:
    """Return an AE title without the spaces around it.

    Raises
    ------
    UsageError
        Where it is none.
    """
    title = text.strip(" ")
    if not _AE_TITLE.fullmatch(title):
        raise UsageError(
            f"{text!r} is no AE title: expected 1 to 16 printable ASCII characters other than backslash"
        )
    return title


@dataclass(frozen=True, slots=True)
class Peer:
    """An application entity that can be called.

    Attributes
    ----------
    ae_title, host : str
    port : int
    """

    ae_title: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Peer:
        """Read ``AET@HOST:PORT``; an IPv6 address stands in brackets.

        Raises
        ------
        UsageError
            Where the text is something else.
        """
        title, _, address = text.rpartition("@")
        host, _, port = address.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not title or not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
            raise UsageError(f"{text!r} names no application entity: expected AET@HOST:PORT")
        return cls(ae_title_of(title), host, int(port))

    def __str__(self) -> str:
        """Return ``AET@HOST:PORT``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.ae_title}@{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Caller:
    """One entry of the allow-list: an AE title, from one address or from any.

    Attributes
    ----------
    ae_title : str
    address : str
        IPv4 or IPv6 address; empty for any.
    """

    ae_title: str
    address: str = ""

    @classmethod
    def parse(cls, text: str) -> Caller:
        """Read ``AET`` or ``AET@ADDRESS``.

        Raises
        ------
        UsageError
            Where the text is something else; a host name is no address.
        """
        title, separator, address = text.partition("@")
        try:
            found = str(ipaddress.ip_address(address)) if separator else ""
        except ValueError:
            raise UsageError(
                f"{text!r} allows nobody: expected AET or AET@ADDRESS, with an IPv4 or IPv6 address"
            ) from None
        return cls(ae_title_of(title), found)


@dataclass(frozen=True, slots=True)
class AllowList:
    """Who may send.

    Attributes
    ----------
    callers : tuple of Caller or None
        ``None`` for everybody.
    """

    callers: tuple[Caller, ...] | None

    @classmethod
    def parse(cls, entries: Sequence[str], host: str) -> AllowList:
        """Read the entries of ``--allow``.

        Parameters
        ----------
        entries : sequence of str
            ``AET``, ``AET@ADDRESS``, or ``any`` alone. No entry means everybody, on a loopback address only.
        host : str
            What is listened on.

        Raises
        ------
        UsageError
            Where an entry is wrong, or there is none for an address that other machines reach.
        """
        if not entries and not is_loopback(host):
            raise UsageError(
                f"other machines can reach {host}: give --allow AET@ADDRESS for who may send, or --allow any"
            )
        if ANYONE in entries and len(entries) > 1:
            raise UsageError("--allow any goes without other entries")
        if not entries or ANYONE in entries:
            return cls(None)
        return cls(tuple(Caller.parse(entry) for entry in entries))

    def allows(self, ae_title: str, address: str) -> bool:
        """Return whether a caller may send.

        Parameters
        ----------
        ae_title : str
            As it calls itself.
        address : str
            Where it calls from.
        """
        if self.callers is None:
            return True
        found = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(found, "ipv4_mapped", None)
        seen = str(mapped or found)
        return any(
            caller.ae_title == ae_title.strip() and caller.address in ("", seen) for caller in self.callers
        )


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
