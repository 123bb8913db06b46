"""What may go with an answer in the JSON of the REST API: saliency maps, pictures, reports."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from pneumocascade.errors import FilmError, UnsuitableImageError
from pneumocascade.explain.html import data_uri
from pneumocascade.explain.pictures import film_picture, with_banner
from pneumocascade.explain.saliency import overlay
from pneumocascade.model.store import bundled_models, read_manifest
from pneumocascade.types import Radiograph

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pneumocascade.inference.cascade import Cascade
    from pneumocascade.server.queue import QueuedFilm
    from pneumocascade.types import Prediction, StageResult

MAX_HEIGHT = 1024
"""Of the pictures, in pixels."""


class Judged(NamedTuple):
    """One film of a request with its answer, and what judged it."""

    prediction: Prediction
    film: QueuedFilm
    cascade: Cascade


def check_pdf() -> None:
    """Raise :class:`pneumocascade.errors.MissingExtraError` where no PDF can be made here."""
    from pneumocascade.reports.pdf import weasyprint_module

    weasyprint_module()


def check_objects() -> None:
    """Raise :class:`pneumocascade.errors.MissingExtraError` where no DICOM object can be made here."""
    import pneumocascade.reports.objects  # noqa: F401  says which extra is missing


def pdf_of(judged: Iterable[Judged], cascade: Cascade) -> bytes:
    """Return the report of films as a PDF file."""
    from pneumocascade.reports.pdf import report_pdf

    return report_pdf([(one.prediction, one.prediction.display) for one in judged], cascade)


def object_of(judged: Judged, kind: Literal["sr", "sc"]) -> bytes:
    """Return the structured report or Secondary Capture of a film as a DICOM file.

    Raises
    ------
    FilmError
        Where the film could not be read, did not come as DICOM (``incomplete_object``), or lacks what
        results refer to.
    """
    from pneumocascade.reports.objects import object_bytes

    prediction = judged.prediction
    if prediction.error is not None:
        raise FilmError(prediction.error.code, prediction.error.message)
    if prediction.acquisition is None:
        raise UnsuitableImageError(
            "incomplete_object", "the film did not come as a DICOM object, to whose study results belong"
        )
    models = read_manifest(judged.cascade.folder or bundled_models())
    return object_bytes(kind, prediction, judged.film.read(), models)


def _stages_with_maps(judged: Judged) -> dict[str, StageResult]:
    return {
        f"stage{number}": stage
        for number, stage in judged.prediction.stages.items()
        if stage.activation_map is not None
    }


def _saliency(judged: Judged) -> dict[str, Any]:
    return {name: _map_of(stage) for name, stage in _stages_with_maps(judged).items()}


def _map_of(stage: StageResult) -> dict[str, Any]:
    assert stage.activation_map is not None, "checked by the caller"
    return {"map": np.round(stage.activation_map.astype(float), 4).tolist(), "margin": stage.margin}


def _pictures(judged: Judged) -> dict[str, str]:
    if (radiograph := judged.prediction.display) is None:
        return {}
    picture = film_picture(radiograph, min(MAX_HEIGHT, radiograph.height))
    small = Radiograph(np.ascontiguousarray(picture[..., 0]), radiograph.source)
    pictures = {"film": picture[..., 0], "verdict": with_banner(picture, judged.prediction)}
    pictures |= {name: overlay(small, stage) for name, stage in _stages_with_maps(judged).items()}
    return {name: data_uri(picture) for name, picture in pictures.items()}


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A kind of attachment.

    Attributes
    ----------
    make : callable
        Given a :class:`Judged` film that could be read, returns what stands in the JSON under the
        attachment's name; runs on a thread. A ``FilmError`` becomes ``null`` and a warning.
    display : bool
        Whether it needs the answers' display copies.
    check : callable, optional
        Called before films are judged; raises where the attachment cannot be made at all.
    """

    make: Callable[[Judged], Any]
    display: bool = False
    check: Callable[[], None] | None = None


ATTACHMENTS: dict[str, Attachment] = {
    "saliency": Attachment(_saliency),
    "pictures": Attachment(_pictures, display=True),
    "pdf": Attachment(lambda one: _base64(pdf_of([one], one.cascade)), display=True, check=check_pdf),
    "sr": Attachment(lambda one: _base64(object_of(one, "sr")), check=check_objects),
    "sc": Attachment(lambda one: _base64(object_of(one, "sc")), display=True, check=check_objects),
}
"""By the name that ``include`` asks for, and under which it stands in the JSON."""


def row_of(judged: Judged, include: frozenset[str]) -> dict[str, Any]:
    """Return the JSON object of an answer with its attachments; a film that could not be read has none.

    Parameters
    ----------
    judged : Judged
    include : frozenset of str
        Any of ``ATTACHMENTS``.
    """
    row = judged.prediction.to_dict()
    if judged.prediction.status == "error":
        return row
    for name in sorted(include):
        row[name], *notes = _made(judged, name)
        row["warnings"] += notes
    return row


def _made(judged: Judged, name: str) -> list[Any]:
    try:
        return [ATTACHMENTS[name].make(judged)]
    except FilmError as error:  # for instance no DICOM object of a JPEG file
        return [None, f"there is no {name} of it: {error.message}"]
