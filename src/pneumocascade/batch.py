"""Many films: from what a person names to a stream of paths, and from answers to a file."""

from __future__ import annotations

import csv
import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, Protocol, TextIO

from pneumocascade.errors import UsageError
from pneumocascade.reading import SUFFIXES
from pneumocascade.records import Prediction
from pneumocascade.report import CSV_COLUMNS, to_csv_row, to_json_line

Format = Literal["table", "json", "jsonl", "csv"]


def find_sources(named: Iterable[str]) -> Iterator[str]:
    """Yield the files that are meant, in a fixed order.

    A folder stands for the films in it and below, by suffix, sorted; a pattern for what it
    matches, sorted. A folder without films, and whatever is neither, is yielded as it is: what
    cannot be read is to be reported, not passed over.

    Parameters
    ----------
    named : iterable of str
        Files, folders and patterns (``*``, ``?``, ``[...]``, ``**``).

    Raises
    ------
    UsageError
        Where a name is empty.
    """
    for name in named:
        if not name:
            raise UsageError("a path is empty; give a file, a folder (. for this one) or a pattern")
        # A file may have brackets in its name: only what is not there is taken for a pattern.
        matches = [] if os.path.exists(name) else sorted(glob.glob(name, recursive=True))  # noqa: PTH110, PTH207
        for match in matches or [name]:
            yield from _films_below(match) or [match]


def _films_below(folder: str) -> list[str]:
    """Return the films in a folder and below; none where it is no folder.

    ``os.path`` is asked, since ``Path`` fails where it may not look.
    """
    if not os.path.isdir(folder):  # noqa: PTH112
        return []
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES)
    return [str(path) for path in paths if not os.path.isdir(path)]  # noqa: PTH112


class Writer(Protocol):
    """Takes answers one by one."""

    def write(self, prediction: Prediction) -> None:
        """Take one answer."""

    def close(self) -> None:
        """Write what is left."""


class JsonLines:
    """One JSON object a line, each written out at once."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, prediction: Prediction) -> None:
        """Write one line."""
        self._file.write(to_json_line(prediction) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Nothing is left."""


class JsonArray:
    """One JSON array, written as the answers come."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._file.write("[")
        self._before = "\n"

    def write(self, prediction: Prediction) -> None:
        """Write one element, in one piece: an interruption leaves no comma without one behind it."""
        self._file.write(self._before + to_json_line(prediction))
        self._before = ",\n"

    def close(self) -> None:
        """Close the array."""
        self._file.write("\n]\n")


class Csv:
    """A header and one row an answer, each written out at once."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._writer = csv.DictWriter(file, CSV_COLUMNS, lineterminator="\n")
        self._writer.writeheader()

    def write(self, prediction: Prediction) -> None:
        """Write one row."""
        self._writer.writerow(to_csv_row(prediction))
        self._file.flush()

    def close(self) -> None:
        """Nothing is left."""


def format_of(output: Path | None, asked: Format | None) -> Format:
    """Return the format asked for, else the one that a file's suffix tells, else a table."""
    if asked is not None:
        return asked
    by_suffix: dict[str, Format] = {".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
    return by_suffix.get(output.suffix.lower(), "table") if output else "table"
