"""Answers as a table for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from pneumocascade.explain.verdict import is_borderline, named_aetiology
from pneumocascade.types import DISCLAIMER, UNDETERMINED, encodable, reasons_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pneumocascade.types import Prediction, StageResult

_STYLES = {"normal": "green", "pneumonia": "red", "refused": "yellow", "error": "magenta"}


def console_on(file: TextIO) -> Console:
    """Return what prints to a file: a pipe or a file has no width of its own and gets 160 columns."""
    return Console(file=file, width=None if file.isatty() else 160)


class ResultsTable:
    """Collects answers and prints them as one table."""

    def __init__(self, file: TextIO) -> None:
        self._console = console_on(file)
        self._table = RichTable(box=None, pad_edge=False, header_style="bold")
        for column in ("film", "finding", "P(pneumonia)", "aetiology", "P(viral)", "note"):
            self._table.add_column(
                column, overflow="fold", justify="right" if column.startswith("P(") else "left"
            )

    def write(self, prediction: Prediction) -> None:
        """Add a row."""
        finding = prediction.finding or prediction.status
        style = _STYLES[finding]
        self._table.add_row(
            escape(encodable(prediction.source)),
            f"[{style}]{finding}[/{style}]",
            _positive(prediction.stage1),
            prediction.aetiology or "-",
            _positive(prediction.stage2),
            escape(encodable(_note(prediction))),
        )

    def close(self) -> None:
        """Print the table."""
        self._console.print(self._table)
        self._console.print(DISCLAIMER, style="dim")


def _positive(result: StageResult | None) -> str:
    return "-" if result is None else f"{result.probabilities[result.positive]:.3f}"


def _note(prediction: Prediction) -> str:
    reasons = [f"{reason.code}: {reason.message}" for reason in reasons_of(prediction)]
    doubts = ", ".join(_doubts(prediction))
    return " ".join([*reasons, *([doubts] if doubts else []), *prediction.warnings])


def _doubts(prediction: Prediction) -> Iterator[str]:
    """Yield where the labels of the row say more than the headline of the answer."""
    if prediction.stage1 is not None and is_borderline(prediction.stage1):
        yield "borderline"
    if prediction.stage2 is not None and named_aetiology(prediction) is None:
        yield UNDETERMINED
