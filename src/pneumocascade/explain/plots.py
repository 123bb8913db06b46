"""Distribution plots as SVG text that takes its ink from the page; matplotlib only when called."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from pneumocascade.explain.pictures import STEP_COLOURS, StepPicture
from pneumocascade.explain.quality import MEASURES, Distribution, Measure, distributions
from pneumocascade.i18n import decimal, gettext_noop, translated
from pneumocascade.i18n import gettext as _

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

_INK = "#010203"
"""Stands for the page's text colour, and is replaced by it: one plot for light and dark pages."""

_WIDTH, _HEIGHT = 259.2, 180.0
"""Of a plot, in points, 72 to the inch, which are the units of its SVG."""

SHARE = gettext_noop("share of pixels")
"""Label of the upright axis."""

_SETTINGS = threading.Lock()
"""Matplotlib's settings are global; plots are drawn one at a time."""


def distribution_plots(shown: Sequence[StepPicture], name: str) -> list[str]:
    """Return one plot of a measure for each step, on common axes.

    Parameters
    ----------
    shown : sequence of StepPicture
    name : str
        Key of ``MEASURES``.

    Returns
    -------
    list of str
        ``<svg>`` elements without background, in the text colour of the page around them.
    """
    measure = MEASURES[name]
    found = distributions([step.picture for step in shown], measure)
    top = _top(found, measure)
    plots = []
    for step, distribution, colour in zip(shown, found, STEP_COLOURS, strict=False):
        plots.append(_plot(step.caption, distribution, measure, colour, top))
    return plots


def _top(found: Sequence[Distribution], measure: Measure) -> float:
    """Return the upper end of the common axis.

    Collimated borders put a great share of the pixels into the first or last bin; they would flatten
    all the rest, so that the inner bins decide. What is cut off is written beside the axis.
    """
    if measure.cumulative:
        return 1.0
    return 1.12 * max(float(distribution.share[1:-1].max()) for distribution in found) or 1.0


def _plot(caption: str, distribution: Distribution, measure: Measure, colour: str, top: float) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with _SETTINGS, mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": caption, "font.size": 9.0}):
        figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72), layout="constrained")
        axes = figure.subplots()
        axes.stairs(distribution.share, distribution.edges, fill=True, color=colour, alpha=0.35)
        axes.stairs(distribution.share, distribution.edges, color=colour, linewidth=1.4)
        _dress(axes, caption, measure, distribution, top)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
        place = axes.get_position()
    described = _("%(measure)s of step %(step)s", measure=_(measure.title), step=_(caption))
    drawn = text.getvalue()
    # Matplotlib draws in English: its fonts lack letters that the browser's have.
    for words in (caption, measure.unit, SHARE):
        drawn = drawn.replace(f">{words}<", f">{escape(translated(words))}<")
    return _inline(drawn.replace("</svg>", _bins(distribution, measure, place) + "</svg>"), described)


def _bins(distribution: Distribution, measure: Measure, place: Bbox) -> str:
    """Return a strip over each bin, without colour, that tells its share when a pointer is over it.

    ``place`` is where the axes are, as shares of the figure from its lower left corner.
    """
    left, top = place.x0 * _WIDTH, (1 - place.y1) * _HEIGHT
    width, height = place.width * _WIDTH / len(distribution.share), place.height * _HEIGHT
    edges = distribution.edges
    strips = [
        f'<rect x="{left + index * width:.2f}" y="{top:.2f}" width="{width:.2f}" height="{height:.2f}">'
        f"<title>{escape(_told(measure, edges[index], edges[index + 1], share))}</title></rect>"
        for index, share in enumerate(distribution.share)
    ]
    return f'<g class="pc-bins" fill="transparent">{"".join(strips)}</g>'


def _told(measure: Measure, low: float, high: float, share: float) -> str:
    """Return what a bin says of itself: its range of values, and its share of the pixels."""
    values = {
        "unit": translated(measure.unit),
        "low": decimal(f"{low:.4g}"),
        "high": decimal(f"{high:.4g}"),
        "share": decimal(f"{100 * share:.1f}"),
    }
    if measure.cumulative:
        return _("%(unit)s up to %(high)s: %(share)s %% of pixels", **values)
    return _("%(unit)s %(low)s to %(high)s: %(share)s %% of pixels", **values)


def _dress(axes: Axes, caption: str, measure: Measure, distribution: Distribution, top: float) -> None:
    from matplotlib.ticker import PercentFormatter

    axes.set_title(caption, color=_INK, fontsize=10, fontweight="bold")
    axes.set_xlabel(measure.unit, color=_INK)
    axes.set_xlim(distribution.edges[0], distribution.edges[-1])
    axes.set_ylim(0, top)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    axes.set_ylabel(SHARE, color=_INK)
    axes.tick_params(colors=_INK, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_INK)
    for index, side in ((0, "left"), (-1, "right")):
        share = float(distribution.share[index])
        if share > top:
            where = 0.03 if index == 0 else 0.97
            note = f"{100 * share:.0f} %"
            axes.text(where, 0.93, note, transform=axes.transAxes, ha=side, color=_INK, fontsize=8)


def _inline(svg: str, description: str) -> str:
    """Return a plot as an element to be put into a page: no prologue, ink and font of the page."""
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    svg = re.sub(r"font: ([^;\"]*?)([\d.]+px) [^;\"]+", r"font: \1\2 system-ui, sans-serif", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    size = f'<svg role="img" aria-label="{description}" style="width:100%;height:auto" '
    return svg.replace("<svg ", size, 1)
