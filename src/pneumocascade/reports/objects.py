"""DICOM objects of an answer, written to a folder or returned as bytes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pneumocascade.errors import UnsuitableImageError, UsageError
from pneumocascade.imaging.dicom.objects import read_object
from pneumocascade.imaging.dicom.values import text_of, whole_of
from pneumocascade.imaging.read import content_of
from pneumocascade.reports.capture import secondary_capture
from pneumocascade.reports.deidentify import deidentify
from pneumocascade.reports.film_errors import film_errors
from pneumocascade.reports.structured import structured_report

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from pneumocascade.model.store import Manifest
    from pneumocascade.types import Prediction, Radiograph


def write_objects(
    prediction: Prediction,
    radiograph: Radiograph,
    models: Manifest,
    folder: Path,
    *,
    clean: bool = False,
    content: bytes | None = None,
) -> list[Path]:
    """Write the structured report and the Secondary Capture of an answer.

    Parameters
    ----------
    prediction : Prediction
        Its ``source`` leads to the film, which is read again for its patient and study, unless ``content``
        is given.
    radiograph : Radiograph
        The film as it was read.
    models : Manifest
        Of the models that made the answer.
    folder : Path
        Made where it is missing.
    clean : bool
        De-identify what is written (PS3.15, Annex E), and write the film's own object, too: under its new
        UID nobody else has it.
    content : bytes, optional
        The film's own object, for a film that came as bytes.

    Returns
    -------
    list of Path
        ``<SOP Instance UID>.dcm``, the report first; none for a film that did not come as DICOM.

    Raises
    ------
    FilmError
        Where the film cannot be read again, is another one by now or lacks what results refer to
        (``incomplete_object``), or must not be de-identified (``burned_in_annotation``).
    UsageError
        Where the folder cannot be made or written to.
    """
    if radiograph.acquisition is None:
        return []
    data, frame = content_of(prediction.source) if content is None else (content, None)
    with film_errors("a DICOM object"):
        source, frame = _source_and_frame(data, frame)
        if text_of(source, "SOPInstanceUID") != radiograph.acquisition.sop_instance_uid:
            raise UnsuitableImageError(
                "incomplete_object", "its file holds another DICOM object than when it was judged"
            )
        made: list[Dataset] = [
            structured_report(prediction, source, models, frame=frame),
            secondary_capture(prediction, radiograph, source, frame=frame),
        ]
        if clean:
            made = [deidentify(each) for each in (*made, source)]
        files = {folder / f"{each.SOPInstanceUID}.dcm": _encoded(each) for each in made}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, encoded in files.items():
            path.write_bytes(encoded)
    except OSError as error:
        raise UsageError(f"DICOM objects cannot be written to {folder}: {error}") from error
    return list(files)


@film_errors("a DICOM object")
def object_bytes(
    kind: Literal["sr", "sc"], prediction: Prediction, content: bytes, models: Manifest
) -> bytes:
    """Return the structured report or the Secondary Capture of an answer as the bytes of a file.

    Parameters
    ----------
    kind : {"sr", "sc"}
    prediction : Prediction
        With status ``"ok"`` or ``"refused"``; for a Secondary Capture with a display copy.
    content : bytes
        The film's own object: patient and study are taken from it.
    models : Manifest
        Of the models that made the answer.

    Raises
    ------
    FilmError
        Where the object lacks what results refer to (``incomplete_object``).
    UsageError
        Where the film could not be read, or its display copy is missing.
    """
    source, frame = _source_and_frame(content)
    made: Dataset
    if kind == "sr":
        made = structured_report(prediction, source, models, frame=frame)
    elif prediction.display is None:
        raise UsageError("a Secondary Capture needs the film: predict(..., display=True) keeps a copy")
    else:
        made = secondary_capture(prediction, prediction.display, source, frame=frame)
    return _encoded(made)


def _source_and_frame(content: bytes, frame: int | None = None) -> tuple[Dataset, int | None]:
    """Return a film's object and which of its frames, from 1, was judged; none where it has only one."""
    source = read_object(io.BytesIO(content))
    if frame is None and whole_of(source, "NumberOfFrames", 1) > 1:
        frame = 1
    return source, frame


def _encoded(made: Dataset) -> bytes:
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
