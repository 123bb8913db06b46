"""What a DICOM object says of how its film was made; a value that makes no sense counts as not said."""

from __future__ import annotations

import re
from datetime import date

from pydicom.dataset import Dataset

from pneumocascade.imaging.dicom.quiet import quiet
from pneumocascade.imaging.dicom.values import items_of, numbers_of, text_of
from pneumocascade.types import Acquisition

_DAYS = {"D": 1.0, "W": 7.0, "M": 365.25 / 12, "Y": 365.25}
"""Days in the units of an age string (DICOM PS3.5, 6.2)."""

_OLDEST = 130.0
"""Years; what is more is a mistake."""

_VIEWS = {
    **dict.fromkeys(("399348003", "R-10206"), "AP"),
    **dict.fromkeys(("272479007", "R-10214", "R-40888"), "PA"),
    **dict.fromkeys(("399067008", "R-10228"), "LATERAL"),
    **dict.fromkeys(("399173006", "R-10236"), "LL"),
    **dict.fromkeys(("399198007", "R-10232"), "RL"),
}
"""Views of CID 4010 (DICOM PS3.16) that View Position has a term for, by SNOMED CT and SNOMED RT."""

_WHEN = ("AcquisitionDate", "AcquisitionDateTime", "ContentDate", "SeriesDate", "StudyDate")
"""Where the date of a film stands, the most exact first."""


def acquisition_of(dataset: Dataset) -> Acquisition:
    """Return what a data set says of how its film was made.

    View position is (0018,5101) or the View Code Sequence (0054,0220), body part (0018,0015) or the
    Anatomic Region Sequence (0008,2218), laterality that of the image (0020,0062) or of the series
    (0020,0060), age (0010,1010) or the time between birth and acquisition. Pixel spacing is (0028,0030), that
    at the imager (0018,1164) or that of a scanned film (0018,2010).

    Parameters
    ----------
    dataset : pydicom.Dataset
    """
    with quiet():
        return Acquisition(
            modality=text_of(dataset, "Modality"),
            body_part=text_of(dataset, "BodyPartExamined") or _meaning(dataset, "AnatomicRegionSequence"),
            view_position=text_of(dataset, "ViewPosition") or _view(dataset),
            laterality=text_of(dataset, "ImageLaterality") or text_of(dataset, "Laterality"),
            age_years=_age(dataset),
            sop_class_uid=text_of(dataset, "SOPClassUID"),
            sop_instance_uid=text_of(dataset, "SOPInstanceUID"),
            photometric=text_of(dataset, "PhotometricInterpretation"),
            pixel_spacing=_spacing(dataset),
            burned_in=said if (said := text_of(dataset, "BurnedInAnnotation")) in ("YES", "NO") else "",
            study_instance_uid=text_of(dataset, "StudyInstanceUID"),
        )


def _spacing(dataset: Dataset) -> tuple[float, float] | None:
    """Return the distance of rows and of columns in millimetres, at the patient where it is known."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        match numbers_of(dataset, keyword):
            case [float(rows), float(columns)] if rows > 0 and columns > 0:
                return rows, columns
    return None


def _meaning(dataset: Dataset, keyword: str) -> str:
    return next((text_of(item, "CodeMeaning") for item in items_of(dataset, keyword)), "")


def _view(dataset: Dataset) -> str:
    code = next((text_of(item, "CodeValue") for item in items_of(dataset, "ViewCodeSequence")), "")
    return _VIEWS.get(code) or _meaning(dataset, "ViewCodeSequence")


def _age(dataset: Dataset) -> float | None:
    age = _said_age(text_of(dataset, "PatientAge"))
    if age is None:
        age = _age_between(dataset)
    return age if age is not None and 0 <= age <= _OLDEST else None


def age_string(text: str) -> str:
    """Return an age as the standard writes it, such as ``"018M"``; empty where it cannot be understood.

    Real headers have the unit in front, more digits, or none of both: an age without unit is in years.
    """
    match = re.fullmatch(r"([DWMY]?) ?0*(\d{1,3}) ?([DWMY]?)", text.strip().upper())
    if match is None or (match[1] and match[3]):
        return ""
    return f"{int(match[2]):03}{match[1] or match[3] or 'Y'}"


def _said_age(text: str) -> float | None:
    """Return an age string in years."""
    age = age_string(text)
    return int(age[:3]) * _DAYS[age[3]] / _DAYS["Y"] if age else None


def _age_between(dataset: Dataset) -> float | None:
    born = _day(text_of(dataset, "PatientBirthDate"))
    made = next((day for day in (_day(text_of(dataset, keyword)) for keyword in _WHEN) if day), None)
    return (made - born).days / _DAYS["Y"] if born and made else None


def _day(text: str) -> date | None:
    """Return the day that a date, or a date with time, begins with (DICOM PS3.5, 6.2: DA and DT)."""
    match = re.match(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})", text)
    try:
        return date(*map(int, match.groups())) if match else None
    except ValueError:
        return None
