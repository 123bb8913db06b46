from __future__ import annotations

from pathlib import Path

import pytest

from pneumocascade import Cascade, Radiograph, UsageError
from pneumocascade.datasets.films import find_films
from pneumocascade.datasets.perturbations import fine_detail
from pneumocascade.evaluation.judge_films import BATCH, judge_films, traits_of
from tests.conftest import draw_chest
from tests.evaluation.conftest import CountingClassifier, draw_film


def test_answers_are_those_of_the_cascade(bright_films: Path, bright_cascade: Cascade) -> None:
    films = find_films(bright_films)
    judged = list(judge_films(films, bright_cascade, "balanced"))
    assert [row.film for row in judged] == films
    for row in judged:
        alone = bright_cascade.predict(row.film.path)
        assert row.prediction.source == str(row.film.path)
        assert (row.prediction.status, row.prediction.reasons, row.prediction.error) == (
            alone.status,
            alone.reasons,
            alone.error,
        )
        assert (row.prediction.stage1, row.prediction.stage2) == (alone.stage1, alone.stage2)


def test_stage_2_judges_every_true_pneumonia_film_and_no_other(
    bright_films: Path, bright_cascade: Cascade
) -> None:
    judged = list(judge_films(find_films(bright_films), bright_cascade, "balanced"))
    labels = {row.film.name: row.stage2.label for row in judged if row.stage2 is not None}
    assert labels == {
        "person1_bacteria_1": "bacterial",
        "person1_bacteria_2": "bacterial",  # stage 1 says normal
        "person2_virus_1": "viral",
        "person3_virus_2": "bacterial",  # stage 1 says normal
        "person4_unknown_3": "viral",
    }


def test_no_film_goes_through_a_stage_twice(bright_films: Path, bright_cascade: Cascade) -> None:
    list(judge_films(find_films(bright_films), bright_cascade, "balanced"))
    assert isinstance(bright_cascade.stage1, CountingClassifier)
    assert isinstance(bright_cascade.stage2, CountingClassifier)
    assert bright_cascade.stage1.films == 8
    assert bright_cascade.stage2.films == 6  # five true pneumonia films, and a normal one called pneumonia


def test_progress_is_told_after_each_batch(tmp_path: Path, bright_cascade: Cascade) -> None:
    for number in range(BATCH + 2):
        draw_film(tmp_path / f"NORMAL/IM-{number:04}-0001.png", 0.2)
    told: list[tuple[int, int]] = []
    judged = judge_films(
        find_films(tmp_path), bright_cascade, "balanced", lambda done, films: told.append((done, films))
    )
    next(judged)
    assert told == []
    assert len(list(judged)) == BATCH + 1
    assert told == [(BATCH, BATCH + 2), (BATCH + 2, BATCH + 2)]


def test_an_unknown_operating_point_is_refused(bright_films: Path, bright_cascade: Cascade) -> None:
    with pytest.raises(UsageError, match="'lucky'"):
        list(judge_films(find_films(bright_films), bright_cascade, "lucky"))


def test_traits_are_those_of_the_film(bright_films: Path, bright_cascade: Cascade) -> None:
    row = next(judge_films(find_films(bright_films), bright_cascade, "balanced"))
    assert row.traits is not None
    assert (row.traits.height, row.traits.width, row.traits.marker) == (128, 128, None)
    assert row.traits.detail < 1, "a ramp has no detail"
    chest = draw_chest(0, 240, 300)
    traits = traits_of(Radiograph(chest, "chest"))
    assert (traits.height, traits.width) == (240, 300)
    assert traits.detail == fine_detail(chest) > 2
