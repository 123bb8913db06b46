"""What an object says of how its film was made."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from pneumocascade.imaging.dicom.attributes import acquisition_of
from pneumocascade.types import Acquisition
from tests.imaging.dicom.objects import GREY, dataset, film_of, sequence, to_bytes


def acquisition(**attributes: Any) -> Acquisition:
    return film_of(dataset(GREY, 8, **attributes)).acquisition


def code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


def test_what_is_said_is_passed_on() -> None:
    found = acquisition(BodyPartExamined="CHEST", ViewPosition="PA", ImageLaterality="U", PatientAge="003Y")
    assert (found.modality, found.body_part, found.view_position, found.laterality) == (
        "DX",
        "CHEST",
        "PA",
        "U",
    )
    assert found.age_years == pytest.approx(3)
    assert found.sop_class_uid == "1.2.840.10008.5.1.4.1.1.1.1"
    assert found.sop_instance_uid == dataset(GREY, 8).SOPInstanceUID
    assert acquisition(StudyInstanceUID="1.2.3").study_instance_uid == "1.2.3"


def test_what_is_not_said_is_empty() -> None:
    item = dataset(
        GREY,
        8,
        Modality=None,
        SOPClassUID=None,
        SOPInstanceUID=None,
        StudyInstanceUID=None,
        PhotometricInterpretation=None,
    )
    assert acquisition_of(item) == Acquisition()


def test_the_laterality_of_the_series_stands_in() -> None:
    assert acquisition(Laterality="L").laterality == "L"
    assert acquisition(Laterality="L", ImageLaterality="R").laterality == "R"


@pytest.mark.parametrize(
    ("value", "meaning", "view"),
    [
        ("399348003", "antero-posterior", "AP"),
        ("272479007", "postero-anterior", "PA"),
        ("R-10206", "antero-posterior", "AP"),
        ("R-10214", "postero-anterior", "PA"),
        ("399173006", "left lateral", "LL"),
        ("399198007", "right lateral", "RL"),
        ("399067008", "lateral", "LATERAL"),
        ("399312000", "antero-posterior oblique", "ANTERO-POSTERIOR OBLIQUE"),
    ],
)
def test_views_and_parts_in_codes(value: str, meaning: str, view: str) -> None:
    found = acquisition(
        ViewCodeSequence=sequence(code(value, meaning)),
        AnatomicRegionSequence=sequence(code("816094009", "Chest")),
    )
    assert (found.view_position, found.body_part) == (view, "CHEST")


@pytest.mark.parametrize(
    ("text", "years"),
    [
        *[
            ("005Y", 5),
            ("018M", 1.5),
            ("052W", 1),
            ("010D", 10 / 365.25),
            ("000D", 0),
            ("5Y", 5),
            ("131Y", None),
        ],
        *[("68", 68), ("068", 68), ("0068Y", 68), ("Y68", 68), ("Y068", 68), ("18 M", 1.5), ("52w", 1)],
        *[("", None), ("Y", None), ("Y68M", None), ("68Q", None), ("unknown", None)],
    ],
)
def test_ages(text: str, years: float | None) -> None:
    age = acquisition_of(patched(PatientAge=text)).age_years
    assert age == (None if years is None else pytest.approx(years, abs=0.01))


@pytest.mark.parametrize(
    ("when", "years"),
    [
        ({"AcquisitionDate": "20240301", "StudyDate": "20990101"}, 4),
        ({"AcquisitionDateTime": "20240301121314.5"}, 4),
        ({"ContentDate": "20220301"}, 2),
        ({"StudyDate": "20200401"}, 1 / 12),
        ({"StudyDate": "20190101"}, None),
        ({}, None),
    ],
)
def test_the_age_is_worked_out_where_it_is_not_said(when: dict[str, str], years: float | None) -> None:
    age = acquisition(PatientBirthDate="20200301", **when).age_years
    assert age == (None if years is None else pytest.approx(years, abs=0.01))


def test_the_age_that_is_said_comes_first() -> None:
    found = acquisition(PatientAge="003Y", PatientBirthDate="19000101", StudyDate="20240101")
    assert found.age_years == pytest.approx(3)


def patched(**attributes: str) -> Dataset:
    """Return a data set with values that pydicom would warn of if it made them."""
    item = dataset(GREY, 8)
    for keyword, value in attributes.items():
        setattr(item, keyword, "")
        item[keyword]._value = value
    return item


KEYWORDS = st.sampled_from(
    [
        "PatientAge",
        "PatientBirthDate",
        "StudyDate",
        "ViewPosition",
        "BodyPartExamined",
        "Modality",
        "Laterality",
    ]
)


@given(st.dictionaries(KEYWORDS, st.text(max_size=12)))
def test_nothing_that_is_said_raises(attributes: dict[str, str]) -> None:
    found = acquisition_of(patched(**attributes))
    assert found.age_years is None or 0 <= found.age_years <= 130


@settings(max_examples=60)
@given(st.binary(min_size=8, max_size=8), st.binary(min_size=4, max_size=4))
def test_nor_do_bytes_of_any_kind(day: bytes, age: bytes) -> None:
    item = dataset(GREY, 8, PatientBirthDate="19991231", PatientAge="077W", AcquisitionDate="20010101")
    data = to_bytes(item).replace(b"19991231", day).replace(b"077W", age)
    found = film_of(data).acquisition
    assert found.age_years is None or 0 <= found.age_years <= 130
