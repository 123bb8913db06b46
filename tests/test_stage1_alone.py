"""Models without a stage 2, through every surface: a film has a finding and no aetiology."""

from __future__ import annotations

import copy
import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from pneumocascade import Cascade, UsageError
from pneumocascade.cli import app
from pneumocascade.explain.verdict import verdict_of
from pneumocascade.inference.worker_pool import IsolatedReader
from pneumocascade.model.store import write_manifest
from pneumocascade.reports.html import make_report
from pneumocascade.reports.stages import model_card
from pneumocascade.server.app import create_app
from pneumocascade.types import NO_STAGE2
from pneumocascade.web.about import _measured
from pneumocascade.web.analysis import Analysis
from pneumocascade.web.configuration import configuration
from pneumocascade.web.fragments import results
from pneumocascade.web.inputs import points_explained
from pneumocascade.web.verdict_card import verdict_card
from tests.conftest import draw_chest
from tests.tiny_models import tiny_model, tiny_spec

pytestmark = pytest.mark.usefixtures("charts_undrawn")

runner = CliRunner()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny stage 1: a film of grey 120 is pneumonia, one of grey 60 is normal."""
    folder = tmp_path_factory.mktemp("stage1")
    (folder / "stage1.onnx").write_bytes(tiny_model(1, tiny_spec(1)))
    write_manifest(folder, "tiny")
    return folder


@pytest.fixture(scope="module")
def alone(models: Path) -> Cascade:
    return Cascade.load(models, threads=1)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three normal and three pneumonia films without an aetiology; one of each is answered wrongly."""
    root = tmp_path_factory.mktemp("films")
    for finding, greys in (("NORMAL", (60, 70, 100)), ("PNEUMONIA", (80, 110, 130))):
        (root / finding).mkdir()
        for number, grey in enumerate(greys):
            chest = draw_chest(grey, 240, 240).astype(np.float32)
            film = np.clip((chest - chest.mean()) * 0.3 + grey, 0, 255).astype(np.uint8)
            cv2.imwrite(str(root / finding / f"{finding.lower()}{number}.png"), film)
    return root


@pytest.fixture(scope="module")
def positive(films: Path) -> Path:
    return films / "PNEUMONIA" / "pneumonia2.png"


def test_a_film_has_a_finding_and_no_aetiology(alone: Cascade, positive: Path) -> None:
    prediction = alone.predict(positive)
    assert (prediction.status, prediction.finding, prediction.aetiology) == ("ok", "pneumonia", None)
    assert prediction.stage2 is None
    assert prediction.to_dict()["stage2"] is None
    assert not any("stage" in warning.lower() for warning in prediction.warnings)
    assert (verdict_of(prediction).tone, verdict_of(prediction).title) == ("pneumonia", "Pneumonia")
    assert "Pneumonia" in (prediction._repr_html_() or "")


def test_the_cascade_says_that_stage_one_is_alone(alone: Cascade, positive: Path) -> None:
    assert "stage 1 alone" in repr(alone)
    assert [spec.stage for spec in alone.specs] == [1]
    assert copy.copy(alone).stage2 is None, "by what pickling asks for"
    assert alone.embed([positive]).shape == (1, 3)
    for ask in (lambda: alone.embed([positive], stage=2), lambda: alone.stage_results(2, [])):
        with pytest.raises(UsageError, match="there is no stage 2"):
            ask()


def test_isolated_workers_prepare_for_one_stage(models: Path, alone: Cascade, positive: Path) -> None:
    reader = IsolatedReader(1)
    try:
        answer = Cascade.load(models, threads=1, reader=reader).predict(positive)
    finally:
        reader.close()
    assert answer.stage1 == alone.predict(positive).stage1


@pytest.mark.parametrize("kind", ["table", "jsonl", "csv"])
def test_predict_writes_each_format(models: Path, positive: Path, kind: str) -> None:
    result = runner.invoke(app, ["predict", str(positive), "--models", str(models), "--format", kind])
    assert result.exit_code == 0, result.output
    assert "pneumonia" in result.stdout


def test_evaluate_measures_stage_one_and_says_why_not_the_rest(
    models: Path, films: Path, tmp_path: Path
) -> None:
    command = ["evaluate", str(films), "--models", str(models), "--output", str(tmp_path), "--shift"]
    result = runner.invoke(app, command)
    assert result.exit_code == 0, result.output
    assert " ".join(result.stdout.split()).count(NO_STAGE2) == 2
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["stage1"]["auroc"]["value"] == pytest.approx(8 / 9)
    assert metrics["stage1"]["sensitivity"]["value"] == pytest.approx(2 / 3)
    assert metrics["stage2"] == metrics["cascade"] == {"left_out": NO_STAGE2}
    assert set(metrics["patient_weighted"]) == {"stage1"}
    assert NO_STAGE2 in (tmp_path / "report.html").read_text()
    assert (tmp_path / "roc_stage1.png").exists()
    assert not list(tmp_path.glob("*stage2*"))
    assert "stage2" not in json.loads((tmp_path / "shift.json").read_text())
    rows = list(csv.DictReader((tmp_path / "predictions.csv").read_text().splitlines()))
    assert {row["stage2_probability_viral"] for row in rows} == {""}


def test_info_and_doctor_say_it(models: Path) -> None:
    result = runner.invoke(app, ["info", "--models", str(models)])
    assert result.exit_code == 0, result.output
    assert NO_STAGE2 in " ".join(result.stdout.split())
    described = json.loads(runner.invoke(app, ["info", "--models", str(models), "--json"]).stdout)
    assert described["stage1"]["stage"] == 1
    assert described["stage2"] is None
    result = runner.invoke(app, ["doctor", "--models", str(models)])
    assert "stage 1 alone" in " ".join(result.stdout.split())
    assert "nan" not in result.stdout


def test_the_server_answers(alone: Cascade, positive: Path) -> None:
    with TestClient(create_app(alone, with_web=False)) as client:
        described = client.get("/api/v1/models").json()
        files = {"files": ("film.png", positive.read_bytes(), "image/png")}
        answer = client.post("/api/v1/predictions", files=files)
    assert described["stage2"] is None
    assert answer.status_code == 200, answer.text
    (body,) = answer.json()["predictions"]
    assert (body["finding"], body["aetiology"], body["stage2"]) == ("pneumonia", None, None)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Gradio leaves sockets open
def test_the_web_app_is_built(alone: Cascade) -> None:
    with TestClient(create_app(alone)) as client:
        assert client.get("/").status_code == 200


def test_the_web_page_shows_stage_one(alone: Cascade, positive: Path) -> None:
    prediction = alone.predict(positive, display=True)
    card = verdict_card(Analysis(prediction))
    assert NO_STAGE2 in card
    assert "below the threshold" not in card
    assert "Stage 2" not in configuration(alone)
    assert "Stage 2" not in points_explained(*alone.specs)
    assert NO_STAGE2 in _measured(alone)
    assert ">Pneumonia<" in results([Analysis(prediction)])


def test_a_report_counts_pneumonia_without_aetiology(alone: Cascade, films: Path) -> None:
    answers = alone.predict_many(sorted(films.rglob("*.png")), display=True)
    report = make_report(((answer, answer.display) for answer in answers), alone)
    assert [count for count in report.counts if count[2]] == [
        ("normal", "Normal", 3),
        ("pneumonia", "Pneumonia", 3),
    ]
    assert {tone for tone, _, _ in report.counts}.isdisjoint({"bacterial", "viral"})
    positive = next(page for page in report.films if page.verdict.tone == "pneumonia")
    assert positive.stages[1].notes == (NO_STAGE2,)
    assert model_card(alone).endswith(NO_STAGE2)
