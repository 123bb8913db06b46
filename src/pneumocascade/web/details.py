"""The part that both tabs share: verdict, pictures, steps, quality and distributions of one film."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from pneumocascade.explain.quality import MEASURES
from pneumocascade.i18n import gettext as _
from pneumocascade.web import fragments
from pneumocascade.web.analysis import Analysis
from pneumocascade.web.inputs import ANNOUNCED, SEND_ACTION
from pneumocascade.web.saliency_panel import FOLLOW_SLIDER, saliency_view
from pneumocascade.web.verdict_card import verdict_card
from pneumocascade.web.viewer_panel import ASK_FOR_VIEWER

DEFAULT_MEASURE = next(iter(MEASURES))


@dataclass(frozen=True, slots=True)
class Details:
    """Components that show one film, and the choice of the measure plotted.

    Attributes
    ----------
    card, pictures, saliency, steps, quality, plots : gr.HTML
    measure : gr.Radio
    """

    card: gr.HTML
    pictures: gr.HTML
    saliency: gr.HTML
    steps: gr.HTML
    quality: gr.HTML
    plots: gr.HTML
    measure: gr.Radio

    @property
    def outputs(self) -> list[gr.HTML]:
        """Components in the order of :func:`values`."""
        return [self.card, self.pictures, self.saliency, self.steps, self.quality, self.plots]


def heading(text: str) -> gr.HTML:
    """Return a heading between components."""
    return gr.HTML(fragments.piece("heading", text), elem_classes="pc-heading")


def build_verdict(prefix: str, shown: Analysis | None) -> tuple[gr.HTML, gr.HTML]:
    """Return the verdict's card and the film beside the preprocessed picture, not yet placed."""
    filled = (verdict_card(shown), fragments.film_and_processed(shown)) if shown is not None else ("", "")
    card = gr.HTML(filled[0], elem_id=f"{prefix}-verdict", js_on_load=ANNOUNCED + SEND_ACTION, render=False)
    return card, gr.HTML(filled[1], elem_id=f"{prefix}-pictures", js_on_load=ASK_FOR_VIEWER, render=False)


def build_details(prefix: str, shown: Analysis | None, verdict: tuple[gr.HTML, gr.HTML]) -> Details:
    """Lay the other components out, filled with a film where there is one.

    Parameters
    ----------
    prefix : str
        Begins the components' ids.
    shown : Analysis or None
    verdict : tuple of gr.HTML
        From :func:`build_verdict`, placed already.
    """
    filled = values(shown, DEFAULT_MEASURE, prefix) if shown is not None else ("",) * 6
    heading(_("Saliency map"))
    saliency = gr.HTML(filled[2], elem_id=f"{prefix}-saliency", js_on_load=FOLLOW_SLIDER)
    with gr.Row(elem_classes="pc-row"):
        with gr.Column(scale=8, min_width=320):
            heading(_("Steps of preprocessing"))
            steps = gr.HTML(filled[3], elem_id=f"{prefix}-steps")
        with gr.Column(scale=5, min_width=420):
            heading(_("Image quality"))
            quality = gr.HTML(filled[4], elem_id=f"{prefix}-quality")
    heading(_("Distribution in each step"))
    measure = gr.Radio(
        [(_(each.title), name) for name, each in MEASURES.items()],
        value=DEFAULT_MEASURE,
        label=_("Measure"),
        elem_id=f"{prefix}-measure",
        elem_classes="pc-radio",
    )
    plots = gr.HTML(filled[5], elem_id=f"{prefix}-plots")
    return Details(*verdict, saliency, steps, quality, plots, measure)


def values(analysis: Analysis, measure: str, prefix: str) -> tuple[str, ...]:
    """Return what the components show of a film, in the order of ``Details.outputs``."""
    return (
        verdict_card(analysis),
        fragments.film_and_processed(analysis),
        saliency_view(analysis, prefix),
        fragments.steps(analysis),
        fragments.quality(analysis),
        fragments.plots(analysis, measure),
    )
