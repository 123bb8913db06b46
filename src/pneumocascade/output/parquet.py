"""Answers as a folder of Parquet files, which pandas, Polars, DuckDB and Spark read as one table.

PyArrow writes them (extra ``[parquet]``).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pneumocascade.errors import MissingExtraError, UsageError
from pneumocascade.types import ROW_COLUMNS, encodable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pneumocascade.types import Prediction

ROWS = 1000
"""Answers a file. No more than these are held, and no more than these are lost where a run is killed."""

PATTERN = "part-{:06d}.parquet"

_NUMBERS = frozenset(
    name
    for name in ROW_COLUMNS
    if name.startswith(("probability", "elapsed", "prior", "familiarity")) or name.endswith("threshold")
)
"""Columns of numbers; the others are text."""


class Parquet:
    """Takes answers and writes them in files of ``ROWS`` each.

    A file appears under its name only when it is whole. Columns are those of the CSV format, with
    null where there is nothing.

    Parameters
    ----------
    folder : Path
        Is made where there is none.
    go_on : bool
        Keep the files that are there.

    Raises
    ------
    MissingExtraError
        Where PyArrow is not installed.
    UsageError
        Where the folder cannot be made, or holds answers already and ``go_on`` is ``False``.
    """

    def __init__(self, folder: Path, *, go_on: bool = False) -> None:
        _pyarrow()
        self.folder = folder
        self._rows: list[dict[str, object]] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"the folder {folder} cannot be made: {error.strerror}") from error
        there = shards_of(folder)
        if there and not go_on:
            raise UsageError(
                f"{folder} holds {len(there)} files of answers: go on with --resume, or give another folder"
            )
        self._number = len(there)

    def write(self, prediction: Prediction) -> None:
        """Take one answer."""
        self.write_row(to_parquet_row(prediction))

    def write_row(self, row: dict[str, object]) -> None:
        """Take one answer as :func:`to_parquet_row` gives it."""
        self._rows.append(row)
        if len(self._rows) == ROWS:
            self._write_shard()

    def close(self) -> None:
        """Write what is left."""
        if self._rows:
            self._write_shard()

    def _write_shard(self) -> None:
        write_shard(self._rows, self.folder / PATTERN.format(self._number))
        self._number += 1
        self._rows = []


def to_parquet_row(prediction: Prediction) -> dict[str, object]:
    """Return an answer as one row; text is as it is, without the apostrophes that protect spreadsheets."""
    return {
        name: (encodable(value) or None) if isinstance(value, str) else value
        for name, value in prediction.to_row().items()
    }


def table_of(rows: Iterable[dict[str, object]]) -> Any:
    """Return rows as a PyArrow table, whose columns have the same types whatever is in them."""
    pa, _ = _pyarrow()
    schema = pa.schema([(name, pa.float64() if name in _NUMBERS else pa.string()) for name in ROW_COLUMNS])
    return pa.Table.from_pylist(list(rows), schema=schema)


def write_shard(rows: Iterable[dict[str, object]], path: Path) -> None:
    """Write rows to one Parquet file, which is there whole or not at all."""
    _, pq = _pyarrow()
    unfinished = path.with_name(f".{path.name}.unfinished")  # readers of folders pass over such names
    pq.write_table(table_of(rows), unfinished, compression="zstd")
    os.replace(unfinished, path)  # noqa: PTH105


def shards_of(folder: Path) -> list[Path]:
    """Return the whole files of a folder of answers, in order."""
    return sorted(folder.glob("part-*.parquet"))


def rows_of(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a folder of answers, a file in memory at a time.

    Raises
    ------
    UsageError
        Where a file is no such table.
    """
    for path in shards_of(folder):
        yield from _read_shard(path)


def _read_shard(path: Path) -> list[dict[str, Any]]:
    pa, pq = _pyarrow()
    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"{path} is damaged: {error}") from error
    return rows


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise MissingExtraError("Parquet", "parquet") from error
    return pa, pq
