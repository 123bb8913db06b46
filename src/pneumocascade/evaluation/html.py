"""The report of an evaluation: its pictures, and one HTML file that holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pneumocascade.evaluation import chart_style as drawing
from pneumocascade.evaluation import charts, utility_charts
from pneumocascade.evaluation.results import CATEGORIES, MeasuredCascade, MeasuredStage
from pneumocascade.evaluation.subgroups import TITLES
from pneumocascade.explain.html import encoded_uri, environment
from pneumocascade.types import DISCLAIMER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.figure import Figure

    from pneumocascade.evaluation.bootstrap import Estimate
    from pneumocascade.evaluation.gallery import Gallery

MEANINGS = {
    "auroc": ("AUROC", "how often a {positive} film gets a higher probability than a {negative} one"),
    "accuracy": ("Accuracy", "share of films answered rightly"),
    "sensitivity": ("Sensitivity", "share of {positive} films called {positive}"),
    "specificity": ("Specificity", "share of {negative} films called {negative}"),
    "balanced_accuracy": ("Balanced accuracy", "mean of sensitivity and specificity"),
    "ece": ("Calibration error (ECE)", "mean gap between probability and observed share; 0 is best"),
    "brier": ("Brier score", "mean squared error of the probability; 0 is best"),
    "macro_f1": ("Macro F1", "mean F1 of the three categories"),
    "recall_normal": ("Recall, normal", "share of normal films called normal"),
    "recall_bacterial": ("Recall, bacterial", "share of bacterial films called pneumonia, bacterial"),
    "recall_viral": ("Recall, viral", "share of viral films called pneumonia, viral"),
}
"""Heading and meaning of each figure."""


SUBGROUP_COLUMNS = (
    ("stage1", "called_pneumonia", "called pneumonia"),
    ("stage1", "auroc", "stage 1 AUROC"),
    ("stage1", "sensitivity", "sensitivity"),
    ("stage1", "specificity", "specificity"),
    ("stage2", "auroc", "stage 2 AUROC"),
    ("stage2", "accuracy", "stage 2 accuracy"),
    ("cascade", "accuracy", "three-way accuracy"),
)
"""Part, figure and heading of the columns of the table of subgroups."""

PATIENT_ROWS = (
    ("stage1", "auroc", "Stage 1: AUROC"),
    ("stage1", "accuracy", "Stage 1: accuracy"),
    ("stage2", "auroc", "Stage 2: AUROC"),
    ("stage2", "accuracy", "Stage 2: accuracy"),
    ("cascade", "accuracy", "Three-way accuracy"),
)
"""Part, figure and heading of the rows of the table that weighs films against patients."""


@dataclass(frozen=True, slots=True)
class PageFigure:
    """A picture as PNG, for light and for dark pages.

    Attributes
    ----------
    name : str
        File name without suffix.
    alt : str
        What it shows, for those who cannot see it.
    light, dark : bytes
    """

    name: str
    alt: str
    light: bytes
    dark: bytes

    @property
    def light_url(self) -> str:
        """The light picture as a ``data:`` URL."""
        return encoded_uri(self.light, "PNG")

    @property
    def dark_url(self) -> str:
        """The dark picture as a ``data:`` URL."""
        return encoded_uri(self.dark, "PNG")


def draw(stages: Sequence[MeasuredStage], both: MeasuredCascade | None) -> list[PageFigure]:
    """Draw all pictures of an evaluation.

    Parameters
    ----------
    stages : sequence of MeasuredStage
    both : MeasuredCascade or None
        ``None`` where there is no stage 2.

    Returns
    -------
    list of PageFigure
        ``roc_stage1``, ``reliability_stage1``, ``confusion_stage1`` and, where its utility was measured,
        ``precision_recall_stage1`` and ``decision_curve_stage1``, the same of stage 2, and
        ``confusion_cascade``.
    """
    pictures = [picture for stage in stages for picture in _draw_stage(stage)]
    if both is None:
        return pictures
    matrix, subtitle = both.matrix, f"accuracy {both.figures['accuracy']}"

    def cascade_matrix(theme: drawing.Theme) -> Figure:
        return charts.confusion(
            matrix, CATEGORIES, "Cascade: confusion matrix", subtitle=subtitle, theme=theme
        )

    pictures.append(
        page_figure("confusion_cascade", f"Confusion matrix of the cascade: {subtitle}", cascade_matrix)
    )
    return pictures


def _draw_stage(stage: MeasuredStage) -> list[PageFigure]:
    labels, probability, title = stage.labels, stage.probability, f"Stage {stage.stage}"
    area = f"AUROC {stage.figures['auroc']}"
    error = f"ECE {stage.figures['ece']}"
    share = f"accuracy {stage.figures['accuracy']}"

    def roc(theme: drawing.Theme) -> Figure:
        return charts.roc(labels, probability, stage.threshold, f"{title}: ROC", subtitle=area, theme=theme)

    def reliability(theme: drawing.Theme) -> Figure:
        return charts.reliability(
            labels, probability, stage.categories, f"{title}: reliability", subtitle=error, theme=theme
        )

    def confusion(theme: drawing.Theme) -> Figure:
        return charts.confusion(
            stage.matrix, stage.categories, f"{title}: confusion matrix", subtitle=share, theme=theme
        )

    return [
        page_figure(f"roc_stage{stage.stage}", f"ROC curve of stage {stage.stage}: {area}", roc),
        page_figure(
            f"reliability_stage{stage.stage}", f"Reliability of stage {stage.stage}: {error}", reliability
        ),
        page_figure(
            f"confusion_stage{stage.stage}", f"Confusion matrix of stage {stage.stage}: {share}", confusion
        ),
        *_draw_utility(stage),
    ]


def _draw_utility(stage: MeasuredStage) -> list[PageFigure]:
    """Draw precision against recall, and the decision curve."""
    utility, title = stage.utility, f"Stage {stage.stage}"
    if utility is None:
        return []
    average, share = f"average precision {utility.average_precision}", utility.positive_share
    films = "no film" if share is None else f"share of {stage.categories[1]} in these films: {share:.3f}"

    def precision_recall(theme: drawing.Theme) -> Figure:
        return utility_charts.precision_recall(
            stage.labels,
            stage.probability,
            stage.threshold,
            f"{title}: precision and recall",
            subtitle=average,
            theme=theme,
        )

    def decision_curve(theme: drawing.Theme) -> Figure:
        heading = f"{title}: decision curve"
        return utility_charts.decision_curve(utility, stage.threshold, heading, subtitle=films, theme=theme)

    curve = f"Precision-recall curve of stage {stage.stage}: {average}"
    decision = f"Decision curve of stage {stage.stage}, beside calling all or no films positive; {films}"
    return [
        page_figure(f"precision_recall_stage{stage.stage}", curve, precision_recall),
        page_figure(f"decision_curve_stage{stage.stage}", decision, decision_curve),
    ]


def page_figure(name: str, alt: str, drawn: Callable[[drawing.Theme], Figure]) -> PageFigure:
    """Return a picture that ``drawn`` draws in the colours of light and of dark pages."""
    return PageFigure(name, alt, drawing.png(drawn(drawing.LIGHT)), drawing.png(drawn(drawing.DARK)))


def render(
    metrics: Mapping[str, Any],
    stages: Sequence[MeasuredStage],
    both: MeasuredCascade | None,
    pictures: Sequence[PageFigure],
    *,
    galleries: Sequence[Gallery] = (),
    remarks: Sequence[str] = (),
) -> str:
    """Return the report as one HTML page that needs no other file.

    Parameters
    ----------
    metrics : mapping
        What ``metrics.json`` holds.
    stages : sequence of MeasuredStage
    both : MeasuredCascade or None
    pictures : sequence of PageFigure
        From :func:`draw`.
    galleries : sequence of Gallery
        From :func:`~pneumocascade.evaluation.gallery.galleries_of`.
    remarks : sequence of str
        What the loader of the films left out or guessed, a sentence each.
    """
    headline = [
        (question, f"AUROC of stage {stage.stage}", stage.figures["auroc"])
        for question, stage in zip(("Normal or pneumonia", "Bacterial or viral"), stages, strict=False)
    ]
    if both is not None:
        headline.append(("Three-way answer", "accuracy of the cascade", both.figures["accuracy"]))
    parts = metrics["patient_weighted"]
    return (
        environment()
        .get_template("evaluation.html.j2")
        .render(
            metrics=metrics,
            disclaimer=DISCLAIMER,
            headline=headline,
            stages=stages,
            tables=[_rows(stage.figures, stage.categories) for stage in stages],
            cascade_table=_rows(both.figures, ("", "")) if both is not None else None,
            pictures={picture.name: picture for picture in pictures},
            galleries=galleries,
            remarks=remarks,
            patient_rows=[row for row in PATIENT_ROWS if row[0] in parts],
            subgroup_columns=[column for column in SUBGROUP_COLUMNS if column[0] in parts],
            subgroup_titles=TITLES,
        )
    )


def _rows(measured: Mapping[str, Estimate], categories: tuple[str, str]) -> list[tuple[str, str, Estimate]]:
    """Return heading, meaning and figure of each row of a table."""
    negative, positive = categories
    return [
        (MEANINGS[name][0], MEANINGS[name][1].format(negative=negative, positive=positive), figure)
        for name, figure in measured.items()
    ]
