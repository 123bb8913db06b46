"""What every DICOM object made here says of itself, and what it takes over from the film's object."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable
from typing import Any

import pneumocascade
from pneumocascade.errors import MissingExtraError, UnsuitableImageError
from pneumocascade.model.device import device_uid as device_uid

try:
    from pydicom.config import disable_value_validation
    from pydicom.datadict import dictionary_has_tag
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset
    from pydicom.multival import MultiValue
    from pydicom.uid import UID
    from pydicom.valuerep import DA, TM

    from pneumocascade.imaging.dicom.attributes import age_string
except ModuleNotFoundError as error:
    raise MissingExtraError("a DICOM SR", "report") from error

MANUFACTURER = "pneumocascade"
SR_DESCRIPTION = "pneumocascade result (research use only)"
CAPTURE_DESCRIPTION = "pneumocascade overlay (research use only)"
PDF_DESCRIPTION = "pneumocascade report (research use only)"
STATE_DESCRIPTION = "pneumocascade words on film (research use only)"
DESCRIPTIONS = frozenset({SR_DESCRIPTION, CAPTURE_DESCRIPTION, PDF_DESCRIPTION, STATE_DESCRIPTION})
"""Series Descriptions of what is made here."""

SR_SERIES, CAPTURE_SERIES, PDF_SERIES, STATE_SERIES = 9101, 9102, 9103, 9104
"""Series Numbers, far from those that modalities give."""

CHARACTER_SET = "ISO_IR 192"
"""UTF-8: it holds the names of every other character set."""

NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Rows", "Columns")
"""Without these no other object can refer to the film."""

_FIRST_PIXELS = 0x50000000
"""Curves, overlays and pixels lie at and above this tag: no result takes them over."""

_EMPTY_WHERE_MISSING = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
"""Type 2 of the modules Patient and General Study (PS3.3, C.7.1.1 and C.7.2.1)."""


def sign(made: Dataset, models: str, device: str) -> None:
    """Say in an object which software and which version of the models made it."""
    made.SoftwareVersions = [pneumocascade.__version__, f"models {models}"]
    made.DeviceUID = device


def new_uid() -> UID:
    """Return a UID for a new series or object, derived from a random UUID."""
    return UID(f"2.25.{uuid.uuid4().int}")


def copy_of(source: Dataset, below: int = 1 << 32) -> Dataset:
    """Return a copy of a data set up to a tag, of what pydicom's dictionary knows, without file meta."""
    copied = Dataset()
    with disable_value_validation():  # its warnings quote the value, which may be the patient's
        for tag in source.keys():  # noqa: SIM118  a Dataset iterates over elements
            if tag < below and dictionary_has_tag(tag):
                copied.add(copy.deepcopy(source[tag]))
    return copied


def header_of(source: Dataset) -> Dataset:
    """Return what results take over from the object of a film: all but private and pixel data.

    Text is decoded, so that it can be written in ``CHARACTER_SET``. Attributes of type 2 that are
    missing are empty; a date, time or sex that the standard does not allow becomes empty.

    Parameters
    ----------
    source : pydicom.Dataset
        Of the film; left as it is.

    Raises
    ------
    UnsuitableImageError
        ``incomplete_object``, where one of ``NEEDED`` is missing.
    """
    missing = [keyword for keyword in NEEDED if not source.get(keyword)]
    if missing:
        raise UnsuitableImageError(
            "incomplete_object",
            f"the DICOM object has no {', '.join(missing)}: no result can refer to it",
        )
    header = copy_of(source, _FIRST_PIXELS)
    header.remove_private_tags()
    header.walk(_decode_names)
    header.SpecificCharacterSet = CHARACTER_SET
    for keyword in _EMPTY_WHERE_MISSING:
        if header.get(keyword) is None:
            setattr(header, keyword, "")
    _blank_unless(header, "PatientSex", {"M": "M", "F": "F", "O": "O"}.__getitem__)
    for keyword in ("PatientBirthDate", "StudyDate"):
        _blank_unless(header, keyword, DA)
    _blank_unless(header, "StudyTime", TM)
    if "PatientAge" in header:
        header.PatientAge = age_string(str(header.PatientAge or ""))
    return header


def _decode_names(_: Dataset, element: DataElement) -> None:
    """Make names text; pydicom keeps the bytes of the character set that they were read in."""
    if element.VR == "PN" and element.value:
        names = element.value
        element.value = [str(name) for name in names] if isinstance(names, MultiValue) else str(names)


def _blank_unless(header: Dataset, keyword: str, understand: Callable[[Any], object]) -> None:
    value = header[keyword].value
    try:
        if value not in ("", None):
            understand(value)
    except (KeyError, TypeError, ValueError):
        setattr(header, keyword, "")
