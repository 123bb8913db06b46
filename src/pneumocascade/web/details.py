"""The part that both tabs share: pictures, steps, quality and distributions of one film."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from pneumocascade.measures import MEASURES
from pneumocascade.web import fragments
from pneumocascade.web.analysis import Analysis

DEFAULT_MEASURE = next(iter(MEASURES))
_CHOICES = [(measure.title, name) for name, measure in MEASURES.items()]


@dataclass(frozen=True, slots=True)
class Details:
    """Components that show one film, and the choice of the measure plotted.

    Attributes
    ----------
    pictures, steps, quality, plots : gr.HTML
    measure : gr.Radio
    """

    pictures: gr.HTML
    steps: gr.HTML
    quality: gr.HTML
    plots: gr.HTML
    measure: gr.Radio

    @property
    def outputs(self) -> list[gr.HTML]:
        """Components in the order of :func:`values`."""
        return [self.pictures, self.steps, self.quality, self.plots]


def heading(text: str) -> gr.HTML:
    """Return a heading between components."""
    return gr.HTML(f"<h3>{text}</h3>", elem_classes="pc-heading")


def build_pictures(prefix: str, shown: Analysis | None) -> gr.HTML:
    """Lay out the film beside the preprocessed picture."""
    filled = fragments.film_and_processed(shown) if shown is not None else ""
    return gr.HTML(filled, elem_id=f"{prefix}-pictures")


def build_details(prefix: str, shown: Analysis | None, pictures: gr.HTML) -> Details:
    """Lay the other components out, filled with a film where there is one.

    Parameters
    ----------
    prefix : str
        Begins the components' ids.
    shown : Analysis or None
    pictures : gr.HTML
        From :func:`build_pictures`.
    """
    filled = values(shown, DEFAULT_MEASURE) if shown is not None else ("", "", "", "")
    with gr.Row(elem_classes="pc-row"):
        with gr.Column(scale=8, min_width=320):
            heading("Steps: what the model is given")
            steps = gr.HTML(filled[1], elem_id=f"{prefix}-steps")
        with gr.Column(scale=5, min_width=320):
            heading("Image quality")
            quality = gr.HTML(filled[2], elem_id=f"{prefix}-quality")
    heading("Distribution in each step")
    measure = gr.Radio(
        _CHOICES, value=DEFAULT_MEASURE, label="Measure", elem_id=f"{prefix}-measure", elem_classes="pc-radio"
    )
    plots = gr.HTML(filled[3], elem_id=f"{prefix}-plots")
    return Details(pictures, steps, quality, plots, measure)


def values(analysis: Analysis, measure: str) -> tuple[str, str, str, str]:
    """Return what the components show of a film: pictures, steps, quality, plots."""
    return (
        fragments.film_and_processed(analysis),
        fragments.steps(analysis),
        fragments.quality(analysis),
        fragments.plots(analysis, measure),
    )
