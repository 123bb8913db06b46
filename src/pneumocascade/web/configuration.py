"""Tables read from the models themselves: how films are processed, and what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pneumocascade.explain.verdict import percent
from pneumocascade.model.spec import figures_of
from pneumocascade.web.fragments import note, piece, table

if TYPE_CHECKING:
    from pneumocascade.inference.cascade import Cascade
    from pneumocascade.model.spec import ModelSpec

_NAMES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "ece": "Expected calibration error",
    "brier": "Brier score",
    "f1": "F1",
    "n": "Films",
}


def configuration(cascade: Cascade) -> str:
    """Return the table of how each stage processes a film."""
    columns = [_settings(spec) for spec in cascade.specs]
    rows = [(name, *(column[name] for column in columns)) for name in columns[0]]
    return table(("Setting", *(f"Stage {spec.stage}" for spec in cascade.specs)), rows)


def _settings(spec: ModelSpec) -> dict[str, str]:
    clahe = "none"
    if spec.clahe_clip_limit is not None:
        clahe = f"clip limit {spec.clahe_clip_limit:g}, {spec.clahe_tiles[0]} x {spec.clahe_tiles[1]} tiles"
    smoothing = f"Gaussian, sigma {spec.smoothing_sigma:g} pixels" if spec.smoothing_sigma > 0 else "none"
    colour = f"OpenCV {spec.colour_map.upper()}" if spec.colour_map else "none (grey)"
    return {
        "Labels": " or ".join(spec.labels),
        "Network": f"{spec.backbone}, {spec.precision}",
        "Recipe": spec.recipe,
        "Grey": "ITU-R BT.601 luma",
        "Left out on each side": f"{100 * spec.margin:g} %",
        "Size": f"{spec.size} x {spec.size} pixels, stretched, anti-aliased",
        "Low-pass": smoothing,
        "CLAHE": clahe,
        "Colour map": colour,
        "Network input": f"{spec.input_size} x {spec.input_size} pixels, averaged over areas",
        "Subtracted mean (R, G, B)": ", ".join(f"{value:g}" for value in spec.mean),
        "Divided by (R, G, B)": ", ".join(f"{value:g}" for value in spec.std),
        "Temperature": f"{spec.temperature:.3f}",
        "Bias of the log-odds": f"{spec.bias:+.3f}",
        "Model version": spec.version,
        "Trained": spec.trained or "—",
    }


def operating_points(spec: ModelSpec) -> str:
    """Return the table of a stage's operating points."""
    rows = [
        (name, percent(point.threshold), percent(point.sensitivity), percent(point.specificity))
        for name, point in spec.operating_points.items()
    ]
    header = ("Operating point", f"{spec.labels[1].capitalize()} from", "Sensitivity", "Specificity")
    return table(header, rows) + _chosen_on(spec)


def _chosen_on(spec: ModelSpec) -> str:
    """Return what the operating points were chosen on: one line where it is the same for all."""
    names: dict[str, list[str]] = {}
    for name, point in spec.operating_points.items():
        names.setdefault(point.data, []).append(name)
    lines = [f"{', '.join(those)}: chosen on {data}." for data, those in names.items() if data]
    return piece("small_print", lines)


def figures(spec: ModelSpec) -> str:
    """Return the table of what was measured on a stage's validation films, whatever there is."""
    rows = [(_title(name), _with_interval(*figure)) for name, figure in figures_of(spec.metrics).items()]
    if not rows:
        return note("This model carries no measured figures.")
    caption = [f"Measured on: {spec.validation_data}"] if spec.validation_data else []
    return table(("Figure", "Value (95 % confidence interval)"), rows) + piece("small_print", caption)


def _with_interval(value: float, interval: tuple[float, float] | None) -> str:
    ends = f" ({_number(interval[0])} to {_number(interval[1])})" if interval else ""
    return _number(value) + ends


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) > 1 and float(value).is_integer() else f"{value:.3f}"


def _title(name: str) -> str:
    return _NAMES.get(name, name.replace("_", " ").capitalize())
