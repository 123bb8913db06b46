"""The tab for one film."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from pneumocascade.i18n import gettext as _
from pneumocascade.model.spec import OPERATING_POINTS
from pneumocascade.web import fragments
from pneumocascade.web.analysis import Analysis
from pneumocascade.web.camera import camera_button
from pneumocascade.web.configuration import configuration
from pneumocascade.web.details import Details, build_details, build_verdict, heading, values
from pneumocascade.web.examples import analyse_example, example_films, example_tiles, preview
from pneumocascade.web.files import MadeFile, make_file, wire_files
from pneumocascade.web.header import header
from pneumocascade.web.inputs import (
    EXPIRED,
    QUIET,
    SEND_INDEX,
    Asked,
    ask,
    clicked_action,
    clicked_index,
    dimming,
    formats_note,
    known_films,
    place,
    scroll_to,
    undimming,
)
from pneumocascade.web.rejudging import judge_again, take_action
from pneumocascade.web.saliency_panel import saliency_view
from pneumocascade.web.uploads import SECONDS_KEPT, analyse_upload, uploaded
from pneumocascade.web.verdict_card import verdict_card
from pneumocascade.web.viewer_panel import wire_viewer

if TYPE_CHECKING:
    from gradio.components import Component

    from pneumocascade.audit.counter import Counter
    from pneumocascade.inference.cascade import Cascade


@dataclass(frozen=True, slots=True)
class JudgingAgain:
    """What judges the film of the tab again, for whoever changes the settings.

    Attributes
    ----------
    asked : Asked
    again : callable
        Is given the values of ``inputs``, returns those of ``outputs``.
    inputs, outputs : list of Component
    """

    asked: Asked
    again: Callable[..., tuple[object, ...]]
    inputs: list[Component]
    outputs: list[Component]


@dataclass(frozen=True, slots=True)
class _Parts:
    """The tab's components: what is asked, what is shown, and what is kept.

    ``shown`` is the session's and gets lost, after an hour or with the server; ``analysed`` is kept
    by the page itself and tells that something was there.
    """

    asked: Asked
    preview: gr.HTML
    examples: gr.HTML
    details: Details
    example: gr.State
    shown: gr.State
    analysed: gr.Checkbox


def build_single_tab(cascade: Cascade, counter: Counter, page_header: gr.HTML) -> JudgingAgain:
    """Lay out the tab, with an example analysed already, and wire its events.

    Returns what judges the film again.

    Parameters
    ----------
    cascade : Cascade
    counter : Counter
    page_header : gr.HTML
        Shows the count of films.
    """
    films = example_films()
    first = analyse_example(cascade, films[0], OPERATING_POINTS[0], record=False)
    parts = _layout(films, first, cascade)
    with gr.Accordion(_("Processing configuration"), open=False, elem_id="single-configuration"):
        gr.HTML(configuration(cascade))
    _wire_analysis(parts, films, cascade, counter, page_header)
    judging = _wire_again(parts, first, cascade, counter, page_header)
    _wire_choice(parts, films, first)
    return judging


def _layout(films: list[Path], first: Analysis, cascade: Cascade) -> _Parts:
    asked = ask("single", _("Upload a film"), _("Analyze Image"), cascade)
    verdict = build_verdict("single", first)
    with gr.Row(elem_classes="pc-row"):
        with gr.Column(scale=4, min_width=300):
            known_films()
            place(asked.upload)
            formats_note()
            camera_button("single")
            small = gr.HTML(preview(films[0], example=True), elem_id="single-preview")
            place(*asked.settings, asked.button)
            heading(_("Examples"))
            examples = gr.HTML(example_tiles(films, 0), elem_id="single-examples", js_on_load=SEND_INDEX)
        with gr.Column(scale=7, min_width=320):
            place(*verdict)
    return _Parts(
        asked,
        small,
        examples,
        build_details("single", first, verdict),
        gr.State(str(films[0])),
        gr.State(None, time_to_live=SECONDS_KEPT),
        gr.Checkbox(False, visible="hidden", elem_id="single-analysed"),
    )


def _wire_analysis(
    parts: _Parts, films: list[Path], cascade: Cascade, counter: Counter, page_header: gr.HTML
) -> None:
    """Let the button analyse what was uploaded or chosen, and a click an example."""
    asked, details = parts.asked, parts.details

    def choose(event: gr.EventData) -> tuple[None, str, str]:
        path = films[clicked_index(event, len(films)) or 0]
        return None, str(path), preview(path, example=True)

    def run(
        path: str | None, example: str, operating_point: str, percent: float, measure: str
    ) -> tuple[object, ...]:
        prior = percent / 100
        if path:
            analysis = analyse_upload(cascade, path, operating_point, prior)
        else:
            analysis = analyse_example(cascade, Path(example), operating_point, prior)
        count = counter.add(int(analysis.prediction.status == "ok"))
        return *values(analysis, measure, "single"), analysis, True, header(count)

    inputs = [asked.upload, parts.example, *asked.settings, details.measure]
    outputs = [*details.outputs, parts.shown, parts.analysed, page_header]
    clicked = asked.button.click(
        run,
        inputs,
        outputs,
        js=dimming("single"),
        api_visibility="private",
        show_progress_on=details.card,
    )
    chosen = parts.examples.click(
        choose,
        None,
        [asked.upload, parts.example, parts.preview],
        js=dimming("single"),
        trigger_mode="multiple",  # by default a quick second click is lost
        **QUIET,
    )
    chosen = chosen.success(
        run,
        inputs,
        outputs,
        api_visibility="private",
        show_progress_on=details.card,
        trigger_mode="always_last",
    )
    for event in (clicked, chosen):
        event.then(None, js=undimming("single"), **QUIET)
        event.success(None, js=scroll_to("#single-verdict"), **QUIET)


def _wire_again(
    parts: _Parts, first: Analysis, cascade: Cascade, counter: Counter, page_header: gr.HTML
) -> JudgingAgain:
    """Judge the film again as soon as the settings change, and do what a refusal's buttons say."""
    asked, details = parts.asked, parts.details

    def current(
        shown: Analysis | None, analysed: bool, operating_point: str, percent: float
    ) -> Analysis | None:
        if shown is None and analysed:
            return None
        return judge_again(cascade, shown or first, operating_point, percent / 100, record=bool(shown))

    def again(
        shown: Analysis | None, analysed: bool, operating_point: str, percent: float
    ) -> tuple[object, ...]:
        analysis = current(shown, analysed, operating_point, percent)
        if analysis is None:
            return fragments.note(_(EXPIRED), "warning"), gr.skip(), None
        kept = analysis if shown else None
        return verdict_card(analysis), saliency_view(analysis, "single"), kept

    def file_of(
        shown: Analysis | None, analysed: bool, operating_point: str, percent: float, kind: str
    ) -> MadeFile:
        analysis = current(shown, analysed, operating_point, percent)
        if analysis is None:
            raise gr.Error(_(EXPIRED), print_exception=False)
        return make_file(cascade, analysis, kind)

    def act(shown: Analysis | None, measure: str, event: gr.EventData) -> tuple[object, ...]:
        if shown is None:
            gr.Warning(_(EXPIRED), title=_("Warning"))
            return (gr.skip(),) * (len(details.outputs) + 2)
        analysis = take_action(cascade, shown, clicked_action(event))
        count = counter.add(int(analysis.prediction.status == "ok"))
        return *values(analysis, measure, "single"), analysis, header(count)

    judging = JudgingAgain(
        asked,
        again,
        [parts.shown, parts.analysed, *asked.settings],
        [details.card, details.saliency, parts.shown],
    )
    for change in (asked.point.input, asked.prior.input):
        change(
            again,
            judging.inputs,
            judging.outputs,
            js=dimming("single"),
            trigger_mode="always_last",
            **QUIET,
        ).then(None, js=undimming("single"), **QUIET)
    details.card.click(
        act,
        [parts.shown, details.measure],
        [*details.outputs, parts.shown, page_header],
        js=dimming("single"),
        api_visibility="private",
        show_progress_on=details.card,
    ).then(None, js=undimming("single"), **QUIET)
    wire_files(details.card, "single", file_of, judging.inputs)
    return judging


def _wire_choice(parts: _Parts, films: list[Path], first: Analysis) -> None:
    """Show the film that would be analysed, and the measure that was chosen."""

    def show(path: str | None, example: str) -> tuple[str, str]:
        if path:
            return preview(uploaded(path), example=False), example_tiles(films, None)
        return preview(Path(example), example=True), example_tiles(films, films.index(Path(example)))

    def plot(shown: Analysis | None, analysed: bool, measure: str) -> str:
        if shown is None and analysed:
            return fragments.note(_(EXPIRED), "warning")
        return fragments.plots(shown or first, measure)

    wire_viewer(
        "single",
        parts.details.pictures,
        lambda shown, analysed: shown if shown is not None or analysed else first,
        [parts.shown, parts.analysed],
    )
    measure = parts.details.measure
    parts.asked.upload.change(
        show, [parts.asked.upload, parts.example], [parts.preview, parts.examples], **QUIET
    )
    parts.asked.upload.upload(None, js=dimming("single"), **QUIET)
    measure.input(
        plot,
        [parts.shown, parts.analysed, measure],
        parts.details.plots,
        trigger_mode="always_last",  # by default a quick second choice is lost
        **QUIET,
    )
