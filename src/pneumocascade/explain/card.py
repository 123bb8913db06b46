"""How a notebook shows an answer: a small card, and a plot of the film with its saliency maps."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from pneumocascade.errors import MissingExtraError
from pneumocascade.types import DISCLAIMER, RENDERERS, Prediction, StageResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEIGHT = 240
"""Of the pictures of a card, in pixels."""


def card_html(prediction: Prediction) -> str:
    """Return an answer as a piece of HTML without scripts; with pictures where it has a display copy."""
    from pneumocascade.explain.verdict import TONES, verdict_of

    verdict = verdict_of(prediction)
    lines = [*verdict.lines, *prediction.warnings]
    body = "".join(f"<li>{escape(line)}</li>" for line in lines)
    pictures = "".join(
        f'<img src="{address}" alt="{escape(alt)}" style="height:{HEIGHT}px;margin:0 8px 8px 0">'
        for alt, address in _pictures(prediction)
    )
    return (
        f'<div style="border-left:6px solid {TONES[verdict.tone]};padding:4px 12px">'
        f"<b>{escape(verdict.title)}</b> <code>{escape(prediction.source)}</code>"
        f'<ul style="margin:4px 0">{body}</ul>{pictures}<div><small>{escape(DISCLAIMER)}</small></div></div>'
    )


def _pictures(prediction: Prediction) -> list[tuple[str, str]]:
    from pneumocascade.explain.html import data_uri
    from pneumocascade.explain.pictures import film_picture
    from pneumocascade.explain.saliency import overlay

    film = prediction.display
    if film is None:
        return []
    small = film_picture(film, HEIGHT)
    shown = [("Film", data_uri(small, "WEBP"))]
    for label, result in _mapped(prediction):
        shown.append((f"Saliency map: what speaks for {label}", data_uri(overlay(film, result), "WEBP")))
    return shown


def _mapped(prediction: Prediction) -> list[tuple[str, StageResult]]:
    """Return the stages that have a saliency map, each with the label that it speaks for."""
    from pneumocascade.explain.verdict import mapped_label

    return [
        (mapped_label(prediction, number), result)
        for number, result in prediction.stages.items()
        if result.activation_map is not None
    ]


def plot_of(prediction: Prediction) -> Figure:
    """Return the film, and the saliency map of each stage that ran, side by side.

    Raises
    ------
    MissingExtraError
        Where matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("a plot of an answer", "evaluate") from error
    from pneumocascade.explain.saliency import overlay
    from pneumocascade.explain.verdict import verdict_of

    assert prediction.display is not None, "checked by Prediction.plot"
    pictures = [("Film", prediction.display.pixels)]
    pictures += [
        (f"What speaks for {label}", overlay(prediction.display, result))
        for label, result in _mapped(prediction)
    ]
    figure = Figure(figsize=(4 * len(pictures), 4.4), layout="constrained")
    figure.suptitle(f"{verdict_of(prediction).title}. {DISCLAIMER}", fontsize=9)
    for axes, (title, picture) in zip(
        figure.subplots(1, len(pictures), squeeze=False)[0], pictures, strict=True
    ):
        axes.imshow(picture, cmap="gray")
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    return figure


RENDERERS.update(html=card_html, plot=plot_of)
