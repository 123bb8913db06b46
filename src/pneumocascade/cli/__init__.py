"""Command line: a thin layer over :class:`pneumocascade.Cascade`.

Only what every command needs is imported here; each command imports the rest when it runs, so that
``--version`` and ``--help`` stay fast.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pneumocascade import __version__
from pneumocascade.cli import compare, doctor, history, models, node, predict, train, watch
from pneumocascade.cli.streams import drop_unwritten, make_usable
from pneumocascade.errors import PneumocascadeError, UsageError

app = typer.Typer(
    name="pneumocascade",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},  # of every command
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # in its own mark-up, [ray] would be a style
    help="Read chest radiographs in two stages: normal or pneumonia, then bacterial or viral. "
    "Research demonstration only. Not intended for medical diagnosis.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pneumocascade {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Read chest radiographs in two stages."""


app.command("predict")(predict.predict)
app.command("evaluate")(models.evaluate)
app.command("compare")(compare.compare)
app.command("train")(train.train)
app.command("export")(train.export)
app.command("calibrate")(train.calibrate)
app.command("weights")(train.weights)
app.command("serve")(models.serve)
app.command("watch")(watch.watch)
app.command("info")(models.info)
app.command("doctor")(doctor.doctor)
app.add_typer(history.app, name="history")
app.add_typer(node.app, name="node")


def main() -> None:
    """Run the command line; exit status 2 for wrong usage, 1 for any other error of ours or the disk's."""
    make_usable()
    try:
        try:
            app()
        except SystemExit:
            sys.stdout.flush()  # as Python ends, it would fail with a traceback
            raise
    except PneumocascadeError as error:
        drop_unwritten()
        typer.echo(f"pneumocascade: {error}", err=True)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except BrokenPipeError:  # whoever reads has seen enough, as head does
        drop_unwritten()
        sys.exit(1)
    except OSError as error:  # a full disk, a folder that is a file: what the command wrote so far is kept
        where = "standard output" if drop_unwritten() and not error.filename else error.filename
        typer.echo(f"pneumocascade: {error.strerror or error}{f' ({where})' if where else ''}", err=True)
        sys.exit(1)
