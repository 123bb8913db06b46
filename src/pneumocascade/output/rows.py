"""Answers as rows of CSV and as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pneumocascade.errors import MissingExtraError
from pneumocascade.types import ROW_COLUMNS, Prediction, encodable

if TYPE_CHECKING:
    from pandas import DataFrame


def to_csv_row(prediction: Prediction) -> dict[str, object]:
    """Return an answer as one row by ``ROW_COLUMNS``; what does not apply is empty.

    Text that a spreadsheet would take for a formula (OWASP, "CSV injection") gets an apostrophe in
    front, a carriage return becomes a backslash and an r, and a NUL, which not every reader of CSV takes, a
    backslash and a zero; JSON has the text as it is.
    """
    row = prediction.to_row()
    return {name: csv_text(value) if isinstance(value, str) else value for name, value in row.items()}


def csv_text(text: str) -> str:
    """Return text as a cell of a CSV file shows it; see :func:`to_csv_row`."""
    escaped = f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
    return encodable(escaped.replace("\r", "\\r").replace("\0", "\\0"))


def to_csv(predictions: Iterable[Prediction]) -> str:
    """Return answers as CSV text with a header line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ROW_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(to_csv_row(prediction) for prediction in predictions)
    return text.getvalue()


def to_frame(predictions: Iterable[Prediction]) -> DataFrame:
    """Return answers as a pandas table, one row each, by ``ROW_COLUMNS``; what does not apply is missing.

    Parameters
    ----------
    predictions : iterable of Prediction
        Such as what ``predict_many`` yields.

    Raises
    ------
    MissingExtraError
        Where pandas is not installed (it comes with the extra ``[web]``).
    """
    try:
        import pandas as pd
    except ModuleNotFoundError as error:
        raise MissingExtraError("a table of answers", "web") from error
    rows = [prediction.to_row() for prediction in predictions]
    return pd.DataFrame(rows, columns=list(ROW_COLUMNS)).replace("", None)
