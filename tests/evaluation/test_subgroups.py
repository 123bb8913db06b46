from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from pneumocascade import Cascade, Prediction, StageResult
from pneumocascade.datasets.films import LabelledFilm, find_films, patient_of
from pneumocascade.evaluation.evaluate import evaluate
from pneumocascade.evaluation.judge_films import JudgedFilm, Traits, judge_films
from pneumocascade.evaluation.results import weights_by_patient
from pneumocascade.evaluation.subgroups import (
    ASPECT,
    FILMS,
    GROUPS,
    RESOLUTION,
    TITLES,
    Bins,
    measure_by_patient,
    measure_subgroups,
)
from pneumocascade.model.spec import ModelSpec
from tests.evaluation.conftest import brightness_spec, lay_out_films, make_cascade

pytestmark = pytest.mark.usefixtures("charts_undrawn")

SPECS = (brightness_spec(1), brightness_spec(2))


def film_of(name: str) -> LabelledFilm:
    aetiology = "bacterial" if "bacteria" in name else "viral" if "virus" in name else None
    finding = "pneumonia" if name.startswith("person") else "normal"
    return LabelledFilm(Path(f"{name}.png"), name, finding, aetiology, patient_of(name))


def judged_film(name: str, pneumonia: float, viral: float = 0.0, traits: Traits | None = None) -> JudgedFilm:
    """Return a film with the answers of both stages at thresholds of 0.5."""

    def result(spec: ModelSpec, probability: float) -> StageResult:
        probabilities = dict(zip(spec.labels, (1 - probability, probability), strict=True))
        label = spec.labels[int(probability >= 0.5)]
        return StageResult(probabilities, label, 0.5, (label,))

    film = film_of(name)
    stage1, stage2 = result(SPECS[0], pneumonia), result(SPECS[1], viral)
    ill = stage1.label == "pneumonia"
    prediction = Prediction(
        film.name,
        "ok",
        "balanced",
        "7.8.9",
        finding=stage1.label,
        aetiology=stage2.label if ill else None,
        stage1=stage1,
        stage2=stage2 if ill else None,
    )
    own = stage2 if film.finding == "pneumonia" else None
    return JudgedFilm(film, prediction, own, traits or Traits(224, 224, None, 4.0))


def value(figure: dict[str, Any]) -> float | None:
    found: float | None = figure["value"]
    return found


@pytest.mark.parametrize(
    ("bins", "number", "name"),
    [
        (RESOLUTION, 224, "below 256"),
        (RESOLUTION, 256, "256 to 511"),
        (RESOLUTION, 511, "256 to 511"),
        (RESOLUTION, 999, "512 to 999"),
        (RESOLUTION, 1000, "1000 or more"),
        (ASPECT, 1.0, "below 1.2"),
        (ASPECT, 1.2, "1.2 to 1.39"),
        (ASPECT, 7.0, "1.6 or more"),
        (FILMS, 1, "1"),
        (FILMS, 3, "2 or 3"),
        (FILMS, 4, "4 or more"),
    ],
)
def test_ranges(bins: Bins, number: float, name: str) -> None:
    assert bins.name_of(number) == name


def test_every_grouping_has_a_title() -> None:
    assert list(TITLES) == list(GROUPS)


def test_figures_worked_out_by_hand() -> None:
    small, large = Traits(200, 200, "top", 3.5), Traits(1200, 1800, "side", 5.0)
    judged = [
        judged_film("IM-0001-0001", 0.1, traits=small),
        judged_film("IM-0001-0002", 0.6, traits=small),
        judged_film("IM-0002-0001", 0.2, traits=large),
        judged_film("person1_bacteria_1", 0.9, 0.3, traits=small),
        judged_film("person1_bacteria_2", 0.3, 0.6, traits=small),
        judged_film("person1_virus_3", 0.8, 0.7, traits=small),
        judged_film("person2_virus_1", 0.7, 0.2, traits=large),
        judged_film("person3_4", 0.9, 0.9, traits=large),
    ]
    measured = measure_subgroups(judged, SPECS, "balanced", resamples=0)
    assert list(measured) == list(GROUPS)
    assert list(measured["aetiology"]) == ["normal", "bacterial", "viral", "pneumonia"]
    assert [value(part["stage1"]["called_pneumonia"]) for part in measured["aetiology"].values()] == (
        pytest.approx([1 / 3, 1 / 2, 1, 1], abs=1e-6)
    )
    assert [value(part["cascade"]["accuracy"]) for part in measured["aetiology"].values()] == [
        pytest.approx(2 / 3, abs=1e-6),
        0.5,
        0.5,
        None,
    ]
    top, side = measured["marker"]["at the top"], measured["marker"]["at the side"]
    assert top["films"] == {"n": 5, "patients": 2, "by_category": {"bacterial": 2, "normal": 2, "viral": 1}}
    # Normal .1 .6, pneumonia .9 .3 .8: five of six pairs in the right order.
    assert value(top["stage1"]["auroc"]) == pytest.approx(5 / 6, abs=1e-6)
    assert value(top["stage1"]["sensitivity"]) == pytest.approx(2 / 3, abs=1e-6)
    assert value(top["stage1"]["specificity"]) == 0.5
    assert value(top["stage2"]["auroc"]) == 1.0
    assert value(top["stage2"]["accuracy"]) == pytest.approx(2 / 3, abs=1e-6)
    assert value(top["cascade"]["accuracy"]) == pytest.approx(3 / 5)
    assert side["stage2"]["auroc"] == {
        "value": None,
        "ci95": None,
        "n": 1,
        "reason": "there is no bacterial film",
    }
    assert list(measured["marker"]) == ["at the top", "at the side"]
    assert {name: part["films"]["n"] for name, part in measured["resolution"].items()} == {
        "below 256": 5,
        "1000 or more": 3,
    }
    assert {name: part["films"]["n"] for name, part in measured["aspect"].items()} == {
        "below 1.2": 5,
        "1.4 to 1.59": 3,
    }
    assert {name: part["films"]["n"] for name, part in measured["detail"].items()} == {
        "below 4": 5,
        "5 or more": 3,
    }
    # The films of person1 count together, whatever their category.
    assert {name: part["films"]["n"] for name, part in measured["films_per_patient"].items()} == {
        "1": 3,
        "2 or 3": 5,
    }


def test_a_patient_counts_once_in_each_category() -> None:
    films = [film_of(f"person1_bacteria_{number}") for number in range(4)]
    films += [film_of("person1_virus_9"), film_of("person2_bacteria_1")]
    assert weights_by_patient(films).tolist() == [0.25] * 4 + [1.0, 1.0]


def test_many_films_of_one_patient_weigh_as_one() -> None:
    judged = [judged_film(f"person1_bacteria_{number}", 0.9, 0.9) for number in range(8)]
    judged += [judged_film("person2_bacteria_1", 0.9, 0.1), judged_film("person3_virus_1", 0.9, 0.8)]
    weighted = measure_by_patient(judged, SPECS, "balanced", resamples=200)
    # Over films one of nine pairs is in the right order, over patients one of two.
    assert value(weighted["stage2"]["auroc"]) == pytest.approx(1 / 2)
    assert value(weighted["stage2"]["specificity"]) == pytest.approx(1 / 2)
    assert value(weighted["stage2"]["accuracy"]) == pytest.approx(2 / 3, abs=1e-6)
    assert value(weighted["cascade"]["accuracy"]) == pytest.approx(2 / 3, abs=1e-6)
    assert weighted["stage2"]["accuracy"]["n"] == 10
    low, high = weighted["stage2"]["accuracy"]["ci95"]
    assert low < 2 / 3 < high


def test_films_without_an_answer_are_in_no_subgroup(bright_films: Path, bright_cascade: Cascade) -> None:
    judged = list(judge_films(find_films(bright_films), bright_cascade, "balanced"))
    measured = measure_subgroups(judged, SPECS, "balanced", resamples=0)
    for grouping, parts in measured.items():
        assert sum(part["films"]["n"] for part in parts.values()) == 8, grouping


def test_the_report_shows_them(tmp_path: Path) -> None:
    metrics = evaluate(lay_out_films(tmp_path / "films"), make_cascade(), tmp_path / "out", resamples=20)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for title in TITLES.values():
        assert f"<th>{title}</th>" in page
    for parts in metrics["subgroups"].values():
        for name, part in parts.items():
            assert name == "pneumonia" or f'<th scope="row">{name}</th>' in page
            accuracy = value(part["cascade"]["accuracy"])
            assert accuracy is None or f"{accuracy:.3f}" in page
    weighted = value(metrics["patient_weighted"]["stage1"]["accuracy"])
    # The two films of one normal patient, both right, count as one, and so do those of person1: 3.5 of 6.
    assert weighted is not None
    assert math.isclose(weighted, 3.5 / 6, abs_tol=1e-6)
    assert f"{weighted:.3f}" in page


def test_intervals_are_over_patients_and_the_seed_decides() -> None:
    judged = [judged_film(f"IM-{number:04}-0001", 0.2 + 0.5 * (number % 3 == 0)) for number in range(12)]
    first, again, other = (
        measure_subgroups(judged, SPECS, "balanced", resamples=60, seed=seed)["aetiology"]["normal"]
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first["stage1"]["specificity"]["ci95"] is not None
    assert first["stage1"]["specificity"] != other["stage1"]["specificity"]
    assert first["stage1"]["called_pneumonia"]["ci95"] == pytest.approx(
        [1 - bound for bound in reversed(first["stage1"]["specificity"]["ci95"])], abs=2e-6
    )


def test_shares_of_all_or_none_have_exact_intervals() -> None:
    judged = [judged_film(f"IM-{number:04}-0001", 0.1) for number in range(12)]
    judged += [judged_film(f"person{number}_virus_1", 0.9, 0.9) for number in range(6)]
    aetiology = measure_subgroups(judged, SPECS, "balanced", resamples=30)["aetiology"]
    of_twelve, of_six = 0.025 ** (1 / 12), 0.025 ** (1 / 6)
    assert aetiology["normal"]["stage1"]["called_pneumonia"]["ci95"] == pytest.approx(
        [0, 1 - of_twelve], abs=1e-6
    )
    assert aetiology["viral"]["stage2"]["accuracy"]["ci95"] == pytest.approx([of_six, 1], abs=1e-6)
    weighted = measure_by_patient(judged, SPECS, "balanced", resamples=30)
    assert weighted["stage1"]["sensitivity"]["ci95"] == pytest.approx([of_six, 1], abs=1e-6)
    assert weighted["cascade"]["recall_normal"]["ci95"] == pytest.approx([of_twelve, 1], abs=1e-6)
