"""The codes that a structured report is written in.

What SNOMED CT and DICOM have a code for has theirs; the rest is in a private scheme, which every
report describes (PS3.3, C.12.1.1.1).
"""

from __future__ import annotations

from pneumocascade.errors import MissingExtraError
from pneumocascade.types import Reason

try:
    from highdicom.coding_schemes import CodingSchemeIdentificationItem
    from highdicom.sr import CodedConcept
    from pydicom.sr.codedict import codes
except ModuleNotFoundError as error:
    raise MissingExtraError("a DICOM SR", "report") from error

SCHEME = "99PNEUMOCASCADE"
"""Designator of the private scheme; those that begin with 99 are private (PS3.16, 8)."""


def own(value: str, meaning: str) -> CodedConcept:
    """Return a code of the private scheme; a meaning has at most 64 characters."""
    return CodedConcept(value, SCHEME, meaning)


def scheme() -> CodingSchemeIdentificationItem:
    """Return what a report says of the private scheme."""
    return CodingSchemeIdentificationItem(
        SCHEME, name="Codes of pneumocascade", responsible_organization="pneumocascade"
    )


LABELS = {
    "normal": CodedConcept(*codes.SCT.Normal),
    "pneumonia": CodedConcept("233604007", "SCT", "Pneumonia"),
    "bacterial": CodedConcept("53084003", "SCT", "Bacterial pneumonia"),
    "viral": CodedConcept("75570004", "SCT", "Viral pneumonia"),
}
"""What each label of a stage is called."""

PROBABILITIES = {
    label: own(f"P_{label.upper()}", f"Calibrated probability: {concept.meaning.lower()}")
    for label, concept in LABELS.items()
}

THRESHOLDS = {
    label: own(f"FROM_{label.upper()}", f"Threshold: {LABELS[label].meaning.lower()} from this probability")
    for label in ("pneumonia", "viral")
}
"""By the label that a threshold is for."""

LABEL = own("LABEL", "Label at the operating point")
IN_SET = own("PREDICTION_SET", "In the prediction set (coverage of 90 %)")
OPERATING_POINT = own("OPERATING_POINT", "Operating point")
GATE = own("GATE", "May the film be judged?")
REFUSED = own("REFUSED", "Refused: there is no finding")
REFUSAL = own("REFUSAL_REASON", "Reason for refusal")
INTERPRETATION = own("INTERPRETATION", "Interpretation of the finding")
BORDERLINE = own("BORDERLINE", "Borderline: the two labels cannot be told apart")
INTENDED_USE = own("INTENDED_USE", "Intended use")
WARNING = own("WARNING", "Warning")

AETIOLOGY = CodedConcept(codes.SCT.Etiology.value, "SCT", "Aetiology")
UNDETERMINED = CodedConcept(*codes.SCT.Undetermined)
CHEST_IMAGING = CodedConcept(codes.SCT.ChestImaging.value, "SCT", "Chest imaging")


def operating_point(name: str) -> CodedConcept:
    """Return the code of an operating point."""
    return own(f"POINT_{name.upper()}", name.capitalize())


def refusal(reason: Reason) -> CodedConcept:
    """Return the code of why the gate refused a film: the gate's own, with its words for a meaning."""
    return own(reason.code, reason.code.replace("_", " ").capitalize())
