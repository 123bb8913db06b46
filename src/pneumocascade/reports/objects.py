"""DICOM objects of an answer, written to a folder."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pneumocascade.errors import UsageError
from pneumocascade.imaging.dicom.objects import read_object
from pneumocascade.imaging.dicom.values import whole_of
from pneumocascade.imaging.read import content_of
from pneumocascade.reports.capture import secondary_capture
from pneumocascade.reports.deidentify import deidentify
from pneumocascade.reports.structured import structured_report

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from pneumocascade.model.store import Manifest
    from pneumocascade.types import Prediction, Radiograph

KINDS_OF_OBJECTS = ("sr", "sc")
"""The structured report and the Secondary Capture, as file names and buttons call them."""


def write_objects(
    prediction: Prediction,
    radiograph: Radiograph,
    models: Manifest,
    folder: Path,
    *,
    clean: bool = False,
    kinds: tuple[str, ...] = KINDS_OF_OBJECTS,
) -> list[Path]:
    """Write the structured report and the Secondary Capture of an answer, or one of both.

    Parameters
    ----------
    prediction : Prediction
        Its ``source`` leads to the film, which is read again for its patient and study.
    radiograph : Radiograph
        The film as it was read.
    models : Manifest
        Of the models that made the answer.
    folder : Path
        Made where it is missing.
    clean : bool
        De-identify what is written (PS3.15, Annex E), and write the film's own object, too: under its new
        UID nobody else has it.
    kinds : tuple of {"sr", "sc"}
        Which of both are made.

    Returns
    -------
    list of Path
        ``<SOP Instance UID>.dcm``, in the order of ``kinds``; none for a film that did not come as DICOM.

    Raises
    ------
    FilmError
        Where the film cannot be read again, lacks what results refer to (``incomplete_object``), or must not
        be de-identified (``burned_in_annotation``).
    UsageError
        Where the folder cannot be made or written to.
    """
    if radiograph.acquisition is None:
        return []
    data, frame = content_of(prediction.source)
    source = read_object(io.BytesIO(data))
    if frame is None and whole_of(source, "NumberOfFrames", 1) > 1:
        frame = 1
    makers: dict[str, Callable[[], Dataset]] = {
        "sr": lambda: structured_report(prediction, source, models, frame=frame),
        "sc": lambda: secondary_capture(prediction, radiograph, source, frame=frame),
    }
    made = [makers[kind]() for kind in kinds]
    if clean:
        made = [deidentify(each) for each in (*made, source)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [_written(each, folder) for each in made]
    except OSError as error:
        raise UsageError(f"DICOM objects cannot be written to {folder}: {error}") from error


def _written(made: Dataset, folder: Path) -> Path:
    path = folder / f"{made.SOPInstanceUID}.dcm"
    made.save_as(path, enforce_file_format=True)
    return path
