"""The saliency map of each stage over the film, mixed by the browser."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from pneumocascade.explain.html import data_uri
from pneumocascade.explain.saliency import FULL_HEAT, heat_layer
from pneumocascade.web.fragments import note

if TYPE_CHECKING:
    from pneumocascade.types import StageResult
    from pneumocascade.web.analysis import Analysis

OPACITY = 60
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

_WHAT_IT_IS = (
    "The map is exact: the stage's log-odds are the mean of such contributions over the film, but for a "
    "constant. It is coarse, {across} x {down} places stretched over the film. It shows what this answer "
    "was made of. It does not show where a disease is, bright places are no finding, and dark ones do not "
    "mean healthy."
)


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
        return note("There is no answer for this film, and so no map.")
    maps = {stage: result for stage, result in results.items() if result.activation_map is not None}
    if not maps:
        return note("These models give no activation map. Models exported with this version do.")
    height, width = analysis.film.shape
    layers = "".join(
        f'<img class="pc-heat" data-stage="{stage}" alt="" '
        f'src="{data_uri(heat_layer(result, height, width))}">'
        for stage, result in maps.items()
    )
    film = f'<img src="{data_uri(analysis.film, "WEBP")}" alt="Film under the map of the chosen stage">'
    return (
        f'<div class="pc-saliency"><div class="pc-under">{film}{layers}</div>'
        f"<div>{_stages(maps, prefix)}{_slider(prefix)}{_explanation(maps)}</div></div>"
    )


def _stages(maps: dict[int, StageResult], prefix: str) -> str:
    choices = "".join(
        f'<label><input type="radio" name="{prefix}-saliency-stage" value="{stage}"'
        f"{' checked' if stage == min(maps) else ''}> Stage {stage}: {escape(result.label)}</label>"
        for stage, result in maps.items()
    )
    return f'<fieldset class="pc-choice"><legend>What speaks for</legend>{choices}</fieldset>'


def _slider(prefix: str) -> str:
    return (
        f'<label class="pc-slider" for="{prefix}-opacity">Opacity of the map</label>'
        f'<p class="pc-slider"><input type="range" id="{prefix}-opacity" data-opacity min="0" max="100" '
        f'value="{OPACITY}"><output>{OPACITY} %</output></p>'
        f'<p class="pc-scale"><span>0</span><i></i><span>{FULL_HEAT:g} or more, log-odds</span></p>'
    )


def _explanation(maps: dict[int, StageResult]) -> str:
    coarse = next(iter(maps.values())).activation_map
    assert coarse is not None
    down, across = coarse.shape
    return f'<p class="pc-small">{_WHAT_IT_IS.format(across=across, down=down)}</p>'
