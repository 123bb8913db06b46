"""After de-identification nothing tells who the patient is, and objects still refer to each other."""

from __future__ import annotations

import io
import uuid
from pathlib import Path
from typing import Any

import dicomanonymizer.simpledicomanonymizer as profile
import numpy as np
import pydicom
import pytest
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

from pneumocascade.errors import UnsuitableImageError, UsageError
from pneumocascade.imaging.dicom.quiet import quiet
from pneumocascade.reports import common_attributes
from pneumocascade.reports.capture import secondary_capture
from pneumocascade.reports.deidentify import EDITION, deidentify
from pneumocascade.reports.structured import structured_report
from pneumocascade.types import DISCLAIMER
from tests.reports.sources import (
    MEANS,
    PLANTED,
    Tiny,
    film_object,
    film_of,
    planted,
    radiograph_of,
    read_back,
    saved,
    tiny,
)
from tests.reports.validators import dciodvfy_errors, dump

__all__ = ["tiny"]

FILM = film_of(MEANS["viral"])

DATES = frozenset({"DA", "DT", "TM"})


def results_of(tiny: Tiny, source: Dataset) -> dict[str, Dataset]:
    """Return what is saved of a film: report, capture, and the object itself."""
    prediction = tiny.answer(MEANS["viral"])
    return {
        "report": structured_report(prediction, source, tiny.models),
        "capture": secondary_capture(prediction, radiograph_of(source), source),
        "film": source,
    }


def test_what_is_planted_is_there_before(tiny: Tiny) -> None:
    for what, made in results_of(tiny, planted(FILM)).items():
        assert PLANTED.encode() in saved(made), what


@pytest.mark.parametrize("what", ["report", "capture", "film"])
def test_nothing_planted_is_left(tiny: Tiny, what: str) -> None:
    clean = deidentify(results_of(tiny, planted(FILM))[what])
    assert PLANTED.encode() not in saved(clean)
    assert not any(element.tag.is_private for element in clean.iterall())


@pytest.mark.parametrize("what", ["report", "capture"])
def test_nothing_is_left_where_the_film_was_deidentified_first(tiny: Tiny, what: str) -> None:
    clean = results_of(tiny, deidentify(planted(FILM)))[what]
    assert PLANTED.encode() not in saved(clean)
    assert clean.PatientIdentityRemoved == "YES"


def test_a_name_of_many_bytes_is_gone_too(tiny: Tiny) -> None:
    source = film_object(FILM, SpecificCharacterSet="ISO_IR 192", PatientName="山田^太郎")
    for made in results_of(tiny, source).values():
        assert "山田".encode() in saved(made)
        assert "山田".encode() not in saved(deidentify(made))


@pytest.mark.parametrize("what", ["report", "capture", "film"])
def test_the_validators_find_no_error(tiny: Tiny, what: str, tmp_path: Path) -> None:
    clean = deidentify(results_of(tiny, planted(FILM))[what])
    assert dciodvfy_errors(clean, tmp_path) == []
    assert dump("dcmdump", clean, tmp_path)


def test_a_report_stays_a_report_for_research(tiny: Tiny, tmp_path: Path) -> None:
    made = results_of(tiny, planted(FILM))["report"]
    clean = deidentify(made)
    assert dump("dsrdump", clean, tmp_path)
    assert clean.SeriesDescription == common_attributes.SR_DESCRIPTION
    texts = [element.value for element in clean.iterall() if element.keyword == "TextValue"]
    assert DISCLAIMER in texts
    assert texts == [element.value for element in made.iterall() if element.keyword == "TextValue"]


def test_pixels_stay(tiny: Tiny) -> None:
    source = planted(FILM)
    np.testing.assert_array_equal(read_back(deidentify(source)).pixel_array, FILM)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless]
)
def test_any_transfer_syntax_stays_as_it_is(syntax: UID) -> None:
    source = planted(FILM)
    stream = io.BytesIO()
    if syntax == RLELossless:
        source.compress(syntax, generate_instance_uid=False)
    source.file_meta.TransferSyntaxUID = syntax
    source.save_as(
        stream,
        implicit_vr=syntax.is_implicit_VR,
        little_endian=syntax.is_little_endian,
        enforce_file_format=True,
    )
    clean = deidentify(pydicom.dcmread(io.BytesIO(stream.getvalue())))
    again = read_back(clean)
    assert again.file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(again.pixel_array, FILM)
    everything = b"".join(str(element.value).encode() for element in again.iterall())
    assert PLANTED.encode() not in everything


def references(dataset: Dataset) -> set[str]:
    return {element.value for element in dataset.iterall() if element.keyword == "ReferencedSOPInstanceUID"}


def test_objects_of_one_run_refer_to_each_other(tiny: Tiny) -> None:
    made = results_of(tiny, film_object(FILM, "DX"))
    clean = {what: deidentify(dataset) for what, dataset in made.items()}
    film = clean["film"]
    assert references(clean["report"]) == references(clean["capture"]) == {film.SOPInstanceUID}
    assert {dataset.StudyInstanceUID for dataset in clean.values()} == {film.StudyInstanceUID}
    assert len({dataset.SeriesInstanceUID for dataset in clean.values()}) == 3


def test_uids_are_new_and_valid_and_unlike_those_of_another_run(tiny: Tiny) -> None:
    source = film_object(FILM, "DX")
    once, other = deidentify(source), deidentify(source, uuid.uuid4())
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        uids = {source[keyword].value, once[keyword].value, other[keyword].value}
        assert len(uids) == 3
        assert all(UID(uid).is_valid for uid in uids)
    assert once.file_meta.MediaStorageSOPInstanceUID == once.SOPInstanceUID
    assert once.SOPClassUID == source.SOPClassUID
    assert once.file_meta.TransferSyntaxUID == source.file_meta.TransferSyntaxUID


def test_several_uids_in_one_attribute_are_replaced_each() -> None:
    uids = [generate_uid(), generate_uid()]
    clean = deidentify(film_object(FILM, IrradiationEventUID=uids))
    assert len(clean.IrradiationEventUID) == 2
    assert not set(clean.IrradiationEventUID) & set(uids)


def test_what_was_done_is_told(tiny: Tiny) -> None:
    clean = {what: deidentify(made) for what, made in results_of(tiny, film_object(FILM)).items()}
    applied = {
        what: [item.CodeValue for item in dataset.DeidentificationMethodCodeSequence]
        for what, dataset in clean.items()
    }
    assert applied == {
        "report": ["113100", "113104", "113105"],
        "capture": ["113100", "113105"],
        "film": ["113100"],
    }
    for dataset in clean.values():
        assert dataset.PatientIdentityRemoved == "YES"
        assert dataset.LongitudinalTemporalInformationModified == "REMOVED"
        assert dataset.DeidentificationMethod


def test_no_date_of_the_patient_is_left(tiny: Tiny) -> None:
    source = planted(FILM)
    source.PatientBirthDate = source.StudyDate = source.AcquisitionDate = source.ContentDate = "20191231"
    source.SeriesDate = source.InstanceCreationDate = "20191231"
    source.AcquisitionDateTime = "20191231101112"
    source.PatientAge, source.PatientSize = "004Y", 1.0
    for made in results_of(tiny, source).values():
        clean = saved(deidentify(made))
        assert b"20191231" not in clean
        assert b"004Y" not in clean


def element_value(vr: str) -> Any:
    """Return some value of a representation."""
    if vr == "SQ":
        item = Dataset()
        item.PatientName, item.PatientComments = f"{PLANTED}^X", PLANTED
        return Sequence([item])
    if vr in DATES:
        return {"DA": "20191231", "DT": "20191231101112", "TM": "101112"}[vr]
    texts = {"LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}
    others = {"AE": "AE", "AS": "004Y", "CS": "CODE", "DS": "1", "IS": "1", "UI": "1.2.3"}
    if vr in texts:
        return PLANTED
    return others.get(vr, PLANTED.encode() + b"\0" if vr in ("OB", "OW", "UN") else 1)


TABLE = sorted(
    tag
    for tag in profile.initialize_actions(EDITION)
    if len(tag) == 2 and tag[0] > 2 and dictionary_has_tag(tag)
)
"""Attributes of the profile that a data set may have and that pydicom knows: the others are removed."""


@pytest.mark.parametrize("group", sorted({tag[0] for tag in TABLE}))
def test_every_attribute_of_the_profile_is_dealt_with(group: int) -> None:
    for nested in (False, True):
        source, inner = film_object(FILM), Dataset()
        for tag in TABLE:
            if tag[0] == group and tag not in ((0x0040, 0xA730), (0x0008, 0x0018)):
                vr = dictionary_VR(tag).split(" ")[0]
                (inner if nested else source).add_new(tag, vr, element_value(vr))
        if nested:
            source.ProcedureCodeSequence = [inner]
        clean = saved(deidentify(source))
        for secret in (PLANTED.encode(), b"20191231", b"1.2.3\0", b"004Y"):
            assert secret not in clean


def test_the_object_is_left_as_it_is(tiny: Tiny) -> None:
    source = planted(FILM)
    before = saved(source)
    deidentify(source)
    assert saved(source) == before


@pytest.mark.parametrize("said", ["YES", "yes", " Yes", ["NO", "YES"]], ids=str)
def test_pixels_that_name_the_patient_are_refused(tiny: Tiny, said: str | list[str]) -> None:
    with quiet():
        source = film_object(FILM, BurnedInAnnotation=said)
    with pytest.raises(UnsuitableImageError, match="Burned In Annotation") as caught:
        deidentify(source)
    assert caught.value.code == "burned_in_annotation"
    report = structured_report(tiny.answer(MEANS["viral"]), source, tiny.models)
    assert deidentify(report).PatientIdentityRemoved == "YES"  # it holds no pixels


def test_reports_of_others_are_refused(tiny: Tiny) -> None:
    report = structured_report(tiny.answer(MEANS["viral"]), film_object(FILM), tiny.models)
    report.SeriesDescription = "Report"
    with pytest.raises(UsageError, match="made by this package"):
        deidentify(report)
