from __future__ import annotations

import base64
import gc
import io
import weakref
from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from pneumocascade import Cascade, Prediction, Radiograph, UsageError, read_radiograph
from pneumocascade.explain.saliency import overlay
from pneumocascade.explain.verdict import is_borderline, percent
from pneumocascade.model.preprocess import steps_of
from pneumocascade.reports.html import make_report
from pneumocascade.reports.pages import PICTURE_SIDE, FilmPage, make_page, shorten, visible
from pneumocascade.reports.stages import PagePicture, model_card, stage_figures
from pneumocascade.types import Reason
from tests.conftest import EXAMPLES
from tests.reports.films import HOSTILE, acquired, every_outcome


def pixels(picture: PagePicture) -> np.ndarray:
    kind, data = picture.url.split(";base64,")
    assert kind in ("data:image/png", "data:image/jpeg")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


@pytest.fixture(scope="module")
def bacterial() -> Radiograph:
    return read_radiograph(EXAMPLES[2], EXAMPLES[2].name)


@pytest.fixture(scope="module")
def page(cascade: Cascade, bacterial: Radiograph) -> FilmPage:
    return make_page(1, cascade.predict(bacterial), bacterial, cascade)


def test_bars_show_the_answer_and_the_threshold(
    cascade: Cascade, bacterial: Radiograph, page: FilmPage
) -> None:
    prediction = cascade.predict(bacterial)
    for card, result in zip(page.stages, (prediction.stage1, prediction.stage2), strict=True):
        assert result is not None
        assert [bar.label for bar in card.bars] == list(result.probabilities)
        assert [bar.text for bar in card.bars] == [percent(value) for value in result.probabilities.values()]
        assert sum(bar.width for bar in card.bars) == pytest.approx(100, abs=0.02)
        assert card.bars[0].mark is None
        assert card.bars[1].mark == pytest.approx(100 * result.threshold, abs=0.01)
        can_tell = not is_borderline(result)
        assert [bar.chosen for bar in card.bars] == [
            can_tell and bar.label == result.label for bar in card.bars
        ]


def test_the_stored_figures_of_the_operating_point_are_told(cascade: Cascade, page: FilmPage) -> None:
    stages = zip(page.stages, cascade.specs, strict=True)
    for card, spec in stages:
        point = spec.operating_points["balanced"]
        notes = " ".join(card.notes)
        assert f"sensitivity {percent(point.sensitivity)}" in notes
        assert f"specificity {percent(point.specificity)}" in notes
        assert percent(point.threshold) in notes
    rows = stage_figures(cascade, ["balanced", "sensitive", "no such point"])
    assert [row[1] for row in rows] == ["balanced", "sensitive", "balanced"], "stage 2 has one point"


def test_the_model_card_line_is_that_of_the_models(cascade: Cascade) -> None:
    line = model_card(cascade)
    for spec in cascade.specs:
        assert f"AUROC {spec.metrics['auroc']:.3f}" in line
        assert spec.training_data in line
        assert spec.trained in line
    assert line.startswith(f"Models {cascade.version}")


def test_pictures_are_the_film_and_what_the_network_sees(
    cascade: Cascade, bacterial: Radiograph, page: FilmPage
) -> None:
    film, seen = page.pictures
    assert max(pixels(film).shape) == PICTURE_SIDE
    height, width = pixels(film).shape
    assert width / height == pytest.approx(bacterial.width / bacterial.height, rel=0.01)
    steps = steps_of(bacterial, cascade.stage1.spec)
    np.testing.assert_array_equal(pixels(seen), steps.coloured)


def test_saliency_lies_over_the_film(cascade: Cascade, bacterial: Radiograph, page: FilmPage) -> None:
    prediction = cascade.predict(bacterial)
    for card, result in zip(page.stages, (prediction.stage1, prediction.stage2), strict=True):
        assert card.saliency is not None
        assert result is not None
        shown = pixels(card.saliency).astype(np.float32)
        full = overlay(bacterial, result)
        size = (shown.shape[1], shown.shape[0])
        expected = cv2.resize(full, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        assert np.abs(shown - expected).mean() < 4  # of 255: JPEG, and the map drawn at another size
        assert result.label in card.saliency.caption


def test_a_stage_that_did_not_run_shows_nothing_but_why(cascade: Cascade) -> None:
    normal, *_, refused, broken = (
        make_page(1, prediction, film, cascade) for prediction, film in every_outcome(cascade)
    )
    assert normal.stages[1].bars == refused.stages[0].bars == broken.stages[0].bars == ()
    assert normal.stages[1].saliency is refused.stages[1].saliency is None
    assert "Did not run" in normal.stages[1].notes[0]
    assert "refused" in refused.stages[0].notes[0]
    assert "could not be read" in broken.stages[1].notes[0]
    assert normal.shares[1:] == ("", "")
    assert refused.shares == broken.shares == ("", "", "")
    assert len(refused.pictures) == 2
    assert broken.pictures == ()


def test_the_gate_verdict_is_told(cascade: Cascade) -> None:
    items = every_outcome(cascade)
    gates = [dict(make_page(1, *item, cascade).quality)["Gate"] for item in items]
    assert gates == ["passed"] * 3 + ["refused: rotated", "not reached"]
    film = items[3][1]
    assert film is not None
    unchecked = make_page(1, cascade.predict(film, gate=False), film, cascade)
    assert dict(unchecked.quality)["Gate"].startswith("switched off")


def test_acquisition_tells_nothing_of_the_patient(cascade: Cascade, bacterial: Radiograph) -> None:
    film = acquired(bacterial)
    page = make_page(1, cascade.predict(film), film, cascade)
    assert dict(page.acquisition) == {
        "Modality": "DX",
        "View position": "PA",
        "Body part": "CHEST",
        "Laterality": "U",
    }
    assert "73" not in str(page.acquisition)
    assert "4242" not in str((page.name, page.source, page.quality, page.acquisition, page.warnings))


def test_quality_is_measured_on_film_and_processed(
    cascade: Cascade, bacterial: Radiograph, page: FilmPage
) -> None:
    quality = dict(page.quality)
    assert quality["Size"] == f"{bacterial.width} x {bacterial.height} pixels"
    assert quality["Depth as read"] == "8 bits a pixel"
    assert quality["Grey values, mean"].startswith(f"{bacterial.pixels.mean():.1f} of 255")
    deep = replace(bacterial, pixels=bacterial.pixels.astype(np.uint16) * np.uint16(257))
    deeper = dict(make_page(1, cascade.predict(deep), deep, cascade).quality)
    assert deeper["Depth as read"] == "16 bits a pixel"
    assert deeper["Grey values, mean"] == quality["Grey values, mean"]


@pytest.mark.parametrize("shape", [(16, 4000), (4000, 16), (120, 130), (1, 900)])
def test_films_of_any_shape_are_drawn(cascade: Cascade, shape: tuple[int, int]) -> None:
    film = Radiograph(np.random.default_rng(0).integers(0, 256, shape, np.uint8), "noise.png")
    page = make_page(1, cascade.predict(film), film, cascade)
    assert max(pixels(page.pictures[0]).shape) <= PICTURE_SIDE
    assert f"{shape[1]} x {shape[0]}" in page.pictures[0].caption


def test_other_models_are_refused(cascade: Cascade, bacterial: Radiograph) -> None:
    prediction = replace(cascade.predict(bacterial), model_version="0.9")
    with pytest.raises(UsageError, match=r"models 0\.9, the cascade has"):
        make_page(1, prediction, bacterial, cascade)


def test_visible_text_has_no_letter_that_is_not_shown() -> None:
    shown = visible(HOSTILE)
    assert shown.isprintable()
    assert "\\u202e" in shown
    assert "\\x00" in shown
    assert "\\udcff" in shown
    shown.encode("utf-8")
    assert visible("99.8\u00a0%, Zoë, 胸部") == "99.8\u00a0%, Zoë, 胸部"


@pytest.mark.parametrize("length", [2, 3, 10, 11, 99, 100, 101])
def test_shortened_text_keeps_both_ends(length: int) -> None:
    text = "".join(chr(ord("a") + i % 26) for i in range(100))
    short = shorten(text, length)
    assert len(short) == min(length, 100)
    if length < 100:
        head, tail = short.split("…")
        assert text.startswith(head)
        assert text.endswith(tail)


def test_all_warnings_are_kept(cascade: Cascade) -> None:
    broken = Prediction(
        "a.png", "error", "balanced", cascade.version, error=Reason("unreadable_image", "not a picture")
    )
    many = make_page(1, replace(broken, warnings=("w" * 300,) * 40), None, cascade)
    assert len(many.warnings) == 40
    assert many.verdict.lines == ("unreadable_image: not a picture",)


def test_films_are_taken_one_at_a_time_and_let_go(cascade: Cascade, bacterial: Radiograph) -> None:
    prediction = cascade.predict(bacterial)
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0

    def items() -> Iterator[tuple[Prediction, Radiograph]]:
        nonlocal most
        for _ in range(6):
            film = replace(bacterial, pixels=bacterial.pixels.copy())
            alive.append(weakref.ref(film.pixels))
            most = max(most, sum(reference() is not None for reference in alive))
            yield prediction, film

    report = make_report(items(), cascade)
    gc.collect()
    assert most <= 2
    assert [reference() for reference in alive] == [None] * 6
    shown = [page.pictures[0].url + page.pictures[1].url for page in report.films]
    assert max(map(len, shown)) < 300_000
