"""What is in a file of answers, whole or cut."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from pneumocascade.output.parquet import rows_of


def sources_in(output: Path, shape: str) -> list[str]:
    """Return the names in the answers; a last line that was cut is none."""
    if not output.exists():
        return []
    if shape == "parquet":
        return [str(row["source"]) for row in rows_of(output)]
    text = output.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1].splitlines()
    if shape == "jsonl":
        return [json.loads(line)["source"] for line in whole]
    return [row["source"] for row in csv.DictReader(whole)]
