"""``pneumocascade compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pneumocascade.cli.common import import_extra
from pneumocascade.cli.labels import (
    LabelColumnsOption,
    LabelsOption,
    LabelValuesOption,
    PatientsOption,
    options_of,
    say_loaded,
)
from pneumocascade.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console
    from rich.table import Table

    from pneumocascade.datasets.films import LabelledFilm, LabelOptions
    from pneumocascade.evaluation.answers import AnswerSet

BUNDLED = "bundled"
SHOWN = 10
"""Most films that a list on the terminal names."""

_LEGEND = (
    "p: DeLong's test of the AUROC, McNemar's of shares. A : B: films that only A, and only B, answered "
    "rightly."
)

PointOption = Literal["balanced", "sensitive", "specific"]


def compare(
    a: Annotated[
        str,
        typer.Argument(help="Folder of models, 'bundled', or predictions.csv as evaluate writes it."),
    ],
    b: Annotated[str, typer.Argument(help="The same kind; differences are B minus A.")],
    data_dir: Annotated[
        Path | None,
        typer.Argument(help="Labelled films, needed where models are compared. With --labels: their folder."),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for comparison.json and comparison.html.")] = Path(
        "comparison"
    ),
    operating_point_a: Annotated[
        PointOption | None,
        typer.Option(help="Threshold of the models A; 'info' lists them.", show_default="balanced"),
    ] = None,
    operating_point_b: Annotated[
        PointOption | None, typer.Option(help="Threshold of the models B.", show_default="balanced")
    ] = None,
    labels: LabelsOption = None,
    label_columns: LabelColumnsOption = None,
    label_values: LabelValuesOption = None,
    patients: PatientsOption = None,
) -> None:
    """Compare two models or operating points on the same films, with 95 % intervals of every difference."""
    from rich.console import Console
    from rich.progress import Progress

    reports = import_extra("pneumocascade.evaluation.comparison_report", "a comparison", "evaluate")
    from pneumocascade.evaluation.compare import compare_answers

    sides, points = (a, b), (operating_point_a, operating_point_b)
    files = [_is_file(side) for side in sides]
    options = options_of(labels, label_columns, label_values, patients)
    _check(sides, files, [path for path in (data_dir, labels) if path], points)
    films = _films(data_dir, options)
    reports.make_folder(output)
    with Progress(console=Console(stderr=True), transient=True) as bar:

        def show(title: str) -> Callable[[int, int], None]:
            task = bar.add_task(title)
            return lambda done, total: bar.update(task, completed=done, total=total)

        first, second = _answers(sides, files, films, points, show)
    comparison = compare_answers(first, second)
    reports.write_comparison(comparison, output)
    _show(Console(), comparison.report, reports)
    typer.echo(f"written to {output}")


def _is_file(side: str) -> bool:
    """Return whether a side is a file of answers; else it is a folder of models.

    Raises
    ------
    UsageError
        Where it is neither.
    """
    if side == BUNDLED or Path(side).is_dir():
        return False
    if Path(side).is_file():
        return True
    raise UsageError(f"{side} is neither a folder of models nor a predictions.csv, nor '{BUNDLED}'")


def _check(
    sides: tuple[str, str], files: Sequence[bool], given: Sequence[Path], points: Sequence[str | None]
) -> None:
    """Refuse what makes no sense before films are judged."""
    for name, file, point in zip("ab", files, points, strict=True):
        if file and point is not None:
            raise UsageError(
                f"--operating-point-{name} is for models; answers in a file have the one they were given at"
            )
    if all(files) and given:
        raise UsageError(f"two files of answers are compared as they are; leave out {given[0]}")
    if not all(files) and not given:
        raise UsageError("to compare models, give the folder of labelled films as third argument or --labels")
    chosen = [point or "balanced" for point in points]
    if not any(files) and sides[0] == sides[1] and chosen[0] == chosen[1]:
        raise UsageError("A and B are the same models at the same operating point")


def _films(data_dir: Path | None, options: LabelOptions) -> list[LabelledFilm]:
    """Return the films that are judged; what is left out of them is said on standard error."""
    from pneumocascade.datasets.films import load_films

    if data_dir is None and options.labels is None:
        return []
    found = load_films(data_dir, options)
    say_loaded(found)
    return found.films


def _answers(
    sides: tuple[str, str],
    files: Sequence[bool],
    films: Sequence[LabelledFilm],
    points: Sequence[PointOption | None],
    show: Callable[[str], Callable[[int, int], None]],
) -> list[AnswerSet]:
    """Read or ask for the answers of both sides; models that are the same are loaded once."""
    from pneumocascade.evaluation.answers import answers_of_models, read_answers
    from pneumocascade.inference.cascade import Cascade

    # All models are loaded before the first film is judged: a wrong folder is told at once.
    folders = {
        side: None if side == BUNDLED else Path(side)
        for side, file in zip(sides, files, strict=True)
        if not file
    }
    cascades = {side: Cascade.load(folder) for side, folder in folders.items()}
    sets = []
    for title, side, point in zip("AB", sides, points, strict=True):
        if side not in cascades:
            sets.append(read_answers(Path(side)))
            continue
        name = BUNDLED if side == BUNDLED else Path(side).resolve().name
        sets.append(
            answers_of_models(
                films, cascades[side], point or "balanced", name=name, progress=show(f"films, {title}")
            )
        )
    return sets


def _show(console: Console, report: dict[str, Any], reports: Any) -> None:
    for side in "ab":
        about = report[side]
        models = f"{about['name']}, models {about['model_version']}, {about['operating_point']}"
        console.print(f"[bold]{side.upper()}[/bold]  {models}, {about['films']} films", highlight=False)
    counts = report["films"]
    text = f"{counts['matched']} films in both, {counts['answered_by_both']} answered by both"
    console.print(f"{text} ({counts['patients']} patients)", highlight=False)
    for part, heading in reports.PARTS.items():
        if reason := report[part].get("reason"):
            console.print(f"\n[bold]{heading}[/bold]: not compared, {reason}", highlight=False)
            continue
        console.print()
        title = f"{heading} (n = {report[part]['n']})"
        console.print(_table(title, report[part], reports.texts_of_tests(report[part])), highlight=False)
    console.print(f"{_LEGEND} {report['note']}", highlight=False)
    _show_left_out(console, report)


def _table(title: str, part: dict[str, Any], tests: dict[str, tuple[str, str]]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("figure", "A", "B", "B - A", "95 % interval", "p", "A : B"):
        table.add_column(column, justify="left" if column == "figure" else "right", no_wrap=True)
    for name, figure in part["figures"].items():
        values = [_value(figure[side]) for side in "ab"]
        table.add_row(name, *values, *_difference(figure["difference"]), *tests.get(name, ()))
    return table


def _show_left_out(console: Console, report: dict[str, Any]) -> None:
    """Name the films that enter no figure."""
    without = [f"{film['source']} (A {film['a']}, B {film['b']})" for film in report["without_answer"]]
    for title, films in (
        ("without an answer by A or B", without),
        ("only in A", report["only_in_a"]),
        ("only in B", report["only_in_b"]),
        ("reference standards differ", report["reference_standard_differs"]),
    ):
        if films:
            console.print(f"[bold]{title}[/bold] {len(films)}", highlight=False)
            more = [f"and {len(films) - SHOWN} more"] if len(films) > SHOWN else []
            for film in [*films[:SHOWN], *more]:
                console.print(f"  {film}", highlight=False, markup=False, soft_wrap=True)


def _value(figure: dict[str, Any]) -> str:
    return "-" if figure["value"] is None else f"{figure['value']:.3f}"


def _difference(figure: dict[str, Any]) -> tuple[str, str]:
    if figure["value"] is None:
        return "-", "-"
    interval = "{:+.3f} to {:+.3f}".format(*figure["ci95"]) if figure["ci95"] else "none"
    return f"{figure['value']:+.3f}", interval
