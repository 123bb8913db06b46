"""Many films: from what a person names to a stream of paths, and from answers to a file."""

from __future__ import annotations

import csv
import glob
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
    matches, sorted. Whatever is neither is yielded as it is: a file that is not there is to be
    reported, not passed over.

    Parameters
    ----------
    named : iterable of str
        Files, folders and patterns (``*``, ``?``, ``[...]``, ``**``).

    Raises
    ------
    UsageError
        Where a folder holds no film.
    """
    for name in named:
        # A file may have brackets in its name: only what is not there is taken for a pattern.
        matches = [] if Path(name).exists() else sorted(glob.glob(name, recursive=True))  # noqa: PTH207
        for match in matches or [name]:
            yield from _films_below(Path(match)) if Path(match).is_dir() else [match]


def _films_below(folder: Path) -> Iterator[str]:
    found = False
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and not path.is_dir():
            found = True
            yield str(path)
    if not found:
        raise UsageError(f"there are no films in {folder} (looked for {', '.join(sorted(SUFFIXES))})")


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
        self._opened = False

    def write(self, prediction: Prediction) -> None:
        """Write one element."""
        self._file.write(",\n" if self._opened else "[\n")
        self._file.write(to_json_line(prediction))
        self._opened = True

    def close(self) -> None:
        """Close the array."""
        self._file.write("\n]\n" if self._opened else "[]\n")


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
