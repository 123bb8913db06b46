"""A picture taken with the camera of the reader's device, as an upload."""

from __future__ import annotations

import gradio as gr

from pneumocascade.explain.html import render
from pneumocascade.web.inputs import CONTENT


def camera_button(prefix: str) -> gr.HTML:
    """Return the button that takes a picture and puts it into a tab's upload.

    The picture goes the way of every other upload. The button is hidden where the browser gives no
    camera: on pages that come neither from this machine nor by https.

    Parameters
    ----------
    prefix : str
        Begins the id of the upload.
    """
    script = (CONTENT / "camera.js").read_text(encoding="utf-8")
    return gr.HTML(render("web/camera.html.j2", prefix=prefix), elem_id=f"{prefix}-camera", js_on_load=script)
