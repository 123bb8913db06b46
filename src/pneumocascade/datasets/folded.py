"""How names are compared: capitals and Unicode form do not matter."""

from __future__ import annotations

import unicodedata


def folded(name: str) -> str:
    """Return the name of a file, folder, column or value as it is compared.

    macOS hands out names with accents as characters of their own (NFD), most other systems do not (NFC).
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
