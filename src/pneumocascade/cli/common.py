"""Options and helpers that several commands share."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pneumocascade.errors import MissingExtraError

ModelsOption = Annotated[
    Path | None,
    typer.Option("--models", help="Folder written by 'pneumocascade export'; by default the bundled models."),
]
OperatingPointOption = Annotated[
    Literal["balanced", "sensitive", "specific"], typer.Option(help="Threshold to judge by; see 'info'.")
]
ProviderOption = Annotated[
    Literal["cpu", "cuda", "openvino"],
    typer.Option(help="What runs the models; others than cpu need another build of ONNX Runtime."),
]


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
