"""``pneumocascade predict``."""

from __future__ import annotations

import contextlib
import itertools
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

import typer

from pneumocascade.cli.common import ModelsOption, OperatingPointOption
from pneumocascade.errors import UsageError

if TYPE_CHECKING:
    from pneumocascade.batch import Format, Writer
    from pneumocascade.cascade import Cascade
    from pneumocascade.records import Prediction


def predict(
    paths: Annotated[
        list[str],
        typer.Argument(help="Films, folders, patterns, or - for a list of paths on standard input."),
    ],
    format: Annotated[  # noqa: A002
        Literal["table", "json", "jsonl", "csv"] | None,
        typer.Option(help="By default what the suffix of --output tells, else a table."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write the results to this file.")] = None,
    operating_point: OperatingPointOption = "balanced",
    save_pictures: Annotated[
        Path | None, typer.Option(help="Write each film's preprocessing steps and verdict to this folder.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Threads that read films.")] = 2,
    batch_size: Annotated[int, typer.Option(min=1, help="Films that go through a model at once.")] = 16,
    models: ModelsOption = None,
) -> None:
    """Judge films.

    Exit status: 0 every film was judged or refused, 1 some could not be read, 2 wrong usage, 130
    interrupted.
    """
    from pneumocascade.batch import find_sources, format_of
    from pneumocascade.cascade import Cascade

    # What Pillow warns of shows in the answer; on standard error it would only break the progress bar.
    warnings.filterwarnings("ignore", module="PIL")
    named = (name for path in paths for name in (_lines_of_stdin() if path == "-" else [path]))
    sources = list(find_sources(named))
    if not sources:
        raise UsageError("there are no films: the list on standard input is empty")
    cascade = Cascade.load(models)
    predictions: Iterable[Prediction] = cascade.predict_many(
        sources, batch_size=batch_size, operating_point=operating_point, workers=workers
    )
    if save_pictures is not None:
        predictions = _with_pictures(predictions, cascade, save_pictures)
    unread = 0
    with _open_writer(output, format_of(output, format)) as writer:
        for prediction in _with_progress(predictions, len(sources)):
            writer.write(prediction)
            unread += prediction.status == "error"
    if unread:
        typer.echo(f"{unread} of {len(sources)} could not be read", err=True)
        raise typer.Exit(1)


def _lines_of_stdin() -> Iterator[str]:
    return (line for raw in sys.stdin if (line := raw.rstrip("\r\n")))


def _with_pictures(predictions: Iterable[Prediction], cascade: Cascade, folder: Path) -> Iterator[Prediction]:
    from pneumocascade.pictures import save_pictures
    from pneumocascade.reading import read_radiograph

    for prediction in predictions:
        if prediction.status != "error":
            save_pictures(prediction, read_radiograph(prediction.source), cascade.stage1.spec, folder)
        yield prediction


@contextlib.contextmanager
def _open_writer(output: Path | None, format: Format) -> Iterator[Writer]:  # noqa: A002
    from pneumocascade.batch import Csv, JsonArray, JsonLines
    from pneumocascade.cli.table import Table

    kinds: dict[Format, Callable[[TextIO], Writer]]
    kinds = {"table": Table, "json": JsonArray, "jsonl": JsonLines, "csv": Csv}
    with _open_output(output) as file:
        writer = kinds[format](file)
        yield writer
        writer.close()


@contextlib.contextmanager
def _open_output(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        return
    try:
        file = output.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}") from error
    with file:
        yield file


def _with_progress(predictions: Iterable[Prediction], total: int) -> Iterator[Prediction]:
    """Show a bar with rate and time left on standard error, where that is a terminal."""
    if not sys.stderr.isatty() or total == 1:
        yield from predictions
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("films", total=total, rate="")
        for done, prediction in zip(itertools.count(1), predictions, strict=False):
            yield prediction
            bar.update(task, completed=done, rate=f"{bar.tasks[0].speed or 0:.1f} films/s")
