"""From an answer to the DICOM objects that are sent: SR, capture, PDF, presentation state."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, cast

from pneumocascade.errors import UnsuitableImageError, UsageError
from pneumocascade.imaging.dicom.values import text_of, whole_of
from pneumocascade.node.spool import ResultObject
from pneumocascade.node.uids import Origin
from pneumocascade.reports.capture import secondary_capture
from pneumocascade.reports.film_errors import film_errors
from pneumocascade.reports.presentation_state import presentation_state
from pneumocascade.reports.structured import structured_report

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from pneumocascade.inference.cascade import Cascade
    from pneumocascade.model.store import Manifest
    from pneumocascade.types import Prediction

ResultKind = Literal["sr", "sc", "pdf", "pr"]
RESULT_KINDS: tuple[ResultKind, ...] = ("sr", "sc", "pdf", "pr")
"""Structured report, Secondary Capture, Encapsulated PDF, Grayscale Softcopy Presentation State."""

_log = logging.getLogger(__name__)

_TRACKING_UID = "112040"
"""DCM: the UID by which a measurement is followed (PS3.16, TID 4108)."""


def result_kinds(text: str) -> tuple[ResultKind, ...]:
    """Read ``sr,sc,pdf,pr``, or some of these.

    Raises
    ------
    UsageError
        Where the text names something else, or nothing.
    """
    named = [part.strip().lower() for part in text.split(",") if part.strip()]
    if not named or (odd := sorted(set(named) - set(RESULT_KINDS))):
        found = ", ".join(odd) if named else "nothing"
        raise UsageError(f"--results names {found}; expected any of {', '.join(RESULT_KINDS)}")
    return cast("tuple[ResultKind, ...]", tuple(dict.fromkeys(named)))


class ResultMaker:
    """Makes the objects of answers. May be shared between threads.

    Parameters
    ----------
    cascade : Cascade
        That answers.
    models : Manifest
        Of its models.
    kinds : iterable of str
        Of ``RESULT_KINDS``.

    Raises
    ------
    MissingExtraError, UsageError
        Where a PDF is asked for and what makes it is not installed.
    """

    def __init__(self, cascade: Cascade, models: Manifest, kinds: Iterable[ResultKind]) -> None:
        self._cascade = cascade
        self._models = models
        self.kinds = tuple(kinds)
        if "pdf" in self.kinds:
            from pneumocascade.reports.pdf import weasyprint_module

            weasyprint_module()

    def make(self, prediction: Prediction, source: Dataset) -> list[ResultObject]:
        """Return the objects of an answer; none for a film that could not be read.

        Made again of the same film by the same models, they have the same UIDs.

        Parameters
        ----------
        prediction : Prediction
            With a display copy.
        source : pydicom.Dataset
            The film's own object.

        Raises
        ------
        UnsuitableImageError
            ``incomplete_object`` where the film's object lacks what results refer to.
        """
        if prediction.display is None:
            return []
        origin = Origin(
            text_of(source, "SOPInstanceUID"),
            prediction.pixels_sha256,
            prediction.model_version,
            prediction.operating_point,
        )
        with film_errors("a DICOM object"):
            frame = 1 if whole_of(source, "NumberOfFrames", 1) > 1 else None
            made = {kind: self._makers[kind](self, prediction, source, frame) for kind in self.kinds}
            return [_settled(each, kind, origin) for kind, each in made.items() if each is not None]

    def _report(self, prediction: Prediction, source: Dataset, frame: int | None) -> Dataset:
        return structured_report(prediction, source, self._models, frame=frame)

    def _capture(self, prediction: Prediction, source: Dataset, frame: int | None) -> Dataset:
        assert prediction.display is not None, "looked at above"
        return secondary_capture(prediction, prediction.display, source, frame=frame)

    def _document(self, prediction: Prediction, source: Dataset, _: int | None) -> Dataset:
        from pneumocascade.reports.encapsulated_pdf import encapsulated_pdf
        from pneumocascade.reports.pdf import report_pdf

        shown = replace(prediction, source=f"film {prediction.pixels_sha256[:12]}")
        return encapsulated_pdf(prediction, report_pdf([(shown, prediction.display)], self._cascade), source)

    def _state(self, prediction: Prediction, source: Dataset, _: int | None) -> Dataset | None:
        """Return the words on the film; ``None`` for a film that no presentation state can be of."""
        try:
            return presentation_state(prediction, source)
        except UnsuitableImageError as error:
            if error.code != "no_presentation_state":
                raise
            _log.warning("there is no presentation state of a film", extra={"reason": error.message})
            return None

    _makers: dict[str, Callable[[ResultMaker, Prediction, Dataset, int | None], Dataset | None]] = {  # noqa: RUF012
        "sr": _report,
        "sc": _capture,
        "pdf": _document,
        "pr": _state,
    }


def _settled(made: Dataset, kind: str, origin: Origin) -> ResultObject:
    """Give an object UIDs that follow from its film, and write it."""
    made.SOPInstanceUID = origin.uid(kind, "instance")
    made.SeriesInstanceUID = origin.uid(kind, "series")
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    for number, item in enumerate(_tracking_items(made)):
        item.UID = origin.uid(kind, "tracking", str(number))
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return ResultObject(
        kind,
        str(made.SOPClassUID),
        str(made.SOPInstanceUID),
        stream.getvalue(),
        series_uid=str(made.SeriesInstanceUID),
        modality=str(made.get("Modality", "")),
    )


def _tracking_items(made: Dataset) -> Iterator[Dataset]:
    for item in made.get("ContentSequence") or ():
        names = item.get("ConceptNameCodeSequence")
        if names and names[0].get("CodeValue") == _TRACKING_UID:
            yield item
        yield from _tracking_items(item)
