from __future__ import annotations

import csv
import json
import math
import os
import re
import sys
from pathlib import Path
from typing import Any

import cv2
import pytest

from pneumocascade import Cascade, DataSetError, UsageError
from pneumocascade.datasets.films import find_films, fingerprint
from pneumocascade.evaluation.answers import answers_of_models, read_answers
from pneumocascade.evaluation.compare import compare_answers
from pneumocascade.evaluation.comparison_report import write_comparison
from pneumocascade.evaluation.evaluate import PREDICTION_COLUMNS, evaluate
from pneumocascade.evaluation.shift_conditions import CONDITIONS
from pneumocascade.evaluation.shift_suite import shifted_films
from pneumocascade.types import DISCLAIMER, ROW_COLUMNS
from tests.conftest import vary_example
from tests.evaluation.conftest import draw_film, lay_out_films, make_cascade

pytestmark = pytest.mark.usefixtures("charts_undrawn")

STAGE_FIGURES = ("auroc", "accuracy", "sensitivity", "specificity", "balanced_accuracy", "ece", "brier")
KINDS = ("roc", "reliability", "confusion", "precision_recall", "decision_curve")
PICTURES = {
    *(f"{kind}_stage{stage}.png" for kind in KINDS for stage in (1, 2)),
    "confusion_cascade.png",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder that an evaluation was written to, and what the evaluation returned."""
    folder = tmp_path_factory.mktemp("evaluation")
    output = folder / "new" / "report"
    return output, evaluate(lay_out_films(folder / "films"), make_cascade(), output, resamples=50)


def strict_json(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def values(part: dict[str, Any], names: tuple[str, ...]) -> list[float | None]:
    return [part[name]["value"] for name in names]


def rows_of(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        assert tuple(reader.fieldnames or ()) == PREDICTION_COLUMNS
        return {Path(row["source"]).stem: row for row in reader}


def test_figures_worked_out_by_hand(bright_films: Path, bright_cascade: Cascade) -> None:
    metrics = evaluate(bright_films, bright_cascade, resamples=50)
    names = ("auroc", "accuracy", "sensitivity", "specificity", "balanced_accuracy")
    # Brightness of normal films .2 .3 .6, of pneumonia films .6 .4 .9 .3 .8; pneumonia from .5.
    assert values(metrics["stage1"], names) == pytest.approx(
        [12 / 15, 5 / 8, 3 / 5, 2 / 3, (3 / 5 + 2 / 3) / 2], abs=1e-6
    )
    assert [metrics["stage1"][name]["n"] for name in names] == [8, 8, 5, 3, 8]
    # Bacterial .6 .4, viral .9 .3, all judged by stage 2 though stage 1 misses two; viral from .75.
    assert values(metrics["stage2"], names) == pytest.approx([0.5, 3 / 4, 1 / 2, 1.0, 3 / 4])
    assert metrics["stage2"]["confusion_matrix"] == [[2, 0], [1, 1]]
    probability = 1 / (1 + math.exp(-20 * (153 / 255 - 0.75)))  # brightness .6 is grey value 153
    gap = [
        probability,
        1 / (1 + math.exp(20 * 0.35)),
        1 / (1 + math.exp(-20 * 0.15)),
        1 / (1 + math.exp(20 * 0.45)),
    ]
    brier = (gap[0] ** 2 + gap[1] ** 2 + (1 - gap[2]) ** 2 + (1 - gap[3]) ** 2) / 4
    assert metrics["stage2"]["brier"]["value"] == pytest.approx(brier, abs=0.003)
    # The film of unknown aetiology is left out of the three-way figures.
    assert metrics["cascade"]["confusion_matrix"] == [[2, 1, 0], [1, 1, 0], [1, 0, 1]]
    assert values(metrics["cascade"], ("accuracy", "macro_f1")) == pytest.approx(
        [4 / 7, (4 / 7 + 1 / 2 + 2 / 3) / 3], abs=1e-6
    )
    assert metrics["cascade"]["accuracy"]["n"] == 7


def test_films_without_an_answer_are_counted_by_code(bright_films: Path, bright_cascade: Cascade) -> None:
    metrics = evaluate(bright_films, bright_cascade, resamples=0)
    assert metrics["refused"] == {
        "n": 4,
        "refused_by_gate": 2,
        "unreadable": 2,
        "by_code": {"blank": 2, "empty_file": 1, "too_small": 1, "unreadable_image": 1},
    }
    assert metrics["films"] == {
        "n": 12,
        "patients": 10,
        "by_category": {"bacterial": 2, "normal": 5, "pneumonia": 1, "viral": 4},
        "patients_from": {"name": 12},
        "left_out": {"n": 0, "by_reason": {}, "first": {}},
    }


def test_provenance(bright_films: Path, bright_cascade: Cascade) -> None:
    metrics = evaluate(bright_films, bright_cascade, operating_point="specific", resamples=20, seed=5)
    assert metrics["model_version"] == "7.8.9"
    assert metrics["operating_point"] == "specific"
    thresholds = [metrics[stage]["threshold"] for stage in ("stage1", "stage2")]
    assert thresholds == [0.9, 0.5], "stage 2 has one point"
    assert metrics["data"] == "films"
    readable = [film for film in find_films(bright_films) if film.path.suffix == ".png"]
    assert metrics["data_fingerprint"] == fingerprint(readable)
    assert (metrics["bootstrap"]["resamples"], metrics["bootstrap"]["seed"]) == (20, 5)


def test_the_files_written(written: tuple[Path, dict[str, Any]]) -> None:
    output, metrics = written
    assert {path.name for path in output.iterdir()} == PICTURES | {
        "metrics.json",
        "predictions.csv",
        "report.html",
    }
    assert strict_json((output / "metrics.json").read_text(encoding="utf-8")) == metrics
    for stage in ("stage1", "stage2"):
        for name in STAGE_FIGURES:
            assert set(metrics[stage][name]) == {"value", "ci95", "n"}
    for picture in PICTURES:
        assert (output / picture).read_bytes().startswith(b"\x89PNG")


def test_predictions_tell_answer_and_reference_standard(written: tuple[Path, dict[str, Any]]) -> None:
    assert PREDICTION_COLUMNS[: len(ROW_COLUMNS)] == ROW_COLUMNS
    rows = rows_of(written[0] / "predictions.csv")
    assert len(rows) == 12
    missed = rows["person1_bacteria_2"]
    assert (missed["finding"], missed["true_finding"], missed["true_aetiology"]) == (
        "normal",
        "pneumonia",
        "bacterial",
    )
    assert missed["probability_viral"] == ""  # stage 2 gave no answer to a reader,
    assert float(missed["stage2_probability_viral"]) < 0.01  # but was measured on the film
    assert missed["patient"] == "person1"
    found = rows["person2_virus_1"]
    assert found["stage2_probability_viral"] == found["probability_viral"]
    assert rows["person4_unknown_3"]["true_aetiology"] == ""
    assert rows["person4_unknown_3"]["stage2_probability_viral"] != ""
    assert rows["IM-0002-0001"]["stage2_probability_viral"] == ""
    assert rows["IM-0004-0001"]["code"] == "unreadable_image"


def test_the_report_is_one_file_for_everyone(written: tuple[Path, dict[str, Any]]) -> None:
    page = (written[0] / "report.html").read_text(encoding="utf-8")
    assert DISCLAIMER in page
    links = re.findall(r'(?:src|srcset|href)="([^"]{0,30})', page)
    plots = [link for link in links if link.startswith("data:image/png;base64,")]
    films = [link for link in links if link.startswith("data:image/webp;base64,")]
    assert (len(plots), len(films)) == (2 * len(PICTURES), len(links) - 2 * len(PICTURES))
    assert len(films) == 6  # three wrong by stage 1, one by stage 2, two refused
    assert "prefers-color-scheme: dark" in page
    assert page.count("alt=") == len(PICTURES) + len(films)
    assert 'name="viewport"' in page
    for told in ("0.625", "12 films of 10 patients", "unreadable_image", "2 refused by the gate"):
        assert told in page


def test_the_report_says_what_was_left_out_and_whose_patients_are_guessed(
    bright_cascade: Cascade, tmp_path: Path
) -> None:
    draw_film(tmp_path / "films/NORMAL/IM-0001-0001.png", 0.2)
    (tmp_path / "films/NORMAL/notes <1>.txt").write_text("no film")
    evaluate(tmp_path / "films", bright_cascade, tmp_path / "out", resamples=0)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<li>1 file is no film: NORMAL/notes &lt;1&gt;.txt</li>" in page
    assert "the patients of 1 of 1 films are guessed" in page


def test_names_of_folders_are_no_markup(bright_cascade: Cascade, tmp_path: Path) -> None:
    root = tmp_path / "<b>films"
    draw_film(root / "NORMAL/IM-0001-0001.png", 0.2)
    evaluate(root, bright_cascade, tmp_path / "out", resamples=0)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<b>" not in page
    assert "&lt;b&gt;films" in page


@pytest.mark.skipif(sys.platform != "linux", reason="file names are UTF-8 or UTF-16 elsewhere")
def test_names_may_be_other_than_utf_8_and_look_like_formulas(
    bright_cascade: Cascade, tmp_path: Path
) -> None:
    folder = tmp_path / os.fsdecode(b"r\xf6ntgen") / "NORMAL"
    names = {os.fsdecode(b"f\xfcnf"): "f\\udcfcnf", "=1+1": "'=1+1"}
    for number, name in enumerate(names):
        draw_film(tmp_path / "film.png", 0.2 + 0.1 * number)
        folder.mkdir(parents=True, exist_ok=True)
        (tmp_path / "film.png").rename(folder / f"{name}.png")
    metrics = evaluate(folder.parent, bright_cascade, tmp_path / "out", resamples=0)
    films = find_films(folder.parent)
    assert metrics["data_fingerprint"] == fingerprint(films)
    with (tmp_path / "out" / "predictions.csv").open(encoding="utf-8", newline="") as file:
        assert sorted(row["patient"] for row in csv.DictReader(file)) == sorted(names.values())
    answers = read_answers(tmp_path / "out" / "predictions.csv")
    asked = answers_of_models(films, bright_cascade, "balanced", name="models")
    assert answers.answers == asked.answers
    write_comparison(compare_answers(asked, answers, resamples=0), tmp_path / "comparison")
    assert (tmp_path / "comparison" / "comparison.html").read_text(encoding="utf-8")
    assert len(list(shifted_films(films, [CONDITIONS[1]]))) == 2


@pytest.mark.parametrize(
    "category", ["NORMAL/IM-{}-0001", "PNEUMONIA/person{}_virus_1", "PNEUMONIA/person{}_1"]
)
def test_one_class_alone(category: str, bright_cascade: Cascade, tmp_path: Path) -> None:
    for number in range(3):
        draw_film(tmp_path / "films" / f"{category.format(number)}.png", 0.3 + 0.25 * number)
    metrics = evaluate(tmp_path / "films", bright_cascade, tmp_path / "out", resamples=30)
    assert strict_json((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8")) == metrics
    absent = "pneumonia" if "NORMAL" in category else "normal"
    reason = f"there is no {absent} film"
    assert metrics["stage1"]["auroc"] == {"value": None, "ci95": None, "n": 3, "reason": reason}
    assert metrics["stage1"]["accuracy"]["n"] == 3
    assert metrics["stage2"]["accuracy"]["n"] == (3 if "virus" in category else 0)
    assert metrics["cascade"]["macro_f1"]["value"] is None
    # Of pneumonia of unknown aetiology nothing can be said.
    unknown = category.endswith("_1") and "virus" not in category
    assert (metrics["cascade"]["accuracy"]["value"] is None) == unknown
    assert metrics["cascade"]["macro_f1"]["reason"].startswith(
        "the aetiology of only 0 of 3 pneumonia films" if unknown else "there is no "
    )
    assert "not defined" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_no_film_that_can_be_answered(bright_cascade: Cascade, tmp_path: Path) -> None:
    (tmp_path / "NORMAL").mkdir()
    (tmp_path / "NORMAL" / "IM-0001-0001.png").write_bytes(b"")
    (tmp_path / "NORMAL" / "folder.png").mkdir()
    metrics = evaluate(tmp_path, bright_cascade, tmp_path / "out", resamples=30)
    assert metrics["refused"]["by_code"] == {"empty_file": 1}
    assert metrics["films"]["n"] == 1  # a folder is no film, whatever it is called
    nothing = {"value": None, "ci95": None, "n": 0, "reason": "no film was answered"}
    assert all(metrics["stage1"][name] == nothing for name in STAGE_FIGURES)
    assert metrics["stage2"]["auroc"]["reason"] == "no pneumonia film of known aetiology was answered"
    assert metrics["stage1"]["threshold"] == 0.5


def test_the_seed_decides(bright_films: Path, bright_cascade: Cascade) -> None:
    first, again, other = (
        evaluate(bright_films, bright_cascade, resamples=40, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first["stage1"]["brier"]["value"] == other["stage1"]["brier"]["value"]
    assert first["stage1"]["brier"]["ci95"] != other["stage1"]["brier"]["ci95"]


def test_resamples_that_were_left_out_are_told(bright_films: Path, bright_cascade: Cascade) -> None:
    left_out = evaluate(bright_films, bright_cascade, resamples=200)["bootstrap"]["left_out"]
    assert 0 < left_out["stage2.auroc"] < 200
    assert "stage1.accuracy" not in left_out


def test_wrong_usage_is_refused_before_films_are_judged(
    bright_films: Path, bright_cascade: Cascade, tmp_path: Path
) -> None:
    def judged(done: int, films: int) -> None:
        raise AssertionError(f"{done} of {films} films were judged")

    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="cannot be made"):
        evaluate(bright_films, bright_cascade, tmp_path / "file", progress=judged)
    with pytest.raises(UsageError, match="resamples is -1"):
        evaluate(bright_films, bright_cascade, resamples=-1, progress=judged)
    with pytest.raises(UsageError, match="'lucky'"):
        evaluate(bright_films, bright_cascade, operating_point="lucky", progress=judged)
    with pytest.raises(DataSetError, match="no films"):
        evaluate(tmp_path / "nothing", bright_cascade, tmp_path / "out", progress=judged)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_bundled_models_on_variations_of_the_examples(cascade: Cascade, tmp_path: Path) -> None:
    names = [
        *(f"test/NORMAL/IM-{number:04}-0001.jpeg" for number in range(6)),
        *(f"test/PNEUMONIA/person{number}_bacteria_{number}.jpeg" for number in range(6)),
        *(f"train/PNEUMONIA/person{number}_virus_{number}.jpeg" for number in range(3, 9)),
    ]
    for seed, name in enumerate(names):
        path = tmp_path / "films" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), vary_example(seed, 240, 300))
    metrics = evaluate(tmp_path / "films", cascade, tmp_path / "out", resamples=100)
    assert metrics["refused"]["n"] == 0
    assert metrics["films"]["patients"] == 15  # three patients have films of both aetiologies
    assert metrics["model_version"] == cascade.version
    assert metrics["stage1"]["accuracy"]["n"] == 18
    assert metrics["stage2"]["accuracy"]["n"] == 12
    assert sum(map(sum, metrics["cascade"]["confusion_matrix"])) == 18
    for part in ("stage1", "stage2"):
        for name in STAGE_FIGURES:
            assert 0 <= metrics[part][name]["value"] <= 1
            low, high = metrics[part][name]["ci95"]
            assert 0 <= low <= high <= 1
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    assert sum(row["stage2_probability_viral"] != "" for row in rows.values()) == 12


def test_three_way_figures_are_left_out_where_aetiologies_are_missing(
    bright_cascade: Cascade, tmp_path: Path
) -> None:
    for number in range(4):
        draw_film(tmp_path / "films" / f"NORMAL/0000{number:04}_000.png", 0.2)
        draw_film(tmp_path / "films" / f"PNEUMONIA/0000{number + 10:04}_000.png", 0.6 + 0.1 * number)
    draw_film(tmp_path / "films" / "PNEUMONIA/person1_virus_1.png", 0.9)
    metrics = evaluate(tmp_path / "films", bright_cascade, tmp_path / "out", resamples=20)
    reason = "the aetiology of only 1 of 5 pneumonia films is known"
    left_out = {"value": None, "ci95": None, "n": 5, "reason": reason}
    for part in (metrics, metrics["patient_weighted"]):
        assert (part["cascade"]["accuracy"], part["cascade"]["macro_f1"]) == (left_out, left_out)
    assert metrics["cascade"]["recall_normal"]["value"] == 1
    assert metrics["cascade"]["recall_bacterial"]["reason"] == "there is no bacterial film that was answered"
    assert metrics["stage1"]["accuracy"]["value"] == 1
    assert reason in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_what_the_answers_are_good_for_is_written(written: tuple[Path, dict[str, Any]]) -> None:
    stage1 = written[1]["stage1"]
    assert [at["prevalence"] for at in stage1["predictive_values"]] == [0.05, 0.2, 0.5]
    # Sensitivity 3/5, specificity 2/3: of 1,000 films of which half are pneumonia 300 and 167 are called so.
    half = stage1["predictive_values"][2]
    assert half["ppv"]["value"] == pytest.approx(300 / (300 + 500 / 3), abs=1e-6)
    assert half["npv"]["value"] == pytest.approx((1000 / 3) / (1000 / 3 + 200), abs=1e-6)
    assert stage1["positive_share"] == 5 / 8
    assert [row["threshold_probability"] for row in stage1["decision_curve"]] == [
        pytest.approx(0.05 * step) for step in range(1, 20)
    ]
    page = (written[0] / "report.html").read_text(encoding="utf-8")
    assert f"{half['ppv']['value']:.3f}" in page
    assert "Vickers and Elkin" in page
    assert "depend on the share of pneumonia" in page


def test_further_prevalences(bright_films: Path, bright_cascade: Cascade) -> None:
    metrics = evaluate(bright_films, bright_cascade, resamples=0, prevalences=[0.01, 0.2])
    assert [at["prevalence"] for at in metrics["stage2"]["predictive_values"]] == [0.01, 0.05, 0.2, 0.5]
    with pytest.raises(UsageError, match="prevalence is 1; expected a share above 0 and below 1"):
        evaluate(bright_films, bright_cascade, prevalences=[1.0])
