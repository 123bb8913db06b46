from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

import pneumocascade
from pneumocascade import Cascade
from pneumocascade.cli import app
from pneumocascade.cli.common import import_extra
from pneumocascade.errors import MissingExtraError
from pneumocascade.inference.worker_pool import IsolatedReader
from pneumocascade.model.engines.processor import usable_cores
from pneumocascade.model.spec import OPERATING_POINTS
from pneumocascade.model.store import write_manifest
from tests.conftest import vary_example
from tests.tiny_models import tiny_model, tiny_spec

runner = CliRunner()


def test_version_loads_nothing_that_is_slow_to_load() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "pneumocascade", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"pneumocascade {pneumocascade.__version__}\n"
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "pneumocascade" in loaded
    assert not loaded & {"cv2", "PIL", "onnxruntime", "pydicom", "jinja2", "gradio", "torch"}


COMMANDS = (
    *("", "predict", "evaluate", "compare", "train", "export", "calibrate", "weights"),
    *("serve", "node", "watch", "info", "doctor", "history"),
)


@pytest.mark.parametrize("command", [*COMMANDS, "history list", "history export", "history purge"])
def test_every_command_explains_itself(command: str) -> None:
    short, long = (runner.invoke(app, [*command.split(), option]) for option in ("-h", "--help"))
    assert short.exit_code == long.exit_code == 0
    assert "Usage" in long.stdout
    assert short.stdout == long.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shellingham.detect_shell", lambda: (shell, shell))  # else: who started the tests
    script = runner.invoke(app, ["--show-completion"])
    assert script.exit_code == 0
    assert "_PNEUMOCASCADE_COMPLETE" in script.stdout or "_COMPLETE" in script.stdout


def test_info_is_the_models_own_word(cascade: Cascade) -> None:
    facts = json.loads(runner.invoke(app, ["info", "--json"]).stdout)
    assert facts["model_version"] == cascade.version
    for name, model in (("stage1", cascade.model_of(1)), ("stage2", cascade.model_of(2))):
        assert facts[name]["temperature"] == model.spec.temperature
        assert tuple(facts[name]["operating_points"]) == OPERATING_POINTS
    text = runner.invoke(app, ["info"]).stdout
    assert "sensitive" in text
    assert facts["stage1"]["sha256"][:16] in text


def test_info_shows_figures_with_their_intervals_and_both_sizes(tmp_path: Path) -> None:
    metrics = {"auroc": 0.9979, "auroc_high": 0.9993, "auroc_low": 0.9957, "kappa": 0.5, "so_low": 0.25}
    for stage in (1, 2):
        spec = replace(tiny_spec(stage), size=256, input_size=192, bias=-0.25, metrics=metrics)
        (tmp_path / f"stage{stage}.onnx").write_bytes(tiny_model(stage, spec))
    write_manifest(tmp_path, "tiny")
    text = runner.invoke(app, ["info", "--models", str(tmp_path)]).stdout
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for line in (
        "preprocessing recipe baseline, steps of 256 x 256 pixels",
        "network input 192 x 192 pixels",
        "bias -0.250",
        "auroc 0.998 (0.996 - 0.999)",
        "kappa 0.500",
        "so_low 0.250",
        "specific threshold 0.700, sensitivity 0.900, specificity 0.900",
    ):
        assert lines.count(line) == 2, line
    assert "auroc_low" not in text
    assert "cross-fitted" in text
    assert "on the very films that the thresholds were chosen on" in text


def test_evaluate_writes_its_report(tmp_path: Path) -> None:
    names = (
        "NORMAL/IM-{0:04}-0001.png",
        "PNEUMONIA/person{0}_bacteria_1.png",
        "PNEUMONIA/person{0}_virus_1.png",
    )
    for number, name in enumerate(names * 4):
        path = tmp_path / "data" / name.format(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(vary_example(number)).save(path)
    (tmp_path / "data" / "NORMAL" / "IM-0099-0001.png").write_bytes(b"no picture")
    result = runner.invoke(app, ["evaluate", str(tmp_path / "data"), "--output", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "0 refused, 1 could not be read (unreadable_image 1)" in result.stdout
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["stage1"]["accuracy"]["n"] == 12
    assert "accuracy" in result.stdout


def test_a_missing_extra_names_itself() -> None:
    with pytest.raises(MissingExtraError, match=r"pneumocascade\[web\]"):
        import_extra("a_package_that_is_not_installed", "the web app", "web")


def test_training_without_data_is_an_error(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    process = subprocess.run(
        [sys.executable, "-m", "pneumocascade", "train", str(tmp_path), "--output", str(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 1
    assert "no films in" in process.stderr


def test_serve_ends_its_decoders(models: Path, chest_png: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Cascade] = []

    def serve_one(cascade: Cascade, **_: object) -> None:
        assert cascade.predict(chest_png).status == "ok"
        served.append(cascade)

    monkeypatch.setattr("pneumocascade.server.serve", serve_one)
    monkeypatch.setattr("pneumocascade.audit.logs.set_up", lambda *_, **__: None)
    result = runner.invoke(app, ["serve", "--models", str(models)])
    assert result.exit_code == 0, result.output
    reader = served[0].reader
    assert isinstance(reader, IsolatedReader)
    assert [reader._idle.get() for _ in range(reader._idle.qsize())] == [None] * usable_cores()
