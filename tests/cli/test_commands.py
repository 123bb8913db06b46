from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

import pneumocascade
from pneumocascade import Cascade
from pneumocascade.cli import app
from pneumocascade.cli.common import import_extra
from pneumocascade.errors import MissingExtraError
from pneumocascade.spec import OPERATING_POINTS
from tests.training.conftest import write_films

runner = CliRunner()


def test_version_is_said_quickly() -> None:
    command = [sys.executable, "-m", "pneumocascade", "--version"]
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        seconds.append(time.perf_counter() - started)
    assert said == f"pneumocascade {pneumocascade.__version__}\n"
    assert min(seconds) < 0.5


@pytest.mark.parametrize("command", ["predict", "evaluate", "train", "export", "serve", "info"])
def test_every_command_explains_itself(command: str) -> None:
    result = runner.invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.stdout


def test_info_is_the_models_own_word(cascade: Cascade) -> None:
    facts = json.loads(runner.invoke(app, ["info", "--json"]).stdout)
    assert facts["model_version"] == cascade.version
    for name, model in (("stage1", cascade.stage1), ("stage2", cascade.stage2)):
        assert facts[name]["temperature"] == model.spec.temperature
        assert tuple(facts[name]["operating_points"]) == OPERATING_POINTS
    text = runner.invoke(app, ["info"]).stdout
    assert "sensitive" in text
    assert facts["stage1"]["sha256"][:16] in text


def test_evaluate_writes_its_report(tmp_path: Path) -> None:
    data = write_films(tmp_path / "data", 2, side=128)
    result = runner.invoke(app, ["evaluate", str(data), "--output", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["stage1"]["accuracy"]["n"] == 12
    assert "accuracy" in result.stdout


def test_a_missing_extra_names_itself() -> None:
    with pytest.raises(MissingExtraError, match=r"pneumocascade\[web\]"):
        import_extra("a_package_that_is_not_installed", "the web app", "web")


def test_training_without_data_is_an_error(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "pneumocascade", "train", str(tmp_path), "--output", str(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 1
    assert "no films in" in process.stderr
