"""From answers to a file, one by one, so that an interruption loses none that was given."""

from __future__ import annotations

import contextlib
import csv
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol, TextIO

from pneumocascade.errors import UsageError
from pneumocascade.model.spec import ModelSpec
from pneumocascade.output.fhir.bundle import to_fhir_json
from pneumocascade.output.parquet import Parquet
from pneumocascade.output.rows import to_csv_row
from pneumocascade.types import ROW_COLUMNS, Prediction

Format = Literal["table", "json", "jsonl", "csv", "parquet", "fhir"]


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
        self._file.write(prediction.to_json() + "\n")
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
        self._file.write(self._before + prediction.to_json())
        self._before = ",\n"

    def close(self) -> None:
        """Close the array."""
        self._file.write("\n]\n")


class Csv:
    """A header, unless one is there, and one row an answer, each written out at once."""

    def __init__(self, file: TextIO, *, header: bool = True) -> None:
        self._file = file
        self._writer = csv.DictWriter(file, ROW_COLUMNS, lineterminator="\n")
        if header:
            self._writer.writeheader()

    def write(self, prediction: Prediction) -> None:
        """Write one row."""
        self._writer.writerow(to_csv_row(prediction))
        self._file.flush()

    def close(self) -> None:
        """Nothing is left."""


class FhirLines:
    """One FHIR Bundle a line (``application/fhir+ndjson``), each written out at once.

    Parameters
    ----------
    file : TextIO
    specs : sequence of ModelSpec
        Of the models, for what is stored with their operating points.
    """

    def __init__(self, file: TextIO, specs: Sequence[ModelSpec] = ()) -> None:
        self._file = file
        self._specs = specs

    def write(self, prediction: Prediction) -> None:
        """Write one line."""
        self._file.write(to_fhir_json(prediction, self._specs) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Nothing is left."""


def format_of(output: Path | None, asked: Format | None) -> Format:
    """Return the format asked for, else the one that a file's suffix tells, else a table.

    Raises
    ------
    UsageError
        Where the suffix tells another format than is asked for, or an unknown one and none is asked for.
        ``.ndjson``, lines of JSON of any kind, may also be asked to hold FHIR.
    """
    suffix = output.suffix.lower() if output else ""
    if asked == "fhir" and suffix == ".ndjson":
        return asked
    by_suffix: dict[str, Format] = {
        ".json": "json",
        ".jsonl": "jsonl",
        ".ndjson": "jsonl",
        ".csv": "csv",
        ".parquet": "parquet",
    }
    found = by_suffix.get(suffix, "table" if suffix in ("", ".txt") else None)
    if asked is None and found is None:
        raise UsageError(f"{output} has the suffix {suffix}, which is no format: give --format")
    if asked is not None and suffix in by_suffix and found != asked:
        raise UsageError(f"{output} is named like {found}, and --format says {asked}: change one of them")
    return asked or found or "table"


@contextlib.contextmanager
def open_writer(
    output: Path | None,
    format: Format,  # noqa: A002
    table: Callable[[TextIO], Writer],
    *,
    go_on: bool = False,
    specs: Sequence[ModelSpec] = (),
) -> Iterator[Writer]:
    """Open what takes the answers; what was given is kept whatever ends the block.

    Parameters
    ----------
    output : Path or None
        ``None`` for standard output, which takes all but Parquet; all but tables go there in UTF-8, whatever
        the locale.
    format : {"table", "json", "jsonl", "csv", "parquet", "fhir"}
    table : callable
        Makes the writer of a table for people.
    go_on : bool
        Write behind what is there, which :func:`pneumocascade.output.resume.find_done` has checked.
    specs : sequence of ModelSpec
        Of the models; FHIR says what is stored with their operating points.

    Raises
    ------
    UsageError
        Where the output cannot be written.
    MissingExtraError
        For Parquet without PyArrow.
    """
    if format == "parquet":
        if output is None:
            raise UsageError("Parquet is not written to standard output: give --output FOLDER")
        with contextlib.closing(Parquet(output, go_on=go_on)) as shards:
            yield shards
        return
    with _open_text(output, format, go_on) as file:
        writers: dict[str, Callable[[TextIO], Writer]] = {
            "table": table,
            "json": JsonArray,
            "jsonl": JsonLines,
            "csv": lambda file: Csv(file, header=not go_on),
            "fhir": lambda file: FhirLines(file, specs),
        }
        with contextlib.closing(writers[format](file)) as writer:
            yield writer


@contextlib.contextmanager
def _open_text(output: Path | None, format: Format, go_on: bool) -> Iterator[TextIO]:  # noqa: A002
    if output is None:
        if format != "table" and isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")
        yield sys.stdout
        return
    try:
        file = output.open("a" if go_on else "w", encoding="utf-8", newline="")
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}") from error
    with file:
        yield file
