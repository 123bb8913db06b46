"""Links that open the page at a tab and with settings; they never name a film."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs

from pneumocascade.model.spec import OPERATING_POINTS

TABS = ("single", "batch", "about")
"""Ids of the tabs."""

QUERY = "() => [window.location.search]"
"""Script that returns the query of the page's address."""


@dataclass(frozen=True, slots=True)
class Linked:
    """What a link asks for; ``None`` for what it does not name, or not rightly.

    Attributes
    ----------
    tab : str or None
        One of ``TABS``.
    point : str or None
        Operating point.
    prior : int or None
        Share of pneumonia, in per cent, 1 to 99.
    """

    tab: str | None = None
    point: str | None = None
    prior: int | None = None


def linked(query: str) -> Linked:
    """Return what the query of an address, such as ``"?tab=batch&point=sensitive&prior=20"``, asks for."""
    values = {name: each[-1] for name, each in parse_qs(query.removeprefix("?")[:500]).items()}
    tab, point, prior = values.get("tab"), values.get("point"), values.get("prior", "")
    whole = int(prior) if prior.isascii() and prior.isdigit() and len(prior) < 3 else 0
    return Linked(
        tab if tab in TABS else None,
        point if point in OPERATING_POINTS else None,
        whole if 1 <= whole <= 99 else None,
    )
