"""What stands above every tab: name, purpose, disclaimer and the count of films."""

from __future__ import annotations

from html import escape

from pneumocascade.types import DISCLAIMER


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
    count = "—" if films is None else f"{films:,}"
    noun = "film" if films == 1 else "films"
    return (
        '<header class="pc-header"><div><h1>pneumocascade</h1>'
        "<p>Two-stage reading of chest radiographs: normal or pneumonia, then bacterial or viral.</p></div>"
        f'<p class="pc-count"><b id="films-analysed" data-fetched="{str(fetched).lower()}">{count}</b> '
        f"{noun} analysed <br>since installation</p>"
        f'</header><p class="pc-disclaimer" role="note">{escape(DISCLAIMER)}</p>'
    )
