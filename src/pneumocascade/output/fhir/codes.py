"""The codes that FHIR resources are written in, each with where it was looked up.

A code stands here only where a source that can be read confirms it; what has none is in a code system of
our own, with the values of the DICOM structured report (:mod:`pneumocascade.reports.codes`). RadLex and
the LOINC codes of chest radiographs by view are left out: public sources contradict each other on them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pneumocascade.model.spec import STAGE1_LABELS, STAGE2_LABELS
from pneumocascade.types import Reason

SCT = "http://snomed.info/sct"
LOINC = "http://loinc.org"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
UCUM = "http://unitsofmeasure.org"
OWN = "urn:pneumocascade:codes"
"""Code system of what no other has a code for."""

PIXELS = "urn:pneumocascade:pixels-sha256"
"""System of identifiers of a film that did not come as DICOM: SHA-256 of its grey values."""

_HL7 = "http://terminology.hl7.org/CodeSystem/"
_DICOM = "DICOM PS3.16, as pydicom.sr.codedict has it"
_SNOMED = "SNOMED International's documentation: 53084003 is a subtype of 233604007"
_OMOP = "OMOP vocabulary, concept 261326"
_R4 = "FHIR R4"


class Term(NamedTuple):
    """A code.

    Attributes
    ----------
    system, code, display : str
    source : str
        Where it was looked up; empty for our own.
    """

    system: str
    code: str
    display: str
    source: str = ""

    @property
    def coding(self) -> dict[str, str]:
        """Return a FHIR Coding."""
        return {"system": self.system, "code": self.code, "display": self.display}


def concept(*terms: Term, text: str | None = None) -> dict[str, Any]:
    """Return a FHIR CodeableConcept of terms that mean the same; ``text`` is the first one's by default."""
    return {"coding": [term.coding for term in terms], "text": text or terms[0].display}


LABEL_TERMS = {
    "normal": Term(SCT, "17621005", "Normal", _DICOM),
    "pneumonia": Term(SCT, "233604007", "Pneumonia", _SNOMED),
    "bacterial": Term(SCT, "53084003", "Bacterial pneumonia", _SNOMED),
    "viral": Term(SCT, "75570004", "Viral pneumonia", _OMOP),
}
"""What each label of a stage is called."""

UNDETERMINED_TYPE = Term(SCT, "373068000", "Undetermined", _DICOM)
ETIOLOGY = Term(SCT, "134198009", "Etiology", _DICOM)
LUNG = Term(SCT, "39607008", "Lung", _DICOM)
CHEST_IMAGING_PROCEDURE = Term(SCT, "413815006", "Chest imaging", _DICOM)
IMAGING_STUDY = Term(LOINC, "18748-4", "Diagnostic imaging study", _DICOM)
FINDING = Term(DCM, "121071", "Finding", _DICOM)
FOR_RESEARCH = Term(DCM, "113009", "For Research", _DICOM)
ARTIFICIAL_INTELLIGENCE = Term(DCM, "123110", "Artificial Intelligence", _DICOM)

RADIOLOGY = Term(f"{_HL7}v2-0074", "RAD", "Radiology", _R4)
IMAGING = Term(f"{_HL7}observation-category", "imaging", "Imaging", _R4)
RESEARCH_PURPOSE = Term(f"{_HL7}v3-ActReason", "HRESCH", "healthcare research", _R4)
NOT_PERFORMED = Term(f"{_HL7}data-absent-reason", "not-performed", "Not Performed", _R4)
FAILED = Term(f"{_HL7}data-absent-reason", "error", "Error", _R4)
POSITIVE = Term(f"{_HL7}v3-ObservationInterpretation", "POS", "Positive", _R4)
NEGATIVE = Term(f"{_HL7}v3-ObservationInterpretation", "NEG", "Negative", _R4)
INDETERMINATE = Term(f"{_HL7}v3-ObservationInterpretation", "IND", "Indeterminate", _R4)

_POSITIVE = {label: LABEL_TERMS[label].display.lower() for label in (STAGE1_LABELS[1], STAGE2_LABELS[1])}

PROBABILITY_TERMS = {
    label: Term(OWN, f"P_{label.upper()}", f"Calibrated probability: {name}")
    for label, name in _POSITIVE.items()
}
THRESHOLD_TERMS = {
    label: Term(OWN, f"FROM_{label.upper()}", f"Threshold: {name} from this probability")
    for label, name in _POSITIVE.items()
}
SENSITIVITY_TERMS = {
    label: Term(OWN, f"SENSITIVITY_{label.upper()}", f"Sensitivity for {name}")
    for label, name in _POSITIVE.items()
}
SPECIFICITY_TERMS = {
    label: Term(OWN, f"SPECIFICITY_{label.upper()}", f"Specificity for {name}")
    for label, name in _POSITIVE.items()
}
GIVEN_LABEL = Term(OWN, "LABEL", "Label at the operating point")
SET_MEMBER = Term(OWN, "PREDICTION_SET", "In the prediction set (coverage of 90 %)")
POINT = Term(OWN, "OPERATING_POINT", "Operating point")
PRIOR = Term(OWN, "PRIOR", "Share of pneumonia that the probability holds for")
FAMILIARITY = Term(OWN, "FAMILIARITY", "Share of the films learnt from that are less typical than this one")
REFUSAL_REASON = Term(OWN, "REFUSAL_REASON", "Reason for refusal")
READ_ERROR = Term(OWN, "READ_ERROR", "Why the film could not be read")


def point_term(name: str) -> Term:
    """Return the code of an operating point."""
    return Term(OWN, f"POINT_{name.upper()}", name.capitalize())


def reason_term(reason: Reason) -> Term:
    """Return the code of why there is no finding: the reason's own."""
    return Term(OWN, reason.code, reason.code.replace("_", " ").capitalize())
