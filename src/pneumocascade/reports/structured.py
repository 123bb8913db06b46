"""A DICOM structured report of one film: finding, aetiology and probabilities as coded content.

Measurement Report, TID 1500, in a Comprehensive SR (PS3.3, A.35.3): one measurement group (TID 1501)
for each stage that ran, or one that says why the gate refused the film.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import pneumocascade
from pneumocascade.errors import MissingExtraError, UnsuitableImageError, UsageError
from pneumocascade.explain.verdict import NORMAL_MEANS, is_borderline, named_aetiology, verdict_of
from pneumocascade.model.device import device_uid
from pneumocascade.model.store import GATE, Manifest
from pneumocascade.reports import codes as pc
from pneumocascade.reports import common_attributes
from pneumocascade.reports.film_errors import film_errors
from pneumocascade.types import DISCLAIMER, Prediction, StageResult

try:
    from highdicom.sr import (
        AlgorithmIdentification,
        CodeContentItem,
        ComprehensiveSR,
        ContainerContentItem,
        DeviceObserverIdentifyingAttributes,
        FindingSite,
        ImageLibrary,
        Measurement,
        MeasurementReport,
        MeasurementsAndQualitativeEvaluations,
        ObservationContext,
        ObserverContext,
        QualitativeEvaluation,
        RelationshipTypeValues,
        SourceImageForMeasurement,
        TextContentItem,
        TrackingIdentifier,
    )
    from pydicom.dataset import Dataset
    from pydicom.sr.codedict import codes

    from pneumocascade.imaging.dicom.values import text_of
except ModuleNotFoundError as error:
    raise MissingExtraError("a DICOM SR", "report") from error

_CONTAINS = RelationshipTypeValues.CONTAINS
_PROJECTION = frozenset({"CR", "DX", "RG"})
"""Modalities of which TID 1603 wants orientation and spacing."""


@film_errors("a structured report")
def structured_report(
    prediction: Prediction, source: Dataset, models: Manifest, *, frame: int | None = None
) -> ComprehensiveSR:
    """Return an answer as a structured report in the study of its film.

    The finding is only as specific as the answer: where either stage is borderline, the aetiology is
    *undetermined*, the finding of stage 2 is pneumonia, and its label stands beside as such. The report is
    complete for a film that was judged and partial for one that was refused, and never verified.

    Parameters
    ----------
    prediction : Prediction
        With status ``"ok"`` or ``"refused"``.
    source : pydicom.Dataset
        The film's own object: patient and study are taken from it, and it is what is referred to.
    models : Manifest
        Of the models that made the answer.
    frame : int, optional
        Which one, from 1, of a source with several frames was judged.

    Returns
    -------
    highdicom.sr.ComprehensiveSR
        In explicit little endian and UTF-8; ``save_as`` writes it.

    Raises
    ------
    UsageError
        Where the film could not be read, or the answer is of other models.
    UnsuitableImageError
        ``incomplete_object``, as of :func:`pneumocascade.reports.common_attributes.header_of`, where the
        object is none of an image, and where an attribute of it makes no sense.
    """
    if prediction.status == "error":
        raise UsageError("the film could not be read: there is nothing to write a structured report of")
    if prediction.model_version != models.version:
        raise UsageError(
            f"the answer is of models {prediction.model_version}, the manifest of {models.version}"
        )
    header = common_attributes.header_of(source)
    film = (header.SOPClassUID, header.SOPInstanceUID, [frame] if frame else None)
    content = MeasurementReport(
        _observer(device_uid(models.version)),
        pc.CHEST_IMAGING,
        imaging_measurements=list(_groups(prediction, models, film)),
    )
    items = content[0].ContentSequence
    measurements = len(items) - 1
    for item in reversed([*_summary(prediction), _library(header)]):
        items.insert(measurements, item)
    for element in content[0].iterall():
        if element.keyword == "ContinuityOfContent":
            element.value = "SEPARATE"  # viewers then show each value with its name, not as running text
    return _document(prediction, content, header, models.version)


def _observer(device: str) -> ObservationContext:
    attributes = DeviceObserverIdentifyingAttributes(
        device,
        name=common_attributes.MANUFACTURER,
        manufacturer_name=common_attributes.MANUFACTURER,
        model_name=f"{common_attributes.MANUFACTURER} {pneumocascade.__version__}",
    )
    return ObservationContext(observer_device_context=ObserverContext(codes.DCM.Device, attributes))


def _library(header: Dataset) -> ContainerContentItem:
    """Return an image library (TID 1600) of the film; orientation and spacing only where both are known."""
    entry = Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "Rows", "Columns"):
        setattr(entry, keyword, header[keyword].value)
    orientation, spacing = header.get("PatientOrientation"), header.get("ImagerPixelSpacing")
    modality = text_of(header, "Modality")
    known = modality in _PROJECTION and orientation and spacing
    entry.Modality = modality if known else ""  # decides whether the library looks for the two
    if known:
        entry.PatientOrientation, entry.ImagerPixelSpacing = orientation, spacing
    try:
        return ContainerContentItem.from_dataset(ImageLibrary([entry])[0])
    except ValueError as error:
        raise UnsuitableImageError(
            "incomplete_object", f"SOP class {header.SOPClassUID} is none of an image"
        ) from error


def _summary(prediction: Prediction) -> Iterator[TextContentItem | CodeContentItem]:
    """Yield what a person reads first: what this is for, the answer in words, warnings."""
    yield CodeContentItem(pc.INTENDED_USE, codes.DCM.ForResearch, _CONTAINS)
    yield TextContentItem(codes.DCM.Comment, DISCLAIMER, _CONTAINS)
    verdict = verdict_of(prediction)
    yield TextContentItem(codes.DCM.Summary, verdict.summary, _CONTAINS)
    if verdict.tone == "normal":
        yield TextContentItem(codes.DCM.Comment, NORMAL_MEANS, _CONTAINS)
    for warning in prediction.warnings:
        yield TextContentItem(pc.WARNING, warning, _CONTAINS)


_Film: TypeAlias = tuple[str, str, Sequence[int] | None]
"""What a number was measured on: SOP class, SOP instance, frames."""


def _groups(
    prediction: Prediction, models: Manifest, film: _Film
) -> Iterator[MeasurementsAndQualitativeEvaluations]:
    if prediction.status == "refused":
        yield _gate(prediction, models)
    for number, result in prediction.stages.items():
        yield _stage(prediction, number, result, _algorithm(f"stage{number}", models), film)


def _algorithm(part: str, models: Manifest) -> AlgorithmIdentification:
    """Return TID 4019: which model file of which version."""
    digest = models.sha256.get(part)
    return AlgorithmIdentification(
        f"{common_attributes.MANUFACTURER} {part}",
        models.version,
        [f"SHA-256 of {models.files[part]}: {digest}"] if digest else None,
        codes.DCM.ArtificialIntelligence,
        common_attributes.MANUFACTURER,
    )


def _stage(
    prediction: Prediction,
    number: int,
    result: StageResult,
    algorithm: AlgorithmIdentification,
    film: _Film,
) -> MeasurementsAndQualitativeEvaluations:
    values = {pc.PROBABILITIES[label]: value for label, value in result.probabilities.items()}
    values[pc.THRESHOLDS[result.positive]] = result.threshold
    undetermined = number == 2 and named_aetiology(prediction) is None
    evaluations = [(pc.LABEL, pc.LABELS[result.label])]
    evaluations += [(pc.IN_SET, pc.LABELS[label]) for label in result.prediction_set]
    evaluations += [(pc.INTERPRETATION, pc.BORDERLINE)] if number == 1 and is_borderline(result) else []
    evaluations += [(pc.AETIOLOGY, pc.UNDETERMINED)] if undetermined else []
    evaluations += [(pc.OPERATING_POINT, pc.operating_point(prediction.operating_point))]
    return MeasurementsAndQualitativeEvaluations(
        TrackingIdentifier(
            common_attributes.new_uid(), f"Stage {number}: {' or '.join(result.probabilities)}"
        ),
        finding_type=pc.LABELS["pneumonia" if undetermined else result.label],
        algorithm_id=algorithm,
        finding_sites=[FindingSite(codes.SCT.Lung)],
        measurements=[
            Measurement(
                name,
                value,
                codes.UCUM.NoUnits,
                referenced_images=[SourceImageForMeasurement(*film)],
            )
            for name, value in values.items()
        ],
        qualitative_evaluations=[QualitativeEvaluation(*pair) for pair in evaluations],
    )


def _gate(prediction: Prediction, models: Manifest) -> MeasurementsAndQualitativeEvaluations:
    reasons = [QualitativeEvaluation(pc.REFUSAL, pc.refusal(reason)) for reason in prediction.reasons]
    return MeasurementsAndQualitativeEvaluations(
        TrackingIdentifier(common_attributes.new_uid(), "Gate"),
        algorithm_id=_algorithm(GATE, models),
        qualitative_evaluations=[QualitativeEvaluation(pc.GATE, pc.REFUSED), *reasons],
    )


def _document(
    prediction: Prediction, content: MeasurementReport, header: Dataset, models: str
) -> ComprehensiveSR:
    names = (header.PatientName, header.ReferringPhysicianName)
    header.PatientName = header.ReferringPhysicianName = ""  # highdicom warns of names, with the name
    report = ComprehensiveSR(
        [header],
        content,
        series_instance_uid=common_attributes.new_uid(),
        series_number=common_attributes.SR_SERIES,
        sop_instance_uid=common_attributes.new_uid(),
        instance_number=1,
        manufacturer=common_attributes.MANUFACTURER,
        is_complete=prediction.status == "ok",
        manufacturer_model_name=common_attributes.MANUFACTURER,
        series_description=common_attributes.SR_DESCRIPTION,
        specific_character_set=common_attributes.CHARACTER_SET,
        coding_schemes=[pc.scheme()],
    )
    common_attributes.sign(report, models)
    report.PatientName, report.ReferringPhysicianName = names
    return report
