from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pneumocascade import Cascade, Radiograph
from pneumocascade.datasets.films import find_films
from pneumocascade.evaluation.evaluate import evaluate
from pneumocascade.evaluation.gallery import SHOWN, SIDE, galleries_of, thumbnail
from pneumocascade.evaluation.judge_films import judge_films
from tests.evaluation.conftest import draw_film
from tests.evaluation.test_subgroups import judged_film

pytestmark = pytest.mark.usefixtures("charts_undrawn")


@pytest.mark.parametrize("shape", [(1000, 500), (500, 2000), (60, 40), (3000, 2)])
def test_thumbnails_are_small_and_keep_their_shape(shape: tuple[int, int]) -> None:
    pixels = np.tile(np.linspace(0, 65535, shape[1]).astype(np.uint16), (shape[0], 1))
    picture = thumbnail(Radiograph(pixels, "film"))
    with Image.open(io.BytesIO(picture)) as opened:
        width, height = opened.size
        grey = np.asarray(opened.convert("L"))
    assert max(width, height) == min(SIDE, max(shape))
    assert width / height == pytest.approx(shape[1] / shape[0], abs=0.02)
    assert grey[0, 0] < 10 or width == 1
    assert grey[0, -1] > 245 or width == 1
    assert len(picture) < 10_000


def test_the_surest_errors_come_first(bright_films: Path, bright_cascade: Cascade) -> None:
    galleries = galleries_of(list(judge_films(find_films(bright_films), bright_cascade, "balanced")))
    assert {gallery.title: [film.name for film in gallery.films] for gallery in galleries} == {
        "Normal, called pneumonia by stage 1": ["IM-0002-0001"],
        "Pneumonia, called normal by stage 1": ["person3_virus_2", "person1_bacteria_2"],
        "Viral, called bacterial by stage 2": ["person3_virus_2"],
        "Refused by the gate": ["IM-0003-0001", "person5_virus_1"],
        "Could not be read": ["IM-0004-0001", "person6_virus_1"],
    }
    wrong, missed, *_, refused, unreadable = galleries
    assert wrong.films[0].answer == "probability of pneumonia 0.881"  # 1 / (1 + exp(-20 (.6 - .5)))
    assert missed.films[0].truth == "viral"
    assert all(
        film.thumbnail.startswith("data:image/webp;base64,") for film in (*wrong.films, *refused.films)
    )
    assert "pixels" in refused.films[0].answer
    assert [film.thumbnail for film in unreadable.films] == ["", ""]


def test_films_that_are_right_have_no_thumbnail(bright_films: Path, bright_cascade: Cascade) -> None:
    judged = {row.film.name: row for row in judge_films(find_films(bright_films), bright_cascade, "balanced")}
    assert {name for name, row in judged.items() if row.thumbnail is not None} == {
        "IM-0002-0001",
        "person1_bacteria_2",
        "person3_virus_2",
        "person5_virus_1",
        "IM-0003-0001",
    }


def test_a_gallery_is_bounded_and_shows_warnings() -> None:
    judged = [judged_film(f"IM-{number:04}-0001", 0.6 + number / 1000) for number in range(SHOWN + 6)]
    first = judged[-1]
    judged[-1] = replace(first, prediction=replace(first.prediction, warnings=("unlike the films",)))
    (gallery,) = galleries_of(judged)
    assert (gallery.count, len(gallery.films)) == (SHOWN + 6, SHOWN)
    assert gallery.films[0].name == f"IM-{SHOWN + 5:04}-0001"
    assert gallery.films[0].remarks == ("unlike the films",)


def test_names_in_a_gallery_are_no_markup(bright_cascade: Cascade, tmp_path: Path) -> None:
    draw_film(tmp_path / "films" / "NORMAL" / "<b>bold.png", 0.8)
    evaluate(tmp_path / "films", bright_cascade, tmp_path / "out", resamples=0)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<b>" not in page
    assert "&lt;b&gt;bold" in page
    assert "Normal, called pneumonia by stage 1: 1 film<" in page
