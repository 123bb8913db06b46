"""Versions and extras, against metadata that say something else."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

import pytest

from pneumocascade.doctor import installation
from pneumocascade.doctor.child import check_libraries, how_it_ended, run
from pneumocascade.doctor.installation import EXTRAS

REAL_VERSION = metadata.version


def pretend(monkeypatch: pytest.MonkeyPatch, **versions: str | None) -> None:
    """Let distributions have other versions, or none; names with _ for -."""
    others = {name.replace("_", "-"): version for name, version in versions.items()}

    def version(name: str) -> str:
        found = others[name] if name in others else REAL_VERSION(name)
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(metadata, "version", version)


def test_this_installation_is_whole() -> None:
    for check in (
        *installation.check_python(),
        *installation.check_package(),
        *installation.check_dependencies(),
    ):
        assert check.status == "ok", check
    assert f"numpy {REAL_VERSION('numpy')}" in check.found


def test_the_extras_are_those_of_the_package() -> None:
    provided = metadata.metadata("pneumocascade").get_all("Provides-Extra")
    assert provided is not None
    assert set(EXTRAS) == set(provided) - {"dev", "docs"}
    for extra in EXTRAS:
        assert list(installation._required(extra)), extra


def test_a_python_that_is_too_old_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "python_version", lambda: "3.8.19")
    (check,) = installation.check_python()
    assert check.status == "problem"
    assert "3.8.19, expected >=3.10" in check.found


def test_another_copy_of_the_package_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, pneumocascade="0.0.1")
    (check,) = installation.check_package()
    assert check.status == "problem"
    assert "0.0.1" in check.found


def test_missing_and_old_dependencies_are_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, pydicom=None, numpy="1.26.4")
    (check,) = installation.check_dependencies()
    assert check.status == "problem"
    assert "numpy is 1.26.4, expected >=2.0" in check.found
    assert "pydicom is missing" in check.found
    assert check.advice.endswith("-m pip install --upgrade 'numpy>=2.0' 'pydicom>=3.0'")


def test_a_build_for_a_gpu_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, onnxruntime=None, onnxruntime_gpu="1.22.0", onnxruntime_openvino=None)
    (check,) = installation.check_dependencies()
    assert check.status == "ok"
    assert "onnxruntime-gpu 1.22.0" in check.found
    pretend(monkeypatch, onnxruntime=None, onnxruntime_gpu=None, onnxruntime_openvino=None)
    (check,) = installation.check_dependencies()
    assert "onnxruntime is missing" in check.found


def test_a_missing_extra_is_a_note_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, weasyprint=None, pyarrow="2.0")
    checks = {check.name: check for check in installation.check_extras()}
    assert list(checks) == [f"extra [{name}]" for name in EXTRAS]
    assert checks["extra [report]"].status == checks["extra [parquet]"].status == "note"
    assert checks["extra [report]"].found == "weasyprint is missing"
    assert checks["extra [report]"].advice.endswith("-m pip install 'pneumocascade[report]'")
    assert "pyarrow is 2.0, expected >=18.0" in checks["extra [parquet]"].found


def test_the_libraries_load() -> None:
    (check,) = check_libraries()
    assert check.status == "ok", check


def test_a_library_that_crashes_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crash = "import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n"
    (tmp_path / "jpeg_ls.py").write_text(crash, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (check,) = check_libraries()
    assert check.status == "problem"
    assert "loading jpeg_ls failed: SIGILL" in check.found


def test_a_child_that_fails_or_takes_too_long_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    assert how_it_ended(run("-c", "raise SystemExit('no such thing')")) == "exit status 1 (no such thing)"
    assert how_it_ended(run("-c", "")) == "exit status 0"
    monkeypatch.setattr("pneumocascade.doctor.child.SECONDS", 0.2)
    late = run("-c", "import time; time.sleep(60)")
    assert how_it_ended(late) == "SIGTERM (not done after 0.2 seconds)"
