"""A DICOM Secondary Capture of one answer: the film, the saliency map of each stage, and the banner."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pneumocascade.errors import MissingExtraError, UsageError
from pneumocascade.explain.pictures import film_picture, with_banner
from pneumocascade.explain.saliency import overlay
from pneumocascade.explain.verdict import mapped_label
from pneumocascade.reports import common_attributes
from pneumocascade.reports.film_errors import film_errors
from pneumocascade.types import DISCLAIMER, Prediction, Radiograph

try:
    from highdicom.sc import SCImage
    from highdicom.sr import CodedConcept
    from pydicom.dataset import Dataset
    from pydicom.sr.codedict import codes

    from pneumocascade.imaging.dicom.values import text_of
except ModuleNotFoundError as error:
    raise MissingExtraError("a Secondary Capture", "report") from error

HEIGHT, WIDTH = 768, 640
"""Largest size of the film in the picture, in pixels; a smaller film is not enlarged for its own sake."""

_CAPTION = 40
_INK, _PAPER = "#fdfdfd", "#10151c"
_COMPRESSION = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")


@film_errors("a Secondary Capture")
def secondary_capture(
    prediction: Prediction, radiograph: Radiograph, source: Dataset, *, frame: int | None = None
) -> SCImage:
    """Return an answer as a colour picture in the study of its film, in a series of its own.

    Parameters
    ----------
    prediction : Prediction
        With status ``"ok"`` or ``"refused"``.
    radiograph : Radiograph
        The film as it was read.
    source : pydicom.Dataset
        The film's own object: patient and study are taken from it, and it is what is referred to.
    frame : int, optional
        Which one, from 1, of a source with several frames was judged.

    Returns
    -------
    highdicom.sc.SCImage
        RGB, 8 bits, uncompressed little endian, UTF-8; ``save_as`` writes it. *Burned In Annotation*
        is as in ``source``: the banner names no patient, but the film may.

    Raises
    ------
    UsageError
        Where the film could not be read, or ``source`` is the object of another film.
    UnsuitableImageError
        ``incomplete_object``, as of :func:`pneumocascade.reports.common_attributes.header_of`, and where an
        attribute of ``source`` makes no sense.
    """
    if prediction.status == "error":
        raise UsageError("the film could not be read: there is nothing to capture")
    header = common_attributes.header_of(source)
    acquisition = radiograph.acquisition
    if acquisition is not None and acquisition.sop_instance_uid not in ("", header.SOPInstanceUID):
        raise UsageError("the film was read of another DICOM object than the one that is given")
    image = SCImage(
        capture_picture(prediction, radiograph),
        "RGB",
        8,
        "PATIENT",
        header.StudyInstanceUID,
        common_attributes.new_uid(),
        common_attributes.CAPTURE_SERIES,
        common_attributes.new_uid(),
        1,
        common_attributes.MANUFACTURER,
        patient_orientation=("L", "F"),  # must be given; the film's own takes its place
        manufacturer_model_name=common_attributes.MANUFACTURER,
        series_description=common_attributes.CAPTURE_DESCRIPTION,
        specific_character_set=common_attributes.CHARACTER_SET,
    )
    common_attributes.sign(image, prediction.model_version)
    image.ConversionType = "WSD"
    _tell_of_film(image, header, frame)
    return image


def _tell_of_film(image: SCImage, header: Dataset, frame: int | None) -> None:
    """Take over patient, study and what holds for the film's picture, and refer to the film."""
    image.copy_patient_and_study_information(header)
    del image.PatientOrientation
    image.add_new("PatientOrientation", "CS", header.get("PatientOrientation") or "")
    image.Laterality = header.get("Laterality") or ""
    if (burned_in := text_of(header, "BurnedInAnnotation")) in ("YES", "NO"):
        image.BurnedInAnnotation = burned_in
    for keyword in _COMPRESSION:
        if header.get(keyword):
            image.add(header[keyword])
    reference = Dataset()
    reference.ReferencedSOPClassUID = header.SOPClassUID
    reference.ReferencedSOPInstanceUID = header.SOPInstanceUID
    if frame is not None:
        reference.ReferencedFrameNumber = frame
    purpose = CodedConcept(*codes.DCM.SourceImageForImageProcessingOperation)
    reference.PurposeOfReferenceCodeSequence = [purpose]
    image.SourceImageSequence = [reference]
    image.DerivationDescription = f"Film, saliency maps and answer of pneumocascade. {DISCLAIMER}"


def capture_picture(prediction: Prediction, radiograph: Radiograph) -> NDArray[np.uint8]:
    """Return the film beside the saliency map of each stage that ran, with the answer below.

    Parameters
    ----------
    prediction : Prediction
        With any status.
    radiograph : Radiograph

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        RGB.
    """
    height = min(HEIGHT, radiograph.height, WIDTH * radiograph.height // radiograph.width)
    film = film_picture(radiograph, max(height, 1))
    shown = replace(radiograph, pixels=np.ascontiguousarray(film[..., 0]))
    panels = [_panel(film, "Film")]
    for number, result in prediction.stages.items():
        if result.activation_map is not None:
            caption = f"Stage {number}: what speaks for {mapped_label(prediction, number)}"
            panels.append(_panel(overlay(shown, result), caption))
    return with_banner(np.concatenate(panels, axis=1), prediction)


def _panel(picture: NDArray[np.uint8], caption: str) -> NDArray[np.uint8]:
    """Return a picture with its caption above, in letters that fit its width."""
    height, width = picture.shape[:2]
    points = 20.0
    while points > 8 and ImageFont.load_default(points).getlength(caption) > width - 8:
        points -= 1
    canvas = Image.new("RGB", (width, height + _CAPTION), _PAPER)
    canvas.paste(Image.fromarray(picture), (0, _CAPTION))
    where = (width / 2, _CAPTION / 2)
    ImageDraw.Draw(canvas).text(where, caption, _INK, ImageFont.load_default(points), anchor="mm")
    return np.asarray(canvas)
