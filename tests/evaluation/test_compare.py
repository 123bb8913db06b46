from __future__ import annotations

import codecs
import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pneumocascade import Cascade, DataSetError, UsageError
from pneumocascade.datasets.films import find_films
from pneumocascade.evaluation.answers import AnswerSet, FilmAnswer, answers_of_models, read_answers
from pneumocascade.evaluation.bootstrap import exact_interval
from pneumocascade.evaluation.compare import compare_answers
from pneumocascade.evaluation.comparison_report import short_source, texts_of_tests, write_comparison
from pneumocascade.evaluation.evaluate import evaluate
from pneumocascade.evaluation.match_answers import match_answers
from pneumocascade.evaluation.metrics import stage_figures
from pneumocascade.types import DISCLAIMER

pytestmark = pytest.mark.usefixtures("charts_undrawn")


def answer(source: str, pneumonia: float, viral: float | None = None) -> FilmAnswer:
    """Return an answer at thresholds of 0.5; the truth is in the name, as in the data set."""
    name = source.rsplit("/", 1)[-1]
    aetiology = "bacterial" if "bacteria" in name else "viral" if "virus" in name else None
    finding = "pneumonia" if pneumonia >= 0.5 else "normal"
    label = None if viral is None else "viral" if viral >= 0.5 else "bacterial"
    ill = name.startswith("person")
    return FilmAnswer(
        source,
        name.split("_")[0],
        "pneumonia" if ill else "normal",
        aetiology,
        "ok",
        pneumonia=pneumonia,
        viral=viral if ill else None,
        finding=finding,
        aetiology=label if finding == "pneumonia" else None,
        stage2_label=label if ill else None,
    )


def answer_set(name: str, *answers: FilmAnswer) -> AnswerSet:
    return AnswerSet(name, "1.0", "balanced", answers)


def drawn_sets(count: int, seed: int = 0) -> tuple[AnswerSet, AnswerSet]:
    """Return the answers of a worse and of a better model to films of ``count`` patients, two of each."""
    rng = np.random.default_rng(seed)
    sides: tuple[list[FilmAnswer], list[FilmAnswer]] = ([], [])
    for patient in range(count):
        kind = ("IM{}_{}", "person{}_bacteria_{}", "person{}_virus_{}")[patient % 3]
        hard = rng.normal()
        for film in range(2):
            source = f"d/{kind.format(patient, film)}.png"
            for side, noise in zip(sides, (1.5, 0.5), strict=True):
                ill, viral = (float(sign) for sign in (patient % 3 > 0, patient % 3 == 2))
                one, two = (
                    1 / (1 + np.exp(-(4 * truth - 2 + hard + noise * rng.normal()))) for truth in (ill, viral)
                )
                side.append(answer(source, float(one), float(two)))
    return answer_set("worse", *sides[0]), answer_set("better", *sides[1])


def test_figures_worked_out_by_hand() -> None:
    first = answer_set(
        "a",
        answer("d/IM1_1.png", 0.1),
        answer("d/IM2_1.png", 0.6, 0.1),
        answer("d/person1_bacteria_1.png", 0.9, 0.2),
        answer("d/person2_bacteria_1.png", 0.4, 0.3),
        answer("d/person3_virus_1.png", 0.8, 0.4),
    )
    second = answer_set(
        "b",
        answer("d/IM1_1.png", 0.2),
        answer("d/IM2_1.png", 0.3),
        answer("d/person1_bacteria_1.png", 0.9, 0.1),
        answer("d/person2_bacteria_1.png", 0.7, 0.6),
        answer("d/person3_virus_1.png", 0.2, 0.9),
    )
    report = compare_answers(first, second, resamples=0).report
    stage1 = report["stage1"]["figures"]
    assert (stage1["accuracy"]["a"]["value"], stage1["accuracy"]["b"]["value"]) == (0.6, 0.8)
    assert stage1["accuracy"]["difference"] == {"value": 0.2, "ci95": None, "n": 5}
    assert stage1["accuracy"]["mcnemar"] == {
        "both_right": 2,
        "only_a_right": 1,
        "only_b_right": 2,
        "both_wrong": 0,
        "p": 1.0,
    }
    # A: normal .1 .6 below pneumonia .9 .4 .8 in five of six pairs. B: .2 .3 below .9 .7 .2 in 4.5.
    assert stage1["auroc"]["a"]["value"] == pytest.approx(5 / 6, abs=1e-6)
    assert stage1["auroc"]["delong"]["difference"] == pytest.approx(-0.5 / 6, abs=1e-6)
    assert stage1["specificity"]["difference"] == {"value": 0.5, "ci95": None, "n": 2}
    stage2 = report["stage2"]["figures"]
    assert [stage2["accuracy"][side]["value"] for side in "ab"] == pytest.approx([2 / 3, 2 / 3], abs=1e-6)
    cascade = report["cascade"]["figures"]
    assert [cascade["accuracy"][side]["value"] for side in "ab"] == [0.4, 0.6]
    assert report["answers_differ"] == [
        {"source": "d/IM2_1.png", "truth": "normal", "a": "bacterial", "b": "normal"},
        {"source": "d/person2_bacteria_1.png", "truth": "bacterial", "a": "normal", "b": "viral"},
        {"source": "d/person3_virus_1.png", "truth": "viral", "a": "bacterial", "b": "normal"},
    ]


def test_intervals_are_paired() -> None:
    """The difference of models that err on the same films is known better than either figure."""
    worse, better = drawn_sets(90)
    figures = compare_answers(worse, better, resamples=400).report["stage1"]["figures"]
    auroc = figures["auroc"]
    low, high = auroc["difference"]["ci95"]
    assert 0 < low < auroc["difference"]["value"] < high
    assert auroc["difference"]["value"] == pytest.approx(auroc["b"]["value"] - auroc["a"]["value"], abs=2e-6)
    widths = [auroc[side]["ci95"][1] - auroc[side]["ci95"][0] for side in "ab"]
    assert high - low < np.hypot(*widths)
    # The figures of one side are those of evaluate.
    labels = np.array([film.true_finding == "pneumonia" for film in worse.answers], np.int64)
    probability = np.array([film.pneumonia for film in worse.answers], np.float64)
    patients = [film.patient for film in worse.answers]
    alone = stage_figures(labels, probability, 0.5, patients, resamples=0)
    assert {name: figure["a"]["value"] for name, figure in figures.items()} == {
        name: figure.to_dict()["value"] for name, figure in alone.items()
    }


def test_the_bootstrap_is_wider_than_delong_where_films_share_patients() -> None:
    worse, better = drawn_sets(60)
    doubled = [
        replace(
            each,
            answers=tuple(
                replace(film, source=f"{copy}{film.source}") for film in each.answers for copy in range(4)
            ),
        )
        for each in (worse, better)
    ]
    auroc = compare_answers(*doubled, resamples=300).report["stage1"]["figures"]["auroc"]
    over_patients = auroc["difference"]["ci95"]
    as_independent = auroc["delong"]["ci95"]
    assert over_patients[1] - over_patients[0] > 1.5 * (as_independent[1] - as_independent[0])


def test_equal_models_differ_by_no_more_than_their_films_allow() -> None:
    worse, _ = drawn_sets(30)
    figures = compare_answers(worse, worse, resamples=50).report["stage1"]["figures"]
    farthest = exact_interval(0, 10)[1]  # every third patient is normal
    assert figures["specificity"]["difference"]["value"] == 0
    assert figures["specificity"]["difference"]["ci95"] == pytest.approx([-farthest, farthest], abs=1e-6)
    assert figures["auroc"]["difference"] == {"value": 0, "ci95": None, "n": 60}
    assert texts_of_tests({"figures": figures})["auroc"] == ("-", "")
    assert texts_of_tests({"figures": figures})["specificity"] == ("1.000", "0 : 0")


def test_films_are_matched_by_source_and_by_folder_and_name() -> None:
    one, two, three = "d/NORMAL/IM1_1.png", "d/NORMAL/IM2_1.png", "d/PNEUMONIA/person1_virus_1.png"
    first = answer_set("a", *(answer(name, 0.2, 0.2) for name in (one, two, three, "d/NORMAL/IM5_1.png")))
    second = answer_set(
        "b",
        answer(one, 0.3),
        answer("/elsewhere/NORMAL/IM2_1.png", 0.4),
        replace(answer(three, 0.5, 0.5), true_aetiology="bacterial"),
        answer("x/NORMAL/IM9_1.png", 0.1),
        answer("y/NORMAL/IM9_1.png", 0.1),
    )
    windows = answer("C:\\films\\NORMAL\\IM5_1.png", 0.1)
    found = match_answers(first, answer_set("b", windows)).pairs
    assert [b.source for _, b in found] == [windows.source]
    assert short_source(windows.source) == "NORMAL/IM5_1.png"
    matched = match_answers(first, second)
    assert [(a.source, b.source) for a, b in matched.pairs] == [
        (one, one),
        (two, "/elsewhere/NORMAL/IM2_1.png"),
    ]
    assert matched.only_a == ("d/NORMAL/IM5_1.png",)
    assert matched.only_b == ("x/NORMAL/IM9_1.png", "y/NORMAL/IM9_1.png")
    assert matched.truth_differs == (three,)
    with pytest.raises(DataSetError, match="no film is in both a and b"):
        match_answers(first, answer_set("b", answer("e/NORMAL/IM7_1.png", 0.1)))


def test_films_that_one_side_refused_are_named_and_count_for_neither() -> None:
    films = [answer(f"d/IM{number}_1.png", 0.1 + 0.1 * number) for number in range(4)]
    refused = replace(films[3], status="refused", code="blank", pneumonia=None, finding=None)
    report = compare_answers(
        answer_set("a", *films), answer_set("b", *films[:3], refused), resamples=0
    ).report
    assert report["without_answer"] == [{"source": "d/IM3_1.png", "a": "ok", "b": "refused blank"}]
    assert report["films"] == {"matched": 4, "answered_by_both": 3, "patients": 3}
    assert report["stage1"]["figures"]["accuracy"]["a"] == {"value": 1.0, "ci95": None, "n": 3}
    assert report["stage2"] == {
        "n": 0,
        "patients": 0,
        "figures": {},
        "reason": "no film has a known aetiology and an answer by both",
    }
    assert "no film of bacterial, viral" in report["cascade"]["reason"]
    assert (report["cascade"]["n"], report["cascade"]["patients"]) == (3, 3)


def test_models_and_their_predictions_are_the_same(
    bright_films: Path, bright_cascade: Cascade, tmp_path: Path
) -> None:
    evaluate(bright_films, bright_cascade, tmp_path / "out", operating_point="specific", resamples=0)
    read = read_answers(tmp_path / "out" / "predictions.csv")
    asked = answers_of_models(find_films(bright_films), bright_cascade, "specific", name="models")
    assert read.answers == asked.answers
    path = tmp_path / "out" / "predictions.csv"
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    assert read_answers(path) == read, "as Excel saves it"
    assert (read.name, read.model_version, read.operating_point) == (
        "out/predictions.csv",
        "7.8.9",
        "specific",
    )
    balanced = answers_of_models(find_films(bright_films), bright_cascade, "balanced", name="models")
    report = compare_answers(balanced, read, resamples=0).report
    assert report["stage1"]["figures"]["auroc"]["difference"]["value"] == 0
    # At .9 the normal film of brightness .6 is right, and so is no pneumonia film below .61.
    assert report["stage1"]["figures"]["specificity"]["difference"]["value"] == pytest.approx(1 / 3, abs=1e-6)
    assert len(report["without_answer"]) == 4
    assert {film["a"] for film in report["without_answer"]} == {
        "refused blank",
        "refused too_small; blank",
        "error unreadable_image",
        "error empty_file",
    }


def test_what_is_no_file_of_answers_says_why(tmp_path: Path) -> None:
    good = {
        "source": "IM1.png", "status": "ok", "finding": "normal", "probability_pneumonia": "0.1",
        "operating_point": "balanced", "model_version": "1", "true_finding": "normal", "patient": "IM1",
    }  # fmt: skip
    columns = [*good, "aetiology", "stage2_threshold", "code", "true_aetiology", "stage2_probability_viral"]
    path = tmp_path / "predictions.csv"

    def write(*rows: dict[str, str], columns: list[str] = columns) -> Path:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        return path

    assert read_answers(write(good)).answers[0].pneumonia == 0.1
    for rows, complaint in (
        ([], "holds no answers"),
        ([good, good], "names IM1.png twice"),
        ([good | {"probability_pneumonia": "much"}], "line 2: probability_pneumonia is 'much'"),
        ([good | {"probability_pneumonia": "nan"}], "expected a number from 0 to 1"),
        ([good | {"true_finding": "ill"}], "line 2: true_finding"),
        ([good, good | {"source": "b", "model_version": "2"}], "several values of model_version: 1, 2"),
    ):
        with pytest.raises(DataSetError, match=complaint):
            read_answers(write(*rows))
    with pytest.raises(DataSetError, match="no column patient"):
        read_answers(write(good, columns=[name for name in columns if name != "patient"]))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataSetError, match="cannot be read as CSV"):
        read_answers(path)
    with pytest.raises(DataSetError, match="cannot be read as CSV"):
        read_answers(tmp_path / "nothing.csv")


def test_the_page_is_one_file_and_tells_no_path(tmp_path: Path) -> None:
    worse, better = drawn_sets(30)
    elsewhere = [
        replace(each, answers=tuple(replace(film, source=f"/home/me/{film.source}") for film in each.answers))
        for each in (worse, better)
    ]
    comparison = compare_answers(replace(elsewhere[0], name="<b>"), elsewhere[1], resamples=30)
    write_comparison(comparison, tmp_path / "new" / "out")
    assert json.loads((tmp_path / "new/out/comparison.json").read_text()) == comparison.report
    page = (tmp_path / "new/out/comparison.html").read_text(encoding="utf-8")
    links = re.findall(r'(?:src|srcset|href)="([^"]{0,30})', page)
    assert len(links) == 4
    assert all(link.startswith("data:image/png;base64,") for link in links)
    assert page.count("alt=") == 2
    assert DISCLAIMER in page
    assert comparison.report["note"].replace("'", "&#39;") in page
    assert "/home/me" not in page
    assert "<b>" not in page
    difference = comparison.report["stage1"]["figures"]["auroc"]["difference"]
    assert f"{difference['value']:+.3f}" in page
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="cannot be made"):
        write_comparison(comparison, tmp_path / "file")
    with pytest.raises(UsageError, match="resamples is -1"):
        compare_answers(worse, better, resamples=-1)
