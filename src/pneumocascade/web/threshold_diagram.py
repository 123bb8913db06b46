"""The operating points of both stages on an axis of probability, and where this film lies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pneumocascade.explain.html import render
from pneumocascade.explain.verdict import named_aetiology, percent
from pneumocascade.i18n import gettext as _
from pneumocascade.i18n import gettext_noop
from pneumocascade.model.calibration import DECIMALS, at_prior
from pneumocascade.model.spec import OPERATING_POINTS
from pneumocascade.web.inputs import points_explained

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pneumocascade.model.spec import ModelSpec
    from pneumocascade.types import Prediction

_TITLES = {
    1: gettext_noop("Stage 1: probability of %(label)s"),
    2: gettext_noop("Stage 2: probability of %(label)s, if it is pneumonia"),
}
EVERY_POINT = gettext_noop("threshold")
THIS_FILM = gettext_noop("this film")


@dataclass(frozen=True, slots=True)
class _Mark:
    """A place on an axis: its name, its probability in words, and in per cent of the axis."""

    name: str
    text: str
    at: float
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class _Axis:
    """One stage: its thresholds from left to right, and the film where the stage judged it.

    The label's side is shaded, but not where stage 2 cannot tell the types apart.
    """

    title: str
    tone: str
    points: tuple[_Mark, ...]
    film: _Mark | None
    shaded: bool


def threshold_diagram(prediction: Prediction, specs: Sequence[ModelSpec]) -> str:
    """Return the diagram for a film, with a text that says the same.

    Stage 1's thresholds are those at the prior of the answer. Stage 2 is left out where it did not run; it
    has one threshold where its operating points agree, as those of the bundled models do.

    Parameters
    ----------
    prediction : Prediction
    specs : sequence of ModelSpec
        Of the stages that there are; without any, there is no diagram.
    """
    if not specs:
        return ""
    first = _at_prior(specs[0], prediction.prior)
    shown = (first, *(spec for spec in specs[1:] if spec.stage in prediction.stages))
    axes = [_axis(spec, prediction) for spec in shown]
    text = " ".join([points_explained(*shown), *(_place(axis) for axis in axes if axis.film)])
    return render("web/thresholds.html.j2", axes=axes, text=text)


def _at_prior(spec: ModelSpec, prior: float) -> ModelSpec:
    """Return a specification whose thresholds hold at another share of pneumonia."""
    points = {
        name: replace(point, threshold=round(at_prior(point.threshold, spec.prior, prior), DECIMALS))
        for name, point in spec.operating_points.items()
    }
    return replace(spec, operating_points=points)


def _axis(spec: ModelSpec, prediction: Prediction) -> _Axis:
    label = spec.labels[1]
    thresholds = {name: point.threshold for name, point in spec.operating_points.items()}
    if len(set(thresholds.values())) == 1:
        points = [_mark(EVERY_POINT, thresholds[OPERATING_POINTS[0]], chosen=True)]
    else:
        chosen = prediction.operating_point
        points = [_mark(name, value, chosen=name == chosen) for name, value in thresholds.items()]
    result = prediction.stages.get(spec.stage)
    film = None if result is None else _mark(THIS_FILM, result.probabilities[label])
    ordered = tuple(sorted(points, key=lambda point: point.at))
    shaded = spec.stage == 1 or result is None or named_aetiology(prediction) is not None
    return _Axis(_(_TITLES[spec.stage], label=_(label)), label, ordered, film, shaded)


def _mark(name: str, probability: float, *, chosen: bool = False) -> _Mark:
    return _Mark(_(name), percent(probability), round(100 * probability, 2), chosen)


def _place(axis: _Axis) -> str:
    assert axis.film is not None, "asked only where the stage judged the film"
    return _("%(title)s: this film has %(text)s.", title=axis.title, text=axis.film.text)
