"""Options and helpers that several commands share."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pneumocascade.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pneumocascade.types import Prediction

    Recorder = Callable[[Prediction], object]

TOKEN_VARIABLE = "PNEUMOCASCADE_TOKEN"  # noqa: S105  a name
"""Environment variable with the token that clients must send."""

ModelsOption = Annotated[
    Path | None,
    typer.Option(
        "--models",
        help="Folder of models from 'export', 'calibrate' or 'make models'. Default: the bundled ones.",
    ),
]
OperatingPointOption = Annotated[
    Literal["balanced", "sensitive", "specific"], typer.Option(help="Threshold to use; 'info' lists them.")
]
PriorOption = Annotated[
    float | None,
    typer.Option(
        help="Expected share of pneumonia among the films, between 0 and 1. Probability and threshold of "
        "stage 1 move together; findings stay.",
        show_default="0.5",
    ),
]
ThresholdOption = Annotated[
    float | None,
    typer.Option(
        help="Probability, between 0 and 1, from which on stage 1 says pneumonia, in place of "
        "--operating-point. Stage 2 keeps the balanced one.",
    ),
]
ProviderOption = Annotated[
    Literal["cpu", "cuda", "openvino", "auto"],
    typer.Option(
        help="What runs the models: cpu and cuda are ONNX Runtime (cuda needs onnxruntime-gpu), openvino is "
        "OpenVINO on the CPU (extra [openvino]), auto the one that was measured to be fastest; see 'info'."
    ),
]
HistoryOption = Annotated[
    Path | None,
    typer.Option(
        "--history",
        envvar="PNEUMOCASCADE_HISTORY",
        help="SQLite file for an audit trail of all answers, without pixels or names; see 'history'.",
    ),
]


@contextmanager
def recorder_of(history: Path | None) -> Iterator[Recorder | None]:
    """Give what enters answers in a history, or nothing where none is asked for."""
    if history is None:
        yield None
        return
    from pneumocascade.audit.history import History

    with closing(History(history)) as opened:
        yield opened.add


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block as an exception would, so that files are closed; exit status 143.

    By default the process ends where it stands. uvicorn sends itself the signal again when it has stopped.
    """

    def leave(number: int, _: object) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def import_extra(module: str, what: str, extra: str) -> Any:
    """Import a module that needs an optional dependency.

    Raises
    ------
    MissingExtraError
        Where a package it needs is not installed; the message tells the extra that brings it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("pneumocascade"):
            raise
        raise MissingExtraError(what, extra) from error


def token_of(file: Path | None, variable: str) -> str | None:
    """Return the token in a file, or in an environment variable; never from the command line.

    Raises
    ------
    UsageError
        Where the file cannot be read.
    """
    if file is None:
        return os.environ.get(variable) or None
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise UsageError(f"the token in {file} cannot be read: {error}") from error
