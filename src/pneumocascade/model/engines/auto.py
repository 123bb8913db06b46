"""The provider ``auto``: what was measured to be fastest on a processor like this one."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources
from typing import Any, NamedTuple

from pneumocascade.model.engines import AUTO, available_providers
from pneumocascade.model.engines.processor import fastest_instructions

TABLE = "measured.json"
"""Times of a film by provider; ``benchmarks/engines.py`` writes it."""

DEFAULT = "cpu"
"""What the models' thresholds were chosen with."""

LEAST_GAIN = 1.1
"""How many times as fast as the default another provider must be: less is not worth other rounding."""


class Choice(NamedTuple):
    """A provider, and in a few words why it."""

    provider: str
    reason: str


@lru_cache(maxsize=1)
def measured() -> tuple[dict[str, Any], ...]:
    """Return the rows of the table: ``instructions``, and ``ms`` of one pass on all cores by provider."""
    text = (resources.files("pneumocascade.model.engines") / TABLE).read_text(encoding="utf-8")
    return tuple(json.loads(text)["rows"])


def resolve(provider: str) -> Choice:
    """Return a provider as it is, and for ``auto`` the one that was measured to be fastest."""
    if provider != AUTO:
        return Choice(provider, "asked for")
    instructions = fastest_instructions()
    row = next((row for row in measured() if row["instructions"] == instructions), None)
    if row is None:
        processors = f"processors with {instructions}" if instructions else "such a processor"
        return Choice(DEFAULT, f"nothing was measured on {processors}")
    times = row["ms"]
    there = {name: times[name] for name in available_providers() if name in times}
    best = min(there, key=lambda name: there[name], default=DEFAULT)
    shown = ", ".join(f"{name} {there[name]:.1f} ms" for name in there)
    if there and there.get(DEFAULT, float("inf")) < LEAST_GAIN * there[best]:
        best = DEFAULT
    return Choice(best, f"a pass, measured with {instructions}: {shown}")
