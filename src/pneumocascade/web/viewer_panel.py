"""The viewer: a film at full resolution, with zoom and window, under the steps and the saliency maps.

The browser loads ``viewer/`` (OpenSeadragon and our dialog around it) when the viewer is first opened.
The film is sent then, too: a page that nobody enlarges stays small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from pneumocascade.explain.html import encoded_uri
from pneumocascade.i18n import gettext as _
from pneumocascade.web.inputs import EXPIRED, QUIET

if TYPE_CHECKING:
    from gradio.components import Component

    from pneumocascade.web.analysis import Analysis

FOLDER = Path(__file__).parent / "viewer"
"""Scripts and styles that the browser loads."""

ADDRESS = "/viewer"
"""Where they are served."""

ASK_FOR_VIEWER = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-viewer]');
  if (!button) return;
  import(new URL('viewer/viewer.js', document.baseURI).href);  // on its way while the film is fetched
  trigger('click', {});
});
"""
"""Tells the server that the viewer was asked for."""

_OPEN = """(film, name) => {
  if (film) import(new URL('viewer/viewer.js', document.baseURI).href)
    .then((viewer) => viewer.openViewer(film, '%s', name));
}"""


def wire_viewer(
    prefix: str,
    pictures: gr.HTML,
    find: Callable[..., Analysis | None],
    inputs: Sequence[Component],
) -> None:
    """Open the viewer where the button in ``pictures`` is pressed.

    Parameters
    ----------
    prefix : str
        Begins the ids of the tab's components.
    pictures : gr.HTML
        Made with ``ASK_FOR_VIEWER``.
    find : callable
        Is given the values of ``inputs``; returns the film that is shown, ``None`` where it is gone.
    inputs : sequence of Component
    """
    film = gr.Textbox(visible="hidden", elem_id=f"{prefix}-full-film")
    name = gr.Textbox(visible="hidden", elem_id=f"{prefix}-full-name")

    def fetch(*values: object) -> tuple[str, str]:
        analysis = find(*values)
        if analysis is None or not analysis.full:
            raise gr.Error(_(EXPIRED), print_exception=False)
        return encoded_uri(analysis.full, "JPEG"), analysis.name

    fetched = pictures.click(fetch, [*inputs], [film, name], **QUIET)
    fetched.success(None, [film, name], None, js=_OPEN % prefix, **QUIET)
