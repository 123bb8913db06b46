"""``pneumocascade predict``."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, TextIO, TypeVar

import typer

from pneumocascade.cli.common import (
    HistoryOption,
    ModelsOption,
    OperatingPointOption,
    PriorOption,
    ProviderOption,
    ThresholdOption,
    recorder_of,
)
from pneumocascade.errors import UsageError

if TYPE_CHECKING:
    from pneumocascade.cli.destinations import Destinations
    from pneumocascade.cli.outputs import FileOutputs
    from pneumocascade.imaging.studies import Found
    from pneumocascade.output.writers import Format, Writer
    from pneumocascade.types import Prediction

Answer = TypeVar("Answer")

STDIN = "-"
"""What standard input is called, among the paths and in the answer to an image on it."""


def predict(
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders, patterns or URIs (extra [ray]); - reads a list of paths, or one image, "
            "from standard input."
        ),
    ],
    null: Annotated[
        bool, typer.Option("--null", "-0", help="Paths on standard input end with NUL, as of find -print0.")
    ] = False,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Also look below folders that are links.")
    ] = False,
    format: Annotated[  # noqa: A002
        Literal["table", "json", "jsonl", "csv", "parquet", "fhir"] | None,
        typer.Option(
            help="Output format; fhir is one FHIR R4 Bundle a line. Default: by the suffix of --output, else "
            "a table."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="File for the results; with Parquet, a folder. Default: standard output."),
    ] = None,
    left_out: Annotated[
        Path | None,
        typer.Option(
            "--left-out", help="JSON file for what was found but is no film: a list of path and kind."
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Continue an interrupted run: skip films that have an answer in --output."
        ),
    ] = False,
    operating_point: OperatingPointOption = "balanced",
    threshold: ThresholdOption = None,
    prior: PriorOption = None,
    save_pictures: Annotated[
        Path | None,
        typer.Option(help="Folder for pictures of each film: preprocessing steps, verdict, saliency maps."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Report file, .pdf or .html (extra [report]). Not with --resume."),
    ] = None,
    dicom_output: Annotated[
        Path | None,
        typer.Option(
            help="Folder for a DICOM SR and a Secondary Capture of each DICOM film (extra [report])."
        ),
    ] = None,
    deidentify: Annotated[
        bool, typer.Option("--deidentify", help="De-identify the DICOM objects and the report.")
    ] = False,
    all_frames: Annotated[
        bool,
        typer.Option("--all-frames", help="Judge every frame of a DICOM object. Default: the first only."),
    ] = False,
    workers: Annotated[
        int, typer.Option(min=1, help="Threads that read films; with --engine ray, actors of one core each.")
    ] = 2,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Films per run of a model.", show_default="1 on the CPU, else 16"),
    ] = None,
    no_gate: Annotated[
        bool,
        typer.Option(
            "--no-gate",
            help="Judge films that the gate would refuse, unless too small. Each answer warns of it.",
        ),
    ] = False,
    provider: ProviderOption = "cpu",
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="Run in this process or on Ray (extra [ray]).")
    ] = "local",
    ray_address: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster. Default: start Ray on this machine.")
    ] = None,
    history: HistoryOption = None,
    models: ModelsOption = None,
) -> None:
    """Judge films: normal or pneumonia, then bacterial or viral.

    Exit status: 0 every film was judged or refused, 1 some could not be read, 2 wrong usage, 130
    interrupted.
    """
    from pneumocascade.cli.destinations import check_destinations
    from pneumocascade.cli.left_out import may_miss_films, write_left_out
    from pneumocascade.cli.outputs import FileOutputs, check
    from pneumocascade.imaging.signatures import HEAD, file_format
    from pneumocascade.output.writers import format_of

    # What Pillow warns of shows in the answer; on standard error it would only break the progress bar.
    warnings.filterwarnings("ignore", module="PIL")
    output = None if output == Path(STDIN) else output
    kind = format_of(output, format)
    outputs = FileOutputs(save_pictures, dicom_output, report, deidentify)
    check(outputs, resume=resume)
    if engine == "ray":
        kind = _format_on_ray(kind, output, format, alone=not (outputs.any or history))
    elif ray_address is not None:
        raise UsageError("--ray-address goes with --engine ray")
    content = sys.stdin.buffer.read() if STDIN in paths else b""
    # What is no film but has a name is no list either: the answer calls it by its name.
    image = content if paths == [STDIN] and file_format(content[:HEAD]) is not None else None
    if image is None:
        listed = _names_in(content, null)
        named = [name for path in paths for name in (listed if path == STDIN else [path])]
        sources, others = _sources(named, all_frames=all_frames, follow_links=follow_links)
    elif engine == "ray":
        raise UsageError("an image on standard input is judged here: use --engine local")
    else:
        named, sources, others = [], [STDIN], []
    inputs = chain(["/dev/stdin"] if STDIN in paths else [], named, sources)  # the list may be a file, too
    check_destinations(*_destinations(output, kind, outputs, history, left_out), inputs)
    if left_out is not None:
        write_left_out(left_out, others)
    how = _How(models, provider, operating_point, threshold, prior, not no_gate, batch_size, workers)
    films, unread, begun = _done(output, kind, sources, how) if resume else (0, 0, False)
    left = sources[films:]
    if engine == "ray":
        assert output is not None, "was looked at above"
        unread += _on_ray(left, how, output, go_on=begun, address=ray_address)
    else:
        unread += _here(left, image, how, outputs, history, _Target(output, kind, begun))
    if unread:
        typer.echo(f"{unread} of {len(sources)} could not be read", err=True)
    if unread or may_miss_films(others):
        raise typer.Exit(1)


def _destinations(
    output: Path | None, kind: Format, outputs: FileOutputs, history: Path | None, left_out: Path | None
) -> tuple[Destinations, Destinations]:
    """Return the files and the folders that are written to, by their options."""
    files = {"--report": outputs.report, "--history": history, "--left-out": left_out}
    folders = {"--save-pictures": outputs.pictures, "--dicom-output": outputs.objects}
    (folders if kind == "parquet" else files)["--output"] = output
    return files, folders


class _How(NamedTuple):
    """What the options say of how films are judged, whatever runs it."""

    models: Path | None
    provider: str
    operating_point: str
    threshold: float | None
    prior: float | None
    gate: bool
    batch_size: int | None
    workers: int


def _done(output: Path | None, kind: Format, sources: Sequence[str], how: _How) -> tuple[int, int, bool]:
    """Return how many films have an answer, how many of these were not read, and whether there is a head."""
    from pneumocascade.inference.cascade import CUSTOM
    from pneumocascade.model.store import STAGES, bundled_models, load_classifier, read_manifest
    from pneumocascade.output.resume import Settings, find_done

    if output is None:
        raise UsageError("--resume goes on with a file: give --output")
    folder = how.models or bundled_models()
    manifest = read_manifest(folder)
    prior = load_classifier(folder, manifest, STAGES[0]).spec.prior if how.prior is None else how.prior
    point = how.operating_point if how.threshold is None else CUSTOM
    settings = Settings(manifest.version, point, how.gate, prior, how.threshold)
    done = find_done(output, kind, sources, settings)
    typer.echo(f"{done.films} of {len(sources)} films have their answer", err=True)
    return done.films, done.unread, done.begun


class _Target(NamedTuple):
    """Where the answers go, and whether there are some already."""

    output: Path | None
    kind: Format
    go_on: bool


def _here(
    sources: Sequence[str],
    image: bytes | None,
    how: _How,
    outputs: FileOutputs,
    history: Path | None,
    target: _Target,
) -> int:
    """Judge films, or the one image of standard input, in this process; return how many were not read."""
    from pneumocascade.cli.outputs import consume, with_files
    from pneumocascade.inference.cascade import Cascade
    from pneumocascade.model.engines.auto import resolve
    from pneumocascade.model.engines.processor import usable_cores
    from pneumocascade.output.writers import open_writer

    # Cores that judge batches of their own need no large ones; other providers run one batch at a time.
    parallel = max(1, min(usable_cores(), len(sources))) if resolve(how.provider).provider == "cpu" else 1
    threads = 1 if parallel > 1 else 0
    unread = Counter[str]()
    with recorder_of(history) as recorder:
        cascade = Cascade.load(how.models, threads=threads, provider=how.provider, recorder=recorder)
        predictions: Iterable[Prediction] = cascade.predict_many(
            sources if image is None else [image],
            names=sources,
            batch_size=how.batch_size,
            operating_point=how.operating_point,
            prior=how.prior,
            threshold=how.threshold,
            workers=how.workers,
            parallel=parallel,
            gate=how.gate,
            display=outputs.any,
        )
        predictions = with_files(predictions, cascade, outputs, how.models, image)
        opened = open_writer(target.output, target.kind, _table, go_on=target.go_on, specs=cascade.specs)
        with opened as writer:
            consume(_written(predictions, len(sources), writer, unread), cascade, outputs)
    return unread["error"]


def _written(
    predictions: Iterable[Prediction], total: int, writer: Writer, statuses: Counter[str]
) -> Iterator[Prediction]:
    """Write answers as they come, and count them by status."""
    for prediction in _with_progress(predictions, total):
        writer.write(prediction)
        statuses[prediction.status] += 1
        yield prediction


def _format_on_ray(kind: Format, output: Path | None, asked: Format | None, *, alone: bool) -> Format:
    """Refuse what Ray's answers cannot become; Parquet need not be asked for."""
    if asked is None and kind == "table":
        kind = "parquet"
    if kind != "parquet" or output is None:
        raise UsageError(
            f"--engine ray writes a folder of Parquet files, not {kind}"
            f"{'' if output else ' to standard output'}: give --format parquet --output FOLDER"
        )
    if not alone:
        raise UsageError(
            "--save-pictures, --report, --dicom-output and --history are made here: leave them out, or use "
            "--engine local"
        )
    return kind


def _on_ray(sources: Sequence[str], how: _How, output: Path, *, go_on: bool, address: str | None) -> int:
    """Judge films on Ray; return how many could not be read."""
    from pneumocascade.output.parquet import Parquet
    from pneumocascade.output.ray_engine import Job, connected, predict_on_ray

    job = Job.made_here(
        how.models,
        provider=how.provider,
        operating_point=how.operating_point,
        prior=how.prior,
        threshold=how.threshold,
        gate=how.gate,
        batch_size=how.batch_size,
    )
    unread = 0
    with connected(how.workers, address), contextlib.closing(Parquet(output, go_on=go_on)) as shards:
        for row in _with_progress(predict_on_ray(sources, job, workers=how.workers), len(sources)):
            shards.write_row(row)
            unread += row["status"] == "error"
    return unread


def _sources(named: Iterable[str], *, all_frames: bool, follow_links: bool) -> tuple[list[str], list[Found]]:
    """Return the films that are meant, and what was left out.

    A folder is left among them only where it holds none.
    """
    from pneumocascade.cli.left_out import say_left_out
    from pneumocascade.imaging.find import find_sources
    from pneumocascade.imaging.read import KINDS

    left_out: list[Found] = []
    sources = list(find_sources(named, all_frames=all_frames, follow_links=follow_links, left_out=left_out))
    say_left_out(left_out)
    if all(os.path.isdir(source) for source in sources):  # noqa: PTH112
        where = ", ".join(sources) or "the list on standard input"
        raise UsageError(f"there are no films in {where} (films are {KINDS})")
    return sources, left_out


def _table(file: TextIO) -> Writer:
    from pneumocascade.cli.table import ResultsTable  # Rich takes a while to load

    return ResultsTable(file)


def _names_in(content: bytes, null: bool) -> list[str]:
    """Return the paths of a list; as bytes, since a file's name need not be text."""
    lines = content.split(b"\0") if null else (line.rstrip(b"\r") for line in content.split(b"\n"))
    return [os.fsdecode(line) for line in lines if line]


def _with_progress(predictions: Iterable[Answer], total: int) -> Iterator[Answer]:
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
