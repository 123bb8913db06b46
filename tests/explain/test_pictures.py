"""What is shown is what the model was given, and what is written overwrites nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pneumocascade import Cascade, Prediction, Reason, StageResult, UsageError, read_radiograph, steps_of
from pneumocascade.explain.pictures import (
    _wrap,
    film_beside_steps,
    safe_stem,
    save_pictures,
    step_pictures,
    steps_picture,
    with_banner,
)
from pneumocascade.explain.plots import distribution_plots
from pneumocascade.explain.quality import BINS, MEASURES
from pneumocascade.explain.verdict import TONES, percent, verdict_of
from pneumocascade.i18n import speaking
from pneumocascade.model.spec import for_recipe
from tests.conftest import draw_chest

SPEC = for_recipe(1, "clahe-hot")
STAGE1 = StageResult({"normal": 0.031, "pneumonia": 0.969}, "pneumonia", 0.62, ("pneumonia",))
STAGE2 = StageResult({"bacterial": 0.22, "viral": 0.78}, "viral", 0.5, ("bacterial", "viral"))
VIRAL = Prediction("films/a.jpeg", "ok", "balanced", "1.0.0", "pneumonia", "viral", STAGE1, STAGE2)
NORMAL = Prediction(
    "films/b.jpeg",
    "ok",
    "balanced",
    "1.0.0",
    "normal",
    stage1=replace(
        STAGE1, probabilities={"normal": 0.9, "pneumonia": 0.1}, label="normal", prediction_set=("normal",)
    ),
)
REFUSED = Prediction(
    "c.png", "refused", "balanced", "1.0.0", reasons=(Reason("too_small", "The shorter side has 64 pixels."),)
)
UNREAD = Prediction("d.png", "error", "balanced", "1.0.0", error=Reason("empty_file", "the file is empty"))


def tone_of(picture: NDArray[np.uint8]) -> str:
    """Colour at the banner's left edge."""
    return "#" + "".join(f"{value:02x}" for value in picture[-3, 2])


def test_a_banner_breaks_no_line_between_number_and_sign() -> None:
    for space in range(60, 200, 5):
        lines = _wrap(f"of {percent(0.969)} and  {percent(0.031)}", 16, space)
        assert " ".join(lines) == "of 96.9 % and 3.1 %"
        assert not any(line.startswith("%") for line in lines)


@pytest.mark.parametrize("prediction", [VIRAL, NORMAL, REFUSED, UNREAD])
def test_banner_leaves_the_picture_and_shows_the_tone(
    prediction: Prediction, chest: NDArray[np.uint8]
) -> None:
    picture = with_banner(chest, prediction)
    height, width = chest.shape
    assert picture.shape[1:] == (width, 3)
    assert np.array_equal(picture[:height, :, 1], chest)
    assert tone_of(picture) == TONES[verdict_of(prediction).tone]
    banner = picture[height:]
    assert (banner.min(axis=2) > 200).sum() > 500  # bright letters on the dark banner


def test_banner_enlarges_narrow_pictures_by_repeating_pixels() -> None:
    coloured = steps_of(read_radiograph(draw_chest()), SPEC).coloured
    picture = with_banner(coloured, VIRAL)
    assert picture.shape[1] == 448
    assert np.array_equal(picture[:448:2, ::2], coloured)


def test_longer_reasons_make_a_higher_banner(chest: NDArray[np.uint8]) -> None:
    long = replace(REFUSED, reasons=REFUSED.reasons * 5)
    assert with_banner(chest, long).shape[0] > with_banner(chest, REFUSED).shape[0]


def test_steps_shown_are_those_of_the_model() -> None:
    steps = steps_of(read_radiograph(draw_chest()), SPEC)
    shown = step_pictures(steps, SPEC)
    assert [step.caption for step in shown] == ["Grey", "CLAHE", "CLAHE + hot"]
    assert shown[0].picture is steps.grey
    assert shown[2].picture is steps.coloured
    picture = steps_picture(shown)
    assert picture.shape == (448 + 52, 3 * (448 + 16), 3)
    assert np.array_equal(picture[8:456:2, 8:456:2, 0], steps.grey)
    assert np.array_equal(picture[8:456:2, -456:-8:2], steps.coloured)


def test_a_recipe_without_steps_shows_none() -> None:
    spec = for_recipe(1, "baseline")
    steps = steps_of(read_radiograph(draw_chest()), spec)
    assert [step.caption for step in step_pictures(steps, spec)] == ["Grey"]


def test_film_keeps_its_aspect_ratio_beside_the_square() -> None:
    film = read_radiograph(draw_chest(height=300, width=600))
    picture = film_beside_steps(film, steps_of(film, SPEC).coloured)
    assert picture.shape == (448, 896 + 448, 3)


@pytest.mark.parametrize("shape", [(2000, 100), (100, 4000)])
def test_odd_films_give_pictures_of_bearable_size(shape: tuple[int, int]) -> None:
    film = read_radiograph(draw_chest(height=shape[0], width=shape[1]))
    assert film_beside_steps(film, steps_of(film, SPEC).coloured).shape[1] <= 5 * 448


def test_save_pictures_writes_what_it_names(chest: NDArray[np.uint8], tmp_path: Path) -> None:
    film = read_radiograph(chest, "films/a.jpeg")
    folder = tmp_path / "new" / "pictures"
    paths = save_pictures(VIRAL, film, SPEC, folder)
    assert sorted(folder.iterdir()) == sorted(paths)
    assert [path.name.rsplit("-", 1)[1] for path in paths] == ["steps.png", "verdict.png"]
    for path in paths:
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert image.size[0] >= 896


def test_films_of_one_name_do_not_overwrite_one_another(chest: NDArray[np.uint8], tmp_path: Path) -> None:
    film = read_radiograph(chest)
    other = read_radiograph(draw_chest(seed=5))
    written = [
        *save_pictures(replace(VIRAL, source="one/film.png"), film, SPEC, tmp_path),
        *save_pictures(replace(VIRAL, source="two/film.png"), film, SPEC, tmp_path),
        *save_pictures(replace(VIRAL, source="array"), film, SPEC, tmp_path),
        *save_pictures(replace(VIRAL, source="array"), other, SPEC, tmp_path),
    ]
    assert len(set(written)) == len(list(tmp_path.iterdir())) == 8
    again = save_pictures(replace(VIRAL, source="one/film.png"), film, SPEC, tmp_path)
    assert again == written[:2]
    assert len(list(tmp_path.iterdir())) == 8


@given(st.text(max_size=300))
def test_names_are_safe_whatever_the_source(source: str) -> None:
    film = read_radiograph(draw_chest(height=40, width=40))
    stem = safe_stem(replace(VIRAL, source=source), film)
    assert stem.isascii()
    assert stem[0] not in "-._"
    assert not set(stem) & set('./\\:*?"<>| \n\0')
    assert len(stem) <= 80


@pytest.mark.parametrize("source", ["../../etc/passwd", "..\\..\\a.png", "/etc/..", ".", "a/../../b.png"])
def test_names_do_not_climb_out_of_the_folder(source: str, chest: NDArray[np.uint8], tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    paths = save_pictures(replace(VIRAL, source=source), read_radiograph(chest), SPEC, folder)
    assert all(path.resolve().parent == folder.resolve() for path in paths)
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_a_folder_that_cannot_be_made_is_a_usage_error(chest: NDArray[np.uint8], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="pictures cannot be written"):
        save_pictures(VIRAL, read_radiograph(chest), SPEC, tmp_path / "file")


def test_pictures_of_a_real_answer(cascade: Cascade, chest_png: Path, tmp_path: Path) -> None:
    film = read_radiograph(chest_png)
    prediction = cascade.predict(film)
    ran = [stage for stage in (prediction.stage1, prediction.stage2) if stage is not None]
    maps = sum(stage.activation_map is not None for stage in ran)
    assert len(save_pictures(prediction, film, cascade.stage1.spec, tmp_path)) == 2 + maps


@pytest.mark.parametrize("name", sorted(MEASURES))
def test_plots_take_their_ink_from_the_page(name: str, chest: NDArray[np.uint8]) -> None:
    shown = step_pictures(steps_of(read_radiograph(chest), SPEC), SPEC)
    plots = distribution_plots(shown, name)
    assert len(plots) == 3
    for plot, step in zip(plots, shown, strict=True):
        assert plot.startswith("<svg")
        assert "currentColor" in plot
        assert "#010203" not in plot
        assert f">{step.caption}<" in plot
        assert MEASURES[name].unit in plot
        assert 'href="http' not in plot
    assert plots == distribution_plots(shown, name)
    for plot in plots:
        told = [float(share) for share in re.findall(r": ([\d.]+) % of pixels</title>", plot)]
        assert len(told) == BINS
        assert told[-1] == 100 if MEASURES[name].cumulative else sum(told) == pytest.approx(100, abs=4)
    with speaking("de"):
        assert all(plot.count(" % der Pixel</title>") == BINS for plot in distribution_plots(shown, name))
