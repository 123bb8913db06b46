"""What a report shows of the two stages: bars with thresholds, stored figures, saliency maps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pneumocascade.explain.html import data_uri
from pneumocascade.explain.pictures import percent
from pneumocascade.explain.saliency import FULL_HEAT, overlay
from pneumocascade.model.spec import figures_of
from pneumocascade.types import NEITHER, NO_STAGE2

if TYPE_CHECKING:
    from pneumocascade.inference.cascade import Cascade
    from pneumocascade.model.spec import ModelSpec
    from pneumocascade.types import Prediction, Radiograph, StageResult

STAGE_TITLES = ("Stage 1: normal or pneumonia", "Stage 2: bacterial or viral")


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
        Whether this label was given.
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
    prediction: Prediction, small: Radiograph | None, cascade: Cascade
) -> tuple[StageCard, StageCard]:
    """Return what both stages said of a film.

    Parameters
    ----------
    prediction : Prediction
    small : Radiograph or None
        The film at the size of the report.
    cascade : Cascade
        That answered.
    """
    point = prediction.operating_point
    if prediction.stage1 is None:
        obstacle = "was refused" if prediction.status == "refused" else "could not be read"
        why = (f"Gave no answer: the film {obstacle}.",)
        return StageCard(STAGE_TITLES[0], (), why), StageCard(STAGE_TITLES[1], (), why)
    first = _card(0, prediction.stage1, small, cascade.stage1.spec, point)
    if prediction.stage2 is not None and cascade.stage2 is not None:
        return first, _card(1, prediction.stage2, small, cascade.stage2.spec, point)
    if cascade.stage2 is None:
        return first, StageCard(STAGE_TITLES[1], (), (NO_STAGE2,))
    stage1 = prediction.stage1
    why = (
        f"Did not run: the probability of {stage1.positive} "
        f"({percent(stage1.probabilities[stage1.positive])}) is below the threshold of the {point} "
        f"operating point ({percent(stage1.threshold)}), so there is no aetiology to tell.",
    )
    return first, StageCard(STAGE_TITLES[1], (), why)


def _card(
    index: int, result: StageResult, small: Radiograph | None, spec: ModelSpec, point: str
) -> StageCard:
    saliency = None
    if small is not None and result.activation_map is not None:
        caption = f"Saliency map: log-odds that speak for {result.label}"
        saliency = PagePicture(caption, data_uri(overlay(small, result), "JPEG"))
    return StageCard(STAGE_TITLES[index], _bars(result), _notes(result, spec, point), saliency)


def _bars(result: StageResult) -> tuple[Bar, ...]:
    return tuple(
        Bar(
            label,
            percent(value),
            round(100 * value, 2),
            round(100 * result.threshold, 2) if label == result.positive else None,
            label == result.label,
        )
        for label, value in result.probabilities.items()
    )


def _notes(result: StageResult, spec: ModelSpec, point: str) -> tuple[str, ...]:
    members = " and ".join(result.prediction_set) or NEITHER
    notes = [
        f"The line marks the threshold of the {point} operating point: {result.positive} from "
        f"{percent(result.threshold)}. 90 % prediction set: {members}."
    ]
    if (stored := spec.operating_points.get(point)) is not None:
        data = "the films named under Models" if stored.data == spec.validation_data else stored.data
        notes.append(
            f"Stored for this point: sensitivity {percent(stored.sensitivity)}, specificity "
            f"{percent(stored.specificity)}, on the very films that it was chosen on: {data}."
        )
    return tuple(notes)


def saliency_legend() -> tuple[str, str]:
    """Return the ends of the scale of the saliency maps: least and most of what is shown."""
    return "0", f"{FULL_HEAT:g} or more"


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
    """Return stage, operating point, threshold, sensitivity, specificity and AUROC, a row for each pair."""
    return [
        (
            title,
            point,
            percent(stored.threshold),
            percent(stored.sensitivity),
            percent(stored.specificity),
            f"{spec.metrics['auroc']:.3f}" if "auroc" in spec.metrics else "—",
        )
        for title, spec in zip(STAGE_TITLES, cascade.specs, strict=False)
        for point in points
        if (stored := spec.operating_points.get(point)) is not None
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
