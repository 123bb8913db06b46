"""What every DICOM object made here says of itself, and what it takes over from the film's object."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable
from typing import Any

import pneumocascade
from pneumocascade.errors import MissingExtraError, UnsuitableImageError
from pneumocascade.model.device import device_uid

try:
    from pydicom.datadict import dictionary_has_tag, dictionary_VM, dictionary_VR
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset
    from pydicom.multival import MultiValue
    from pydicom.sequence import Sequence
    from pydicom.tag import BaseTag
    from pydicom.uid import UID
    from pydicom.valuerep import DA, STR_VR, TM

    from pneumocascade.imaging.dicom.attributes import age_string
    from pneumocascade.imaging.dicom.quiet import quiet
    from pneumocascade.imaging.dicom.values import numbers_of, value_of
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

_TEXT = frozenset(STR_VR) - {"PN", "DS", "IS"}
"""Value representations whose values are all text."""

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


def sign(made: Dataset, models: str) -> None:
    """Say in an object which software and which version of the models made it."""
    made.SoftwareVersions = [pneumocascade.__version__, f"models {models}"]
    made.DeviceUID = device_uid(models)


def new_uid() -> UID:
    """Return a UID for a new series or object, derived from a random UUID."""
    return UID(f"2.25.{uuid.uuid4().int}")


def copy_of(source: Dataset, below: int = 1 << 32) -> Dataset:
    """Return a copy of a data set up to a tag, without file meta.

    At every depth, it holds what pydicom's dictionary knows and what can be understood: a malformed value
    counts as not there.
    """
    copied = Dataset()
    with quiet():
        for tag in source.keys():  # noqa: SIM118  a Dataset iterates over elements
            if tag < below and dictionary_has_tag(tag) and (element := _copied(source, tag)) is not None:
                copied.add(element)
    return copied


def _copied(source: Dataset, tag: BaseTag) -> DataElement | None:
    try:
        element = source[tag]
        if element.VR == "SQ":
            return DataElement(tag, "SQ", Sequence([copy_of(item) for item in element.value]))
        return copy.deepcopy(element) if _is_understood(source, element) else None
    except Exception:  # noqa: BLE001  pydicom converts when asked, and raises many kinds on damaged bytes
        return None


def _is_understood(source: Dataset, element: DataElement) -> bool:
    """Return whether pydicom has converted a value; numbers that are none it leaves as text or bytes."""
    if dictionary_VR(element.tag) in ("DS", "IS"):
        parts = element.value if isinstance(element.value, (list, MultiValue)) else [element.value]
        numbers = numbers_of(source, element.keyword)
        return all(number is not None or not part for part, number in zip(parts, numbers, strict=False))
    shorts = element.VR in ("US", "SS", "US or SS") and isinstance(element.value, bytes)
    return not (shorts and len(element.value) % 2)


def header_of(source: Dataset) -> Dataset:
    """Return what results take over from the object of a film: all but private and pixel data.

    Text is decoded, so that it can be written in ``CHARACTER_SET``. Of several values the first is taken
    where the standard has one. Attributes of type 2 that are missing are empty; a date, time or sex that the
    standard does not allow becomes empty; *Patient Orientation* and *Imager Pixel Spacing* are there only
    with two values that make sense. What has a value representation of another kind than the standard's, such
    as text where a number belongs, is left out.

    Parameters
    ----------
    source : pydicom.Dataset
        Of the film; left as it is.

    Raises
    ------
    UnsuitableImageError
        ``incomplete_object``, where one of ``NEEDED`` is missing.
    """
    header = copy_of(source, _FIRST_PIXELS)
    for element in list(header):
        if _is_of_another_kind(element):
            del header[element.tag]
    header.walk(_settle)
    if missing := [keyword for keyword in NEEDED if not header.get(keyword)]:
        raise UnsuitableImageError(
            "incomplete_object",
            f"the DICOM object has no {', '.join(missing)}: no result can refer to it",
        )
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
    _delete_odd_geometry(header)
    return header


def _is_of_another_kind(element: DataElement) -> bool:
    expected = dictionary_VR(element.tag)
    return element.VR not in expected.split(" or ") and not {element.VR, expected} <= _TEXT


def _settle(_: Dataset, element: DataElement) -> None:
    """Leave one value where the standard has one, and make names text.

    Of names, pydicom keeps the bytes of the character set that they were read in.
    """
    several = element.VR != "SQ" and isinstance(element.value, (list, MultiValue))
    if several and dictionary_VM(element.tag) == "1":
        element.value = element.value[0] if element.value else None
    if element.VR == "PN" and element.value:
        names = element.value
        element.value = [str(name) for name in names] if isinstance(names, MultiValue) else str(names)


def _delete_odd_geometry(header: Dataset) -> None:
    """Delete an orientation or a spacing that does not tell both of rows and columns."""
    match value_of(header, "PatientOrientation"):
        case [str(along_rows), str(along_columns)] if along_rows and along_columns:
            pass
        case _:
            header.pop("PatientOrientation", None)
    match numbers_of(header, "ImagerPixelSpacing"):
        case [float(rows), float(columns)] if rows > 0 and columns > 0:
            pass
        case _:
            header.pop("ImagerPixelSpacing", None)


def _blank_unless(header: Dataset, keyword: str, understand: Callable[[Any], object]) -> None:
    value = header[keyword].value
    try:
        if value not in ("", None):
            understand(value)
    except (KeyError, TypeError, ValueError):
        setattr(header, keyword, "")
