"""The tab for several films."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from pneumocascade.web import fragments
from pneumocascade.web.analysis import Analysis, analyse
from pneumocascade.web.details import Details, build_details, build_pictures, heading, values
from pneumocascade.web.header import header
from pneumocascade.web.inputs import FORMATS, QUIET, SEND_INDEX, clicked_index, operating_point_choice

if TYPE_CHECKING:
    from pneumocascade.cascade import Cascade
    from pneumocascade.web.counter import Counter

MAX_FILMS = 10
"""Films of one batch; folders of any size are for the command line."""

_EXPIRED = "These results are no longer kept here. Please analyse the films again."


@dataclass(frozen=True, slots=True)
class _Parts:
    """The tab's components: what is asked, and what is shown."""

    upload: gr.File
    point: gr.Radio
    button: gr.Button
    message: gr.HTML
    area: gr.Column
    gallery: gr.HTML
    results: gr.HTML
    card: gr.HTML
    details: Details


def build_batch_tab(cascade: Cascade, counter: Counter, page_header: gr.HTML) -> None:
    """Lay out the tab and wire its events.

    Parameters
    ----------
    cascade : Cascade
    counter : Counter
    page_header : gr.HTML
        Shows the count of films.
    """
    parts = _layout()
    analyses = gr.State([], time_to_live=3600)
    chosen = gr.State(0)
    _wire_analysis(parts, cascade, counter, [analyses, chosen, page_header])
    _wire_choice(parts, analyses, chosen)


def _layout() -> _Parts:
    with gr.Row(elem_classes="pc-row"):
        with gr.Column(scale=7, min_width=300):
            label = f"Upload up to {MAX_FILMS} films: {FORMATS}"
            upload = gr.File(label=label, file_count="multiple", elem_id="batch-upload", height=190)
        with gr.Column(scale=4, min_width=300):
            point = operating_point_choice("batch")
            button = gr.Button("Analyze Images", variant="primary", elem_id="batch-analyze")
    message = gr.HTML(fragments.note("No films analysed yet."), elem_id="batch-message", min_height=64)
    with gr.Column(visible=False, elem_id="batch-results") as area:
        heading("Processed films: click one for its steps and distributions")
        gallery = gr.HTML("", elem_id="batch-gallery", js_on_load=SEND_INDEX)
        heading("Results")
        results = gr.HTML("", elem_id="batch-table")
        heading("Chosen film")
        with gr.Row(elem_classes="pc-row"):
            with gr.Column(scale=5, min_width=320):
                card = gr.HTML("", elem_id="batch-verdict")
            with gr.Column(scale=6, min_width=320):
                pictures = build_pictures("batch", None)
        details = build_details("batch", None, pictures)
    return _Parts(upload, point, button, message, area, gallery, results, card, details)


def _wire_analysis(parts: _Parts, cascade: Cascade, counter: Counter, behind: list[gr.Component]) -> None:
    """Let the button analyse the films; ``behind``: analyses, index of the chosen one, page header."""

    def run(
        paths: list[str] | None,
        operating_point: str,
        measure: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  Gradio finds its bar by this default
    ) -> tuple[object, ...]:
        if not paths:
            return fragments.note("Please upload films first.", "warning"), *[gr.skip()] * 11
        taken = progress.tqdm(paths[:MAX_FILMS], desc="Analysing", unit="films")
        found = [analyse(cascade, path, operating_point) for path in taken]
        count = counter.add(sum(analysis.prediction.status == "ok" for analysis in found))
        return (
            summary(found, paths[MAX_FILMS:]),
            gr.Column(visible=True),
            fragments.gallery(found),
            fragments.results(found),
            fragments.verdict_card(found[0]),
            *values(found[0], measure),
            found,
            0,
            header(count),
        )

    outputs = [parts.message, parts.area, parts.gallery, parts.results, parts.card]
    parts.button.click(
        run,
        [parts.upload, parts.point, parts.details.measure],
        [*outputs, *parts.details.outputs, *behind],
        api_visibility="private",
        show_progress_on=parts.message,
    )


def _wire_choice(parts: _Parts, analyses: gr.State, chosen: gr.State) -> None:
    """Show the film that was clicked, and the measure that was chosen."""

    def show(found: list[Analysis], measure: str, event: gr.EventData) -> tuple[object, ...]:
        index = clicked_index(event, len(found))
        if index is None:
            return fragments.note(_EXPIRED, "warning"), *[gr.skip()] * 5
        return fragments.verdict_card(found[index]), *values(found[index], measure), index

    def plot(found: list[Analysis], index: int, measure: str) -> str:
        return fragments.plots(found[index], measure) if found else fragments.note(_EXPIRED, "warning")

    details = parts.details
    parts.gallery.click(
        show,
        [analyses, details.measure],
        [parts.card, *details.outputs, chosen],
        scroll_to_output=True,
        **QUIET,
    )
    details.measure.input(plot, [analyses, chosen, details.measure], details.plots, **QUIET)


def summary(found: list[Analysis], left_out: list[str]) -> str:
    """Return how a batch went, and what to do about the films beyond the limit."""
    status = [analysis.prediction.status for analysis in found]
    parts = [f"{len(found)} {'film' if len(found) == 1 else 'films'}: {status.count('ok')} answered"]
    parts += [f"{status.count('refused')} refused"] if "refused" in status else []
    parts += [f"{status.count('error')} not read"] if "error" in status else []
    text = fragments.note(", ".join(parts) + ".")
    if left_out:
        names = ", ".join(Path(path).name for path in left_out)
        text += fragments.note(
            f"Only the first {MAX_FILMS} films of a batch are analysed here; left out: {names}. "
            "For more films use the command line: pneumocascade predict FOLDER",
            "warning",
        )
    return text
