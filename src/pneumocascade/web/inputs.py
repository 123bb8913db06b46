"""What both tabs are given: films, the operating point, clicks on tiles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from pneumocascade.explain.verdict import percent
from pneumocascade.i18n import gettext as _
from pneumocascade.i18n import gettext_noop
from pneumocascade.model.spec import OPERATING_POINTS
from pneumocascade.web.fragments import piece

if TYPE_CHECKING:
    from gradio.components import Component

    from pneumocascade.inference.cascade import Cascade
    from pneumocascade.model.spec import ModelSpec

CONTENT = Path(__file__).parent / "content"
"""Texts, styles and scripts of the page."""

FORMATS = gettext_noop("JPEG, PNG, TIFF, WebP, BMP or DICOM")

NO_CHOICE = gettext_noop("These models have the same threshold at every operating point.")

EXPIRED = gettext_noop("These results are no longer kept here. Please analyse the films again.")

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

ANNOUNCED = "element.setAttribute('aria-live', 'polite');"
"""Lets screen readers tell what an HTML component shows whenever it changes: the component stays,
what is in it is replaced."""

SEND_ACTION = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-action]');
  if (button) trigger('click', {action: button.dataset.action});
  const file = event.target.closest('[data-file]');
  if (file) trigger('download', {file: file.dataset.file});
});
"""
"""Tells the server which button inside an HTML component was clicked: an action, or a file to save."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Components by which a tab is asked; each is put into a layout by :func:`place`.

    Attributes
    ----------
    upload : gr.File
    point : gr.Radio
        Operating point.
    prior : gr.Slider
        Share of pneumonia, in per cent.
    button : gr.Button
    """

    upload: gr.File
    point: gr.Radio
    prior: gr.Slider
    button: gr.Button

    @property
    def settings(self) -> list[Component]:
        """What decides an answer besides the film: operating point and prior."""
        return [self.point, self.prior]


def ask(prefix: str, upload: str, button: str, cascade: Cascade) -> Asked:
    """Return a tab's inputs, not yet placed.

    Parameters
    ----------
    prefix : str
        Begins the components' ids; ``"batch"`` takes several films.
    upload, button : str
        Labels.
    cascade : Cascade
        Its operating points are explained.
    """
    return Asked(
        gr.File(
            label=upload,
            file_count="multiple" if prefix == "batch" else "single",
            elem_id=f"{prefix}-upload",
            height=190 if prefix == "batch" else 170,
            render=False,
        ),
        gr.Radio(
            [(_(name), name) for name in OPERATING_POINTS],
            value=OPERATING_POINTS[0],
            label=_("Operating point"),
            info=points_in_short(cascade.stage1.spec),
            elem_id=f"{prefix}-point",
            elem_classes="pc-radio",
            render=False,
        ),
        gr.Slider(
            1,
            99,
            value=round(100 * cascade.stage1.spec.prior),
            step=1,
            label=_("Pneumonia among such films, %"),
            info=_("Probability and threshold of stage 1 move together with it; the finding stays."),
            elem_id=f"{prefix}-prior",
            render=False,
        ),
        gr.Button(
            button,
            variant="primary",
            interactive=prefix != "batch",  # until films are chosen
            elem_id=f"{prefix}-analyze",
            render=False,
        ),
    )


def place(*parts: Component) -> None:
    """Put components where the layout has come to."""
    for part in parts:
        part.render()  # type: ignore[no-untyped-call]


def known_films() -> gr.HTML:
    """Return the line that says whose films the models know, to stand above an upload."""
    return gr.HTML(piece("known"))


def formats_note() -> gr.HTML:
    """Return the line that names the formats, to stand below an upload."""
    return gr.HTML(piece("formats", _(FORMATS)))


def points_in_short(stage1: ModelSpec) -> str:
    """Return what the choice of the operating point changes; the thresholds stand with the answer."""
    points = {name: point.threshold for name, point in stage1.operating_points.items()}
    usual = points[OPERATING_POINTS[0]]
    effects = {-1: _("fewer pneumonias missed"), 1: _("fewer false alarms")}
    parts = [
        f"{_(name)}: {effects[side]}"
        for name, threshold in points.items()
        if (side := (threshold > usual) - (threshold < usual))
    ]
    if not parts:
        return _(NO_CHOICE)
    return _("%(effects)s. The diagram with the answer shows the thresholds.", effects="; ".join(parts))


def points_explained(stage1: ModelSpec, stage2: ModelSpec | None = None) -> str:
    """Return what the choice of the operating point changes in these models, a sentence for each stage."""
    first = _thresholds(stage1, _("fewer pneumonias missed"), _("fewer false alarms"))
    told = _("Stage 1: %(explained)s", explained=first)
    if stage2 is None:
        return told
    second = _thresholds(stage2, _("fewer viral films missed"), _("fewer bacterial films called viral"))
    return told + " " + _("Stage 2: %(explained)s", explained=second)


def _thresholds(spec: ModelSpec, lower: str, higher: str) -> str:
    positive = _(spec.labels[1])
    points = {name: point.threshold for name, point in spec.operating_points.items()}
    if len(set(points.values())) == 1:
        same = percent(next(iter(points.values())))
        return _("%(label)s from %(threshold)s at every point.", label=positive, threshold=same)
    usual = points[OPERATING_POINTS[0]]
    parts = []
    for name, threshold in points.items():
        effect = f": {lower}" if threshold < usual else f": {higher}"
        parts.append(f"{percent(threshold)} ({_(name)}{'' if threshold == usual else effect})")
    return _(
        "%(label)s from %(thresholds)s or %(last)s.",
        label=positive,
        thresholds=", ".join(parts[:-1]),
        last=parts[-1],
    )


def clicked_index(event: gr.EventData, count: int) -> int | None:
    """Return the index that a click carries; ``None`` where it is not one of ``count``."""
    index = event._data.get("index") if isinstance(event._data, dict) else None
    return index if isinstance(index, int) and 0 <= index < count else None


def clicked_action(event: gr.EventData) -> str:
    """Return the name of the action that a click carries; empty where there is none."""
    action = event._data.get("action") if isinstance(event._data, dict) else None
    return action if isinstance(action, str) else ""


def dimming(prefix: str) -> str:
    """Return the script that dims what a tab shows of a film, and passes an event's inputs on."""
    return f"(...inputs) => {{ window.pneumocascade.stale('{prefix}', true); return inputs; }}"


def undimming(prefix: str) -> str:
    """Return the script that undoes :func:`dimming`."""
    return f"() => {{ window.pneumocascade.stale('{prefix}', false); }}"


def scroll_to(selector: str, block: str = "nearest") -> str:
    """Return the script that brings an element into view; ``"nearest"``: only as far as it is not."""
    still = "matchMedia('(prefers-reduced-motion: reduce)').matches"
    return (
        f"() => document.querySelector('{selector}')"
        f".scrollIntoView({{behavior: {still} ? 'auto' : 'smooth', block: '{block}'}})"
    )
