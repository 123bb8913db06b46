"""``make models`` on phantoms: teachers of two folds, students, calibration, gate."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pneumocascade import Cascade
from pneumocascade.datasets.films import find_films
from pneumocascade.errors import TrainingError
from pneumocascade.model.spec import OPERATING_POINTS
from pneumocascade.training import pipeline
from pneumocascade.training.calibrate import StageOutputs
from pneumocascade.training.config import TrainingConfig
from pneumocascade.training.network import build_network
from pneumocascade.training.pipeline import build, joined, soft_labels
from pneumocascade.training.plan import Plan, training_time
from pneumocascade.training.sources import Sources, TrainingFilms
from pneumocascade.training.starting_weights import metadata_of
from tests.training.conftest import SMALL, write_films

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_of_everything"), pytest.mark.timeout(600)]

FAST = TrainingConfig(1, SMALL, schedule=((32, 1),), batch_size=8, workers=0)
CONFIGS = {"stage1": FAST, "stage2": replace(FAST, stage=2)}


@pytest.fixture(scope="module")
def plan(few_of_everything: None, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Children of one hospital in two sizes, adults of another."""
    root = tmp_path_factory.mktemp("pipeline")
    write_films(root / "children" / "train", 8, side=112)
    write_films(root / "large" / "train", 8, side=128)
    for film in find_films(write_films(root / "adults", 8, side=112)):
        number = film.patient.removeprefix("person").removeprefix("IM-")
        name = f"{int(number):08}_{film.name[-1]:0>3}.png"
        film.path.rename(film.path.with_name(name))
    torch.manual_seed(0)
    weights = root / "weights.safetensors"
    metadata = metadata_of(SMALL, (80.0, 40.0, 20.0), (60.0, 60.0, 60.0), stride_in_1x1=False)
    state = build_network(SMALL).state_dict()
    save_file({name: value.contiguous() for name, value in state.items()}, weights, metadata)
    sources = Sources(root / "children", str(weights), (root / "large",), elsewhere=(root / "adults",))
    return Plan(sources, root / "run", "9.9.9", CONFIGS, CONFIGS, folds=2)


@pytest.fixture(scope="module")
def said(plan: Plan) -> list[str]:
    """What making the models said."""
    lines: list[str] = []
    build(plan, lines.append)
    return lines


@pytest.fixture
def models(plan: Plan, said: list[str]) -> Path:
    """The folder of the models."""
    assert said
    return plan.output / "models"


def test_the_models_are_whole_and_calibrated_on_both_domains(models: Path) -> None:
    cascade = Cascade.load(models)
    assert cascade.version == "9.9.9"
    assert cascade.gate is not None
    first, second = cascade.specs
    assert set(first.prediction_set_minimum) == {"", "adults"}
    assert set(second.prediction_set_minimum) == {""}, "of adults no aetiology is known"
    for spec in (first, second):
        assert tuple(spec.operating_points) == OPERATING_POINTS
        assert spec.operating_points["balanced"].threshold == spec.prior == 0.5
        assert spec.validation_data.startswith("out-of-fold predictions: ")
    exported = json.loads((models / "export.json").read_text())
    for name, spec in (("stage1", first), ("stage2", second)):
        assert exported[name]["bias"] == spec.bias
        assert np.isfinite(exported[name]["offset"])
    assert "auroc@adults" in first.metrics
    assert "auroc@adults" not in second.metrics


def test_each_film_is_judged_by_the_teacher_that_has_not_seen_it(plan: Plan, models: Path) -> None:
    records = models.parent / "records"
    folds = json.loads((records / "folds.json").read_text())
    outputs = StageOutputs.load(records / "out-of-fold-stage1.csv")
    assert set(outputs.films) == set(folds)
    for number in (1, 2):
        own = StageOutputs.load(plan.output / f"fold{number}" / "stage1" / "outputs.csv")
        assert {folds[name] for name in own.films} == {number}
        split = json.loads((plan.output / f"fold{number}" / "split.json").read_text())
        assert not set(split["train"]) & set(own.films)
    clean = [
        name
        for name, domain, c in zip(outputs.films, outputs.domains, outputs.conditions, strict=True)
        if c == "clean" and not domain
    ]
    assert all(clean.count(name) == 2 for name in clean), "in both renderings"
    text = (records / "training.json").read_text()
    assert str(plan.output) not in text
    assert json.loads(text)["student"]["stage1"]["soft_sha256"]


def test_students_learn_from_all_films_and_stage_two_from_stage_one(plan: Plan, said: list[str]) -> None:
    student = plan.output / "student"
    split = json.loads((student / "stage1" / "split.json").read_text())
    assert len(split["train"]) == 2 * 48
    assert split["validation"] == []
    run = json.loads((student / "stage2" / "run.json").read_text())
    assert run["sources"]["backbone_weights"].endswith("student/stage1/weights.safetensors")
    run = json.loads((student / "stage1" / "run.json").read_text())
    assert run["sources"]["backbone_weights"].endswith("fold1/stage1/weights.safetensors")
    assert "student, stage 1" in said
    assert any("hours of training" in line for line in said)


def test_what_is_there_is_not_made_again(plan: Plan, models: Path) -> None:
    weights = [*plan.output.glob("*/*/weights.safetensors")]
    before = {path: path.stat().st_mtime_ns for path in weights}
    assert len(before) == 6
    held_out = Cascade.load(plan.output / "held-out")
    assert held_out.version == "9.9.9+fold1"
    lines: list[str] = []
    build(plan, lines.append)
    assert {path: path.stat().st_mtime_ns for path in weights} == before
    assert str(models) in "".join(line for line in lines if line.endswith("is there already"))


def test_a_cut_run_goes_on_at_the_stage_that_is_missing(plan: Plan, models: Path) -> None:
    path = plan.output / "fold2" / "stage2" / "outputs.csv"
    before = path.read_bytes()
    path.unlink()
    lines: list[str] = []
    build(plan, lines.append)
    assert path.read_bytes() == before
    assert not any("hours of training" in line for line in lines), "nothing is left to train"


def test_a_run_of_a_version_with_fewer_settings_goes_on(plan: Plan, models: Path) -> None:
    path = plan.output / "plan.json"
    text = path.read_text()
    before = json.loads(text)
    for name in ("teachers", "students"):
        for settings in before[name].values():
            assert [settings.pop(name) for name in ("balance", "detail")] == [False, False]
    path.write_text(json.dumps(before))
    build(plan, lambda _line: None)
    with pytest.raises(TrainingError, match="another teachers;"):
        build(replace(plan, teachers={**CONFIGS, "stage1": replace(FAST, balance=True)}), lambda _line: None)
    path.write_text(text)


def test_a_folder_that_holds_another_run_is_refused_and_left_alone(
    plan: Plan, models: Path, tmp_path: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in plan.output.rglob("*")}
    slower = {**CONFIGS, "stage2": replace(FAST, stage=2, learning_rate=1e-5)}
    for other, different in (
        (replace(plan, version="10.0.0"), "version"),
        (
            replace(plan, sources=replace(plan.sources, renderings=()), teachers=slower),
            "sources and teachers",
        ),
        (replace(plan, students=slower), "students"),
    ):
        with pytest.raises(TrainingError, match=f"holds a run with another {different};"):
            build(other, lambda _line: None)
    film = next(plan.sources.data.rglob("person*_virus_1.png"))
    content = film.read_bytes()
    film.write_bytes(next(plan.sources.data.rglob("IM-*.png")).read_bytes())
    with pytest.raises(TrainingError, match="another set of films;"):
        build(plan, lambda _line: None)
    film.write_bytes(content)
    assert {path: path.stat().st_mtime_ns for path in plan.output.rglob("*")} == before
    (tmp_path / "models").mkdir()
    with pytest.raises(TrainingError, match=r"holds models, but no plan\.json"):
        build(replace(plan, output=tmp_path), lambda _line: None)


def test_soft_labels_are_means_over_the_renderings_as_they_are() -> None:
    margins = np.array([0.0, 2.0, 50.0, -1.0], np.float32)
    outputs = StageOutputs.of(
        np.column_stack([np.zeros(4, np.float32), margins]),
        np.ones(4, np.int64),
        ["p"] * 4,
        conditions=["clean", "clean", "blur 3", "clean"],
        films=["a", "a", "a", "b"],
    )
    found = soft_labels(outputs)
    assert found == pytest.approx({"a": (0.5 + 0.880797) / 2, "b": 0.268941}, abs=1e-5)
    assert joined([outputs, outputs]).films.tolist() == ["a", "a", "a", "b"] * 2


def test_the_estimate_counts_films_by_their_pixels(plan: Plan) -> None:
    films = find_films(plan.sources.data)
    found = TrainingFilms(films * 100, [], {})
    config = {
        "stage1": replace(FAST, schedule=((224, 1), (112, 4))),
        "stage2": replace(FAST, stage=2, schedule=((224, 1),)),
    }
    text = training_time(replace(plan, teachers=config, students=config), found, rate=1.0)
    # Two teachers of half the films and a student of all: each twice all films, of which two in three are of
    # known aetiology.
    assert text.startswith(f"about {2 * (4800 * 2 + 3200) / 3600:.1f} hours")


def test_the_command_takes_the_folder_of_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "resnet50.safetensors").touch()
    plans: list[Plan] = []
    monkeypatch.setattr(pipeline, "build", plans.append)
    pipeline.main([str(tmp_path), "--output", str(tmp_path / "run"), "--version", "2.0.0"])
    (made,) = plans
    assert made.sources.data == tmp_path / "kermany224"
    assert made.sources.elsewhere == (tmp_path / "other-films" / "nih",)
    assert made.sources.backbone_weights == str(tmp_path / "weights" / "resnet50.safetensors")
    assert made.teachers["stage1"].input_size == 224


def test_students_keep_the_frozen_starting_weights(plan: Plan, said: list[str]) -> None:
    assert said
    weights = load_file(plan.output / "student" / "stage1" / "weights.safetensors")
    frozen = load_file(plan.sources.backbone_weights)
    torch.testing.assert_close(weights["layer1.0.conv1.weight"], frozen["layer1.0.conv1.weight"])
