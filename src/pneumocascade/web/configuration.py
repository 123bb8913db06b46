"""Tables read from the models themselves: how films are processed, and what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pneumocascade.explain.verdict import percent
from pneumocascade.i18n import decimal, gettext_noop, thousands, translated
from pneumocascade.i18n import gettext as _
from pneumocascade.model.spec import figures_of
from pneumocascade.web.fragments import note, piece, table

if TYPE_CHECKING:
    from pneumocascade.inference.cascade import Cascade
    from pneumocascade.model.spec import ModelSpec

_NAMES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "ece": gettext_noop("Expected calibration error"),
    "brier": gettext_noop("Brier score"),
    "f1": "F1",
    "n": gettext_noop("Films"),
    "accuracy": gettext_noop("Accuracy"),
    "balanced_accuracy": gettext_noop("Balanced accuracy"),
    "sensitivity": gettext_noop("Sensitivity"),
    "specificity": gettext_noop("Specificity"),
    "undetermined": gettext_noop("Sets with both labels"),
    "unlike": gettext_noop("Empty sets"),
    "coverage_normal": gettext_noop("Coverage normal"),
    "coverage_pneumonia": gettext_noop("Coverage pneumonia"),
    "coverage_bacterial": gettext_noop("Coverage bacterial"),
    "coverage_viral": gettext_noop("Coverage viral"),
}

_SOURCES = {"nih": "NIH ChestX-ray14"}
"""Further sources of films of the bundled models."""

OUT_OF_FOLD = gettext_noop(
    "out-of-fold predictions: %(films)s films of %(patients)s patients, grouped by patient, in "
    "%(renderings)s renderings"
)
"""What the bundled models say of the films that they were measured on."""


def configuration(cascade: Cascade) -> str:
    """Return the table of how each stage processes a film."""
    columns = [_settings(spec, cascade.version) for spec in cascade.specs]
    rows = [(name, *(column[name] for column in columns)) for name in columns[0]]
    return table((_("Setting"), *(_("Stage %(stage)s", stage=spec.stage) for spec in cascade.specs)), rows)


def _settings(spec: ModelSpec, version: str) -> dict[str, str]:
    clahe = smoothing = _("none")
    if spec.clahe_clip_limit is not None:
        tiles = f"{spec.clahe_tiles[0]} x {spec.clahe_tiles[1]}"
        limit = decimal(f"{spec.clahe_clip_limit:g}")
        clahe = _("clip limit %(limit)s, %(tiles)s tiles", limit=limit, tiles=tiles)
    if spec.smoothing_sigma > 0:
        smoothing = _("Gaussian, sigma %(sigma)s pixels", sigma=decimal(f"{spec.smoothing_sigma:g}"))
    colour = f"OpenCV {spec.colour_map.upper()}" if spec.colour_map else _("none (grey)")
    size = f"{spec.size} x {spec.size}"
    input_size = f"{spec.input_size} x {spec.input_size}"
    return {
        _("Labels"): _(" or ").join(map(_, spec.labels)),
        _("Network"): f"{spec.backbone}, {spec.precision}",
        _("Recipe"): spec.recipe,
        _("Grey"): _("ITU-R BT.601 luma"),
        _("Left out on each side"): decimal(f"{100 * spec.margin:g} %"),
        _("Size"): _("%(size)s pixels, stretched, anti-aliased", size=size),
        _("Low-pass"): smoothing,
        "CLAHE": clahe,
        _("Colour map"): colour,
        _("Network input"): _("%(size)s pixels, averaged over areas", size=input_size),
        _("Subtracted mean (R, G, B)"): ", ".join(f"{value:g}" for value in spec.mean),
        _("Divided by (R, G, B)"): ", ".join(f"{value:g}" for value in spec.std),
        _("Temperature"): decimal(f"{spec.temperature:.3f}"),
        _("Bias of the log-odds"): decimal(f"{spec.bias:+.3f}"),
        _("Model version"): version,
        _("Trained"): spec.trained or "—",
    }


def operating_points(spec: ModelSpec) -> str:
    """Return the table of a stage's operating points."""
    rows = [
        (_(name), percent(point.threshold), percent(point.sensitivity), percent(point.specificity))
        for name, point in spec.operating_points.items()
    ]
    header = (
        _("Operating point"),
        _("%(label)s from", label=_(spec.labels[1].capitalize())),
        _("Sensitivity"),
        _("Specificity"),
    )
    return table(header, rows) + _chosen_on(spec)


def _chosen_on(spec: ModelSpec) -> str:
    """Return what the operating points were chosen on: one line where it is the same for all."""
    names: dict[str, list[str]] = {}
    for name, point in spec.operating_points.items():
        names.setdefault(point.data, []).append(_(name))
    lines = [
        _("%(points)s: chosen on %(data)s.", points=", ".join(those), data=translated(data))
        for data, those in names.items()
        if data
    ]
    return piece("small_print", lines)


def figures(spec: ModelSpec) -> str:
    """Return the table of what was measured on a stage's validation films, whatever there is."""
    rows = [(_title(name), _with_interval(*figure)) for name, figure in figures_of(spec.metrics).items()]
    if not rows:
        return note(_("This model carries no measured figures."))
    caption = (
        [_("Measured on: %(data)s", data=translated(spec.validation_data))] if spec.validation_data else []
    )
    if any("@" in name for name in spec.metrics):
        caption.append(_("Figures that name no source are of the main one."))
    return table((_("Figure"), _("Value (95 % confidence interval)")), rows) + piece("small_print", caption)


def _with_interval(value: float, interval: tuple[float, float] | None) -> str:
    if interval is None:
        return _number(value)
    low, high = (_number(end) for end in interval)
    return _("%(value)s (%(low)s to %(high)s)", value=_number(value), low=low, high=high)


def _number(value: float) -> str:
    return thousands(value) if abs(value) > 1 and float(value).is_integer() else decimal(f"{value:.3f}")


def _title(name: str) -> str:
    """Return a measure and, of a further source, where its films are from."""
    measure, *source = name.split("@")
    title = _(_NAMES.get(measure, measure.replace("_", " ").capitalize()))
    return ", ".join([title, *(_SOURCES.get(films, films) for films in source)])
