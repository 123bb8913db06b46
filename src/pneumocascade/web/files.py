"""What can be taken along of answers: files made when they are asked for, and not kept on the server."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import gradio as gr
import numpy as np
from PIL import Image

from pneumocascade.errors import PneumocascadeError
from pneumocascade.explain.html import encoded
from pneumocascade.explain.pictures import film_beside_steps, safe_stem, with_banner
from pneumocascade.i18n import ENGLISH, speaking
from pneumocascade.i18n import gettext as _
from pneumocascade.model.preprocess import steps_of
from pneumocascade.model.store import bundled_models, read_manifest
from pneumocascade.output.rows import to_csv
from pneumocascade.types import Prediction, Radiograph
from pneumocascade.web.inputs import EXPIRED, QUIET

if TYPE_CHECKING:
    from pneumocascade.inference.cascade import Cascade
    from pneumocascade.web.analysis import Analysis

_HAS_PDF = find_spec("weasyprint") is not None
_HAS_OBJECTS = find_spec("highdicom") is not None


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file that the browser is given.

    Attributes
    ----------
    name : str
        File name.
    mime : str
        Media type.
    content : bytes
    """

    name: str
    mime: str
    content: bytes

    def to_json(self) -> str:
        """Return it as the JSON that the page's script saves."""
        content = base64.b64encode(self.content).decode("ascii")
        return json.dumps({"name": self.name, "mime": self.mime, "content": content})


SAVE = """(made) => {
  if (!made) return;
  const {name, mime, content} = JSON.parse(made);
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([bytes], {type: mime}));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}"""
"""Saves what :meth:`MadeFile.to_json` gave."""


def offered(analysis: Analysis) -> list[tuple[str, str]]:
    """Return kind and label of each file that can be made of an answer here."""
    kinds = [("json", "JSON")]
    if analysis.prediction.display is not None:
        kinds.insert(0, ("png", _("Picture (PNG)")))
    if _HAS_PDF:
        kinds.insert(0, ("pdf", _("Report (PDF)")))
    if _HAS_OBJECTS and analysis.prediction.acquisition is not None and analysis.prediction.status != "error":
        kinds += [("sr", "DICOM SR"), ("sc", "DICOM Secondary Capture")]
    return kinds


def make_file(cascade: Cascade, analysis: Analysis, kind: str) -> MadeFile:
    """Return a file of one answer.

    Parameters
    ----------
    cascade : Cascade
        That answered.
    analysis : Analysis
    kind : str
        One that :func:`offered` names.

    Raises
    ------
    gradio.Error
        For another kind, or where the upload that a DICOM object refers to was deleted.
    """
    if kind not in dict(offered(analysis)):
        raise gr.Error(_("there is no such file"), print_exception=False)
    try:
        with speaking(ENGLISH):  # as from the command line, whatever the page speaks
            return _MAKERS[kind](cascade, analysis)
    except PneumocascadeError as error:
        raise gr.Error(str(error), print_exception=False) from error


def make_batch_file(cascade: Cascade, found: Sequence[Analysis], kind: str) -> MadeFile:
    """Return a file of all answers of a batch: ``"csv"``, ``"pdf"`` or, with all there is, ``"zip"``.

    Raises
    ------
    gradio.Error
        For another kind, or without answers.
    """
    if not found:
        raise gr.Error(_(EXPIRED), print_exception=False)
    with speaking(ENGLISH):
        if kind == "csv":
            return _csv(found)
        if kind == "pdf" and _HAS_PDF:
            return MadeFile("report.pdf", "application/pdf", _report(cascade, found))
        if kind == "zip":
            return _archive(cascade, found)
    raise gr.Error(_("there is no such file"), print_exception=False)


def batch_kinds() -> list[tuple[str, str]]:
    """Return kind and label of each file that can be made of a batch here."""
    pdf = [("pdf", _("Report (PDF)"))] if _HAS_PDF else []
    return [("csv", _("Table (CSV)")), *pdf, ("zip", _("Everything (ZIP)"))]


def radiograph_of(analysis: Analysis) -> Radiograph | None:
    """Return what is kept of a film at its largest; its preprocessing is that of the film itself."""
    small = analysis.prediction.display
    if small is None or not analysis.full:
        return small
    with Image.open(io.BytesIO(analysis.full)) as film:
        return replace(small, pixels=np.asarray(film.convert("L")))


def _stem(analysis: Analysis) -> str:
    film = analysis.prediction.display
    if film is None:
        return "answer"
    return safe_stem(analysis.prediction, film).rsplit("-", 1)[0]


def _report(cascade: Cascade, found: Sequence[Analysis]) -> bytes:
    from pneumocascade.reports.pdf import report_pdf

    return report_pdf([(analysis.prediction, radiograph_of(analysis)) for analysis in found], cascade)


def _pdf(cascade: Cascade, analysis: Analysis) -> MadeFile:
    return MadeFile(f"{_stem(analysis)}.pdf", "application/pdf", _report(cascade, [analysis]))


def _png(cascade: Cascade, analysis: Analysis) -> MadeFile:
    film = radiograph_of(analysis)
    assert film is not None, "offered only where there is a film"
    beside = film_beside_steps(film, steps_of(film, cascade.stage1.spec).coloured)
    picture = with_banner(beside, analysis.prediction)
    return MadeFile(f"{_stem(analysis)}-verdict.png", "image/png", encoded(picture, "PNG"))


def _json(_cascade: Cascade, analysis: Analysis) -> MadeFile:
    text = json.dumps(analysis.prediction.to_dict(), indent=1, ensure_ascii=False) + "\n"
    return MadeFile(f"{_stem(analysis)}.json", "application/json", text.encode("utf-8", "backslashreplace"))


def _object(cascade: Cascade, analysis: Analysis, kind: Literal["sr", "sc"]) -> MadeFile:
    """Return the structured report (``"sr"``) or the Secondary Capture (``"sc"``)."""
    from pneumocascade.reports.objects import object_bytes

    film = radiograph_of(analysis)
    if film is None or not Path(analysis.path).is_file():
        raise gr.Error(_(EXPIRED), print_exception=False)
    models = read_manifest(cascade.folder or bundled_models())
    prediction: Prediction = replace(analysis.prediction, source=analysis.path, display=film)
    content = object_bytes(kind, prediction, Path(analysis.path).read_bytes(), models)
    return MadeFile(f"{_stem(analysis)}-{kind}.dcm", "application/dicom", content)


_MAKERS: dict[str, Callable[[Cascade, Analysis], MadeFile]] = {
    "pdf": _pdf,
    "png": _png,
    "json": _json,
    "sr": partial(_object, kind="sr"),
    "sc": partial(_object, kind="sc"),
}


def _csv(found: Sequence[Analysis]) -> MadeFile:
    text = to_csv(analysis.prediction for analysis in found)
    return MadeFile("predictions.csv", "text/csv", text.encode())


def _archive(cascade: Cascade, found: Sequence[Analysis]) -> MadeFile:
    """Return all files of a batch; where one cannot be made, ``not-made.txt`` says why."""
    stream, not_made = io.BytesIO(), []
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        table = _csv(found)
        archive.writestr(table.name, table.content)
        if _HAS_PDF:
            archive.writestr("report.pdf", _report(cascade, found))
        for number, analysis in enumerate(found, start=1):
            for kind in dict(offered(analysis)):
                if kind == "pdf":
                    continue
                try:
                    made = make_file(cascade, analysis, kind)
                except gr.Error as error:
                    not_made.append(f"{analysis.name}, {kind}: {error.message}")
                else:
                    archive.writestr(f"{number:02d}-{made.name}", made.content)
        if not_made:
            archive.writestr("not-made.txt", "\n".join(not_made) + "\n")
    return MadeFile("results.zip", "application/zip", stream.getvalue())


def wire_files(
    component: gr.HTML,
    prefix: str,
    make: Callable[..., MadeFile],
    inputs: Sequence[gr.components.Component],
) -> None:
    """Let the buttons of a component save files.

    Parameters
    ----------
    component : gr.HTML
        Made with ``SEND_ACTION``; its buttons carry ``data-file``.
    prefix : str
        Begins the id of the hidden component through which the file comes.
    make : callable
        Is given the values of ``inputs`` and the kind of the file.
    inputs : sequence of Component
    """
    made = gr.Textbox(visible="hidden", elem_id=f"{prefix}-file")

    def run(event: gr.EventData, *values: object) -> str:
        kind = event._data.get("file") if isinstance(event._data, dict) else None
        return make(*values, str(kind)).to_json()

    component.download(run, list(inputs), made, api_visibility="private", show_progress="hidden").success(
        None, made, None, js=SAVE, **QUIET
    ).then(lambda: "", None, made, **QUIET)
