"""The saliency map of each stage over the film, mixed by the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pneumocascade.explain.html import render
from pneumocascade.explain.saliency import heat_layer
from pneumocascade.explain.verdict import mapped_label
from pneumocascade.i18n import gettext as _
from pneumocascade.reports.stages import saliency_legend
from pneumocascade.web.fragments import note
from pneumocascade.web.glossary import terms_line

if TYPE_CHECKING:
    from pneumocascade.web.analysis import Analysis

OPACITY = 35
"""Of the heat at first, in percent."""

FOLLOW_SLIDER = f"""
let opacity = {OPACITY};
const show = () => {{
  element.style.setProperty('--pc-heat', opacity / 100);
  const slider = element.querySelector('[data-opacity]');
  if (!slider) return;
  slider.value = opacity;
  slider.nextElementSibling.textContent = opacity + ' %';
}};
element.addEventListener('input', (event) => {{
  if (!event.target.matches('[data-opacity]')) return;
  opacity = Number(event.target.value);
  show();
}});
watch('value', show);
"""
"""Lets the slider set the opacity of the heat, and keeps it for the next film: no server is asked."""


def saliency_view(analysis: Analysis, prefix: str) -> str:
    """Return film, heat of each stage that ran, choice of the stage and slider; or why there is none.

    Parameters
    ----------
    analysis : Analysis
    prefix : str
        Keeps the choices of two tabs apart.
    """
    results = analysis.prediction.stages
    if analysis.film is None or not results:
        return note(_("There is no answer for this film, and so no map."))
    height, width = analysis.film.shape
    mapped = [(stage, result) for stage, result in results.items() if result.activation_map is not None]
    if not mapped:
        return note(_("These models give no activation map. Models exported with this version do."))
    coarse = mapped[0][1].activation_map
    assert coarse is not None
    view = render(
        "web/saliency.html.j2",
        film=analysis.film,
        layers=[
            (stage, mapped_label(analysis.prediction, stage), heat_layer(result, height, width))
            for stage, result in mapped
        ],
        prefix=prefix,
        opacity=OPACITY,
        legend=saliency_legend(),
        down=coarse.shape[0],
        across=coarse.shape[1],
    )
    return view + terms_line("activation_map", "log_odds")
