"""The shift suite on films whose answers follow from their brightness."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pneumocascade import Cascade, Radiograph, steps_of
from pneumocascade.datasets.films import LabelledFilm, count_by_category, find_films
from pneumocascade.errors import DataSetError
from pneumocascade.evaluation.shift_conditions import CLEAN_CONDITION, CONDITIONS, SHIFTS, Condition, Shift
from pneumocascade.evaluation.shift_suite import (
    SHIFT_FILE,
    choose_films,
    evaluate_shift,
    judge_shifted,
    measure_stage,
    shifted_films,
)
from pneumocascade.model.spec import for_recipe
from tests.conftest import draw_chest
from tests.evaluation.conftest import draw_film


def darkened() -> list[Condition]:
    shift = next(shift for shift in SHIFTS if shift.name == "darker")
    return [CLEAN_CONDITION, *(Condition(shift, strength) for strength in shift.strengths)]


@pytest.mark.parametrize("condition", CONDITIONS[1:], ids=str)
def test_a_condition_changes_a_film_the_same_way_each_time(condition: Condition) -> None:
    film, donor = draw_chest(1, 224, 200), draw_chest(2, 180, 224) // 2
    changed, again = (condition.apply(film, donor, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(changed, again)
    assert changed.dtype == np.uint8
    assert changed.shape != film.shape or (changed != film).any()


@pytest.mark.parametrize("shift", SHIFTS, ids=lambda shift: shift.name)
def test_the_strengths_are_graded(shift: Shift) -> None:
    film, donor = draw_chest(1, 224, 224), draw_chest(2, 224, 224) // 2
    spec = for_recipe(1, "baseline", smoothing_sigma=0)

    def seen(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return steps_of(Radiograph(pixels, "film"), spec).grey

    distances = [
        np.abs(seen(changed).astype(float) - seen(film)).mean()
        for strength in shift.strengths
        for changed in [shift.change(film, strength, donor, np.random.default_rng(3))]
    ]
    assert distances == sorted(distances)
    assert len(set(distances)) == 3


def test_one_film_a_patient_in_the_proportions_there_are() -> None:
    films = [
        LabelledFilm(
            Path(f"p{patient}-{n}"),
            f"p{patient}-{n}",
            "normal" if patient % 4 == 0 else "pneumonia",
            None,
            f"p{patient}",
        )
        for patient in range(100)
        for n in range(3)
    ]
    chosen = choose_films(films, 40)
    assert len({film.patient for film in chosen}) == len(chosen) == 40
    assert sum(film.finding == "normal" for film in chosen) == 10
    assert chosen == choose_films(films, 40) != choose_films(films, 40, seed=1)
    assert len(choose_films(films, 1000)) == 100


def test_no_more_films_are_chosen_than_asked_for() -> None:
    films = [
        LabelledFilm(Path(f"{n}"), f"{n}", "pneumonia" if kind else "normal", kind, f"p{n}")
        for n, kind in enumerate([None] * 7 + ["bacterial"] * 7 + ["viral"] * 6)
    ]
    sizes = [len(choose_films(films, limit)) for limit in range(22)]
    assert all(limit - 1 <= size <= limit for limit, size in enumerate(sizes))
    assert (sizes[1], sizes[5], sizes[20]) == (1, 5, 20)
    assert count_by_category(choose_films(films, 3)) == {"bacterial": 1, "normal": 1, "viral": 1}
    assert choose_films([], 3) == []


def test_films_that_cannot_be_judged_are_left_out(bright_films: Path) -> None:
    pairs = list(shifted_films(find_films(bright_films), [CLEAN_CONDITION]))
    assert len(pairs) == 8
    assert all(radiographs[0].source == str(film.path) for film, radiographs in pairs)


def test_darker_films_are_called_normal(bright_films: Path, bright_cascade: Cascade) -> None:
    stages = judge_shifted(find_films(bright_films), bright_cascade, conditions=darkened())
    first, second = (measure_stage(stage) for stage in stages)
    assert (first["n"], second["n"]) == (8, 4)
    assert [row["strength"] for row in first["conditions"]] == [0, 0.1, 0.2, 0.3]
    clean, *dark = first["conditions"]
    # Clean: 1 of 3 normal films is called pneumonia, and 3 of 5 pneumonia films are.
    assert (clean["specificity"], clean["sensitivity"]) == (pytest.approx(2 / 3), pytest.approx(3 / 5))
    assert [row["specificity"] for row in dark] == pytest.approx([2 / 3, 1, 1])
    assert [row["sensitivity"] for row in dark] == pytest.approx([3 / 5, 2 / 5, 2 / 5])
    assert first["summary"]["sensitivity"] == {
        "clean": pytest.approx(0.6),
        "mean": pytest.approx((3 / 5 + 2 / 5 + 2 / 5) / 3),
        "worst": pytest.approx(0.4),
        "under": "darker 0.2",
    }
    assert first["summary"]["ece"]["worst"] >= first["summary"]["ece"]["mean"]


def test_the_report_is_written(bright_films: Path, bright_cascade: Cascade, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    report = evaluate_shift(
        find_films(bright_films),
        bright_cascade,
        tmp_path,
        progress=lambda done, films: told.append((done, films)),
    )
    assert json.loads((tmp_path / SHIFT_FILE).read_text()) == report
    assert len(report["stage1"]["conditions"]) == len(CONDITIONS)
    for stage in ("stage1", "stage2"):
        assert (tmp_path / f"shift_{stage}.png").read_bytes().startswith(b"\x89PNG")
    assert told


def test_no_film_is_an_error(bright_cascade: Cascade, tmp_path: Path) -> None:
    draw_film(tmp_path / "NORMAL/IM-0001-0001.png", 0.5, contrast=1, side=40)
    with pytest.raises(DataSetError, match="none of the films"):
        judge_shifted(find_films(tmp_path), bright_cascade, conditions=[CLEAN_CONDITION])
