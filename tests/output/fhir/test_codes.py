"""The codes of FHIR resources are those of pydicom's dictionaries and of the structured report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.sr.codedict import codes as dicom

from pneumocascade import Reason
from pneumocascade.output.fhir import codes
from pneumocascade.output.fhir.codes import Term
from pneumocascade.reports import codes as report_codes

DOCUMENT = Path(__file__).parents[3] / "docs" / "fhir.md"


def every_term() -> list[Term]:
    values = vars(codes).values()
    alone = [value for value in values if isinstance(value, Term)]
    tables = [value for value in values if isinstance(value, dict)]
    return alone + [term for table in tables for term in table.values() if isinstance(term, Term)]


TERMS = every_term()


@pytest.mark.parametrize(
    ("term", "entry"),
    [
        (codes.LABEL_TERMS["normal"], dicom.SCT.Normal),
        (codes.UNDETERMINED_TYPE, dicom.SCT.Undetermined),
        (codes.ETIOLOGY, dicom.SCT.Etiology),
        (codes.LUNG, dicom.SCT.Lung),
        (codes.CHEST_IMAGING_PROCEDURE, dicom.SCT.ChestImaging),
        (codes.IMAGING_STUDY, dicom.LN.DiagnosticImagingReport),
        (codes.FINDING, dicom.DCM.Finding),
        (codes.FOR_RESEARCH, dicom.DCM.ForResearch),
        (codes.ARTIFICIAL_INTELLIGENCE, dicom.DCM.ArtificialIntelligence),
    ],
)
def test_a_code_is_that_of_the_dicom_standard(term: Term, entry: Any) -> None:
    schemes = {codes.SCT: "SCT", codes.LOINC: "LN", codes.DCM: "DCM"}
    assert (term.code, schemes[term.system]) == (entry.value, entry.scheme_designator)
    if term is not codes.IMAGING_STUDY:  # DICOM has words of its own for this code of LOINC's
        assert entry.meaning.partition(" (")[0] == term.display
    assert "codedict" in term.source


def test_those_are_all_codes_that_claim_to_be_of_the_dicom_standard() -> None:
    assert len({term for term in TERMS if "codedict" in term.source}) == 9


def test_a_film_has_the_codes_of_its_structured_report() -> None:
    for label, term in codes.LABEL_TERMS.items():
        concept = report_codes.LABELS[label]
        assert (term.code, term.display) == (concept.value, concept.meaning)
    own = {
        **{term: report_codes.PROBABILITIES[label] for label, term in codes.PROBABILITY_TERMS.items()},
        **{codes.THRESHOLD_TERMS[label]: concept for label, concept in report_codes.THRESHOLDS.items()},
        codes.GIVEN_LABEL: report_codes.LABEL,
        codes.SET_MEMBER: report_codes.IN_SET,
        codes.POINT: report_codes.OPERATING_POINT,
        codes.REFUSAL_REASON: report_codes.REFUSAL,
        codes.point_term("balanced"): report_codes.operating_point("balanced"),
        codes.reason_term(Reason("too_small", "")): report_codes.refusal(Reason("too_small", "")),
    }
    for term, concept in own.items():
        assert (term.code, term.display) == (concept.value, concept.meaning)


def test_every_code_of_others_tells_where_it_was_looked_up() -> None:
    assert [term for term in TERMS if (term.system == codes.OWN) == bool(term.source)] == []


def test_the_document_lists_every_code_with_its_source() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for term in TERMS:
        row = f"| `{term.code}` | {term.display} |"
        assert (f"{row} {term.source} |" if term.source else row) in text, term
