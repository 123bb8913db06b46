"""``pneumocascade doctor``: look for what is wrong with an installation, and say what mends it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from pneumocascade.cli.common import ModelsOption

if TYPE_CHECKING:
    from pneumocascade.doctor.check import Check

_STYLES = {"ok": "green", "note": "yellow", "problem": "red"}


def doctor(
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    port: Annotated[
        int, typer.Option(min=1, max=65535, envvar="PORT", help="Port that 'serve' will use.")
    ] = 7860,
    models: ModelsOption = None,
) -> None:
    """Check this installation and say how to fix problems; exit status 1 if there are any.

    It checks packages, models, decoders, folders, memory and cores. You can attach the output to a bug
    report: it contains nothing about films, and paths below the home folder begin with ~.
    """
    from pneumocascade.doctor.examination import examine, to_dict

    checks = examine(models, port)
    if json_output:
        typer.echo(json.dumps(to_dict(checks), indent=2))
    else:
        _show(checks)
    if any(check.status == "problem" for check in checks):
        raise typer.Exit(1)


def _show(checks: list[Check]) -> None:
    import sys

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from pneumocascade.doctor.examination import summary_of
    from pneumocascade.types import DISCLAIMER, encodable

    # A pipe or a file has no width of its own: 120 columns fit into a page.
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("check", "status", "found, and what to do"):
        table.add_column(column, overflow="fold")
    for check in checks:
        style = _STYLES[check.status]
        text = escape(encodable(check.found))
        if check.advice:
            text += f"\n[bold]-> {escape(encodable(check.advice))}[/bold]"
        table.add_row(escape(check.name), f"[{style}]{check.status}[/{style}]", text)
    console.print(table)
    console.print("ok {ok}, notes {notes}, problems {problems}".format(**summary_of(checks)))
    console.print(DISCLAIMER, style="dim")
