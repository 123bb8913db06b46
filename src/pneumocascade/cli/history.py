"""``pneumocascade history``: list, export, back up and purge the audit trail."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

import typer

from pneumocascade.cli.destinations import is_same_file
from pneumocascade.errors import UsageError

if TYPE_CHECKING:
    from pneumocascade.audit.history import Entry, History

app = typer.Typer(
    no_args_is_help=True, help="List, export, back up and purge an audit trail (see serve --history)."
)

_File = Annotated[Path, typer.Argument(help="SQLite file of the history.", envvar="PNEUMOCASCADE_HISTORY")]
_Since = Annotated[datetime | None, typer.Option(help="Only entries from this local time on.")]
_Until = Annotated[datetime | None, typer.Option(help="Only entries before this local time.")]


@app.command("list")
def list_entries(
    file: _File,
    since: _Since = None,
    until: _Until = None,
    last: Annotated[int, typer.Option(min=1, help="Maximum number of entries, newest first.")] = 50,
) -> None:
    """Show the newest analyses in a table."""
    from collections import deque

    from rich.table import Column, Table

    from pneumocascade.cli.table import console_on

    names = ("id", "time (UTC)", "result", "P(pneumonia)", "P(viral)", "models", "pixels (SHA-256)")
    table = Table(*(Column(name, overflow="fold") for name in names))
    with _opened(file) as history:
        for entry in deque(history.entries(since=_local(since), until=_local(until)), maxlen=last):
            result = entry.aetiology or entry.finding or f"{entry.status}: {entry.codes}"
            result += f" ({entry.codes})" if entry.finding and entry.codes else ""
            chances = (entry.probability_pneumonia, entry.probability_viral)
            shown = (f"{chance:.3f}" if chance is not None else "" for chance in chances)
            cells = (result, *shown, entry.model_version, entry.pixels_sha256[:12])
            table.add_row(str(entry.id), entry.time, *cells)
    console_on(sys.stdout).print(table)


@app.command()
def export(
    file: _File,
    output: Annotated[Path | None, typer.Option(help="File to write. Default: standard output.")] = None,
    format: Annotated[  # noqa: A002
        Literal["jsonl", "csv"], typer.Option(help="JSON lines, or CSV.")
    ] = "jsonl",
    since: _Since = None,
    until: _Until = None,
) -> None:
    """Write analyses as JSON lines or CSV."""
    with contextlib.ExitStack() as stack:
        history = stack.enter_context(_opened(file))
        target: TextIO = sys.stdout
        if output is not None:
            if is_same_file(file, output):
                raise UsageError(f"--output {output} is the history itself: give another file")
            target = stack.enter_context(output.open("w", encoding="utf-8", newline=""))
        _write(history.entries(since=_local(since), until=_local(until)), target, format)


@app.command()
def backup(
    file: _File,
    output: Annotated[Path, typer.Option(help="Write the copy to this file.")],
) -> None:
    """Copy a history into one file, also while a server writes to it."""
    if is_same_file(file, output):
        raise UsageError(f"--output {output} is the history itself: give another file")
    with _opened(file) as history:
        entries = history.backup(output)
    typer.echo(f"{entries} analyses copied to {output}", err=True)


@app.command()
def purge(
    file: _File,
    before: Annotated[datetime | None, typer.Option(help="Delete entries before this local time.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete all entries.")] = False,
) -> None:
    """Delete analyses permanently."""
    if (before is None) != everything:
        raise UsageError("give --before TIME, or --all")
    with _opened(file) as history:
        deleted = history.purge(before=_local(before))
    typer.echo(f"{deleted} analyses deleted", err=True)


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[History]:
    from pneumocascade.audit.history import History

    with contextlib.closing(History(file, must_exist=True)) as history:
        yield history


def _local(moment: datetime | None) -> datetime | None:
    return moment.astimezone() if moment is not None else None


def _write(entries: Iterable[Entry], target: TextIO, kind: Literal["jsonl", "csv"]) -> None:
    from pneumocascade.audit.history import COLUMNS

    if kind == "csv":
        writer = csv.DictWriter(target, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(dataclasses.asdict(entry) for entry in entries)
        return
    for entry in entries:
        target.write(json.dumps(dataclasses.asdict(entry)) + "\n")
