"""A Bundle says what the answer says, in valid FHIR R4, and never more."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from jsonschema import Draft6Validator  # type: ignore[import-untyped]

from pneumocascade import Cascade, Prediction, Reason
from pneumocascade.explain.verdict import NORMAL_MEANS, verdict_of
from pneumocascade.model.device import device_uid
from pneumocascade.output.fhir import codes
from pneumocascade.output.fhir.bundle import bundle_of, to_fhir_json
from pneumocascade.output.fhir.codes import Term
from pneumocascade.types import DISCLAIMER, NEITHER, Acquisition
from tests.reports.films import HOSTILE, every_outcome

Resource = dict[str, Any]

MADE = datetime(2026, 11, 23, 9, 30, tzinfo=timezone.utc)
OUTCOMES = ("normal", "undetermined", "viral", "refused", "error")
STUDY, FILM = "1.2.826.0.1.4242.1", "1.2.826.0.1.4242.2"


@functools.cache
def validator() -> Draft6Validator:
    text = (Path(__file__).parent / "r4-subset.schema.json").read_text(encoding="utf-8")
    return Draft6Validator(json.loads(text))


@pytest.fixture(scope="module")
def answers(cascade: Cascade) -> dict[str, Prediction]:
    """One answer of each outcome, of the bundled models."""
    found = dict(zip(OUTCOMES, (answer for answer, _ in every_outcome(cascade)), strict=True))
    assert found["undetermined"].undetermined
    assert [answer.outcome for answer in found.values()] == [
        "normal",
        "bacterial",
        "viral",
        "refused",
        "error",
    ]
    return found


def checked(prediction: Prediction, specs: Any = ()) -> Resource:
    """Return the Bundle of an answer once the official schema and fhir.resources have found no fault."""
    bundle: Resource = json.loads(to_fhir_json(prediction, specs, issued=MADE))
    assert [error.message for error in validator().iter_errors(bundle)] == []
    Bundle.model_validate(bundle)
    return bundle


def of_kind(bundle: Resource, kind: str) -> list[Resource]:
    resources = [entry["resource"] for entry in bundle["entry"]]
    return [resource for resource in resources if resource["resourceType"] == kind]


def report_of(bundle: Resource) -> Resource:
    (report,) = of_kind(bundle, "DiagnosticReport")
    return report


def coded(concept: Resource) -> tuple[str, str]:
    (coding,) = concept["coding"]
    return coding["system"], coding["code"]


def observed(bundle: Resource, term: Term) -> Resource:
    (found,) = [
        observation
        for observation in of_kind(bundle, "Observation")
        if coded(observation["code"]) == term[:2]
    ]
    return found


def components(observation: Resource, term: Term) -> list[Any]:
    """Return the values of an Observation's components of a code: a number, or the code of a concept."""
    found = [component for component in observation["component"] if coded(component["code"]) == term[:2]]
    return [
        component["valueQuantity"]["value"]
        if "valueQuantity" in component
        else coded(component["valueCodeableConcept"])[1]
        for component in found
    ]


@pytest.mark.parametrize("what", OUTCOMES)
def test_every_outcome_is_valid_and_its_references_lead_somewhere(
    answers: dict[str, Prediction], cascade: Cascade, what: str
) -> None:
    bundle = checked(answers[what], cascade.specs)
    urls = {entry["fullUrl"] for entry in bundle["entry"]}
    report = report_of(bundle)
    results = [result["reference"] for result in report["result"]]
    assert results == [f"urn:uuid:{one['id']}" for one in of_kind(bundle, "Observation")]
    assert {*results, of_kind(bundle, "Observation")[0]["device"]["reference"]} < urls
    for entry in bundle["entry"]:
        resource = entry["resource"]
        assert entry["request"] == {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}


def test_a_schema_finds_what_is_wrong(answers: dict[str, Prediction]) -> None:
    bundle = checked(answers["normal"])
    report_of(bundle)["status"] = "done"
    assert not validator().is_valid(bundle)
    with pytest.raises(ValueError, match="status"):
        Bundle.model_validate(checked(answers["normal"]) | {"status": "final"})


@pytest.mark.parametrize("what", OUTCOMES)
def test_nothing_is_final_and_everything_is_for_research(answers: dict[str, Prediction], what: str) -> None:
    bundle = checked(answers[what])
    judged = answers[what].status == "ok"
    report = report_of(bundle)
    assert report["status"] == ("partial" if judged else "cancelled")
    assert {one["status"] for one in of_kind(bundle, "Observation")} == {
        "preliminary" if judged else "cancelled"
    }
    assert report["conclusion"].startswith(f"{DISCLAIMER} {verdict_of(answers[what]).summary}")
    assert DISCLAIMER in report["text"]["div"]
    assert (NORMAL_MEANS in report["conclusion"]) == (what == "normal")
    for resource in [bundle, *(entry["resource"] for entry in bundle["entry"])]:
        assert resource["meta"]["security"][0]["code"] == "HRESCH"


@pytest.mark.parametrize("what", ["normal", "undetermined", "viral"])
def test_numbers_are_those_of_the_answer(answers: dict[str, Prediction], cascade: Cascade, what: str) -> None:
    answer = answers[what]
    bundle = checked(answer, cascade.specs)
    point = observed(bundle, codes.POINT)
    assert coded(point["valueCodeableConcept"]) == (codes.OWN, "POINT_BALANCED")
    for stage, spec in zip(answer.stages.values(), cascade.specs, strict=False):
        positive = stage.positive
        probability = observed(bundle, codes.PROBABILITY_TERMS[positive])["valueQuantity"]
        assert (probability["value"], probability["code"]) == (stage.probabilities[positive], "1")
        stored = spec.point("balanced")
        assert components(point, codes.THRESHOLD_TERMS[positive]) == [stage.threshold]
        assert components(point, codes.SENSITIVITY_TERMS[positive]) == [stored.sensitivity]
        assert components(point, codes.SPECIFICITY_TERMS[positive]) == [stored.specificity]
        assert stored.data in " ".join(note["text"] for note in point["note"])
    assert components(observed(bundle, codes.PROBABILITY_TERMS["pneumonia"]), codes.PRIOR) == [answer.prior]
    assert observed(bundle, codes.FAMILIARITY)["valueQuantity"]["value"] == answer.familiarity


@pytest.mark.parametrize(
    ("what", "finding", "interpretation", "aetiology", "conclusion"),
    [
        ("normal", "17621005", "NEG", None, "17621005"),
        ("undetermined", "233604007", "POS", "373068000", "233604007"),
        ("viral", "233604007", "POS", "75570004", "75570004"),
    ],
)
def test_codes_are_no_more_specific_than_the_headline(
    answers: dict[str, Prediction],
    what: str,
    finding: str,
    interpretation: str,
    aetiology: str | None,
    conclusion: str,
) -> None:
    bundle = checked(answers[what])
    found = observed(bundle, codes.FINDING)
    assert coded(found["valueCodeableConcept"])[1] == finding
    assert coded(found["interpretation"][0])[1] == interpretation
    assert coded(report_of(bundle)["conclusionCode"][0])[1] == conclusion
    if aetiology is None:
        assert codes.ETIOLOGY[:2] not in [coded(one["code"]) for one in of_kind(bundle, "Observation")]
        return
    kind = observed(bundle, codes.ETIOLOGY)
    assert coded(kind["valueCodeableConcept"])[1] == aetiology
    given = [codes.LABEL_TERMS[str(answers[what].aetiology)].code] if what == "undetermined" else []
    assert components(kind, codes.GIVEN_LABEL) == given
    stage2 = answers[what].stage2
    assert stage2 is not None
    members = [codes.LABEL_TERMS[label].code for label in stage2.prediction_set]
    assert components(kind, codes.SET_MEMBER) == members


def test_a_borderline_film_is_indeterminate_and_has_no_coded_conclusion(
    answers: dict[str, Prediction],
) -> None:
    stage1 = answers["normal"].stage1
    assert stage1 is not None
    for members in (("normal", "pneumonia"), ()):
        borderline = replace(answers["normal"], stage1=replace(stage1, prediction_set=members))
        bundle = checked(borderline)
        found = observed(bundle, codes.FINDING)
        assert coded(found["interpretation"][0])[1] == "IND"
        assert "conclusionCode" not in report_of(bundle)
    assert found["component"][0]["valueCodeableConcept"] == {"text": NEITHER}


def test_the_type_of_a_borderline_film_is_undetermined(answers: dict[str, Prediction]) -> None:
    stage1 = answers["viral"].stage1
    assert stage1 is not None
    borderline = replace(answers["viral"], stage1=replace(stage1, prediction_set=tuple(stage1.probabilities)))
    kind = observed(checked(borderline), codes.ETIOLOGY)
    assert coded(kind["valueCodeableConcept"])[1] == codes.UNDETERMINED_TYPE.code
    assert components(kind, codes.GIVEN_LABEL) == [codes.LABEL_TERMS["viral"].code]


@pytest.mark.parametrize(("what", "absent"), [("refused", "not-performed"), ("error", "error")])
def test_a_film_without_a_finding_has_reasons_and_no_value(
    answers: dict[str, Prediction], what: str, absent: str
) -> None:
    answer = answers[what]
    (found,) = of_kind(checked(answer), "Observation")
    assert coded(found["dataAbsentReason"])[1] == absent
    assert [name for name in found if name.startswith("value")] == []
    reasons = answer.reasons or (answer.error,)
    assert [component["valueCodeableConcept"]["coding"][0]["code"] for component in found["component"]] == [
        reason.code for reason in reasons if reason
    ]
    assert found["note"][0]["text"] == (reasons[0] or Reason("", "")).message


def test_a_threshold_of_the_users_own_has_no_stored_figures(cascade: Cascade) -> None:
    from tests.conftest import EXAMPLES

    answer = cascade.predict(EXAMPLES[2], threshold=0.3)
    point = observed(checked(answer, cascade.specs), codes.POINT)
    assert coded(point["valueCodeableConcept"])[1] == "POINT_CUSTOM"
    assert components(point, codes.THRESHOLD_TERMS["pneumonia"]) == [0.3]
    assert components(point, codes.SENSITIVITY_TERMS["pneumonia"]) == []
    assert "note" not in point


def test_models_of_stage_1_alone_have_no_aetiology(answers: dict[str, Prediction]) -> None:
    bundle = checked(replace(answers["viral"], stage2=None, aetiology=None))
    assert len(of_kind(bundle, "Observation")) == 4
    assert coded(report_of(bundle)["conclusionCode"][0])[1] == "233604007"


def test_one_answer_is_one_bundle_but_for_times(answers: dict[str, Prediction], cascade: Cascade) -> None:
    for answer in answers.values():
        again = replace(answer, elapsed_ms=answer.elapsed_ms + 1)
        assert checked(answer, cascade.specs) == checked(again, cascade.specs)
        later = json.dumps(bundle_of(again, cascade.specs, issued=MADE.replace(hour=10)))
        assert json.loads(later.replace("T10:30", "T09:30")) == checked(answer, cascade.specs)


def test_another_film_or_answer_has_other_ids_and_the_same_device(answers: dict[str, Prediction]) -> None:
    normal = answers["normal"]
    others = [
        normal,
        replace(normal, pixels_sha256="0" * 64),
        replace(normal, prior=0.1),
        answers["viral"],
        answers["error"],
        replace(answers["error"], source="another.png"),
    ]
    bundles = [checked(answer) for answer in others]
    ids = [entry["resource"]["id"] for bundle in bundles for entry in bundle["entry"][:-1]]
    assert len(ids) == len(set(ids))
    assert len({json.dumps(of_kind(bundle, "Device")) for bundle in bundles}) == 1


def test_the_device_is_that_of_the_dicom_objects(answers: dict[str, Prediction]) -> None:
    (device,) = of_kind(checked(answers["normal"]), "Device")
    version = answers["normal"].model_version
    assert device["identifier"][0]["value"] == f"urn:oid:{device_uid(version)}"
    assert version in [one["value"] for one in device["version"]]
    assert "udiCarrier" not in device, "no agency has issued one"


def test_a_dicom_film_is_called_by_its_uids(answers: dict[str, Prediction]) -> None:
    said = Acquisition("DX", sop_instance_uid=FILM, study_instance_uid=STUDY)
    bundle = checked(replace(answers["viral"], acquisition=said))
    (study,) = report_of(bundle)["imagingStudy"]
    assert study == {
        "type": "ImagingStudy",
        "identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{STUDY}"},
    }
    for observation in of_kind(bundle, "Observation"):
        film = observation["derivedFrom"][1]
        assert observation["derivedFrom"][0] == study
        assert (film["type"], film["identifier"]["value"]) == ("Media", f"urn:oid:{FILM}")


def test_what_is_no_uid_refers_to_nothing(answers: dict[str, Prediction]) -> None:
    said = Acquisition("DX", sop_instance_uid="DOE^JANE", study_instance_uid="1.02")
    bundle = checked(replace(answers["normal"], acquisition=said))
    assert "imagingStudy" not in report_of(bundle)
    assert "DOE" not in json.dumps(bundle)
    (film,) = observed(bundle, codes.FINDING)["derivedFrom"]
    assert film["identifier"] == {"system": codes.PIXELS, "value": answers["normal"].pixels_sha256}


@pytest.mark.parametrize("what", OUTCOMES)
def test_nothing_tells_who_the_patient_is(answers: dict[str, Prediction], what: str) -> None:
    named = replace(answers[what], source="/films/DOE^JANE/film.png")
    text = to_fhir_json(named)
    assert "DOE" not in text
    assert "subject" not in text


def test_hostile_text_stays_text(answers: dict[str, Prediction]) -> None:
    bundle = checked(replace(answers["normal"], warnings=(HOSTILE,)))
    (note,) = observed(bundle, codes.FINDING)["note"]
    assert "\x00" not in note["text"]
    assert "<script>" not in report_of(bundle)["text"]["div"]
    assert "<script>" in report_of(bundle)["conclusion"]
