"""What reports and web app show of the two stages: bars with thresholds, stored figures, saliency maps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pneumocascade.explain.html import data_uri
from pneumocascade.explain.saliency import FULL_HEAT, overlay
from pneumocascade.explain.verdict import is_borderline, mapped_label, named_aetiology, percent
from pneumocascade.i18n import decimal, gettext_noop
from pneumocascade.i18n import gettext as _
from pneumocascade.model.spec import OPERATING_POINTS, figures_of
from pneumocascade.types import NEITHER, NO_STAGE2

if TYPE_CHECKING:
    from pneumocascade.inference.cascade import Cascade
    from pneumocascade.model.spec import ModelSpec
    from pneumocascade.types import Prediction, Radiograph, StageResult

STAGE_TITLES = (
    gettext_noop("Stage 1: normal or pneumonia"),
    gettext_noop("Stage 2: bacterial or viral"),
)


@dataclass(frozen=True, slots=True)
class PagePicture:
    """A picture on a page.

    Attributes
    ----------
    caption : str
    url : str
        A ``data:`` address: a report needs no other file.
    """

    caption: str
    url: str


@dataclass(frozen=True, slots=True)
class Bar:
    """The calibrated probability of one label.

    Attributes
    ----------
    label, text : str
        The label, and its probability in percent.
    width : float
        0..100, of the whole bar.
    mark : float or None
        Where the threshold is drawn, 0..100; ``None`` for the label that it is not for.
    chosen : bool
        Whether this label was given, and the stage can tell it from the other one.
    """

    label: str
    text: str
    width: float
    mark: float | None
    chosen: bool


@dataclass(frozen=True, slots=True)
class StageCard:
    """What one stage said, or why it did not run.

    Attributes
    ----------
    title : str
    bars : tuple of Bar
        Empty where the stage did not run.
    notes : tuple of str
    saliency : PagePicture or None
        The film under the stage's saliency map; ``None`` where there is none.
    """

    title: str
    bars: tuple[Bar, ...]
    notes: tuple[str, ...]
    saliency: PagePicture | None = None


def stage_cards(
    prediction: Prediction, small: Radiograph | None = None, cascade: Cascade | None = None
) -> tuple[StageCard, StageCard]:
    """Return what both stages said of a film.

    Parameters
    ----------
    prediction : Prediction
    small : Radiograph, optional
        The film at the size of the report, for the saliency maps.
    cascade : Cascade, optional
        That answered, for the sensitivity and specificity stored with the operating point.
    """
    point = prediction.operating_point
    stage1, stage2 = prediction.stage1, prediction.stage2
    spec1, spec2 = (*(cascade.specs if cascade is not None else ()), None, None)[:2]
    if stage1 is None:
        first, second = _("No answer: the film was refused."), _("Did not run: the film was refused.")
        if prediction.status != "refused":
            first = _("No answer: the film could not be read.")
            second = _("Did not run: the film could not be read.")
        return StageCard(_(STAGE_TITLES[0]), (), (first,)), StageCard(_(STAGE_TITLES[1]), (), (second,))
    sure = not is_borderline(stage1)
    card = _card(0, stage1, small, spec1, point, mapped_label(prediction, 1), sure=sure)
    if stage2 is not None:
        sure = named_aetiology(prediction) is not None
        return card, _card(1, stage2, small, spec2, point, mapped_label(prediction, 2), sure=sure)
    if stage1.label == stage1.positive:
        return card, StageCard(_(STAGE_TITLES[1]), (), (_(NO_STAGE2),))
    why = _(
        "Did not run: the probability of %(label)s (%(shown)s) is below the threshold of the %(point)s "
        "operating point (%(threshold)s).",
        label=_(stage1.positive),
        shown=percent(stage1.probabilities[stage1.positive]),
        point=_(point),
        threshold=percent(stage1.threshold),
    )
    return card, StageCard(_(STAGE_TITLES[1]), (), (why,))


def _card(
    index: int,
    result: StageResult,
    small: Radiograph | None,
    spec: ModelSpec | None,
    point: str,
    mapped: str,
    *,
    sure: bool,
) -> StageCard:
    saliency = None
    if small is not None and result.activation_map is not None:
        caption = f"Saliency map: log-odds that speak for {mapped}"
        saliency = PagePicture(caption, data_uri(overlay(small, result), "JPEG"))
    return StageCard(_(STAGE_TITLES[index]), _bars(result, sure=sure), _notes(result, spec, point), saliency)


def _bars(result: StageResult, *, sure: bool) -> tuple[Bar, ...]:
    return tuple(
        Bar(
            label,
            percent(value),
            round(100 * value, 2),
            round(100 * result.threshold, 2) if label == result.positive else None,
            sure and label == result.label,
        )
        for label, value in result.probabilities.items()
    )


def _notes(result: StageResult, spec: ModelSpec | None, point: str) -> tuple[str, ...]:
    members = _(" and ").join(map(_, result.prediction_set)) or _(NEITHER)
    label, threshold = _(result.positive), percent(result.threshold)
    marked = _(
        "The line marks the threshold: %(label)s from %(threshold)s.", label=label, threshold=threshold
    )
    if spec is not None and spec.stage == 1:  # in reports, which are English
        marked = f"The line marks the threshold of the {point} operating point: {label} from {threshold}."
    notes = [marked + " " + _("Prediction set: %(members)s.", members=members)]
    if spec is not None and point in spec.operating_points:
        stored = spec.point(point)
        data = "the films named under Models" if stored.data == spec.validation_data else stored.data
        notes.append(
            f"Stored for this threshold: sensitivity {percent(stored.sensitivity)}, specificity "
            f"{percent(stored.specificity)}, on the very films that it was chosen on: {data}."
        )
    return tuple(notes)


def saliency_legend() -> tuple[str, str]:
    """Return the ends of the scale of the saliency maps: least and most of what is shown."""
    return "0", _("%(most)s or more", most=decimal(f"{FULL_HEAT:g}"))


def model_card(cascade: Cascade) -> str:
    """Return one line on the models: version, what they learnt from, and how well they tell films apart.

    What a model does not store is left out.
    """
    specs = cascade.specs
    dates = " and ".join(dict.fromkeys(spec.trained for spec in specs if spec.trained))
    start = f"Models {cascade.version}" + (f", trained {dates}." if dates else ".")
    missing = () if cascade.stage2 else (NO_STAGE2,)
    return " ".join([start, *(_measured(spec) for spec in specs), *missing]).strip()


def stage_figures(cascade: Cascade, points: Iterable[str]) -> list[tuple[str, ...]]:
    """Return stage, operating point, threshold, sensitivity, specificity and AUROC, a row for each.

    Stage 2 has one operating point.
    """
    rows = [(STAGE_TITLES[0], cascade.stage1.spec, point) for point in points]
    rows += [(STAGE_TITLES[1], spec, OPERATING_POINTS[0]) for spec in cascade.specs[1:]]
    return [
        (
            title,
            point,
            percent(spec.point(point).threshold),
            percent(spec.point(point).sensitivity),
            percent(spec.point(point).specificity),
            f"{spec.metrics['auroc']:.3f}" if "auroc" in spec.metrics else "—",
        )
        for title, spec, point in rows
        if point in spec.operating_points
    ]


def _measured(spec: ModelSpec) -> str:
    parts = []
    if (figure := figures_of(spec.metrics).get("auroc")) is not None:
        value, interval = figure
        between = f" (95 % interval {interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
        data = f" on the {spec.validation_data}" if spec.validation_data else ""
        parts.append(f"AUROC {value:.3f}{between}{data}")
    if spec.training_data:
        parts.append(f"learnt from {spec.training_data}")
    return f"Stage {spec.stage}: {'; '.join(parts)}." if parts else ""
