"""The command: exit status, table, JSON, and what a report of a defect must not contain."""

from __future__ import annotations

import json
import shutil
import socket
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import pneumocascade
from pneumocascade.audit.counter import STATE_VARIABLE
from pneumocascade.cli import app
from pneumocascade.doctor import machine
from pneumocascade.doctor.check import Check, checked, tilde
from pneumocascade.model.store import bundled_models
from pneumocascade.types import DISCLAIMER
from tests.doctor.test_models import flip_last_byte
from tests.tiny_models import write_tiny_models

runner = CliRunner()


def examined(*options: object) -> tuple[int, dict[str, Any]]:
    result = runner.invoke(app, ["doctor", "--json", *map(str, options)])
    facts: dict[str, Any] = json.loads(result.stdout)
    for check in facts["checks"]:
        assert set(check) == {"name", "status", "found", "advice"}
        assert check["status"] in ("ok", "note", "problem")
        assert check["found"]
        assert bool(check["advice"]) == (check["status"] != "ok"), check
    counts = [
        sum(check["status"] == status for check in facts["checks"]) for status in ("ok", "note", "problem")
    ]
    assert list(facts["summary"].values()) == counts
    assert result.exit_code == int(counts[2] > 0), result.output
    return result.exit_code, facts


def named(facts: dict[str, Any], name: str) -> dict[str, str]:
    (check,) = (check for check in facts["checks"] if check["name"] == name)
    return dict(check)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    monkeypatch.setenv(STATE_VARIABLE, str(folder))
    monkeypatch.delenv("PORT", raising=False)
    return folder


def test_a_healthy_installation_has_exit_status_0() -> None:
    status, facts = examined()
    assert status == 0, [check for check in facts["checks"] if check["status"] == "problem"]
    assert set(facts) == {"version", "platform", "intended_use", "checks", "summary"}
    assert facts["version"] == pneumocascade.__version__
    assert facts["intended_use"] == DISCLAIMER
    assert list(facts["summary"]) == ["ok", "notes", "problems"]
    names = [check["name"] for check in facts["checks"]]
    assert len(set(names)) == len(names) >= 19


def test_tampered_models_are_a_problem(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    shutil.copytree(bundled_models(), folder)
    before, after = flip_last_byte(folder / "gate.npz")
    status, facts = examined("--models", folder)
    assert status == 1
    check = named(facts, "model files")
    assert check["status"] == "problem"
    assert all(part in check["found"] for part in ("gate.npz", before, after))
    assert named(facts, "DICOM")["status"] == "ok"


def test_the_table_says_what_to_do(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state.write_bytes(b"")
    monkeypatch.setattr(machine, "check_cores", lambda: [Check("x", "ok", "[bold] \udcff")])
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        models = write_tiny_models(tmp_path)
        result = runner.invoke(app, ["doctor", "--port", str(port), "--models", str(models)])
    assert result.exit_code == 1
    text = " ".join(result.stdout.split())
    assert f"port {port} note 127.0.0.1:{port} is in use" in text
    assert f"-> let this user write there, or: export {STATE_VARIABLE}=FOLDER" in text
    assert "x ok [bold] \\udcff" in text
    assert "problems 1" in text
    assert DISCLAIMER in text


def test_a_library_that_crashes_does_not_take_the_answer_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash = "import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n"
    (tmp_path / "imagecodecs.py").write_text(crash, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    _, facts = examined()
    assert "SIGILL" in named(facts, "libraries")["found"]
    names = {check["name"] for check in facts["checks"]}
    assert "memory" in names
    assert not names & {"DICOM", "model files", "decoding process"}


def test_a_check_that_raises_is_a_problem_and_the_others_go_on() -> None:
    def missing() -> list[Check]:
        raise ModuleNotFoundError("No module named 'cv2'", name="cv2")

    def broken() -> list[Check]:
        raise metadata.PackageNotFoundError("pneumocascade")

    (check,) = checked("some", missing)
    assert (check.name, check.status) == ("some", "problem")
    assert check.advice.endswith("pip install --force-reinstall opencv-python-headless")
    (check,) = checked("some", broken)
    assert "PackageNotFoundError" in check.found
    assert check.advice.endswith("pip install --force-reinstall pneumocascade")


def test_the_home_folder_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path("/home/al"))
    assert tilde("/home/al/models has, /home/al: or /home/alice and '/home/al'") == (
        "~/models has, ~: or /home/alice and '~'"
    )
    monkeypatch.setattr(Path, "home", lambda: Path("/"))
    assert tilde("/models") == "/models"


def test_no_path_below_the_home_folder_is_in_the_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    models = write_tiny_models(tmp_path)
    flip_last_byte(models / "stage1.onnx")
    status, facts = examined("--models", models)
    assert status == 1
    assert str(tmp_path) not in json.dumps(facts)
    assert "~/stage1.onnx" in named(facts, "model files")["found"]
