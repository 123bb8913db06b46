"""The page: header, tabs, theme. No font, script or picture comes from another host."""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import gradio as gr
from gradio import processing_utils
from starlette.middleware import Middleware
from starlette.staticfiles import StaticFiles

from pneumocascade import __version__
from pneumocascade.audit.counter import Counter
from pneumocascade.errors import StorageError
from pneumocascade.i18n import ENGLISH, language, speaking
from pneumocascade.i18n import gettext as _
from pneumocascade.web.about import build_about_tab
from pneumocascade.web.batch import build_batch_tab
from pneumocascade.web.fragments import piece
from pneumocascade.web.glossary import explanations
from pneumocascade.web.header import header
from pneumocascade.web.inputs import CONTENT, QUIET
from pneumocascade.web.language import PageLanguage, language_of
from pneumocascade.web.links import QUERY, linked
from pneumocascade.web.single import build_single_tab
from pneumocascade.web.uploads import SECONDS_KEPT, paths_in, prepare_folder, uploaded
from pneumocascade.web.viewer_panel import ADDRESS, FOLDER

if TYPE_CHECKING:
    from fastapi import FastAPI

    from pneumocascade.inference.cascade import Cascade

Made = TypeVar("Made")

MAX_FILE_SIZE = "64mb"
"""Largest file that may be uploaded."""

SESSIONS_KEPT = 50
"""Pages whose results are kept; ten films and their pictures take up to 8 MB."""

STYLES = ("style.css", "panels.css")
"""The page's style sheets, in ``web/content``."""

_FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif"]
_FONT_MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]


_log = logging.getLogger(__name__)

_LAYING_OUT = threading.Lock()
"""Gradio lays out one page at a time."""


class PageBlocks(gr.Blocks):
    """Blocks that speak the language of a request, take no file but uploads, and keep exceptions' words.

    Gradio fetches addresses that stand where the path of an upload should be, in the value of any
    component, before a function of the app sees them. It sends the words of every exception to the
    browser and prints them, which may quote the name of a film or of a file of the server.

    Attributes
    ----------
    lay_out : callable or None
        Makes the same blocks once more, in the language that is spoken; ``None`` for a page that is English
        alone.
    """

    is_template = True  # to the page it is what it inherits from
    lay_out: Callable[[], gr.Blocks] | None = None

    @property
    def config(self) -> Any:
        """What the page is made of, in the language that is spoken; Gradio sends it with the page."""
        if self.lay_out is None or language() == ENGLISH:
            return self._config
        return {**self._config, "components": self._components(language(), self.lay_out)}

    @config.setter
    def config(self, config: Any) -> None:
        self._config = config
        self._translated: dict[str, list[dict[str, Any]]] = {}

    def _components(self, code: str, lay_out: Callable[[], gr.Blocks]) -> list[dict[str, Any]]:
        """Return the components with the texts of a language, laid out when it is first asked for.

        The same code gives the same components in the same order; what events need of them, their numbers
        above all, stays.
        """
        with _LAYING_OUT:
            if code not in self._translated:
                theirs = lay_out().get_config_file()["components"]
                self._translated[code] = [
                    {**own, "props": other["props"]}
                    for own, other in zip(self._config["components"], theirs, strict=True)
                ]
            return self._translated[code]

    async def process_api(self, *args: Any, **options: Any) -> dict[str, Any]:
        """Run an event in the language of its page; one that fails says so in words of this app."""
        request = options.get("request")
        with speaking(language_of(request) if request and self.lay_out else ENGLISH):
            return await self._run(*args, **options)

    async def _run(self, *args: Any, **options: Any) -> dict[str, Any]:
        try:
            return await super().process_api(*args, **options)
        except gr.Error as error:  # meant for the user of the page
            error.print_exception = False
            error.title = _("Error") if error.title == "Error" else error.title
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, its words go nowhere
            _log.exception("the web app failed")
            raise gr.Error(_words_for(error), title=_("Error"), print_exception=False) from None

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *args: Any, **options: Any) -> Any:
        """Refuse inputs that name a file which was not uploaded."""
        for path in paths_in(inputs):
            uploaded(path)
        return await super().preprocess_data(block_fn, inputs, *args, **options)


def _words_for(error: Exception) -> str:
    if isinstance(error, StorageError):
        return _("The answer could not be stored, so it is not shown. See the server's log.")
    return _("The server failed. Its log says why.")


def theme() -> gr.themes.Base:
    """Return the app's theme; its fonts are those of the reader's system."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.orange,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_md,
        font=_FONT,
        font_mono=_FONT_MONO,
    ).set(
        # Gradio's own oranges and greys are too pale for text on and beside them (WCAG 2.2, 1.4.3).
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_800",
        button_primary_border_color="*primary_700",
        button_primary_border_color_dark="*primary_700",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        link_text_color_dark="#93c5fd",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
    )


def build_app(cascade: Cascade, counter: Counter | None = None) -> gr.Blocks:
    """Return the web app; see :func:`pneumocascade.web.build_app`."""
    return _build(cascade, counter or Counter())


def _build(cascade: Cascade, counter: Counter) -> PageBlocks:
    """Lay the page out in the language that is spoken."""
    return within_loop(lambda: _lay_out(cascade, counter))


def within_loop(make: Callable[[], Made]) -> Made:
    """Return what a function returns that is called within an event loop.

    Where none runs, Gradio makes event loops of its own, and closes none.
    """

    async def made() -> Made:
        return make()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(made())
    return make()


def _lay_out(cascade: Cascade, counter: Counter) -> PageBlocks:
    blocks: PageBlocks
    with PageBlocks(
        title="pneumocascade",
        analytics_enabled=False,
        delete_cache=(SECONDS_KEPT // 6, SECONDS_KEPT),
        fill_width=True,
    ) as blocks:
        page_header = gr.HTML(header(counter.value()), elem_id="page-header")
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as tabs:
            with gr.Tab(_("Single Image"), id="single"):
                single = build_single_tab(cascade, counter, page_header)
            with gr.Tab(_("Multiple Images (Batch)"), id="batch"):
                batch = build_batch_tab(cascade, counter, page_header)
            with gr.Tab(_("About"), id="about"):
                build_about_tab(cascade)
        gr.HTML(piece("footer", __version__, cascade.version) + explanations())
        query = gr.Textbox(visible="hidden", elem_id="page-query")
        blocks.load(
            _follow_link, query, [tabs, *single.asked.settings, *batch.settings], js=QUERY, **QUIET
        ).success(single.again, single.inputs, single.outputs, **QUIET).then(
            lambda: header(counter.value(), fetched=True), None, page_header, **QUIET
        )
    return blocks


def _follow_link(query: str) -> tuple[Any, ...]:
    """Return the tab and, for both tabs, the settings that the page's address asks for."""
    asked = linked(query)
    point = gr.skip() if asked.point is None else asked.point
    prior = gr.skip() if asked.prior is None else asked.prior
    tab = gr.skip() if asked.tab is None else gr.Tabs(selected=asked.tab)
    return tab, point, prior, point, prior


def mount_app(app: FastAPI, cascade: Cascade, counter: Counter | None = None) -> FastAPI:
    """Put the web app at ``/``; see :func:`pneumocascade.web.mount_app`."""
    prepare_folder()
    app.mount(ADDRESS, StaticFiles(directory=FOLDER))
    counter = counter or Counter()
    blocks = _build(cascade, counter)
    blocks.lay_out = lambda: _build(cascade, counter)
    # Gradio holds a path that the browser sends against the folder of uploads only where the app was
    # launched, which a mounted one never is: without this any picture of the server could be read.
    blocks.has_launched = True
    # In the names of the folders of uploads; Gradio keeps one with its installation, which is no secret.
    processing_utils.hash_seed = secrets.token_bytes(32)
    blocks.state_session_capacity = SESSIONS_KEPT
    mount = partial(
        gr.mount_gradio_app,
        app,
        blocks,
        path="/",
        app_kwargs={"middleware": [Middleware(PageLanguage)]},
        theme=theme(),
        css="".join((CONTENT / name).read_text(encoding="utf-8") for name in STYLES),
        head=f"<style>{(CONTENT / 'head.css').read_text(encoding='utf-8')}</style>",
        js=(CONTENT / "page.js").read_text(encoding="utf-8"),
        footer_links=[],
        run_history=False,
        favicon_path=str(CONTENT / "favicon.png"),
        ssr_mode=False,
        show_error=True,
        max_file_size=MAX_FILE_SIZE,
    )
    mounted: FastAPI = within_loop(mount)
    return mounted
