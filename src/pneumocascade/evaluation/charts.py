"""Pictures of figures: ROC, reliability, confusion matrix, learning curve.

Used by ``evaluate`` and by training. This module loads matplotlib: import it where it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import roc_curve

from pneumocascade.evaluation.chart_style import LIGHT, add_axes, add_legend, add_note, new_drawing
from pneumocascade.evaluation.metrics import ECE_BINS, calibration_bins

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from pneumocascade.evaluation.chart_style import Theme

    Floats: TypeAlias = NDArray[np.float64]
    Ints: TypeAlias = NDArray[np.int64]

HISTOGRAM_BINS = 20
"""Bars of the histogram below a reliability diagram."""


def roc(
    labels: Ints,
    probability: Floats,
    threshold: float,
    title: str,
    *,
    subtitle: str = "",
    theme: Theme = LIGHT,
) -> Figure:
    """Draw the ROC curve and the operating point on it.

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
    x, y = "false positive rate (1 - specificity)", "true positive rate (sensitivity)"
    axes = add_axes(drawing, 111, theme, x=x, y=y, subtitle=subtitle)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.plot([0, 1], [0, 1], color=theme.muted, linestyle="--", linewidth=1.2, alpha=0.7)
    if len(np.unique(labels)) < 2:
        add_note(axes, "not defined: films of both classes are needed", theme)
        return drawing
    false_positive, true_positive, _ = roc_curve(labels, probability, drop_intermediate=False)
    axes.plot(false_positive, true_positive, color=theme.first, linewidth=2.2)
    called = probability >= threshold
    sensitivity, specificity = float(np.mean(called[labels == 1])), float(np.mean(~called[labels == 0]))
    quality = f"sensitivity {sensitivity:.3f}, specificity {specificity:.3f}"
    name = f"operating point: probability ≥ {threshold:.3f}\n{quality}"
    style: dict[str, Any] = {"markersize": 10, "markeredgecolor": theme.paper, "markeredgewidth": 1.5}
    axes.plot([1 - specificity], [sensitivity], "o", color=theme.second, label=name, **style)
    add_legend(axes, theme, "lower right")
    return drawing


def reliability(
    labels: Ints,
    probability: Floats,
    categories: Sequence[str],
    title: str,
    *,
    subtitle: str = "",
    theme: Theme = LIGHT,
) -> Figure:
    """Draw observed share against calibrated probability, above a histogram of the probabilities.

    The bins are those of :func:`pneumocascade.evaluation.metrics.ece`: of equal mass.

    Parameters
    ----------
    labels, probability, title, subtitle, theme
        As for :func:`roc`.
    categories : sequence of str, length 2
        Names of the negative and the positive class.
    """
    drawing = new_drawing((4.7, 5.1), title, theme)
    grid = drawing.add_gridspec(2, 1, height_ratios=(3, 1))
    axes = add_axes(drawing, grid[0], theme, y=f"observed share of {categories[1]}", subtitle=subtitle)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.tick_params(labelbottom=False)
    diagonal: dict[str, Any] = {"color": theme.muted, "linestyle": "--", "linewidth": 1.2, "alpha": 0.7}
    axes.plot([0, 1], [0, 1], label="perfectly calibrated", **diagonal)
    if len(labels) == 0:
        add_note(axes, "not defined: there is no film", theme)
    else:
        mean_probability, share = calibration_bins(labels, probability, np.ones(len(labels)))
        name = f"films, in {ECE_BINS} bins of equal mass"
        axes.plot(mean_probability, share, "o-", color=theme.first, linewidth=1.6, markersize=6, label=name)
        add_legend(axes, theme, "best")
    below = add_axes(drawing, grid[1], theme, x=f"calibrated probability of {categories[1]}", y="films")
    _histogram(below, labels, probability, categories, theme)
    return drawing


def _histogram(
    axes: Axes, labels: Ints, probability: Floats, categories: Sequence[str], theme: Theme
) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    groups = [probability[labels == 0], probability[labels == 1]]
    edges = np.linspace(0, 1, HISTOGRAM_BINS + 1).tolist()
    axes.hist(groups, bins=edges, stacked=True, color=[theme.first, theme.second], label=list(categories))
    add_legend(axes, theme, "lower right", bbox_to_anchor=(1.0, 0.98), ncols=2)


def confusion(
    matrix: Floats, categories: Sequence[str], title: str, *, subtitle: str = "", theme: Theme = LIGHT
) -> Figure:
    """Draw a confusion matrix: films, and their share of the row.

    Parameters
    ----------
    matrix : ndarray, shape (K, K)
        Films by reference standard (rows) and answer (columns).
    categories : sequence of str, length K
    title, subtitle, theme
        As for :func:`roc`.
    """
    drawing = new_drawing((4.7, 5.1), title, theme)
    axes = add_axes(drawing, 111, theme, x="answer", y="reference standard", subtitle=subtitle)
    rows = matrix.sum(axis=1, keepdims=True)
    share = np.divide(matrix, rows, out=np.zeros(matrix.shape), where=rows > 0)
    shades = LinearSegmentedColormap.from_list("shades", [theme.paper, LIGHT.first])
    axes.imshow(share, cmap=shades, vmin=0, vmax=1)
    for row, column in np.ndindex(*matrix.shape):
        # White is easier to read than the ink only on dark blue.
        colour = "#ffffff" if share[row, column] > 0.7 else theme.ink
        percent = f"{share[row, column]:.1%}" if rows[row, 0] > 0 else "no film"
        axes.annotate(f"{matrix[row, column]:.0f}", (column, row), ha="center", color=colour, fontsize=18)
        below: dict[str, Any] = {"xytext": (0, -16), "textcoords": "offset points", "ha": "center"}
        axes.annotate(percent, (column, row), color=colour, fontsize=10, **below)
    places = range(len(categories))
    axes.set_xticks(places, list(categories))
    axes.set_yticks(places, list(categories), rotation=90, va="center")
    borders = np.arange(len(categories) - 1) + 0.5
    axes.vlines(borders, -0.5, len(categories) - 0.5, color=theme.line, linewidth=1)
    axes.hlines(borders, -0.5, len(categories) - 0.5, color=theme.line, linewidth=1)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(True)
    return drawing


def learning_curve(
    rows: Sequence[Mapping[str, Any]], title: str = "Learning curve", *, theme: Theme = LIGHT
) -> Figure:
    """Draw losses and validation AUROC by epoch.

    Parameters
    ----------
    rows : sequence of mapping
        Lines of a run's ``metrics.jsonl``: ``epoch``, ``size``, ``train_loss``,
        ``validation_loss``, ``validation_auroc`` (which may be NaN).
    title : str
    theme : Theme
    """
    drawing = new_drawing((6.4, 6.0), title, theme)
    grid = drawing.add_gridspec(2, 1)
    losses = add_axes(drawing, grid[0], theme, y="loss", subtitle=_last(rows))
    aurocs = add_axes(drawing, grid[1], theme, x="epoch", y="validation AUROC")
    losses.tick_params(labelbottom=False)
    if not rows:
        add_note(losses, "no epoch has ended yet", theme)
        return drawing
    epochs = [row["epoch"] for row in rows]
    for axes in (losses, aurocs):
        axes.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(10, integer=True, min_n_ticks=1))
    for axes, name, marker, colour, label in (
        (losses, "train_loss", "o-", theme.first, "training"),
        (losses, "validation_loss", "s-", theme.second, "validation"),
        (aurocs, "validation_auroc", "s-", theme.second, ""),
    ):
        values = [row[name] for row in rows]
        axes.plot(epochs, values, marker, color=colour, label=label, linewidth=1.8, markersize=5)
    add_legend(losses, theme, "upper right")
    _mark_sizes(aurocs, rows, theme)
    return drawing


def _last(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say what the last epoch reached, whose weights are kept."""
    if not rows or np.isnan(rows[-1]["validation_auroc"]):
        return ""
    return f"validation AUROC {rows[-1]['validation_auroc']:.4f} after epoch {rows[-1]['epoch']}"


def _mark_sizes(axes: Axes, rows: Sequence[Mapping[str, Any]], theme: Theme) -> None:
    """Mark where a run goes on with pictures of another size."""
    before = None
    for row in rows:
        left = row["epoch"] - 0.5
        if before is not None and row["size"] != before:
            axes.axvline(left, color=theme.muted, linestyle=":", linewidth=1.2)
        if row["size"] != before:
            place: dict[str, Any] = {"xycoords": axes.get_xaxis_transform(), "textcoords": "offset points"}
            axes.annotate(f"{row['size']} px", (left, 0), (5, 5), color=theme.muted, fontsize=9, **place)
        before = row["size"]
