"""A structured report says what the answer says, in codes, of the film it is about, and validates."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
from highdicom.sr import ComprehensiveSR, MeasurementReport, ValueTypeValues
from highdicom.sr.utils import find_content_items
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID, BasicTextSRStorage

from pneumocascade import Prediction, Reason, UsageError
from pneumocascade.errors import UnsuitableImageError
from pneumocascade.explain.verdict import NORMAL_MEANS
from pneumocascade.model.device import device_uid
from pneumocascade.model.store import bundled_models, read_manifest
from pneumocascade.reports import codes as pc
from pneumocascade.reports import common_attributes
from pneumocascade.reports.structured import structured_report
from pneumocascade.types import DISCLAIMER
from tests.reports.sources import (
    MEANS,
    REFUSED_MEAN,
    Tiny,
    film_object,
    film_of,
    minimal_object,
    read_back,
    saved,
    tiny,
)
from tests.reports.validators import dciodvfy_errors, dump

__all__ = ["tiny"]

ANSWERS = ("normal", "bacterial", "viral", "undetermined", "refused")
WARNING = "The patient's age of 40 years is outside 1 to 5 years, the films learnt from."


def answer(tiny: Tiny, what: str) -> Prediction:
    """Return an answer of the tiny models; determined where ``what`` says an aetiology."""
    if what == "refused":
        return tiny.answer(REFUSED_MEAN)
    prediction = tiny.answer(MEANS["viral" if what == "undetermined" else what])
    assert prediction.stage1 is not None
    if prediction.stage2 is not None:
        members = (
            (prediction.stage2.label,) if what != "undetermined" else tuple(prediction.stage2.probabilities)
        )
        return replace(
            prediction,
            stage2=replace(prediction.stage2, prediction_set=members),
            warnings=(WARNING,) if what == "undetermined" else (),
        )
    return replace(prediction, warnings=(WARNING,))


def report_of(tiny: Tiny, what: str, source: Dataset | None = None) -> ComprehensiveSR:
    source = film_object(film_of(100), "DX") if source is None else source
    return structured_report(answer(tiny, what), source, tiny.models)


def reread(report: Dataset) -> ComprehensiveSR:
    return ComprehensiveSR.from_dataset(read_back(report))


def groups_of(report: Dataset) -> list[Any]:
    """Return the measurement groups, as highdicom finds them again."""
    content = reread(report).content
    assert isinstance(content, MeasurementReport)
    return content.get_image_measurement_groups()


def values(report: Dataset, name: Any) -> list[Any]:
    """Return the values of all content items of a name, in order."""
    found = find_content_items(reread(report).content[0], name=name, recursive=True)
    return [item.value for item in found]


@pytest.mark.parametrize("kind", ["CR", "DX", "SC"])
@pytest.mark.parametrize("what", ANSWERS)
def test_the_validators_find_no_error(tiny: Tiny, what: str, kind: str, tmp_path: Path) -> None:
    report = report_of(tiny, what, film_object(film_of(100), kind))
    assert dciodvfy_errors(report, tmp_path) == []


@pytest.mark.parametrize("what", ANSWERS)
def test_dcmtk_reads_it(tiny: Tiny, what: str, tmp_path: Path) -> None:
    report = report_of(tiny, what)
    assert "Comprehensive SR Document" in dump("dsrdump", report, tmp_path)
    assert DISCLAIMER in dump("dsr2html", report, tmp_path)
    assert "ComprehensiveSRStorage" in dump("dcmdump", report, tmp_path)


@pytest.mark.parametrize("what", ["normal", "bacterial", "viral", "undetermined"])
def test_probabilities_and_thresholds_are_those_of_the_answer(tiny: Tiny, what: str) -> None:
    prediction = answer(tiny, what)
    groups = groups_of(report_of(tiny, what))
    stages = [stage for stage in (prediction.stage1, prediction.stage2) if stage is not None]
    assert len(groups) == len(stages)
    for group, stage in zip(groups, stages, strict=True):
        measured = {item.name: float(item.value) for item in group.get_measurements()}
        expected = {pc.PROBABILITIES[label]: value for label, value in stage.probabilities.items()}
        expected[pc.THRESHOLDS[stage.positive]] = stage.threshold
        assert measured == pytest.approx(expected, abs=1e-9)
        assert {item.unit for item in group.get_measurements()} == {codes.UCUM.NoUnits}


@pytest.mark.parametrize(
    ("what", "findings"),
    [
        ("normal", ["normal"]),
        ("bacterial", ["pneumonia", "bacterial"]),
        ("viral", ["pneumonia", "viral"]),
        ("undetermined", ["pneumonia", "pneumonia"]),
        ("refused", []),
    ],
)
def test_the_finding_is_no_more_specific_than_the_answer(tiny: Tiny, what: str, findings: list[str]) -> None:
    report = report_of(tiny, what)
    assert values(report, codes.DCM.Finding) == [pc.LABELS[label] for label in findings]
    assert values(report, pc.AETIOLOGY) == ([pc.UNDETERMINED] if what == "undetermined" else [])


def test_an_undetermined_type_keeps_its_label_and_its_prediction_set(tiny: Tiny) -> None:
    report = report_of(tiny, "undetermined")
    assert values(report, pc.LABEL) == [pc.LABELS["pneumonia"], pc.LABELS["viral"]]
    group = groups_of(report)[1]
    members = [item.value for item in group.get_qualitative_evaluations(pc.IN_SET)]
    assert members == [pc.LABELS["bacterial"], pc.LABELS["viral"]]
    assert "type undetermined" in values(report, codes.DCM.Summary)[0]


def test_the_type_of_a_borderline_film_is_undetermined(tiny: Tiny, tmp_path: Path) -> None:
    prediction = answer(tiny, "viral")
    assert prediction.stage1 is not None
    stage1 = replace(prediction.stage1, prediction_set=("normal", "pneumonia"))
    report = structured_report(replace(prediction, stage1=stage1), film_object(film_of(100)), tiny.models)
    assert "Borderline" in values(report, codes.DCM.Summary)[0]
    assert values(report, pc.INTERPRETATION) == [pc.BORDERLINE]
    assert values(report, codes.DCM.Finding) == [pc.LABELS["pneumonia"]] * 2
    assert values(report, pc.AETIOLOGY) == [pc.UNDETERMINED]
    assert values(report, pc.LABEL)[1] == pc.LABELS["viral"]
    assert dciodvfy_errors(report, tmp_path) == []


@pytest.mark.parametrize("point", ["balanced", "sensitive", "specific"])
def test_the_operating_point_is_told(tiny: Tiny, point: str) -> None:
    prediction = tiny.answer(MEANS["normal"] - 30, point)
    report = structured_report(prediction, film_object(film_of(100)), tiny.models)
    assert values(report, pc.OPERATING_POINT) == [pc.operating_point(point)]


def test_a_refused_film_has_reasons_and_nothing_else(tiny: Tiny) -> None:
    prediction = answer(tiny, "refused")
    assert [reason.code for reason in prediction.reasons] == ["inverted"]
    report = report_of(tiny, "refused")
    assert report.CompletionFlag == "PARTIAL"
    assert values(report, pc.GATE) == [pc.REFUSED]
    assert values(report, pc.REFUSAL) == [pc.own("inverted", "Inverted")]
    assert prediction.reasons[0].message in values(report, codes.DCM.Summary)[0]
    for label in pc.LABELS:
        assert values(report, pc.PROBABILITIES[label]) == []


def test_a_long_reason_is_a_valid_code(tiny: Tiny, tmp_path: Path) -> None:
    reason = Reason("not_a_chest_radiograph", "The picture does not look like a chest radiograph.")
    prediction = replace(answer(tiny, "refused"), reasons=(reason,))
    report = structured_report(prediction, film_object(film_of(100)), tiny.models)
    assert values(report, pc.REFUSAL)[0].value == reason.code
    assert dciodvfy_errors(report, tmp_path) == []


@pytest.mark.parametrize("what", ANSWERS)
def test_every_report_says_that_it_is_for_research(tiny: Tiny, what: str) -> None:
    report = report_of(tiny, what)
    assert "research use only" in report.SeriesDescription
    assert DISCLAIMER in values(report, codes.DCM.Comment)
    assert values(report, pc.INTENDED_USE) == [codes.DCM.ForResearch]
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert (report.CompletionFlag == "COMPLETE") == (what != "refused")
    assert (NORMAL_MEANS in values(report, codes.DCM.Comment)) == (what == "normal")


def test_warnings_are_told(tiny: Tiny) -> None:
    assert values(report_of(tiny, "undetermined"), pc.WARNING) == [WARNING]


def test_the_models_are_told_with_their_files(tiny: Tiny) -> None:
    report = report_of(tiny, "viral")
    assert values(report, codes.DCM.AlgorithmName) == ["pneumocascade stage1", "pneumocascade stage2"]
    assert values(report, codes.DCM.AlgorithmVersion) == [tiny.models.version] * 2
    parameters = values(report, codes.DCM.AlgorithmParameters)
    for stage, text in zip(("stage1", "stage2"), parameters, strict=True):
        assert tiny.models.sha256[stage] in text


def test_the_device_is_this_version_of_the_software(tiny: Tiny) -> None:
    first, second = report_of(tiny, "viral"), report_of(tiny, "normal")
    uid = UID(values(first, codes.DCM.DeviceObserverUID)[0])
    assert uid.is_valid
    assert uid == first.DeviceUID == second.DeviceUID == device_uid("tiny")
    assert uid != device_uid("other")


def test_it_refers_to_the_film_in_its_study(tiny: Tiny) -> None:
    source = film_object(film_of(100), "DX")
    report = reread(report_of(tiny, "viral", source))
    uids = (source.StudyInstanceUID, source.SeriesInstanceUID, source.SOPInstanceUID, source.SOPClassUID)
    assert report.get_evidence(current_procedure_only=True) == [uids]
    films = find_content_items(report.content[0], value_type=ValueTypeValues.IMAGE, recursive=True)
    assert len(films) == 1 + 6  # in the image library, and under each number
    assert {item.referenced_sop_instance_uid for item in films} == {source.SOPInstanceUID}
    assert report.StudyInstanceUID == source.StudyInstanceUID
    assert report.SeriesInstanceUID != source.SeriesInstanceUID
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber"):
        assert report[keyword].value == source[keyword].value


def test_a_frame_is_referred_to_where_one_was_judged(tiny: Tiny, tmp_path: Path) -> None:
    source = film_object(film_of(100), "MF", NumberOfFrames=3)
    report = structured_report(answer(tiny, "viral"), source, tiny.models, frame=2)
    films = find_content_items(reread(report).content[0], name=codes.DCM.SourceOfMeasurement, recursive=True)
    assert [item.referenced_frame_numbers for item in films] == [[2]] * 6
    assert dciodvfy_errors(report, tmp_path) == []


def test_two_reports_of_one_film_are_two_objects(tiny: Tiny) -> None:
    first, second = report_of(tiny, "viral"), report_of(tiny, "viral")
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.SeriesInstanceUID != second.SeriesInstanceUID


@pytest.mark.parametrize("what", ["viral", "refused"])
def test_a_film_with_next_to_no_attributes_gets_its_report(tiny: Tiny, what: str, tmp_path: Path) -> None:
    report = report_of(tiny, what, minimal_object(film_of(100)))
    assert str(report.PatientName) == ""
    assert dciodvfy_errors(report, tmp_path) == []
    assert dump("dsrdump", report, tmp_path)


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        ("ISO_IR 6", "Doe^Jane"),
        ("ISO_IR 100", "Müller^Zoë"),
        ("ISO_IR 144", "Жуков^Юлий"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小東"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
    ],
)
def test_names_in_any_character_set_arrive(tiny: Tiny, character_set: Any, name: str, tmp_path: Path) -> None:
    source = film_object(film_of(100), SpecificCharacterSet=character_set)
    source.PatientName = source.ReferringPhysicianName = name
    report = report_of(tiny, "viral", read_back(source))
    again = read_back(report)
    assert str(again.PatientName) == str(again.ReferringPhysicianName) == name
    assert again.SpecificCharacterSet == "ISO_IR 192"
    assert dciodvfy_errors(report, tmp_path) == []


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("PatientSex", "X"), ("PatientBirthDate", "unknown"), ("StudyDate", "99999999"), ("StudyTime", "noon")],
)
def test_values_that_the_standard_forbids_are_left_out(
    tiny: Tiny, keyword: str, value: str, tmp_path: Path
) -> None:
    with disable_value_validation():
        content = saved(film_object(film_of(100), **{keyword: value}))
    source = pydicom.dcmread(io.BytesIO(content))
    report = report_of(tiny, "normal", source)  # without a warning, which would quote the value
    assert read_back(report)[keyword].value in ("", None)
    assert dciodvfy_errors(report, tmp_path) == []


def test_the_films_object_is_left_as_it_is(tiny: Tiny) -> None:
    source = film_object(film_of(100), "DX")
    before = saved(source)
    report_of(tiny, "viral", source)
    assert saved(source) == before


@pytest.mark.parametrize("keyword", common_attributes.NEEDED)
def test_an_object_that_nothing_can_refer_to_is_refused(tiny: Tiny, keyword: str) -> None:
    source = minimal_object(film_of(100))
    delattr(source, keyword)
    with pytest.raises(UnsuitableImageError, match=keyword) as caught:
        report_of(tiny, "viral", source)
    assert caught.value.code == "incomplete_object"


def test_an_object_of_no_image_is_refused(tiny: Tiny) -> None:
    source = minimal_object(film_of(100), BasicTextSRStorage)
    with pytest.raises(UnsuitableImageError, match="none of an image"):
        report_of(tiny, "viral", source)


@pytest.mark.parametrize("module", ["structured", "capture", "deidentify"])
@pytest.mark.parametrize("package", ["pydicom", "highdicom"])
def test_a_missing_package_is_named_with_its_extra(module: str, package: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; import pneumocascade.reports.{module}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert "MissingExtraError" in done.stderr
    assert "pip install 'pneumocascade[report]'" in done.stderr


def test_an_unread_film_has_no_report(tiny: Tiny) -> None:
    unread = Prediction("a.dcm", "error", "balanced", "tiny", error=Reason("empty_file", "the file is empty"))
    with pytest.raises(UsageError, match="could not be read"):
        structured_report(unread, film_object(film_of(100)), tiny.models)


def test_the_models_must_be_those_of_the_answer(tiny: Tiny) -> None:
    with pytest.raises(UsageError, match="models other"):
        structured_report(
            replace(answer(tiny, "viral"), model_version="other"), film_object(film_of(9)), tiny.models
        )


def test_the_bundled_models_give_a_valid_report(chest_png: Path, tmp_path: Path, cascade: Any) -> None:
    report = structured_report(
        cascade.predict(chest_png), film_object(film_of(100)), read_manifest(bundled_models())
    )
    assert dciodvfy_errors(report, tmp_path) == []
    assert values(report, codes.DCM.Finding)


def test_every_private_code_is_of_the_scheme_that_the_report_describes(tiny: Tiny) -> None:
    report = read_back(report_of(tiny, "viral"))
    item = report.CodingSchemeIdentificationSequence[0]
    assert item.CodingSchemeDesignator == pc.SCHEME
    found = {element.value for element in report.iterall() if element.keyword == "CodingSchemeDesignator"}
    assert found == {"DCM", "SCT", "UCUM", "RFC5646", pc.SCHEME}
