"""A Secondary Capture shows film, saliency maps and banner, in the study of its film, and validates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from pneumocascade import Prediction, Reason, UsageError
from pneumocascade.explain.pictures import film_picture
from pneumocascade.explain.verdict import TONES
from pneumocascade.reports.capture import HEIGHT, WIDTH, capture_picture, secondary_capture
from pneumocascade.reports.common_attributes import header_of
from pneumocascade.types import DISCLAIMER
from tests.conftest import draw_chest
from tests.reports.sources import (
    MEANS,
    REFUSED_MEAN,
    Tiny,
    film_object,
    film_of,
    minimal_object,
    radiograph_of,
    read_back,
    saved,
    tiny,
)
from tests.reports.validators import dciodvfy_errors, dump

__all__ = ["tiny"]

MEAN_OF = {**MEANS, "refused": REFUSED_MEAN}


def capture_of(tiny: Tiny, what: str, kind: str = "DX") -> tuple[Dataset, Dataset]:
    """Return the capture of an answer, and the film's object."""
    source = film_object(film_of(MEAN_OF[what]), kind)
    return secondary_capture(tiny.answer(MEAN_OF[what]), radiograph_of(source), source), source


@pytest.mark.parametrize("kind", ["CR", "DX", "SC"])
@pytest.mark.parametrize("what", list(MEAN_OF))
def test_the_validators_find_no_error(tiny: Tiny, what: str, kind: str, tmp_path: Path) -> None:
    capture, _ = capture_of(tiny, what, kind)
    assert dciodvfy_errors(capture, tmp_path) == []
    assert "SecondaryCaptureImageStorage" in dump("dcmdump", capture, tmp_path)


@pytest.mark.parametrize("what", list(MEAN_OF))
def test_its_pixels_are_the_picture(tiny: Tiny, what: str) -> None:
    capture, source = capture_of(tiny, what)
    again = read_back(capture)
    expected = capture_picture(tiny.answer(MEAN_OF[what]), radiograph_of(source))
    np.testing.assert_array_equal(again.pixel_array, expected)
    assert (again.PhotometricInterpretation, again.BitsAllocated, again.SamplesPerPixel) == ("RGB", 8, 3)


@pytest.mark.parametrize(("what", "panels"), [("normal", 2), ("bacterial", 3), ("viral", 3), ("refused", 1)])
def test_the_picture_has_a_panel_for_the_film_and_for_each_stage(tiny: Tiny, what: str, panels: int) -> None:
    film = film_of(MEAN_OF[what])
    radiograph = radiograph_of(film_object(film))
    picture = capture_picture(tiny.answer(MEAN_OF[what]), radiograph)
    factor = picture.shape[1] // (panels * film.shape[1])  # narrow pictures are enlarged for the text
    assert picture.shape[1] == factor * panels * film.shape[1]
    small = picture[::factor, ::factor]
    shown = small[40 : 40 + film.shape[0], : film.shape[1]]
    np.testing.assert_array_equal(shown, film_picture(radiograph, film.shape[0]))
    stripe = "#" + "".join(f"{value:02x}" for value in picture[-3, 2])
    assert stripe == TONES[what]


def test_the_panels_of_the_stages_show_their_maps(tiny: Tiny) -> None:
    film = film_of(MEANS["viral"])
    prediction = tiny.answer(MEANS["viral"])
    assert prediction.stage1 is not None
    assert prediction.stage1.activation_map is not None
    hot = np.full_like(prediction.stage1.activation_map, 100.0)
    bright = replace(prediction, stage1=replace(prediction.stage1, activation_map=hot))
    radiograph = radiograph_of(film_object(film))
    before, after = capture_picture(prediction, radiograph), capture_picture(bright, radiograph)
    changed = np.flatnonzero((before != after).any(axis=(0, 2)))
    assert changed.min() >= film.shape[1]
    assert changed.max() < 2 * film.shape[1]


@pytest.mark.parametrize(("height", "width"), [(1600, 1200), (1200, 1600), (900, 2000)])
def test_a_large_film_is_shrunk_at_its_own_aspect_ratio(tiny: Tiny, height: int, width: int) -> None:
    film = draw_chest(height=height, width=width)
    prediction = tiny.cascade.predict(film)
    picture = capture_picture(prediction, radiograph_of(film_object(film)))
    panels = 1 + (prediction.stage1 is not None) + (prediction.stage2 is not None)
    assert picture.shape[1] % panels == 0
    shown = picture.shape[1] // panels
    assert shown <= WIDTH
    assert shown >= WIDTH - 4 or shown == HEIGHT * width // height


def test_it_refers_to_the_film_in_its_study(tiny: Tiny) -> None:
    capture, source = capture_of(tiny, "viral")
    reference = read_back(capture).SourceImageSequence[0]
    assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert reference.ReferencedSOPClassUID == source.SOPClassUID
    same = (
        "StudyInstanceUID",
        "PatientName",
        "PatientID",
        "PatientOrientation",
        "StudyDate",
        "AccessionNumber",
    )
    for keyword in same:
        assert capture[keyword].value == source[keyword].value
    assert capture.SeriesInstanceUID != source.SeriesInstanceUID
    assert capture.SOPInstanceUID != source.SOPInstanceUID


def test_a_frame_is_referred_to_where_one_was_judged(tiny: Tiny, tmp_path: Path) -> None:
    source = film_object(film_of(100), "MF")
    capture = secondary_capture(tiny.answer(100), radiograph_of(source), source, frame=2)
    assert capture.SourceImageSequence[0].ReferencedFrameNumber == 2
    assert dciodvfy_errors(capture, tmp_path) == []


@pytest.mark.parametrize("what", list(MEAN_OF))
def test_every_capture_says_that_it_is_for_research(tiny: Tiny, what: str) -> None:
    capture, _ = capture_of(tiny, what)
    assert "research use only" in capture.SeriesDescription
    assert DISCLAIMER in capture.DerivationDescription


@pytest.mark.parametrize("burned", ["YES", "NO", None])
def test_patient_data_in_the_pixels_are_told_of_as_the_film_does(tiny: Tiny, burned: str | None) -> None:
    source = film_object(film_of(100))
    if burned is not None:
        source.BurnedInAnnotation = burned
    capture = secondary_capture(tiny.answer(100), radiograph_of(source), source)
    assert capture.get("BurnedInAnnotation") == burned


def test_lossy_compression_of_the_film_is_told(tiny: Tiny, tmp_path: Path) -> None:
    source = film_object(film_of(100), LossyImageCompression="01", LossyImageCompressionRatio="12.5")
    source.LossyImageCompressionMethod = "ISO_10918_1"
    capture = secondary_capture(tiny.answer(100), radiograph_of(source), source)
    assert (capture.LossyImageCompression, capture.LossyImageCompressionRatio) == ("01", 12.5)
    assert dciodvfy_errors(capture, tmp_path) == []


@pytest.mark.parametrize("mean", [MEANS["viral"], REFUSED_MEAN])
def test_a_film_with_next_to_no_attributes_gets_its_capture(tiny: Tiny, mean: float, tmp_path: Path) -> None:
    source = minimal_object(film_of(mean))
    capture = secondary_capture(tiny.answer(mean), radiograph_of(source), source)
    assert dciodvfy_errors(capture, tmp_path) == []


def test_japanese_names_arrive(tiny: Tiny, tmp_path: Path) -> None:
    source = film_object(film_of(100), SpecificCharacterSet=["", "ISO 2022 IR 87"])
    source.PatientName = name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    again = read_back(source)
    capture = secondary_capture(tiny.answer(100), radiograph_of(again), again)
    assert str(read_back(capture).PatientName) == name
    assert dciodvfy_errors(capture, tmp_path) == []


def test_the_films_object_is_left_as_it_is(tiny: Tiny) -> None:
    source = film_object(film_of(100), "DX")
    before = saved(source)
    secondary_capture(tiny.answer(100), radiograph_of(source), source)
    assert saved(source) == before


def test_the_object_of_another_film_is_refused(tiny: Tiny) -> None:
    film, other = film_object(film_of(100)), film_object(film_of(100))
    with pytest.raises(UsageError, match="another DICOM object"):
        secondary_capture(tiny.answer(100), radiograph_of(film), other)


def test_an_unread_film_has_no_capture() -> None:
    unread = Prediction("a.dcm", "error", "balanced", "tiny", error=Reason("empty_file", "the file is empty"))
    source = film_object(film_of(100))
    with pytest.raises(UsageError, match="could not be read"):
        secondary_capture(unread, radiograph_of(source), source)


def test_pixels_and_private_attributes_stay_out_of_what_is_taken_over() -> None:
    source = film_object(film_of(100))
    source.private_block(0x0009, "MAKER", create=True).add_new(1, "LO", "secret")
    header = header_of(source)
    assert "PixelData" not in header
    assert not any(element.tag.is_private for element in header)
