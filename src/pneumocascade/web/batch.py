"""The tab for several films."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from pneumocascade.web import fragments
from pneumocascade.web.analysis import Analysis
from pneumocascade.web.details import Details, build_details, build_verdict, heading, values
from pneumocascade.web.header import header
from pneumocascade.web.inputs import (
    ANNOUNCED,
    EXPIRED,
    QUIET,
    SEND_INDEX,
    Asked,
    ask,
    clicked_index,
    formats_note,
    place,
    scroll_to,
)
from pneumocascade.web.uploads import SECONDS_KEPT, analyse_upload
from pneumocascade.web.viewer_panel import wire_viewer

if TYPE_CHECKING:
    from pneumocascade.audit.counter import Counter
    from pneumocascade.inference.cascade import Cascade

MAX_FILMS = 10
"""Films of one batch; folders of any size are for the command line."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """The tab's components: what is asked, what is shown, and what is kept of the session."""

    asked: Asked
    message: gr.HTML
    area: gr.Column
    gallery: gr.HTML
    results: gr.HTML
    details: Details
    analyses: gr.State
    chosen: gr.State


def build_batch_tab(cascade: Cascade, counter: Counter, page_header: gr.HTML) -> None:
    """Lay out the tab and wire its events.

    Parameters
    ----------
    cascade : Cascade
    counter : Counter
    page_header : gr.HTML
        Shows the count of films.
    """
    parts = _layout(cascade)
    _wire_analysis(parts, cascade, counter, page_header)
    _wire_choice(parts)


def _layout(cascade: Cascade) -> _Parts:
    asked = ask("batch", f"Up to {MAX_FILMS} films", "Analyze Images", cascade)
    with gr.Row(elem_classes="pc-row"):
        with gr.Column(scale=7, min_width=300):
            place(asked.upload)
            formats_note()
        with gr.Column(scale=4, min_width=300):
            place(*asked.settings, asked.button)
    message = gr.HTML(fragments.note("No films analysed yet."), elem_id="batch-message", js_on_load=ANNOUNCED)
    with gr.Column(visible=False, elem_id="batch-results") as area:
        heading("Processed films: click one for its steps and distributions")
        gallery = gr.HTML("", elem_id="batch-gallery", js_on_load=SEND_INDEX)
        heading("Results")
        results = gr.HTML("", elem_id="batch-table")
        heading("Chosen film")
        verdict = build_verdict("batch", None)
        with gr.Row(elem_classes="pc-row"):
            with gr.Column(scale=5, min_width=320):
                place(verdict[0])
            with gr.Column(scale=6, min_width=320):
                place(verdict[1])
        details = build_details("batch", None, verdict)
    kept = gr.State([], time_to_live=SECONDS_KEPT), gr.State(0)
    return _Parts(asked, message, area, gallery, results, details, *kept)


def _wire_analysis(parts: _Parts, cascade: Cascade, counter: Counter, page_header: gr.HTML) -> None:
    """Let the button analyse the films."""
    asked, details = parts.asked, parts.details
    area = [parts.area, parts.gallery, parts.results]
    outputs = [parts.message, *area, *details.outputs, parts.analyses, parts.chosen, page_header]

    def run(
        paths: list[str] | None,
        operating_point: str,
        percent: float,
        measure: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  Gradio finds its bar by this default
    ) -> tuple[object, ...]:
        if not paths:
            text = fragments.note("Please upload films first.", "warning")
            return text, *[gr.skip()] * (len(outputs) - 1)
        taken = progress.tqdm(paths[:MAX_FILMS], desc="Analysing", unit="films")
        found = [analyse_upload(cascade, path, operating_point, percent / 100) for path in taken]
        count = counter.add(sum(analysis.prediction.status == "ok" for analysis in found))
        return (
            summary(found, paths[MAX_FILMS:]),
            gr.Column(visible=True),
            fragments.gallery(found),
            fragments.results(found),
            *values(found[0], measure, "batch"),
            found,
            0,
            header(count),
        )

    # The progress bar is laid over the message, which is therefore emptied first.
    emptied = asked.button.click(None, None, parts.message, js="() => ''", **QUIET)
    emptied.then(None, js=scroll_to("#batch-message"), **QUIET)
    emptied.then(
        run,
        [asked.upload, *asked.settings, details.measure],
        outputs,
        api_visibility="private",
        show_progress_on=parts.message,
    ).success(None, js=scroll_to("#batch-message", "start"), **QUIET)


def _wire_choice(parts: _Parts) -> None:
    """Show the film that was clicked, and the measure that was chosen."""
    details = parts.details

    def show(found: list[Analysis], measure: str, event: gr.EventData) -> tuple[object, ...]:
        index = clicked_index(event, len(found))
        if index is None:
            text = fragments.note(EXPIRED, "warning")
            return text, *[""] * (len(details.outputs) - 1), gr.skip()
        return *values(found[index], measure, "batch"), index

    def plot(found: list[Analysis], index: int, measure: str) -> str:
        return fragments.plots(found[index], measure) if found else fragments.note(EXPIRED, "warning")

    wire_viewer(
        "batch",
        details.pictures,
        lambda found, index: found[index] if found else None,
        [parts.analyses, parts.chosen],
    )
    parts.gallery.click(
        show,
        [parts.analyses, details.measure],
        [*details.outputs, parts.chosen],
        trigger_mode="multiple",  # by default a quick second click is lost
        **QUIET,
    ).success(None, js=scroll_to("#batch-verdict"), **QUIET)
    details.measure.input(
        plot,
        [parts.analyses, parts.chosen, details.measure],
        details.plots,
        trigger_mode="always_last",
        **QUIET,
    )


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
