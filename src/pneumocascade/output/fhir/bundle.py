"""One answer as one FHIR R4 Bundle: a DiagnosticReport, its Observations, and the Device that made them.

The Bundle is a ``transaction``: a server stores its entries when it is posted to the server's base, which it
does not do with a ``collection``. Each entry is put under an id that follows from its content (UUID version
5), so that the same answer posted twice is there once.
"""

from __future__ import annotations

import html
import json
import uuid
from collections.abc import Sequence
from datetime import datetime, timezone

from pneumocascade import __version__
from pneumocascade.explain.verdict import NORMAL_MEANS, Verdict, verdict_of
from pneumocascade.model.device import device_uid
from pneumocascade.model.spec import ModelSpec
from pneumocascade.output.fhir import codes
from pneumocascade.output.fhir.codes import concept
from pneumocascade.output.fhir.observations import (
    DEVICE,
    Links,
    Resource,
    film_references,
    observations_of,
    string,
)
from pneumocascade.types import DISCLAIMER, Prediction, encodable

FHIR_JSON = "application/fhir+json"
"""Media type of a Bundle."""

FHIR_LINES = "application/fhir+ndjson"
"""Media type of one Bundle a line, as of the FHIR Bulk Data specification."""

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:pneumocascade:fhir")
_REPORT = "report"


def bundle_of(
    prediction: Prediction, specs: Sequence[ModelSpec] = (), *, issued: datetime | None = None
) -> Resource:
    """Return an answer as a FHIR R4 Bundle.

    It holds no patient: neither a name, nor a date, nor the name of the file. A film that came as DICOM is
    referred to by its Study Instance UID and SOP Instance UID, through which the archive knows the patient.

    Parameters
    ----------
    prediction : Prediction
        Of any status. A film that was refused or could not be read has a cancelled report, which says why.
    specs : sequence of ModelSpec
        Of the models, as ``Cascade.specs`` has them: for sensitivity and specificity of the operating point.
    issued : datetime, optional
        Aware; by default now. Two Bundles of one answer differ in nothing else.

    Returns
    -------
    dict
        JSON-ready.
    """
    moment = (issued or datetime.now(timezone.utc)).isoformat(timespec="milliseconds")
    links = _links(prediction, specs)
    resources = _resources(prediction, specs, links, moment)
    return {
        "resourceType": "Bundle",
        "id": links.id_of("bundle"),
        "meta": _meta(),
        "type": "transaction",
        "timestamp": moment,
        "entry": [_entry(resource) for resource in resources],
    }


def to_fhir_json(
    prediction: Prediction, specs: Sequence[ModelSpec] = (), *, issued: datetime | None = None
) -> str:
    """Return the Bundle of an answer as one line of JSON; parameters as of :func:`bundle_of`."""
    return encodable(json.dumps(bundle_of(prediction, specs, issued=issued), ensure_ascii=False))


def _links(prediction: Prediction, specs: Sequence[ModelSpec]) -> Links:
    """Return ids that follow from what the resources hold, but for times.

    A film that could not be read has nothing to be told apart by but its name, of which only this digest
    leaves the program.
    """
    device = uuid.uuid5(_NAMESPACE, device_uid(prediction.model_version))
    content = _resources(prediction, specs, Links(device, _NAMESPACE), "")
    name = "" if film_references(prediction) else encodable(prediction.source)
    return Links(device, uuid.uuid5(_NAMESPACE, json.dumps([content, name], sort_keys=True)))


def _resources(
    prediction: Prediction, specs: Sequence[ModelSpec], links: Links, moment: str
) -> list[Resource]:
    observations = observations_of(prediction, specs, links, moment)
    contents = {
        _REPORT: ("DiagnosticReport", _report(prediction, list(observations), links, moment)),
        **{name: ("Observation", content) for name, content in observations.items()},
        DEVICE: ("Device", _device(prediction.model_version)),
    }
    return [
        {"resourceType": kind, "id": links.id_of(name), "meta": _meta()} | _identified(links, name) | content
        for name, (kind, content) in contents.items()
    ]


def _meta() -> Resource:
    return {"security": [codes.RESEARCH_PURPOSE.coding], "tag": [codes.FOR_RESEARCH.coding]}


def _identified(links: Links, name: str) -> Resource:
    """Return the id once more as an identifier, which stays where a server gives ids of its own."""
    return {"identifier": [{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{links.id_of(name)}"}]}


def _entry(resource: Resource) -> Resource:
    kind, name = resource["resourceType"], resource["id"]
    return {
        "fullUrl": f"urn:uuid:{name}",
        "resource": resource,
        "request": {"method": "PUT", "url": f"{kind}/{name}"},
    }


def _report(prediction: Prediction, results: list[str], links: Links, moment: str) -> Resource:
    """Return the report, ``partial``: so R4 calls one with unverified data; a preliminary one is verified."""
    verdict = verdict_of(prediction)
    report: Resource = {
        "text": _narrative(prediction, verdict),
        "status": "partial" if prediction.status == "ok" else "cancelled",
        "category": [concept(codes.RADIOLOGY), concept(codes.CHEST_IMAGING_PROCEDURE)],
        "code": concept(codes.IMAGING_STUDY, text="Chest radiograph, judged by software for research"),
        "issued": moment,
        "result": [links.reference(name, "Observation") for name in results],
        "conclusion": " ".join(_conclusion(prediction, verdict)),
    }
    if studies := [film for film in film_references(prediction) if film["type"] == "ImagingStudy"]:
        report["imagingStudy"] = studies
    if verdict.tone in codes.LABEL_TERMS:  # no code where the film is borderline or has no finding
        report["conclusionCode"] = [concept(codes.LABEL_TERMS[verdict.tone])]
    return report


def _conclusion(prediction: Prediction, verdict: Verdict) -> list[str]:
    normal = [NORMAL_MEANS] if verdict.tone == "normal" else []
    warnings = [f"Warning: {warning}" for warning in prediction.warnings]
    return [string(text) for text in (DISCLAIMER, verdict.summary, *normal, *warnings)]


def _narrative(prediction: Prediction, verdict: Verdict) -> Resource:
    paragraphs = "".join(f"<p>{html.escape(text)}</p>" for text in _conclusion(prediction, verdict))
    return {
        "status": "generated",
        "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{paragraphs}</div>',
    }


def _device(models: str) -> Resource:
    """Return this software as a device; its identifier is the Device UID of the DICOM objects made here."""
    return {
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"urn:oid:{device_uid(models)}"}],
        "status": "active",
        "manufacturer": "pneumocascade",
        "deviceName": [{"name": "pneumocascade", "type": "model-name"}],
        "type": {"text": "Software that judges chest radiographs, for research and education"},
        "version": [
            {"type": {"text": "software"}, "value": __version__},
            {"type": {"text": "models"}, "value": string(models)},
        ],
        "note": [{"text": DISCLAIMER}],
    }
