"""``pneumocascade evaluate``, ``serve`` and ``info``."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pneumocascade.cli.common import (
    TOKEN_VARIABLE,
    HistoryOption,
    ModelsOption,
    OperatingPointOption,
    ProviderOption,
    ended_by_sigterm,
    import_extra,
    recorder_of,
    token_of,
)
from pneumocascade.cli.labels import (
    LabelColumnsOption,
    LabelsOption,
    LabelValuesOption,
    PatientsOption,
    options_of,
    say_loaded,
)
from pneumocascade.types import NO_STAGE2

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from pneumocascade.model.spec import ModelSpec

_MEASURED = (
    "figures (95 % confidence interval), cross-fitted: temperature, bias and balanced threshold are from "
    "films of other patients"
)
_CHOSEN = "operating points, with figures on the very films that the thresholds were chosen on"


def evaluate(
    data_dir: Annotated[
        Path | None,
        typer.Argument(
            help="Folder with NORMAL/ and PNEUMONIA/, at any depth. With --labels: the films' folder.",
            show_default="the folder of --labels",
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option(help="Folder for metrics.json, predictions.csv, plots and report.html.")
    ] = Path("evaluation"),
    split: Annotated[
        Path | None, typer.Option(help="split.json of a run: judge its validation films only.")
    ] = None,
    shift: Annotated[
        bool,
        typer.Option(
            "--shift", help="Also measure on altered films: exposure, sharpness, layout, noise and more."
        ),
    ] = False,
    shift_films: Annotated[
        int, typer.Option(min=1, help="Maximum number of films to alter for --shift.")
    ] = 200,
    prevalence: Annotated[
        list[float] | None,
        typer.Option(
            help="Further share of the positive class, between 0 and 1, to give predictive values at. "
            "Repeatable. 0.05, 0.2 and 0.5 are always given."
        ),
    ] = None,
    labels: LabelsOption = None,
    label_columns: LabelColumnsOption = None,
    label_values: LabelValuesOption = None,
    patients: PatientsOption = None,
    operating_point: OperatingPointOption = "balanced",
    models: ModelsOption = None,
) -> None:
    """Measure the models on labelled films, with 95 % intervals over patients.

    Exit status: 0 all labelled films were found, 1 some are missing or a folder could not be opened, 2 wrong
    usage.
    """
    from rich.console import Console
    from rich.progress import Progress

    from pneumocascade.datasets.films import Split, load_films
    from pneumocascade.inference.cascade import Cascade

    evaluation = import_extra("pneumocascade.evaluation.evaluate", "evaluation", "evaluate")
    films = load_films(data_dir, options_of(labels, label_columns, label_values, patients))
    say_loaded(films)
    only = Split.load(split, films.patients).validation if split else None
    cascade = Cascade.load(models)
    shifted: dict[str, Any] | None = None
    with Progress(console=Console(stderr=True), transient=True) as bar:

        def show(title: str) -> Callable[[int, int], None]:
            task = bar.add_task(title)
            return lambda done, total: bar.update(task, completed=done, total=total)

        metrics = evaluation.evaluate(
            films,
            cascade,
            output,
            operating_point=operating_point,
            only=only,
            prevalences=prevalence or (),
            progress=show("films"),
        )
        if shift:
            shifted = import_extra(
                "pneumocascade.evaluation.shift_suite", "evaluation", "evaluate"
            ).evaluate_shift(
                (films if only is None else films.only(only)).films,
                cascade,
                output,
                operating_point=operating_point,
                limit=shift_films,
                progress=show("shifted films"),
            )
    console = Console()
    if (learnt := metrics["learnt_from"])["n"]:
        text = (
            f"{learnt['n']} of {metrics['films']['n']} films are training films: these figures are not a test"
        )
        console.print(f"[bold red]{text}[/bold red]", highlight=False)
    for part in ("stage1", "stage2", "cascade"):
        _show_part(console, part, metrics[part])
    if (left_out := metrics["refused"])["n"]:
        codes = ", ".join(f"{code} {count}" for code, count in left_out["by_code"].items())
        text = f"{left_out['refused_by_gate']} refused, {left_out['unreadable']} could not be read ({codes})"
        console.print(f"[bold]without an answer[/bold] {text}", highlight=False)
    if shifted is not None:
        _show_shift(console, shifted)
    console.print(f"written to {output}", highlight=False)
    if films.left_out.incomplete:
        raise typer.Exit(1)


def _show_part(console: Console, part: str, measured: dict[str, Any]) -> None:
    figures = {
        name: figure for name, figure in measured.items() if isinstance(figure, dict) and "ci95" in figure
    }
    for at in measured.get("predictive_values", ()):
        figures |= {f"{name} at {100 * at['prevalence']:g} %": at[name] for name in ("ppv", "npv")}
    console.print(f"[bold]{part}[/bold] {measured.get('left_out', '')}".rstrip(), highlight=False)
    if figures and all(figure["value"] is None for figure in figures.values()):
        reason = next(iter(figures.values())).get("reason", "no film")
        console.print(f"  not measured: {reason}", highlight=False)
        return
    for name, figure in figures.items():
        console.print(f"  {name:18} {_figure(figure)}", highlight=False, soft_wrap=True)


def _show_shift(console: Console, shifted: dict[str, Any]) -> None:
    for part in [name for name in ("stage1", "stage2") if name in shifted]:
        console.print(f"[bold]{part} under shift[/bold] (n = {shifted[part]['n']})")
        for name in ("auroc", "accuracy", "balanced_accuracy", "ece"):
            figure = shifted[part]["summary"][name]
            values = [
                f"{figure[key]:.3f}" if figure[key] is not None else "-" for key in ("clean", "mean", "worst")
            ]
            text = "clean {}, mean {}, worst {}".format(*values)
            console.print(f"  {name:18} {text} ({figure['under']})", highlight=False)


def _figure(figure: dict[str, Any]) -> str:
    if figure["value"] is None:
        reason = f": {figure['reason']}" if "reason" in figure else ""
        return f"undefined (n = {figure['n']}){reason}"
    interval = "95 % CI {:.3f} - {:.3f}, ".format(*figure["ci95"]) if figure["ci95"] else ""
    return f"{figure['value']:.3f}  ({interval}n = {figure['n']})"


def serve(
    host: Annotated[
        str,
        typer.Option(help="Address to listen on. The default accepts connections from this machine only."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, envvar="PORT", help="Port to listen on.")] = 7860,
    threads: Annotated[
        int, typer.Option(min=0, help="Threads per run of a model; 0 means one per core.")
    ] = 0,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Films per run of a model; they may come from several requests.",
            show_default="1 on the CPU, else 16",
        ),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File with a token that every client must send.")
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Further host name to accept, for use behind a proxy. Repeatable."),
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(
            help="Origin of web pages that may use the REST API, as https://viewer.example.org. Repeatable. "
            "Default: none."
        ),
    ] = None,
    requests_per_minute: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="POST requests per minute and client address; more get status 429. Default: no limit.",
        ),
    ] = None,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], typer.Option(help="Least severe messages to log.")
    ] = "warning",
    log_json: Annotated[bool, typer.Option("--log-json", help="Log one JSON object per line.")] = False,
    history: HistoryOption = None,
    provider: ProviderOption = "cpu",
    models: ModelsOption = None,
) -> None:
    """Serve the web app and the REST API. Uploads are decoded in isolated processes."""
    from pneumocascade.audit.logs import set_up
    from pneumocascade.inference.cascade import Cascade
    from pneumocascade.inference.worker_pool import IsolatedReader
    from pneumocascade.model.engines.processor import usable_cores

    server = import_extra("pneumocascade.server", "the web app", "web")
    set_up(log_level, as_json=log_json)
    # Asked for no number, ONNX Runtime binds its threads to cores, which a service may not be allowed to.
    cores = usable_cores()
    hosts = (*server.LOOPBACK, *allow_host) if allow_host else None
    access = server.Access(hosts=hosts, per_minute=requests_per_minute or 0, origins=tuple(cors_origin or ()))
    with ended_by_sigterm(), recorder_of(history) as recorder, closing(IsolatedReader(cores)) as reader:
        cascade = Cascade.load(
            models,
            threads=threads or cores,
            provider=provider,
            reader=reader,
            recorder=recorder,
        )
        server.serve(
            cascade,
            host=host,
            port=port,
            token=token_of(token_file, TOKEN_VARIABLE),
            access=access,
            batch_size=batch_size,
        )


def info(
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    models: ModelsOption = None,
) -> None:
    """Show versions, models, their measured figures and operating points."""
    from rich.console import Console

    facts = _facts(models)
    if json_output:
        typer.echo(json.dumps(facts, indent=2))
        return
    console = Console(highlight=False)
    versions = {"pneumocascade": "version", "models": "model_version", "ONNX Runtime": "onnxruntime"}
    console.print(", ".join(f"{what} {facts[key]}" for what, key in versions.items()))
    found = facts["providers"]
    available = ", ".join(found["available"])
    console.print(f"providers: {available}; auto is {found['auto']} ({found['reason']})", soft_wrap=True)
    for stage in ("stage1", "stage2"):
        if facts[stage] is not None:
            _show_model(console, stage, facts[stage])
    if facts["stage2"] is None:
        console.print(f"\n[bold]stage2[/bold]: {NO_STAGE2}")


def _facts(models: Path | None) -> dict[str, Any]:
    import importlib.metadata

    from pneumocascade import __version__
    from pneumocascade.inference.cascade import Cascade
    from pneumocascade.model.engines import AUTO, available_providers
    from pneumocascade.model.engines.auto import resolve
    from pneumocascade.model.store import bundled_models, read_manifest
    from pneumocascade.types import DISCLAIMER

    cascade = Cascade.load(models)
    manifest = read_manifest(models or bundled_models())
    picked, reason = resolve(AUTO)

    def describe(stage: str, spec: ModelSpec) -> dict[str, Any]:
        return {"file": manifest.files[stage], "sha256": manifest.sha256[stage], **json.loads(spec.to_json())}

    return {
        "version": __version__,
        "model_version": cascade.version,
        "onnxruntime": importlib.metadata.version("onnxruntime"),
        "providers": {"available": list(available_providers()), "auto": picked, "reason": reason},
        "intended_use": DISCLAIMER,
        "stage1": describe("stage1", cascade.stage1.spec),
        "stage2": describe("stage2", cascade.stage2.spec) if cascade.stage2 else None,
    }


def _show_model(console: Console, stage: str, facts: dict[str, Any]) -> None:
    text = "threshold {threshold:.3f}, sensitivity {sensitivity:.3f}, specificity {specificity:.3f}"
    points = {name: text.format(**point) for name, point in facts["operating_points"].items()}
    parts = {
        f"[bold]{stage}[/bold]: {facts['labels'][0]} or {facts['labels'][1]}": {
            "file": f"{facts['file']}, SHA-256 {facts['sha256'][:16]}...",
            "preprocessing": f"recipe {facts['recipe']}, steps of {facts['size']} x {facts['size']} pixels",
            "network": f"{facts['backbone']}, {facts['precision']}",
            "network input": f"{facts['input_size']} x {facts['input_size']} pixels",
            "temperature": f"{facts['temperature']:.3f}",
            "bias": f"{facts['bias']:+.3f}",
            "measured on": facts["validation_data"],
        },
        _MEASURED: _with_intervals(facts["metrics"]),
        _CHOSEN: points,
    }
    console.print()
    for title, rows in parts.items():
        console.print(title, soft_wrap=True)
        for name, value in rows.items():
            console.print(f"  {name:18} {value}", soft_wrap=True)


def _with_intervals(metrics: dict[str, float]) -> dict[str, str]:
    """Return each figure with its interval as text."""
    from pneumocascade.model.spec import figures_of

    return {
        name: f"{value:.3f}" + (f" ({interval[0]:.3f} - {interval[1]:.3f})" if interval else "")
        for name, (value, interval) in figures_of(metrics).items()
    }
