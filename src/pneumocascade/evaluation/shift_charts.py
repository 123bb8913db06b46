"""Pictures of the shift suite. This module loads matplotlib: import it where it is needed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pneumocascade.evaluation.chart_style import LIGHT, add_axes, new_drawing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import GridSpec

    from pneumocascade.evaluation.chart_style import Theme

PANELS_ACROSS = 5


def shift_curves(stage: Mapping[str, Any], title: str, *, theme: Theme = LIGHT) -> Figure:
    """Draw AUROC, accuracy and ECE against the strength of each shift.

    Parameters
    ----------
    stage : mapping
        From :func:`pneumocascade.evaluation.shift_suite.measure_stage`.
    title : str
    theme : Theme
    """
    clean = next((row for row in stage["conditions"] if row["shift"] is None), None)
    shifts: dict[str, list[Mapping[str, Any]]] = {}
    for row in stage["conditions"]:
        if row["shift"] is not None:
            shifts.setdefault(row["shift"], []).append(row)
    rows = math.ceil(len(shifts) / PANELS_ACROSS)
    drawing = new_drawing((3.0 * PANELS_ACROSS, 0.9 + 3.3 * rows), title, theme)
    grid = drawing.add_gridspec(2 * rows, PANELS_ACROSS, height_ratios=[2, 1] * rows)
    first: Axes | None = None
    for index, (name, points) in enumerate(shifts.items()):
        axes = _panel(drawing, grid, index, name, [clean, *points] if clean else points, theme)
        first = first or axes
    if first is not None:
        handles, names = first.get_legend_handles_labels()
        drawing.legend(
            handles, names, loc="upper right", ncols=3, frameon=False, fontsize=12, labelcolor=theme.ink
        )
    return drawing


def _panel(
    drawing: Figure, grid: GridSpec, index: int, name: str, points: Sequence[Mapping[str, Any]], theme: Theme
) -> Axes:
    """Draw one shift: AUROC and accuracy above, ECE below; the clean films stand at the left."""
    row, column = divmod(index, PANELS_ACROSS)
    upper = add_axes(drawing, grid[2 * row, column], theme, subtitle=name)
    lower = add_axes(drawing, grid[2 * row + 1, column], theme, x=points[-1]["unit"])
    places = range(len(points))
    ticks = ["clean" if point["shift"] is None else f"{point['strength']:g}" for point in points]
    for axes, figure, label, style, colour in (
        (upper, "auroc", "AUROC", "o-", theme.first),
        (upper, "accuracy", "accuracy", "s-", theme.second),
        (lower, "ece", "ECE", "^-", theme.muted),
    ):
        values = [math.nan if point[figure] is None else point[figure] for point in points]
        axes.plot(places, values, style, color=colour, label=label, linewidth=1.8, markersize=5)
        axes.set_xticks(places, ticks)
    upper.plot([], [], "^-", color=theme.muted, label="ECE (below)")
    upper.set_ylim(0.5, 1.01)
    lower.set_ylim(0, 0.31)
    upper.tick_params(labelbottom=False)
    return upper
