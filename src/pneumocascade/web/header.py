"""What stands above every tab: name, purpose, disclaimer and the count of films."""

from __future__ import annotations

from pneumocascade.i18n import LANGUAGES, language
from pneumocascade.web.fragments import piece


def header(films: int | None, *, fetched: bool = False) -> str:
    """Return the page's header.

    Parameters
    ----------
    films : int or None
        Films analysed since installation; ``None`` where they cannot be counted.
    fetched : bool
        The page has asked for the count since it was loaded: its events are wired (the browser
        tests wait for it).
    """
    return piece("header", films, fetched, LANGUAGES, language())
