"""The tab for one film."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from pneumocascade.spec import OPERATING_POINTS
from pneumocascade.web import fragments
from pneumocascade.web.analysis import Analysis, analyse
from pneumocascade.web.configuration import configuration
from pneumocascade.web.details import Details, build_details, build_pictures, heading, values
from pneumocascade.web.examples import example_films, example_tiles, preview
from pneumocascade.web.header import header
from pneumocascade.web.inputs import FORMATS, QUIET, SEND_INDEX, clicked_index, operating_point_choice

if TYPE_CHECKING:
    from pneumocascade.cascade import Cascade
    from pneumocascade.web.counter import Counter


@dataclass(frozen=True, slots=True)
class _Parts:
    """The tab's components: what is asked, and what is shown."""

    upload: gr.File
    preview: gr.HTML
    point: gr.Radio
    button: gr.Button
    examples: gr.HTML
    card: gr.HTML
    details: Details


def build_single_tab(cascade: Cascade, counter: Counter, page_header: gr.HTML) -> None:
    """Lay out the tab, with an example analysed already, and wire its events.

    Parameters
    ----------
    cascade : Cascade
    counter : Counter
    page_header : gr.HTML
        Shows the count of films.
    """
    films = example_films()
    first = analyse(cascade, films[0], OPERATING_POINTS[0])
    parts = _layout(films, first)
    with gr.Accordion("Processing configuration", open=False, elem_id="single-configuration"):
        gr.HTML(configuration(cascade))
    _wire_analysis(parts, cascade, counter, page_header, first)


def _layout(films: list[Path], first: Analysis) -> _Parts:
    with gr.Row(elem_classes="pc-row"):
        with gr.Column(scale=4, min_width=300):
            upload = gr.File(label=f"Upload a film: {FORMATS}", elem_id="single-upload", height=170)
            small = gr.HTML(preview(films[0]), elem_id="single-preview")
            point = operating_point_choice("single")
            button = gr.Button("Analyze Image", variant="primary", elem_id="single-analyze")
            heading("Examples")
            examples = gr.HTML(example_tiles(films), elem_id="single-examples", js_on_load=SEND_INDEX)
        with gr.Column(scale=7, min_width=320):
            card = gr.HTML(fragments.verdict_card(first), elem_id="single-verdict")
            pictures = build_pictures("single", first)
    details = build_details("single", first, pictures)
    return _Parts(upload, small, point, button, examples, card, details)


def _wire_analysis(
    parts: _Parts, cascade: Cascade, counter: Counter, page_header: gr.HTML, first: Analysis
) -> None:
    films = example_films()
    example = gr.State(str(films[0]))
    shown = gr.State(first, time_to_live=3600)

    def choose(event: gr.EventData) -> tuple[None, str, str]:
        path = films[clicked_index(event, len(films)) or 0]
        return None, str(path), preview(path)

    def run(path: str | None, chosen: str, operating_point: str, measure: str) -> tuple[object, ...]:
        analysis = analyse(cascade, path or chosen, operating_point)
        count = counter.add(int(analysis.prediction.status == "ok"))
        return fragments.verdict_card(analysis), *values(analysis, measure), analysis, header(count)

    def plot(analysis: Analysis | None, measure: str) -> str:
        return fragments.plots(analysis or first, measure)

    inputs = [parts.upload, example, parts.point, parts.details.measure]
    outputs = [parts.card, *parts.details.outputs, shown, page_header]
    parts.upload.change(
        lambda path, chosen: preview(Path(path or chosen)), [parts.upload, example], parts.preview, **QUIET
    )
    parts.button.click(run, inputs, outputs, api_visibility="private", show_progress_on=parts.card)
    parts.examples.click(choose, None, [parts.upload, example, parts.preview], **QUIET).then(
        run, inputs, outputs, api_visibility="private", show_progress_on=parts.card
    )
    parts.details.measure.input(plot, [shown, parts.details.measure], parts.details.plots, **QUIET)
