"""Tables of a benchmark: printed in Markdown, and kept for the documents (``tools/figures.py``)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path


class Tables:
    """Prints tables row by row and keeps them.

    Parameters
    ----------
    version : str
        Of the models that were measured; empty where none were.
    """

    def __init__(self, version: str = "") -> None:
        self.version = version
        self.tables: dict[str, dict[str, object]] = {}

    def show(self, name: str, rows: Iterable[list[str]], head: Sequence[str]) -> None:
        """Print a table with its name and keep it."""
        print(f"\n{name}\n\n| {' | '.join(head)} |\n|{' --- |' * len(head)}")
        kept = [list(head)]
        for row in rows:
            print(f"| {' | '.join(row)} |", flush=True)
            kept.append(row)
        self.tables[name] = {"models": self.version, "rows": kept}

    def save(self, path: Path) -> None:
        """Write the tables into a JSON file, beside those of other names that it has."""
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        path.write_text(json.dumps(before | self.tables, indent=1) + "\n", encoding="utf-8")
