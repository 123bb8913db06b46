"""TLS of both sides: 1.2 or newer, client certificates where an authority is given."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from pneumocascade.errors import UsageError


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Files in PEM format.

    Attributes
    ----------
    certificate, key : Path
        Of this node; the key without a password.
    authority : Path or None
        Certificates by which others are recognised.
    """

    certificate: Path
    key: Path
    authority: Path | None = None

    def for_server(self) -> ssl.SSLContext:
        """Return what callers are met with; with an authority they must have a certificate of it.

        Raises
        ------
        UsageError
            Where a file cannot be used.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if self.authority is not None:
            context.verify_mode = ssl.CERT_REQUIRED
        return self._loaded(context)

    def for_client(self) -> ssl.SSLContext:
        """Return what destinations are called with: their certificate must be for the host that is called.

        Raises
        ------
        UsageError
            Where a file cannot be used, or there is no authority to recognise destinations by.
        """
        if self.authority is None:
            raise UsageError("TLS to a destination needs --tls-ca: the certificates it is recognised by")
        return self._loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    def _loaded(self, context: ssl.SSLContext) -> ssl.SSLContext:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key, password=_no_password)
            if self.authority is not None:
                context.load_verify_locations(self.authority)
        except (OSError, ValueError) as error:
            files = ", ".join(str(file) for file in (self.certificate, self.key, self.authority) if file)
            raise UsageError(
                f"TLS cannot be set up with {files}: expected certificates and a key that belong together, "
                "in PEM format, the key without a password"
            ) from error
        return context


def _no_password() -> str:
    """Return no password, rather than let OpenSSL ask for one on the terminal."""
    return ""
