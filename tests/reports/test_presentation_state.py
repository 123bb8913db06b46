"""A presentation state lays the answer's words on the film, and changes nothing of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage

from pneumocascade import read_radiograph
from pneumocascade.errors import UnsuitableImageError, UsageError
from pneumocascade.explain.verdict import NO_BREAK, verdict_of
from pneumocascade.reports.presentation_state import presentation_state
from pneumocascade.types import DISCLAIMER, Prediction
from tests.conftest import draw_chest
from tests.reports.sources import MEANS, REFUSED_MEAN, Tiny, film_object, film_of, saved, tiny
from tests.reports.validators import dciodvfy_errors, dump, run, write

__all__ = ["tiny"]


@pytest.mark.parametrize("kind", ["CR", "DX", "SC"])
def test_the_validators_find_no_error(tiny: Tiny, kind: str, tmp_path: Path) -> None:
    made = presentation_state(tiny.answer(MEANS["viral"]), film_object(film_of(100), kind))
    assert dciodvfy_errors(made, tmp_path) == []
    assert "PresentationState" in dump("dcmdump", made, tmp_path)


@pytest.mark.parametrize("mean", [MEANS["viral"], REFUSED_MEAN])
def test_its_words_are_those_of_the_answer_on_the_film_of_the_study(tiny: Tiny, mean: float) -> None:
    source, answer = film_object(film_of(mean)), tiny.answer(mean)
    made = presentation_state(answer, source)
    (annotation,) = made.GraphicAnnotationSequence
    words = " ".join(annotation.TextObjectSequence[0].UnformattedTextValue.split())
    assert words.startswith(DISCLAIMER)
    assert verdict_of(answer).title.replace(NO_BREAK, " ") in words
    assert made.SOPClassUID == GrayscaleSoftcopyPresentationStateStorage
    assert (made.StudyInstanceUID, made.PatientName) == (source.StudyInstanceUID, source.PatientName)
    assert annotation.ReferencedImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert "research use only" in made.SeriesDescription


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("kind", ["CR", "SC"])
def test_the_film_is_shown_as_the_models_read_it(
    tiny: Tiny, photometric: str, kind: str, tmp_path: Path
) -> None:
    window = {"WindowCenter": "128", "WindowWidth": "256"} if kind == "CR" else {}
    source = film_object(draw_chest(), kind, PhotometricInterpretation=photometric, **window)
    state = write(presentation_state(tiny.answer(MEANS["viral"]), source), tmp_path)
    film, shown = write(source, tmp_path), tmp_path / "shown.pgm"
    done = run("dcmp2pgm", "--pstate", state, film, str(shown))
    assert done.returncode == 0, done.stderr
    pixels = np.asarray(Image.open(shown).convert("L"), float)
    read = read_radiograph(saved(source)).pixels.astype(float)
    assert np.corrcoef(pixels.ravel(), read.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("attributes", [{"SamplesPerPixel": 3}, {"NumberOfFrames": 2}])
def test_a_film_in_colour_or_of_several_frames_has_none(tiny: Tiny, attributes: dict[str, int]) -> None:
    source = film_object(film_of(100), "SC", **attributes)
    with pytest.raises(UnsuitableImageError) as caught:
        presentation_state(tiny.answer(MEANS["viral"]), source)
    assert caught.value.code == "no_presentation_state"


def test_an_object_of_one_frame_has_one(tiny: Tiny, tmp_path: Path) -> None:
    source = film_object(film_of(100), NumberOfFrames=1)
    made = presentation_state(tiny.answer(MEANS["viral"]), source)
    (reference,) = made.GraphicAnnotationSequence[0].ReferencedImageSequence
    assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert "NumberOfFrames" not in made
    assert dciodvfy_errors(made, tmp_path) == []


def test_an_unread_film_has_none(tiny: Tiny) -> None:
    with pytest.raises(UsageError):
        presentation_state(Prediction("a", "error", "balanced", "tiny"), film_object(film_of(100)))
