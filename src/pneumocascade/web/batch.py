"""The tab for several films."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from pneumocascade.i18n import gettext as _
from pneumocascade.i18n import gettext_noop, ngettext
from pneumocascade.web import fragments
from pneumocascade.web.analysis import Analysis
from pneumocascade.web.configuration import configuration
from pneumocascade.web.details import Details, build_details, build_verdict, heading, values
from pneumocascade.web.examples import analyse_example, example_films
from pneumocascade.web.files import MadeFile, batch_kinds, make_batch_file, make_file, wire_files
from pneumocascade.web.header import header
from pneumocascade.web.inputs import (
    ANNOUNCED,
    CONTENT,
    EXPIRED,
    QUIET,
    SEND_ACTION,
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
from pneumocascade.web.uploads import SECONDS_KEPT, analyse_upload
from pneumocascade.web.verdict_card import verdict_card
from pneumocascade.web.viewer_panel import wire_viewer

if TYPE_CHECKING:
    from pneumocascade.audit.counter import Counter
    from pneumocascade.inference.cascade import Cascade

MAX_FILMS = 10
"""Films of one batch; folders of any size are for the command line."""

NOTHING = gettext_noop("No films chosen yet.")

_EMPTY = "() => { window.pneumocascade.stale('batch', true); return ''; }"
"""Dims what is shown of films, and empties the message."""

CHOOSE_FILMS = (CONTENT / "films.js").read_text(encoding="utf-8")
"""Chooses a film of gallery or table, and sorts the table."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """The tab's components: what is asked, what is shown, and what is kept of the session."""

    asked: Asked
    sample: gr.Button
    message: gr.HTML
    area: gr.Column
    gallery: gr.HTML
    results: gr.HTML
    files: gr.HTML
    details: Details
    analyses: gr.State
    chosen: gr.State


def build_batch_tab(cascade: Cascade, counter: Counter, page_header: gr.HTML) -> Asked:
    """Lay out the tab, wire its events, and return its inputs.

    Parameters
    ----------
    cascade : Cascade
    counter : Counter
    page_header : gr.HTML
        Shows the count of films.
    """
    parts = _layout(cascade)
    with gr.Accordion(_("Processing configuration"), open=False, elem_id="batch-configuration"):
        gr.HTML(configuration(cascade))
    _wire_upload(parts)
    _wire_analysis(parts, cascade, counter, page_header)
    _wire_again(parts, cascade, counter, page_header)
    _wire_choice(parts)
    _wire_files(parts, cascade)
    return parts.asked


def _layout(cascade: Cascade) -> _Parts:
    asked = ask("batch", _("Up to %(count)s films", count=MAX_FILMS), _("Analyze Images"), cascade)
    with gr.Row(elem_classes="pc-row"):
        with gr.Column(scale=7, min_width=300):
            known_films()
            place(asked.upload)
            formats_note()
            sample = gr.Button(_("Try a sample batch"), elem_id="batch-sample")
        with gr.Column(scale=4, min_width=300):
            place(*asked.settings, asked.button)
    message = gr.HTML(fragments.note(_(NOTHING)), elem_id="batch-message", js_on_load=ANNOUNCED)
    verdict = build_verdict("batch", None)
    with gr.Column(visible=False, elem_id="batch-results") as area:
        with gr.Row(elem_classes="pc-row"):
            with gr.Column(scale=4, min_width=300):
                heading(_("Films"))
                gallery = gr.HTML("", elem_id="batch-gallery", js_on_load=CHOOSE_FILMS)
            with gr.Column(scale=7, min_width=320):
                heading(_("Chosen film"))
                place(*verdict)
        heading(_("Results"))
        results = gr.HTML("", elem_id="batch-table", js_on_load=CHOOSE_FILMS)
        buttons = fragments.piece("save_buttons", _("Save all answers"), batch_kinds())
        files = gr.HTML(buttons, elem_id="batch-files", js_on_load=SEND_ACTION)
        details = build_details("batch", None, verdict)
    kept = gr.State([], time_to_live=SECONDS_KEPT), gr.State(0)
    return _Parts(asked, sample, message, area, gallery, results, files, details, *kept)


def _wire_upload(parts: _Parts) -> None:
    """Say at once what was chosen; clearing the upload clears the results."""

    def chosen(paths: list[str] | None) -> tuple[object, ...]:
        ready = gr.Button(interactive=bool(paths))
        if not paths:
            return fragments.note(_(NOTHING)), ready, gr.Column(visible=False), []
        chosen_films = ngettext("%(count)s film chosen.", "%(count)s films chosen.", len(paths))
        text = fragments.note(chosen_films + " " + _("Analyze Images starts."))
        return text + left_out(paths[MAX_FILMS:]), ready, gr.skip(), gr.skip()

    parts.asked.upload.change(
        chosen,
        parts.asked.upload,
        [parts.message, parts.asked.button, parts.area, parts.analyses],
        js=dimming("batch"),
        **QUIET,
    )


def _wire_analysis(parts: _Parts, cascade: Cascade, counter: Counter, page_header: gr.HTML) -> None:
    """Let the buttons analyse the uploaded films, or the examples."""
    asked, details = parts.asked, parts.details
    area = [parts.area, parts.gallery, parts.results]
    outputs = [parts.message, *area, *details.outputs, parts.analyses, parts.chosen, page_header]

    def shown(found: list[Analysis], names: list[str], measure: str) -> tuple[object, ...]:
        found = told_apart(found)
        count = counter.add(sum(analysis.prediction.status == "ok" for analysis in found))
        return (
            summary(found, names),
            gr.Column(visible=True),
            fragments.gallery(found),
            fragments.results(found),
            *values(found[0], measure, "batch"),
            found,
            0,
            header(count),
        )

    def run(
        paths: list[str] | None,
        operating_point: str,
        percent: float,
        measure: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  Gradio finds its bar by this default
    ) -> tuple[object, ...]:
        if not paths:
            text = fragments.note(_("Please upload films first."), "warning")
            return text, *[gr.skip()] * (len(outputs) - 1)
        taken = progress.tqdm(paths[:MAX_FILMS], desc=_("Analysing"), unit=_("films"))
        found = [analyse_upload(cascade, path, operating_point, percent / 100) for path in taken]
        return shown(found, paths[MAX_FILMS:], measure)

    def run_sample(
        operating_point: str,
        percent: float,
        measure: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[object, ...]:
        taken = progress.tqdm(example_films()[:MAX_FILMS], desc=_("Analysing"), unit=_("films"))
        found = [analyse_example(cascade, path, operating_point, percent / 100) for path in taken]
        return shown(found, [], measure)

    settings = [*asked.settings, details.measure]
    starts = ((asked.button, run, [asked.upload, *settings]), (parts.sample, run_sample, settings))
    for button, analyse_all, inputs in starts:
        # The progress bar is laid over the message, which therefore makes room first.
        emptied = button.click(None, None, parts.message, js=_EMPTY, **QUIET)
        emptied.then(None, js=scroll_to("#batch-message"), **QUIET)
        done = emptied.then(
            analyse_all, inputs, outputs, api_visibility="private", show_progress_on=parts.message
        )
        done.then(None, js=undimming("batch"), **QUIET)
        done.success(None, js=scroll_to("#batch-message", "start"), **QUIET)


def _wire_again(parts: _Parts, cascade: Cascade, counter: Counter, page_header: gr.HTML) -> None:
    """Judge all films again as soon as the settings change, and do what a refusal's buttons say."""
    asked, details = parts.asked, parts.details

    def again(
        found: list[Analysis], table: str, index: int, operating_point: str, percent: float
    ) -> tuple[object, ...]:
        if not found:
            lost = fragments.note(_(EXPIRED), "warning") if table else gr.skip()
            return gr.skip(), gr.skip(), lost, gr.skip(), gr.skip()
        found = [judge_again(cascade, analysis, operating_point, percent / 100) for analysis in found]
        card, view = verdict_card(found[index]), saliency_view(found[index], "batch")
        return fragments.gallery(found, index), fragments.results(found, index), card, view, found

    def act(found: list[Analysis], index: int, measure: str, event: gr.EventData) -> tuple[object, ...]:
        if not found:
            raise gr.Error(_(EXPIRED), print_exception=False)
        found = list(found)
        found[index] = take_action(cascade, found[index], clicked_action(event))
        count = counter.add(int(found[index].prediction.status == "ok"))
        drawn = fragments.gallery(found, index), fragments.results(found, index)
        return *drawn, *values(found[index], measure, "batch"), found, header(count)

    for change in (asked.point.input, asked.prior.input):
        change(
            again,
            [parts.analyses, parts.results, parts.chosen, *asked.settings],
            [parts.gallery, parts.results, details.card, details.saliency, parts.analyses],
            js=dimming("batch"),
            trigger_mode="always_last",
            **QUIET,
        ).then(None, js=undimming("batch"), **QUIET)
    details.card.click(
        act,
        [parts.analyses, parts.chosen, details.measure],
        [parts.gallery, parts.results, *details.outputs, parts.analyses, page_header],
        js=dimming("batch"),
        api_visibility="private",
        show_progress_on=details.card,
    ).then(None, js=undimming("batch"), **QUIET)


def _wire_choice(parts: _Parts) -> None:
    """Show the film that was clicked, and the measure that was chosen."""
    details = parts.details

    def show(found: list[Analysis], measure: str, event: gr.EventData) -> tuple[object, ...]:
        index = clicked_index(event, len(found))
        if index is None:
            text = fragments.note(_(EXPIRED), "warning")
            return text, *[""] * (len(details.outputs) - 1), gr.skip()
        return *values(found[index], measure, "batch"), index

    def plot(found: list[Analysis], index: int, measure: str) -> str:
        return fragments.plots(found[index], measure) if found else fragments.note(_(EXPIRED), "warning")

    wire_viewer(
        "batch",
        details.pictures,
        lambda found, index: found[index] if found else None,
        [parts.analyses, parts.chosen],
    )
    for films in (parts.gallery, parts.results):
        films.click(
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


def _wire_files(parts: _Parts, cascade: Cascade) -> None:
    """Let the buttons save files of the chosen film and of all."""

    def of_one(found: list[Analysis], index: int, kind: str) -> MadeFile:
        if not found:
            raise gr.Error(_(EXPIRED), print_exception=False)
        return make_file(cascade, found[index], kind)

    def of_all(found: list[Analysis], kind: str) -> MadeFile:
        return make_batch_file(cascade, found, kind)

    wire_files(parts.details.card, "batch", of_one, [parts.analyses, parts.chosen])
    wire_files(parts.files, "batch-all", of_all, [parts.analyses])


def told_apart(found: Sequence[Analysis]) -> list[Analysis]:
    """Return films with a number behind each name that another one before it has, too."""
    seen: Tally[str] = Tally()
    named = []
    for analysis in found:
        seen[analysis.name] += 1
        count = seen[analysis.name]
        if count > 1:
            shown = f"{analysis.name} ({count})"
            analysis = replace(analysis, prediction=replace(analysis.prediction, source=shown))
        named.append(analysis)
    return named


def left_out(paths: Sequence[str]) -> str:
    """Return what to do about films beyond the limit; empty where there are none."""
    if not paths:
        return ""
    names = ", ".join(Path(path).name for path in paths)
    text = _(
        "Only the first %(count)s films of a batch are analysed here; left out: %(names)s. For more films "
        "use the command line: pneumocascade predict FOLDER",
        count=MAX_FILMS,
        names=names,
    )
    return fragments.note(text, "warning")


def summary(found: Sequence[Analysis], beyond: Sequence[str]) -> str:
    """Return how a batch went, and what to do about the films beyond the limit."""
    status = [analysis.prediction.status for analysis in found]
    films = ngettext("%(count)s film", "%(count)s films", len(found))
    parts = [_("%(films)s: %(count)s answered", films=films, count=status.count("ok"))]
    parts += [_("%(count)s refused", count=status.count("refused"))] if "refused" in status else []
    parts += [_("%(count)s not read", count=status.count("error"))] if "error" in status else []
    return fragments.note(", ".join(parts) + ".") + left_out(beyond)
