"""Where an interrupted run stopped: which films have their answer, checked one by one."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from pneumocascade.errors import UsageError
from pneumocascade.model.gate import UNCHECKED
from pneumocascade.output.parquet import rows_of
from pneumocascade.output.rows import csv_text
from pneumocascade.output.writers import Format
from pneumocascade.types import ROW_COLUMNS, encodable

_COLUMNS = ("source", "status", "model_version", "operating_point", "prior", "warnings")


@dataclass(frozen=True, slots=True)
class Settings:
    """What decides an answer besides the film.

    Attributes
    ----------
    model_version, operating_point : str
    gate : bool
    prior : float
    threshold : float or None
        Of stage 1, where it was given.
    """

    model_version: str
    operating_point: str
    gate: bool = True
    prior: float = 0.5
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """How far a run came.

    Attributes
    ----------
    films : int
        With an answer: the first ones of the list.
    unread : int
        How many of them could not be read.
    begun : bool
        Whether the output has its head, so that answers are written behind what is there.
    """

    films: int = 0
    unread: int = 0
    begun: bool = False


Rows = Iterator[tuple[Mapping[str, Any], int]]
"""Answers as they were written, and the byte that each ends at."""


def find_done(output: Path, format: Format, sources: Sequence[str], settings: Settings) -> Done:  # noqa: A002
    """Count the films that have their answer, and cut off a last one that was not written whole.

    What is cut off is the beginning of the next film's answer, as far as its name tells, and nothing else.

    Parameters
    ----------
    output : Path
        Of the interrupted run; need not be there.
    format : {"jsonl", "csv", "parquet"}
    sources : sequence of str
        All films of the run, in order.
    settings : Settings

    Raises
    ------
    UsageError
        For another format, and where the answers are damaged, of other films, given otherwise, or
        followed by what no answer begins with: nothing is changed then.
    MissingExtraError
        For Parquet without PyArrow.
    """
    if format not in ("jsonl", "csv", "parquet"):
        raise UsageError(f"--resume goes on with jsonl, csv or parquet, not with {format}")
    if not output.exists():
        return Done()
    if format == "parquet":
        rows: Rows = ((row, 0) for row in rows_of(output))
        return replace(_check(rows, sources, settings, output, encodable)[0], begun=True)
    if not output.is_file():
        raise UsageError(f"{output} is not a file of answers")
    try:
        return _find_in_text(output, format, sources, settings)
    except OSError as error:
        raise UsageError(f"{output} cannot be gone on with: {error.strerror}") from error


def _find_in_text(output: Path, format: Format, sources: Sequence[str], settings: Settings) -> Done:  # noqa: A002
    rows, shown, beginning = _CSV if format == "csv" else _JSONL
    with output.open("rb") as file:
        head = file.readline() if format == "csv" else b""
        if format == "csv" and not _is_head(head, output):
            done, end = Done(), 0
        else:
            done, end = _check(rows(file, output), sources, settings, output, shown)
            done, end = replace(done, begun=True), len(head) + end
            expected = beginning(sources[done.films]) if done.films < len(sources) else b""
            _check_tail(file, end, expected, output)
    if end < output.stat().st_size:
        with output.open("r+b") as file:
            file.truncate(end)
    return done


def _check_tail(file: BinaryIO, end: int, expected: bytes, output: Path) -> None:
    """Refuse to cut off what is not the next answer's beginning; empty: there is no next film."""
    file.seek(end)
    if not expected.startswith(file.read(len(expected) or 1)):
        raise UsageError(
            f"{output} goes on behind its whole answers with what is no beginning of the next film's: this "
            "run did not write it, so it is left alone; give --output another file"
        )


def _json_beginning(source: str) -> bytes:
    """Return how a film's line begins, up to the word that tells how it went."""
    line = encodable(json.dumps({"source": source, "status": ""}, ensure_ascii=False))
    return line.removesuffix('"}').encode()


def _csv_beginning(source: str) -> bytes:
    """Return how a film's row begins: its first cell and the comma behind it."""
    row = io.StringIO()
    csv.writer(row, lineterminator="").writerow([csv_text(source), ""])
    return row.getvalue().encode()


def _check(
    rows: Rows, sources: Sequence[str], settings: Settings, output: Path, shown: Callable[[str], str]
) -> tuple[Done, int]:
    """Hold each answer against its film; return how many there are, and where the last one ends."""
    films = unread = end = 0
    for row, end in rows:  # noqa: B007  the last end is wanted
        expected = shown(sources[films]) if films < len(sources) else None
        if row["source"] != expected:
            raise UsageError(
                f"answer {films + 1} in {output} is of {row['source']!r}, but film {films + 1} of this run "
                f"is {expected!r}: go on with the list that the run was begun with"
            )
        # The answer to a film that could not be read does not tell whether the gate was on.
        gate = settings.gate if row["status"] == "error" else UNCHECKED not in (row["warnings"] or "")
        # Nor does that to a film without a finding tell stage 1's threshold.
        threshold = _threshold(row) if row["status"] == "ok" and settings.threshold else settings.threshold
        found = Settings(row["model_version"], row["operating_point"], gate, _number(row["prior"]), threshold)
        if found != settings:
            raise UsageError(
                f"answer {films + 1} in {output} was given with {found}, this run has {settings}"
            )
        films += 1
        unread += row["status"] == "error"
    return Done(films, unread), end


def _threshold(row: Mapping[str, Any]) -> float:
    """Return stage 1's threshold, of an object or of a row; NaN where there is none."""
    stage1 = row.get("stage1")
    return _number(stage1.get("threshold") if isinstance(stage1, dict) else row.get("stage1_threshold"))


def _number(text: Any) -> float:
    """Return a number; NaN, which equals none, for what is no number."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan


def _json_rows(file: BinaryIO, output: Path) -> Rows:
    end = 0
    for number, line in enumerate(_whole_lines(file), start=1):
        end += len(line)
        try:
            row = json.loads(line)
            yield {name: row[name] for name in _COLUMNS} | {"stage1": row.get("stage1")}, end
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"line {number} of {output} is not an answer: {error!r}") from error


def _is_head(line: bytes, output: Path) -> bool:
    """Return whether a CSV file has its head; an empty file, or one cut short in it, has not."""
    head = (",".join(ROW_COLUMNS) + "\n").encode()
    if not head.startswith(line):
        raise UsageError(f"{output} does not begin as a file of answers does")
    return line == head


def _csv_rows(file: BinaryIO, output: Path) -> Rows:
    """Yield rows; a name may hold line ends, so a row may take several lines."""
    end = 0

    def lines() -> Iterator[str]:
        nonlocal end
        for line in _whole_lines(file):
            end += len(line)
            yield line.decode("utf-8")

    rows = csv.reader(lines(), strict=True)
    number = 0
    try:
        for cells in rows:
            yield dict(zip(ROW_COLUMNS, cells, strict=True)), end
            number += 1
    except csv.Error as error:
        if "unexpected end of data" not in str(error):  # that is a row cut short within quotes
            raise UsageError(f"row {number + 1} of {output} is damaged: {error}") from error
    except ValueError as error:
        raise UsageError(f"row {number + 1} of {output} is not an answer: {error}") from error


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    return (line for line in file if line.endswith(b"\n"))


_JSONL = (_json_rows, str, _json_beginning)
_CSV = (_csv_rows, csv_text, _csv_beginning)
