"""``pneumocascade predict``."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

import typer

from pneumocascade.cli.common import ModelsOption, OperatingPointOption, ProviderOption
from pneumocascade.errors import FilmError, UsageError

if TYPE_CHECKING:
    from pneumocascade.batch.writers import Writer
    from pneumocascade.cascade import Cascade
    from pneumocascade.records import Prediction


def predict(
    paths: Annotated[
        list[str],
        typer.Argument(help="Films, folders, patterns, or - for a list of paths on standard input."),
    ],
    format: Annotated[  # noqa: A002
        Literal["table", "json", "jsonl", "csv", "parquet"] | None,
        typer.Option(help="By default what the suffix of --output tells, else a table."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write the results to this file; Parquet to this folder.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with an interrupted run: films with an answer are left out."),
    ] = False,
    operating_point: OperatingPointOption = "balanced",
    save_pictures: Annotated[
        Path | None, typer.Option(help="Write each film's preprocessing steps and verdict to this folder.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Threads that read films.")] = 2,
    batch_size: Annotated[int, typer.Option(min=1, help="Films that go through a model at once.")] = 16,
    no_gate: Annotated[
        bool,
        typer.Option(
            "--no-gate", help="Judge films whatever they show, unless too small; each answer warns of it."
        ),
    ] = False,
    provider: ProviderOption = "cpu",
    models: ModelsOption = None,
) -> None:
    """Judge films.

    Exit status: 0 every film was judged or refused, 1 some could not be read, 2 wrong usage, 130
    interrupted.
    """
    from pneumocascade.batch.resume import Done, Settings, find_done
    from pneumocascade.batch.sources import find_sources
    from pneumocascade.batch.writers import format_of, open_writer
    from pneumocascade.cascade import Cascade

    # What Pillow warns of shows in the answer; on standard error it would only break the progress bar.
    warnings.filterwarnings("ignore", module="PIL")
    named = (name for path in paths for name in (_lines_of_stdin() if path == "-" else [path]))
    sources = list(find_sources(named))
    _check_sources(sources)
    kind = format_of(output, format)
    cascade = Cascade.load(models, provider=provider)
    done = Done()
    if resume:
        if output is None:
            raise UsageError("--resume goes on with a file: give --output")
        done = find_done(output, kind, sources, Settings(cascade.version, operating_point, not no_gate))
        typer.echo(f"{done.films} of {len(sources)} films have their answer", err=True)
    predictions: Iterable[Prediction] = cascade.predict_many(
        sources[done.films :],
        batch_size=batch_size,
        operating_point=operating_point,
        workers=workers,
        gate=not no_gate,
    )
    if save_pictures is not None:
        predictions = _with_pictures(predictions, cascade, save_pictures)
    unread = done.unread
    with open_writer(output, kind, _table, go_on=done.begun) as writer:
        for prediction in _with_progress(predictions, len(sources) - done.films):
            writer.write(prediction)
            unread += prediction.status == "error"
    if unread:
        typer.echo(f"{unread} of {len(sources)} could not be read", err=True)
        raise typer.Exit(1)


def _check_sources(sources: Sequence[str]) -> None:
    """Refuse a list without films; a folder is left in it only where that holds none."""
    from pneumocascade.reading import SUFFIXES

    if all(os.path.isdir(source) for source in sources):  # noqa: PTH112
        where = ", ".join(sources) or "the list on standard input"
        raise UsageError(
            f"there are no films in {where} (looked in folders for {', '.join(sorted(SUFFIXES))})"
        )


def _table(file: TextIO) -> Writer:
    from pneumocascade.cli.table import Table  # Rich takes a while to load

    return Table(file)


def _lines_of_stdin() -> Iterator[str]:
    # As bytes: a file's name need not be text.
    return (os.fsdecode(line) for raw in sys.stdin.buffer if (line := raw.rstrip(b"\r\n")))


def _with_pictures(predictions: Iterable[Prediction], cascade: Cascade, folder: Path) -> Iterator[Prediction]:
    from pneumocascade.pictures import save_pictures
    from pneumocascade.reading import read_radiograph

    for prediction in predictions:
        note: tuple[str, ...] = ()
        if prediction.status != "error":
            try:
                save_pictures(prediction, read_radiograph(prediction.source), cascade.stage1.spec, folder)
            except FilmError as error:  # it was read a moment ago, and has been moved or written to since
                note = (f"there are no pictures of it: {error.message}",)
        yield replace(prediction, warnings=prediction.warnings + note)


def _with_progress(predictions: Iterable[Prediction], total: int) -> Iterator[Prediction]:
    """Show a bar with rate and time left on standard error, where that is a terminal."""
    if not sys.stderr.isatty() or total == 1:
        yield from predictions
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    started = time.perf_counter()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("films", total=total, rate="")
        for done, prediction in enumerate(predictions, start=1):
            yield prediction
            bar.update(task, completed=done, rate=_rate(done, total, time.perf_counter() - started))


def _rate(done: int, total: int, seconds: float) -> str:
    """Say how fast it goes, over all the time so far: answers come in batches, not evenly."""
    left = timedelta(seconds=round((total - done) * seconds / done))
    return f"{done / seconds:.1f} films/s, {left} left"
