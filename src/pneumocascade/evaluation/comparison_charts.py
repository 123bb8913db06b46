"""Pictures of a comparison; loads matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import roc_curve

from pneumocascade.evaluation.chart_style import LIGHT, add_axes, add_legend, add_note, new_drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pneumocascade.evaluation.chart_style import Theme
    from pneumocascade.evaluation.compare import PairedStage


def paired_roc(
    paired: PairedStage, names: tuple[str, str], *, subtitle: str = "", theme: Theme = LIGHT
) -> Figure:
    """Draw the ROC curves of two models and their operating points.

    Parameters
    ----------
    paired : PairedStage
    names : tuple of str
        Of the two models, for the legend.
    subtitle : str
    theme : Theme
    """
    drawing = new_drawing((4.7, 5.1), f"Stage {paired.stage}: ROC", theme)
    x, y = "false positive rate (1 - specificity)", "true positive rate (sensitivity)"
    axes = add_axes(drawing, 111, theme, x=x, y=y, subtitle=subtitle)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.plot([0, 1], [0, 1], color=theme.muted, linestyle=":", linewidth=1.2, alpha=0.7)
    labels = paired.labels
    if len(np.unique(labels)) < 2:
        add_note(axes, "not defined: films of both classes are needed", theme)
        return drawing
    styles = (("-", "o", theme.first), ("--", "s", theme.second))
    for name, probability, called, (line, marker, colour) in zip(
        names, paired.probabilities, paired.called, styles, strict=True
    ):
        false_positive, true_positive, _ = roc_curve(labels, probability, drop_intermediate=False)
        axes.plot(false_positive, true_positive, line, color=colour, linewidth=2.0)
        point = float(np.mean(called[labels == 0])), float(np.mean(called[labels == 1]))
        shape: dict[str, Any] = {"markersize": 9, "markeredgecolor": theme.paper, "markeredgewidth": 1.2}
        # Curve and operating point share one entry of the legend.
        axes.plot([point[0]], [point[1]], marker, color=colour, linestyle=line, label=name, **shape)
    add_legend(axes, theme, "lower right")
    return drawing
