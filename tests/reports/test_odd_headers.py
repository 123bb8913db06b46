"""A film whose header has values that make no sense gets its DICOM objects, or an error of a film."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from pneumocascade import FilmError, Prediction, Radiograph, UsageError
from pneumocascade.errors import UnsuitableImageError
from pneumocascade.imaging.dicom.quiet import quiet
from pneumocascade.reports.capture import secondary_capture
from pneumocascade.reports.common_attributes import header_of
from pneumocascade.reports.deidentify import deidentify
from pneumocascade.reports.encapsulated_pdf import encapsulated_pdf
from pneumocascade.reports.film_errors import film_errors
from pneumocascade.reports.presentation_state import presentation_state
from pneumocascade.reports.structured import structured_report
from tests.reports.sources import MEANS, PLANTED, Tiny, film_object, film_of, saved, tiny
from tests.reports.validators import dciodvfy_errors

__all__ = ["tiny"]

FILM = film_of(MEANS["viral"])

ODD = [
    {"ImagerPixelSpacing": b"0,143\\0,143 "},
    {"ImagerPixelSpacing": b"abc "},
    {"ImagerPixelSpacing": b"0.1 "},
    {"ImagerPixelSpacing": b"0.1\\-1"},
    {"ImagerPixelSpacing": b"nan\\nan "},
    {"PatientOrientation": b"L "},
    {"PatientOrientation": b"L\\F\\H "},
    {"Modality": b"CR\\DX "},
    {"Modality": b"dx"},
    {"SOPInstanceUID": b"1.2.3\\1.2.4 "},
    {"StudyInstanceUID": b"1.2.3\\1.2.4 "},
    {"PatientID": b"A\\B "},
    {"StudyDate": b"20240101\\20240102 "},
    {"PatientSex": b"M\\F "},
    {"PatientWeight": b"heavy "},
    {"ExposureTime": b"4.5 "},
    {"DistanceSourceToDetector": b"\x01\x02\x03", "TableHeight": b"a b "},
    {"ReferencePixelPhysicalValueX": b"\x00" * 7},  # FD
    {"CornerPointSequence": b"\x00" * 5},
    {"BurnedInAnnotation": b"no"},
    {"PixelPaddingValue": b"\x00\x00\x00"},
    {"Laterality": b"L\\R "},
    {"RescaleSlope": b"1\\1 "},
    {"NumberOfFrames": b"one "},
    {"SamplesPerPixel": b"\x01\x00\x01\x00"},
    {"NumberOfFrames": b"1 "},
    {"SpecificCharacterSet": b"ISO_IR 999"},
]


def with_bytes(values: dict[str, bytes], representation: str = "") -> Dataset:
    """Return a film's object with the bytes of some attributes replaced, unchecked, as in a file.

    ``representation`` is that of their values; by default, it is the standard's.
    """
    made = film_object(FILM, "DX")
    for keyword, value in values.items():
        tag = BaseTag(tag_for_keyword(keyword) or 0)
        made[tag] = RawDataElement(
            tag, representation or dictionary_VR(tag), len(value), value, 0, False, True
        )
    return made


@pytest.fixture(scope="module")
def viral(tiny: Tiny) -> Prediction:
    return tiny.answer(MEANS["viral"])


def makers(tiny: Tiny, answer: Prediction, source: Dataset) -> dict[str, Callable[[], Dataset]]:
    return {
        "sr": lambda: structured_report(answer, source, tiny.models),
        "sc": lambda: secondary_capture(answer, Radiograph(FILM, "film.dcm"), source),
        "pr": lambda: presentation_state(answer, source),
        "pdf": lambda: encapsulated_pdf(answer, b"%PDF-1.7", source),
        "clean": lambda: deidentify(source),
    }


@pytest.mark.parametrize("values", ODD, ids=str)
def test_an_odd_value_costs_no_object(
    tiny: Tiny, viral: Prediction, values: dict[str, bytes], tmp_path: Path
) -> None:
    for kind, make in makers(tiny, viral, with_bytes(values)).items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made = make()
        with quiet():
            assert saved(made)
        if kind in ("sr", "sc"):
            assert dciodvfy_errors(made, tmp_path) == []


def test_a_film_that_cannot_be_presented_keeps_its_other_objects(tiny: Tiny, viral: Prediction) -> None:
    made = makers(tiny, viral, with_bytes({"WindowCenter": b"wide"}))
    with pytest.raises(UnsuitableImageError) as caught:
        made.pop("pr")()
    assert caught.value.code == "no_presentation_state"
    for make in made.values():
        assert make()


KEYWORDS = sorted(
    {element.keyword for element in film_object(FILM, "DX") if element.keyword != "PixelData"}
    | {"NumberOfFrames", "PatientAge", "PatientWeight", "PixelSpacing", "PixelPaddingValue"}
    | {"VOILUTSequence", "ModalityLUTSequence", "LossyImageCompressionRatio", "OtherPatientNames"}
)
ODD_BYTES = (b"", b"\\", b"1\\2", b"-1", b"nan", b"1e400", b"\xff\xfe", b"A=B=C=D^E\\F", b"0" * 80, b"\0\0")
REPRESENTATIONS = ("LO", "UN", "DS", "IS", "US", "SQ", "UI", "OB", "FD", "PN", "UT", "AT")
VALUES = st.one_of(st.binary(max_size=12), st.sampled_from(ODD_BYTES))


@settings(max_examples=20)
@given(
    values=st.dictionaries(st.sampled_from(KEYWORDS), VALUES, min_size=1, max_size=4),
    representation=st.sampled_from(["", "", *REPRESENTATIONS]),
)
def test_whatever_stands_in_a_header_an_error_is_one_of_the_film(
    tiny: Tiny, viral: Prediction, values: dict[str, bytes], representation: str
) -> None:
    for kind, make in makers(tiny, viral, with_bytes(values, representation)).items():
        try:
            made = make()
            if kind == "clean":  # most of it is the film's own: it may lack what says how it is written
                with film_errors("a file"):
                    saved(made)
        except FilmError:
            continue
        if kind != "clean":
            with quiet():
                assert saved(made)


def test_what_cannot_be_understood_is_left_out_at_every_depth() -> None:
    source = with_bytes({"DistanceSourceToDetector": b"abc "})
    item = with_bytes({"ExposureTime": b"long", "BodyPartExamined": b"CHEST "})
    source.add_new("SourceImageSequence", "SQ", [item])
    header = header_of(source)
    assert "DistanceSourceToDetector" not in header
    assert "ExposureTime" not in header.SourceImageSequence[0]
    assert header.SourceImageSequence[0].BodyPartExamined == "CHEST"


def test_a_part_without_a_value_does_not_cost_the_others() -> None:
    source = with_bytes({"WindowCenter": b"40\\ ", "WindowWidth": b"400\\wide"})
    clean = deidentify(source)
    assert list(clean.WindowCenter) == [40, ""]
    assert "WindowWidth" not in clean


def test_a_library_error_becomes_one_of_the_film_without_its_text() -> None:
    with pytest.raises(UnsuitableImageError) as caught, film_errors("a report"):
        warnings.warn(PLANTED, stacklevel=1)
        raise KeyError(PLANTED)
    assert caught.value.code == "incomplete_object"
    assert (
        str(caught.value) == "the DICOM object has an attribute that a report cannot be made with (KeyError)"
    )
    assert caught.value.__suppress_context__
    with pytest.raises(UsageError, match="mine"), film_errors("a report"):
        raise UsageError("mine")
