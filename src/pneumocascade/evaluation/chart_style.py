"""What all pictures of figures have in common: colours, axes, PNG.

Colours are those of Okabe and Ito, told apart by people with colour-vision deficiencies.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from pneumocascade.explain.palette import OKABE_ITO

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

DPI = 144
"""Dots per inch of saved pictures."""


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of a picture, as matplotlib takes them."""

    paper: str
    ink: str
    muted: str
    line: str
    first: str
    second: str


LIGHT = Theme(
    paper="#ffffff",
    ink="#1b1f24",
    muted="#59636e",
    line="#d1d9e0",
    first=OKABE_ITO["blue"],
    second=OKABE_ITO["vermillion"],
)
DARK = Theme(
    paper="#171b21",
    ink="#e6e9ed",
    muted="#9aa5b1",
    line="#3a434e",
    first=OKABE_ITO["sky blue"],
    second=OKABE_ITO["orange"],
)


def png(drawing: Figure) -> bytes:
    """Return a picture as PNG."""
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def save(drawing: Figure, path: Path) -> None:
    """Write a picture as PNG."""
    path.write_bytes(png(drawing))


def new_drawing(inches: tuple[float, float], title: str, theme: Theme) -> Figure:
    """Return an empty picture with its title at the left.

    Parameters
    ----------
    inches : tuple of float
        Width and height.
    title : str
    theme : Theme
    """
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    drawing = Figure(figsize=inches, layout=layout, facecolor=theme.paper)
    drawing.suptitle(title, x=0.02, ha="left", fontsize=13, fontweight="bold", color=theme.ink)
    return drawing


def add_axes(
    drawing: Figure, place: Any, theme: Theme, *, x: str = "", y: str = "", subtitle: str = ""
) -> Axes:
    """Add axes in the colours of a theme.

    Parameters
    ----------
    drawing : matplotlib.figure.Figure
    place : int or SubplotSpec
        As matplotlib's ``add_subplot`` takes it.
    theme : Theme
    x, y : str
        What the axes show.
    subtitle : str
        Stands above the axes, at the left.
    """
    axes: Axes = drawing.add_subplot(place)
    axes.set_facecolor(theme.paper)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(theme.muted)
    axes.tick_params(colors=theme.muted, labelcolor=theme.ink, labelsize=10)
    axes.set_xlabel(x, color=theme.ink, fontsize=11)
    axes.set_ylabel(y, color=theme.ink, fontsize=11)
    axes.set_title(subtitle, loc="left", color=theme.muted, fontsize=10)
    axes.grid(color=theme.line, linewidth=0.6, alpha=0.6)
    axes.set_axisbelow(True)
    return axes


def add_legend(axes: Axes, theme: Theme, place: Any, **options: Any) -> None:
    """Add a legend without a frame; ``place`` is matplotlib's ``loc``."""
    axes.legend(loc=place, frameon=False, fontsize=10, labelcolor=theme.ink, **options)


def add_note(axes: Axes, text: str, theme: Theme) -> None:
    """Write across the axes why there is nothing to show."""
    middle: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "va": "bottom"}
    axes.text(0.5, 0.5, text, color=theme.muted, fontsize=11, **middle)
