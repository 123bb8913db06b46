"""Options on labelled films that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pneumocascade.datasets.films import LabelledFilms, LabelOptions

LabelsOption = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        help="CSV file of labels: columns path (from the file's folder), finding, aetiology, patient; all "
        "but the path may be missing. Default: class folders and names.",
    ),
]
LabelColumnsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--label-columns",
        help="Names of the columns of --labels where they differ, such as "
        "'path=Image Index,finding=Finding Labels'. Columns of 1 and 0 for one finding each are named "
        "normal=, pneumonia=, bacterial=, viral=. Repeatable.",
    ),
]
LabelValuesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--label-values",
        help="Meanings of other values in the file of --labels, such as 'pneumonia=Lung Opacity': of normal, "
        "pneumonia, bacterial, viral, uncertain. Repeatable.",
    ),
]
PatientsOption = Annotated[
    str | None,
    typer.Option(
        "--patients",
        help="Regular expression, searched in each film's path below its folder: the first group is the "
        "patient. Or a CSV file with the columns path and patient.",
    ),
]


def options_of(
    labels: Path | None, columns: list[str] | None, values: list[str] | None, patients: str | None
) -> LabelOptions:
    """Return the options as the loader takes them."""
    from pneumocascade.datasets.films import LabelOptions

    return LabelOptions(labels, tuple(columns or ()), tuple(values or ()), patients)


def say_loaded(films: LabelledFilms) -> None:
    """Say on standard error what was left out, and which patients are guessed."""
    for line in films.lines():
        typer.echo(line, err=True)
