"""CSV files as people have them: byte-order marks, semicolons or tabs, quotes, any line ends."""

from __future__ import annotations

import codecs
import csv
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pneumocascade.datasets.folded import folded
from pneumocascade.errors import DataSetError

_DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Attributes
    ----------
    line : int
        Number of its (last) line in the file, from 1.
    cells : tuple of str
        As many as the table has columns, without white space around them.
    """

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV file.

    Attributes
    ----------
    path : Path
    columns : tuple of str
        Names in the first line.
    rows : tuple of Row
        Without empty ones.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def index_of(self, column: str) -> int | None:
        """Return the place of a column, capitals and Unicode form aside; ``None`` where there is none.

        Raises
        ------
        DataSetError
            Where there are several.
        """
        wanted = folded(column.strip())
        places = [place for place, name in enumerate(self.columns) if folded(name) == wanted]
        if len(places) > 1:
            raise DataSetError(f"{self.path} has {len(places)} columns {column!r}; give each its own name")
        return places[0] if places else None


def read_table(path: Path) -> Table:
    """Read a CSV file: UTF-8, or UTF-16 with a byte-order mark; comma, semicolon or tab between fields.

    Raises
    ------
    DataSetError
        Where it cannot be read, holds no row, or a line is not as the first one says.
    """
    text = _text_of(path)
    head, separator, rest = text.partition("\n")
    if head.strip().casefold().startswith("sep=") and separator:  # Excel's way to name the delimiter
        delimiter, text, skipped = head.strip()[4:5] or "\t", rest, 1
    else:
        delimiter, skipped = max(_DELIMITERS, key=head.count), 0
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    csv.field_size_limit(min(sys.maxsize, 1 << 24))
    try:
        found = [(lines.line_num + skipped, line) for line in lines]
    except csv.Error as error:
        raise DataSetError(
            f"{path}, line {lines.line_num + skipped}, is no line of a CSV file; check its quotation marks"
        ) from error
    filled = [(number, cells) for number, cells in found if any(cell.strip() for cell in cells)]
    if len(filled) < 2:
        raise DataSetError(
            f"{path} has no rows; expected a line with the names of the columns, then a row a film"
        )
    columns = tuple(cell.strip() for cell in filled[0][1])
    return Table(path, columns, tuple(_rows(path, columns, filled[1:])))


def _rows(path: Path, columns: Sequence[str], lines: Sequence[tuple[int, list[str]]]) -> Iterator[Row]:
    for number, cells in lines:
        stripped = [cell.strip() for cell in cells]
        if any(stripped[len(columns) :]):
            raise DataSetError(
                f"{path}, line {number}, has {len(cells)} fields, but the first line names {len(columns)} "
                "columns; put a field that holds a comma in quotation marks"
            )
        stripped += [""] * (len(columns) - len(stripped))
        yield Row(number, tuple(stripped[: len(columns)]))


def _text_of(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataSetError(f"the file {path} cannot be read: {error.strerror}") from error
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataSetError(
            f"{path}, line {line}, is not UTF-8 text; save the file as CSV in UTF-8"
        ) from error
    if "\0" in text:
        raise DataSetError(f"{path} is no text: it holds NUL characters; expected a CSV file in UTF-8")
    return text
