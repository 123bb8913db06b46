"""What both tabs are given: formats, the operating point, clicks on tiles."""

from __future__ import annotations

from typing import Any

import gradio as gr

from pneumocascade.spec import OPERATING_POINTS

FORMATS = "JPEG, PNG, TIFF, WebP or BMP"

QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
"""Options of events that are answered at once; the REST API is the one for programs."""

SEND_INDEX = """
element.addEventListener('click', (event) => {
  const tile = event.target.closest('[data-index]');
  if (!tile) return;
  for (const other of element.querySelectorAll('[data-index]')) {
    other.setAttribute('aria-pressed', String(other === tile));
  }
  trigger('click', {index: Number(tile.dataset.index)});
});
"""
"""Tells the server which of the tiles inside an HTML component was clicked."""


def clicked_index(event: gr.EventData, count: int) -> int | None:
    """Return the index that a click carries; ``None`` where it is not one of ``count``."""
    index = event._data.get("index") if isinstance(event._data, dict) else None
    return index if isinstance(index, int) and 0 <= index < count else None


def operating_point_choice(prefix: str) -> gr.Radio:
    """Return the choice of the operating point."""
    return gr.Radio(
        list(OPERATING_POINTS),
        value=OPERATING_POINTS[0],
        label="Operating point",
        info="Sensitive misses fewer pneumonias; specific raises fewer false alarms.",
        elem_id=f"{prefix}-point",
        elem_classes="pc-radio",
    )
