"""``pneumocascade watch``: a watched folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pneumocascade.cli.common import (
    HistoryOption,
    ModelsOption,
    OperatingPointOption,
    ProviderOption,
    import_extra,
)
from pneumocascade.cli.node import (
    LogJsonOption,
    LogLevelOption,
    ResultsOption,
    loaded,
    set_up_log,
    until_signal,
)


def watch(
    folder: Annotated[Path, typer.Argument(help="Folder whose films are judged, with all folders below.")],
    output: Annotated[Path, typer.Option(help="Folder for results: JSON files and DICOM objects.")],
    settle: Annotated[
        float, typer.Option(min=0, help="Seconds without a change after which a file counts as whole.")
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="End when what is there has its answer.")] = False,
    poll: Annotated[
        bool,
        typer.Option("--poll", help="Look every two seconds; for network drives that report no changes."),
    ] = False,
    results: ResultsOption = "sr,sc",
    operating_point: OperatingPointOption = "balanced",
    log_level: LogLevelOption = "warning",
    log_json: LogJsonOption = False,
    history: HistoryOption = None,
    provider: ProviderOption = "cpu",
    models: ModelsOption = None,
) -> None:
    """Judge each film of a folder once, when its writing has ended."""
    kinds = import_extra("pneumocascade.node.results", "a watched folder", "node")
    watching = import_extra("pneumocascade.node.watch", "a watched folder", "node")
    settings = watching.WatchSettings(folder, output, settle, once, poll, operating_point)
    chosen = kinds.result_kinds(results)
    set_up_log(log_level, as_json=log_json)
    with loaded(models, provider, history) as (cascade, manifest), until_signal() as stop:
        running = watching.FolderWatch(cascade, kinds.ResultMaker(cascade, manifest, chosen), settings)
        if not once:
            typer.echo(f"pneumocascade watches {folder} (stop with Ctrl-C)")
        running.run(stop)
        told = ", ".join(f"{count} {status}" for status, count in sorted(running.statuses.items()))
        typer.echo(told or "nothing new", err=True)
        if once and (running.statuses["error"] or running.statuses["failed"]):
            raise typer.Exit(1)
