from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import failure_modes as benchmark
from pneumocascade.evaluation.judge_films import JudgedFilm
from tests.conftest import draw_chest
from tests.evaluation.test_subgroups import judged_film


@pytest.fixture
def judged() -> list[JudgedFilm]:
    return [
        judged_film("IM-0001-0001", 0.2),
        judged_film("IM-0002-0001", 0.7),
        judged_film("person1_bacteria_1", 0.9, 0.7),
        judged_film("person1_bacteria_2", 0.3, 0.9),
        judged_film("person2_bacteria_1", 0.8, 0.8),
        judged_film("person3_bacteria_1", 0.8, 0.1),
        judged_film("person4_virus_1", 0.8, 0.4),
        judged_film("person5_6", 0.8, 0.4),
    ]


def test_kinds_of_errors(judged: list[JudgedFilm]) -> None:
    counts = {}
    for kind in benchmark.KINDS:
        answers = benchmark.answers_of(kind, judged)
        counts[str(kind)] = (len(answers), sum(answer.wrong for answer in answers))
    assert counts == {
        "normal called pneumonia": (2, 1),
        "pneumonia called normal": (6, 1),
        "bacterial called viral": (4, 3),  # one of them was called normal by stage 1
        "viral called bacterial": (1, 1),  # aetiology of the last film is unknown
    }


def test_the_most_probable_wrong_answers_one_a_patient(judged: list[JudgedFilm]) -> None:
    answers = benchmark.answers_of(benchmark.KINDS[2], judged)
    worst = benchmark.worst_of(answers, 12)
    assert [answer.film.name for answer in worst] == ["person1_bacteria_2", "person2_bacteria_1"]
    assert len(benchmark.worst_of(answers, 1)) == 1


def test_shares_of_wrong_and_right_films(judged: list[JudgedFilm]) -> None:
    kind = benchmark.KINDS[2]
    answers = benchmark.answers_of(kind, judged)
    members = Counter(row.film.patient for row in judged)
    summary = benchmark.summary_of(kind, answers, benchmark.properties_of(kind, answers, members, None))
    assert (summary["films"], summary["wrong"], summary["patients"]) == (4, 3, 2)
    assert summary["shares"]["Films of the patient: 2 or 3"] == {"wrong": pytest.approx(0.6667), "right": 0.0}
    family = summary["shares"]["another film of the patient answered wrongly the same way"]
    assert family == {"wrong": pytest.approx(0.6667), "right": 0.0}
    # All films are of one size: nothing to compare.
    assert not any(name.startswith("Shorter side") for name in summary["shares"])


def test_a_sheet_shows_film_and_overlay(judged: list[JudgedFilm], tmp_path: Path) -> None:
    path = tmp_path / "person2_bacteria_1.png"
    cv2.imwrite(str(path), draw_chest(0, 300, 400))
    kind = benchmark.KINDS[2]
    answer = next(
        each for each in benchmark.answers_of(kind, judged) if each.film.name == "person2_bacteria_1"
    )
    # Something speaks for viral at the left of the film only.
    heat = np.repeat(np.linspace(8, -8, 5, dtype=np.float32)[None], 5, axis=0)
    shown = replace(
        answer,
        row=replace(answer.row, film=replace(answer.film, path=path)),
        result=replace(answer.result, activation_map=heat),
    )
    picture = benchmark.sheet(kind, [shown] * 7)
    side, gap = benchmark.SIDE, benchmark.GAP
    one = (side + benchmark.CAPTION + gap, 2 * side + 3 * gap)
    assert picture.shape == (2 * one[0], 6 * one[1], 3)
    film = picture[gap : gap + side * 3 // 4, gap : gap + side].astype(int)
    over = picture[gap : gap + side * 3 // 4, 2 * gap + side : 2 * (gap + side)].astype(int)
    assert np.ptp(film, axis=2).max() == 0
    assert np.abs(film - over)[:, : side // 4].max() > 20
    assert np.array_equal(film[:, -side // 4 :], over[:, -side // 4 :])
    assert not picture[one[0] :, one[1] :].any()
