"""A DICOM presentation state of one answer: its words on the film, which a viewer shows or hides.

Grayscale Softcopy Presentation State (PS3.3, A.33.1). It changes nothing of the film: rescale, window and
polarity are the film's own.
"""

from __future__ import annotations

import textwrap

import pneumocascade
from pneumocascade.errors import MissingExtraError, UnsuitableImageError, UsageError
from pneumocascade.explain.verdict import NO_BREAK, verdict_of
from pneumocascade.reports import common_attributes
from pneumocascade.reports.film_errors import film_errors
from pneumocascade.types import DISCLAIMER, Prediction

try:
    from highdicom import PresentationLUTShapeValues, PresentationLUTTransformation
    from highdicom.pr import (
        AnnotationUnitsValues,
        GraphicAnnotation,
        GraphicLayer,
        GrayscaleSoftcopyPresentationState,
        TextJustificationValues,
        TextObject,
    )
    from pydicom.dataset import Dataset

    from pneumocascade.imaging.dicom.pixels import is_inverted
    from pneumocascade.imaging.dicom.values import whole_of
except ModuleNotFoundError as error:
    raise MissingExtraError("a presentation state", "report") from error

_LAYER = GraphicLayer("PNEUMOCASCADE", 1, "Answer of pneumocascade (research use only)")
_BOX = (0.02, 0.02, 0.98, 0.2)
"""Left, top, right and bottom of the words, as shares of what is shown of the film."""

_LINE = 72
"""Letters of a line."""


@film_errors("a presentation state")
def presentation_state(prediction: Prediction, source: Dataset) -> GrayscaleSoftcopyPresentationState:
    """Return an answer as words on its film, in the study of the film, in a series of its own.

    Parameters
    ----------
    prediction : Prediction
        With status ``"ok"`` or ``"refused"``.
    source : pydicom.Dataset
        The film's own object, which is referred to.

    Returns
    -------
    highdicom.pr.GrayscaleSoftcopyPresentationState
        In explicit little endian and UTF-8; ``save_as`` writes it.

    Raises
    ------
    UsageError
        Where the film could not be read.
    UnsuitableImageError
        ``incomplete_object``, as of :func:`pneumocascade.reports.common_attributes.header_of`;
        ``no_presentation_state`` for a film in colour, an object of several frames or of a class for them,
        and a film whose tables cannot be taken over.
    """
    if prediction.status == "error":
        raise UsageError("the film could not be read: there is nothing to present")
    header = common_attributes.header_of(source)
    _check_film(header)
    header.pop("NumberOfFrames", None)  # highdicom takes what has it for an enhanced object
    names = (header.PatientName, header.ReferringPhysicianName)
    header.PatientName = header.ReferringPhysicianName = ""  # highdicom warns of names, with the name
    try:
        made = _state(prediction, header)
    except Exception:  # noqa: BLE001  highdicom raises many kinds on odd tables; their text quotes values
        raise UnsuitableImageError(
            "no_presentation_state",
            "a presentation state cannot take over the film's rescale or window, or is not for its SOP class",
        ) from None
    common_attributes.sign(made, prediction.model_version)
    made.Laterality = header.get("Laterality") or ""
    made.PatientName, made.ReferringPhysicianName = names
    return made


def _check_film(header: Dataset) -> None:
    """Raise an error where a presentation state of grey values cannot be of a film."""
    try:
        samples, frames = whole_of(header, "SamplesPerPixel", 1), whole_of(header, "NumberOfFrames", 1)
    except ValueError:
        raise UnsuitableImageError(
            "no_presentation_state", "the film does not say how many frames or colours it has"
        ) from None
    if samples != 1:
        raise UnsuitableImageError("no_presentation_state", "the film is in colour")
    if frames > 1:
        raise UnsuitableImageError("no_presentation_state", "the film is of an object of several frames")
    header.SamplesPerPixel = samples


def _state(prediction: Prediction, header: Dataset) -> GrayscaleSoftcopyPresentationState:
    words = TextObject(
        "\r\n".join(_lines(prediction)),
        AnnotationUnitsValues.DISPLAY,
        bounding_box=_BOX,
        text_justification=TextJustificationValues.LEFT,
    )
    annotation = GraphicAnnotation([header], _LAYER, text_objects=[words])
    shape = (
        PresentationLUTShapeValues.INVERSE if is_inverted(header)[0] else PresentationLUTShapeValues.IDENTITY
    )
    return GrayscaleSoftcopyPresentationState(
        [header],
        series_instance_uid=common_attributes.new_uid(),
        series_number=common_attributes.STATE_SERIES,
        sop_instance_uid=common_attributes.new_uid(),
        instance_number=1,
        manufacturer=common_attributes.MANUFACTURER,
        manufacturer_model_name=common_attributes.MANUFACTURER,
        software_versions=pneumocascade.__version__,
        device_serial_number=pneumocascade.__version__,
        content_label="PNEUMOCASCADE",
        content_description=common_attributes.STATE_DESCRIPTION,
        graphic_annotations=[annotation],
        graphic_layers=[_LAYER],
        presentation_lut_transformation=PresentationLUTTransformation(presentation_lut_shape=shape),
        series_description=common_attributes.STATE_DESCRIPTION,
        specific_character_set=common_attributes.CHARACTER_SET,
    )


def _lines(prediction: Prediction) -> list[str]:
    verdict = verdict_of(prediction)
    texts = (DISCLAIMER, verdict.title, verdict.sentence or verdict.lines[0])
    return [line for text in texts for line in textwrap.wrap(text.replace(NO_BREAK, " "), _LINE)]
