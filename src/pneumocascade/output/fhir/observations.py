"""The Observations of an answer: finding, aetiology, probabilities, operating point, familiarity.

None is final, since no person has verified it. What a film has no value for is left out, or, where the
film has no finding, absent for a reason that is told; no value stands for another.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from pneumocascade.explain.verdict import is_borderline, named_aetiology
from pneumocascade.model.spec import ModelSpec
from pneumocascade.output.fhir import codes
from pneumocascade.output.fhir.codes import Term, concept
from pneumocascade.types import NEITHER, Prediction, StageResult, encodable, reasons_of

Resource = dict[str, Any]

DEVICE = "device"
"""Name of the device among the resources of a Bundle."""

_UID = re.compile(r"[0-2](\.(0|[1-9][0-9]*)){1,63}")
_NOT_IN_STRINGS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class Links(NamedTuple):
    """The ids of a Bundle's resources.

    Attributes
    ----------
    device : uuid.UUID
        Of the device, which many Bundles share.
    base : uuid.UUID
        What the other ids are derived from.
    """

    device: uuid.UUID
    base: uuid.UUID

    def id_of(self, name: str) -> str:
        """Return the id of the resource of a name."""
        return str(self.device if name == DEVICE else uuid.uuid5(self.base, name))

    def reference(self, name: str, kind: str) -> Resource:
        """Return a Reference to a resource of the same Bundle."""
        return {"reference": f"urn:uuid:{self.id_of(name)}", "type": kind}


def string(text: str) -> str:
    """Return text as FHIR takes it: without control characters, and always UTF-8."""
    return encodable(_NOT_IN_STRINGS.sub(" ", text))


def film_references(prediction: Prediction) -> list[Resource]:
    """Return logical references to the study and the film of an answer; none for what was not read.

    A film that came as DICOM is called by its UIDs, as an ImagingStudy or Media of the archive would be, any
    other by the SHA-256 of its grey values. The name of its file, which may be the patient's, is left out.
    """
    said = prediction.acquisition
    found = [("ImagingStudy", said.study_instance_uid), ("Media", said.sop_instance_uid)] if said else []
    references = [
        _logical(kind, "urn:dicom:uid", f"urn:oid:{uid}") for kind, uid in found if _UID.fullmatch(uid)
    ]
    if not references and prediction.pixels_sha256:
        references = [_logical("Media", codes.PIXELS, prediction.pixels_sha256)]
    return references


def _logical(kind: str, system: str, value: str) -> Resource:
    return {"type": kind, "identifier": {"system": system, "value": value}}


def observations_of(
    prediction: Prediction, specs: Sequence[ModelSpec], links: Links, issued: str
) -> dict[str, Resource]:
    """Return the Observations of an answer by their names in the Bundle, the finding first.

    Parameters
    ----------
    prediction : Prediction
    specs : sequence of ModelSpec
        Of the stages, for what is stored with the operating point; may be empty.
    links : Links
    issued : str
        FHIR instant.
    """
    made: Resource = {
        "issued": issued,
        "method": concept(codes.ARTIFICIAL_INTELLIGENCE),
        "device": links.reference(DEVICE, "Device"),
    }
    if film := film_references(prediction):
        made["derivedFrom"] = film
    begun = {"status": "preliminary", "category": [concept(codes.IMAGING)]}
    contents = _contents(prediction, specs)
    return {name: begun | content | made for name, content in contents}


def _contents(prediction: Prediction, specs: Sequence[ModelSpec]) -> Iterator[tuple[str, Resource]]:
    stage1 = prediction.stage1
    if stage1 is None or prediction.finding is None:
        yield "finding", _no_finding(prediction)
        return
    yield "finding", _finding(prediction, stage1)
    prior = _component(codes.PRIOR, _share(prediction.prior))
    yield "probability", _probability(stage1) | {"component": [prior]}
    if prediction.stage2 is not None:
        yield "aetiology", _aetiology(prediction, prediction.stage2)
        note = [{"text": "Holds if the film shows pneumonia."}]
        yield "aetiology-probability", _probability(prediction.stage2) | {"note": note}
    yield "operating-point", _operating_point(prediction, specs)
    if prediction.familiarity is not None:
        yield "familiarity", {"code": concept(codes.FAMILIARITY)} | _share(prediction.familiarity)


def _no_finding(prediction: Prediction) -> Resource:
    refused = prediction.status == "refused"
    why = codes.REFUSAL_REASON if refused else codes.READ_ERROR
    reasons = reasons_of(prediction)
    return {
        "status": "cancelled",
        "code": concept(codes.FINDING),
        "dataAbsentReason": concept(codes.NOT_PERFORMED if refused else codes.FAILED),
        "note": _notes((*(reason.message for reason in reasons), *prediction.warnings)),
        "component": [_component(why, _value(codes.reason_term(reason))) for reason in reasons],
    }


def _finding(prediction: Prediction, stage1: StageResult) -> Resource:
    positive = codes.POSITIVE if stage1.label == stage1.positive else codes.NEGATIVE
    content = {
        "code": concept(codes.FINDING),
        **_value(codes.LABEL_TERMS[stage1.label]),
        "interpretation": [concept(codes.INDETERMINATE if is_borderline(stage1) else positive)],
        "bodySite": concept(codes.LUNG),
        "component": _members(stage1),
    }
    if prediction.warnings:
        content["note"] = _notes(prediction.warnings)
    return content


def _aetiology(prediction: Prediction, stage2: StageResult) -> Resource:
    """Return the aetiology; as in the headline, undetermined where either stage is borderline."""
    undetermined = named_aetiology(prediction) is None
    label = codes.LABEL_TERMS[stage2.label]
    given = [_component(codes.GIVEN_LABEL, _value(label))] if undetermined else []
    return {
        "code": concept(codes.ETIOLOGY, text="Aetiology"),
        **_value(codes.UNDETERMINED_TYPE if undetermined else label),
        "bodySite": concept(codes.LUNG),
        "component": [*given, *_members(stage2)],
    }


def _members(result: StageResult) -> list[Resource]:
    """Return a component for each member of the prediction set; for an empty one, one that says so."""
    members = [_value(codes.LABEL_TERMS[label]) for label in result.prediction_set]
    empty: list[Resource] = [{"valueCodeableConcept": {"text": NEITHER}}]
    return [_component(codes.SET_MEMBER, value) for value in members or empty]


def _probability(result: StageResult) -> Resource:
    positive = result.positive
    return {"code": concept(codes.PROBABILITY_TERMS[positive])} | _share(result.probabilities[positive])


def _operating_point(prediction: Prediction, specs: Sequence[ModelSpec]) -> Resource:
    """Return the operating point with the thresholds in use, and the figures stored with them."""
    components: list[Resource] = []
    notes: list[str] = []
    by_stage = {spec.stage: spec for spec in specs}
    for number, result in prediction.stages.items():
        positive = result.positive
        components.append(_component(codes.THRESHOLD_TERMS[positive], _share(result.threshold)))
        spec = by_stage.get(number)
        if spec is None or prediction.operating_point not in spec.operating_points:
            continue  # a threshold of the user's own, with which nothing is stored
        stored = spec.point(prediction.operating_point)
        components.append(_component(codes.SENSITIVITY_TERMS[positive], _share(stored.sensitivity)))
        components.append(_component(codes.SPECIFICITY_TERMS[positive], _share(stored.specificity)))
        notes.append(
            f"Sensitivity and specificity of stage {number} are those on the very films that its threshold "
            f"was chosen on: {stored.data}."
        )
    point = {"code": concept(codes.POINT), **_value(codes.point_term(prediction.operating_point))}
    return point | {"component": components} | ({"note": _notes(notes)} if notes else {})


def _component(term: Term, value: Resource) -> Resource:
    return {"code": concept(term)} | value


def _value(term: Term) -> Resource:
    return {"valueCodeableConcept": concept(term)}


def _share(value: float) -> Resource:
    """Return a number between 0 and 1, which has the unit 1 (UCUM)."""
    return {"valueQuantity": {"value": value, "unit": "1", "system": codes.UCUM, "code": "1"}}


def _notes(texts: Iterable[str]) -> list[Resource]:
    return [{"text": string(text)} for text in texts]
