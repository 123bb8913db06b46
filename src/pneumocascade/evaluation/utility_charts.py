"""Pictures of what a stage's answers are good for: precision-recall and decision curve; loads matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import precision_recall_curve

from pneumocascade.evaluation.chart_style import LIGHT, add_axes, add_legend, add_note, new_drawing
from pneumocascade.evaluation.utility import THRESHOLDS, treat_all

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from pneumocascade.evaluation.chart_style import Theme
    from pneumocascade.evaluation.utility import MeasuredUtility


def precision_recall(
    labels: NDArray[np.int64],
    probability: NDArray[np.float64],
    threshold: float,
    title: str,
    *,
    subtitle: str = "",
    theme: Theme = LIGHT,
) -> Figure:
    """Draw precision against recall, the operating point, and what guessing would give.

    Parameters
    ----------
    labels : ndarray of int, shape (N,)
        1 for the positive class, else 0.
    probability : ndarray of float, shape (N,)
        Calibrated, of the positive class.
    threshold : float
        Of the operating point.
    title, subtitle : str
    theme : Theme
    """
    drawing = new_drawing((4.7, 5.1), title, theme)
    x, y = "recall (sensitivity)", "precision (positive predictive value)"
    axes = add_axes(drawing, 111, theme, x=x, y=y, subtitle=subtitle)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    if len(np.unique(labels)) < 2:
        add_note(axes, "not defined: films of both classes are needed", theme)
        return drawing
    share = float(labels.mean())
    dashed: dict[str, Any] = {"color": theme.muted, "linestyle": "--", "linewidth": 1.2, "alpha": 0.8}
    axes.axhline(share, label=f"guessing: the share of positives, {share:.3f}", **dashed)
    precision, recall, _ = precision_recall_curve(labels, probability)
    axes.plot(recall, precision, color=theme.first, linewidth=2.2, drawstyle="steps-post")
    called = probability >= threshold
    if called.any():
        point = float(called[labels == 1].mean()), float(labels[called].mean())
        style: dict[str, Any] = {"markersize": 10, "markeredgecolor": theme.paper, "markeredgewidth": 1.5}
        name = f"operating point: recall {point[0]:.3f}, precision {point[1]:.3f}"
        axes.plot([point[0]], [point[1]], "o", color=theme.second, label=name, **style)
    add_legend(axes, theme, "lower left")
    return drawing


def decision_curve(
    utility: MeasuredUtility, threshold: float, title: str, *, subtitle: str = "", theme: Theme = LIGHT
) -> Figure:
    """Draw net benefit against threshold probability, beside calling all films positive and calling none.

    Parameters
    ----------
    utility : MeasuredUtility
    threshold : float
        Of the operating point; marked.
    title, subtitle : str
    theme : Theme
    """
    drawing = new_drawing((4.7, 5.1), title, theme)
    axes = add_axes(drawing, 111, theme, x="threshold probability", y="net benefit", subtitle=subtitle)
    share = utility.positive_share
    if share is None or not 0 < share < 1:
        add_note(axes, "not defined: films of both classes are needed", theme)
        return drawing
    benefit = [np.nan if at.value is None else at.value for at in utility.net_benefit]
    bounds = [(np.nan, np.nan) if at.ci95 is None else at.ci95 for at in utility.net_benefit]
    low, high = np.array(bounds).T
    everyone = [treat_all(share, at) for at in THRESHOLDS]
    axes.set(xlim=(0, 1), ylim=(min(-0.06, 1.1 * float(np.nanmin(benefit))), 1.12 * max(share, 0.05)))
    axes.fill_between(THRESHOLDS, low, high, color=theme.first, alpha=0.2, linewidth=0)
    axes.plot(THRESHOLDS, benefit, color=theme.first, linewidth=2.2, label="by the model, with 95 % interval")
    axes.plot(THRESHOLDS, everyone, "--", color=theme.second, linewidth=1.6, label="all called positive")
    axes.axhline(0, color=theme.muted, linestyle=":", linewidth=1.8, label="none called positive")
    axes.axvline(threshold, color=theme.muted, linewidth=1.0, alpha=0.6, label="operating point")
    add_legend(axes, theme, "best")
    return drawing
