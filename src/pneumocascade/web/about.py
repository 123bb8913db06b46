"""The tab that tells what this is: pipeline, figures, data, intended use, limits, references."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from pneumocascade.i18n import gettext as _
from pneumocascade.reports.stages import STAGE_TITLES
from pneumocascade.types import NO_STAGE2
from pneumocascade.web.configuration import figures, operating_points
from pneumocascade.web.documents import document_list
from pneumocascade.web.fragments import note, piece
from pneumocascade.web.glossary import terms_line
from pneumocascade.web.inputs import CONTENT
from pneumocascade.web.prose import translated_markdown, translated_svg

if TYPE_CHECKING:
    from pneumocascade.inference.cascade import Cascade


def content(name: str) -> str:
    """Return the text of a file of ``web/content``."""
    return (CONTENT / name).read_text(encoding="utf-8")


def build_about_tab(cascade: Cascade) -> None:
    """Lay out the tab; its figures come from the models."""
    with gr.Column(elem_classes="pc-prose"):
        gr.Markdown(translated_markdown(content("pipeline.md")))
        drawings = content("pipeline.svg") + content("pipeline-narrow.svg")
        gr.HTML(piece("diagram", translated_svg(drawings)))
        gr.Markdown(translated_markdown(content("steps.md")))
        gr.HTML(_measured(cascade), elem_id="about-figures")
        for name in ("data.md", "intended_use.md", "references.md", "licence.md"):
            gr.Markdown(translated_markdown(content(name)))
        gr.HTML(document_list())


def _measured(cascade: Cascade) -> str:
    parts = [piece("measured", cascade.version)]
    if cascade.stage2 is None:
        parts.append(note(_(NO_STAGE2)))
    for title, spec in zip(STAGE_TITLES, cascade.specs, strict=False):
        parts += [piece("heading", _(title), 3), figures(spec), operating_points(spec)]
    parts.append(terms_line("auroc", "calibration_error", "sensitivity", "operating_point"))
    return "".join(parts)
