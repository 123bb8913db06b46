"""Decoders, the process that they run in, and PDF."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from pneumocascade.doctor import decoders
from pneumocascade.imaging.dicom import self_test


def test_all_of_them_work_here() -> None:
    for check in (*decoders.check_dicom(), *decoders.check_workers()):
        assert check.status == "ok", check


def test_a_decoder_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_test, "try_decoders", lambda: {"RLE Lossless": "", "JPEG 2000": "no decoder"})
    (check,) = decoders.check_dicom()
    assert (check.status, check.found) == ("problem", "JPEG 2000: no decoder")
    assert "pylibjpeg-openjpeg" in check.advice


def test_a_process_that_does_not_start_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    (check,) = decoders.check_workers()
    assert check.status == "problem"
    assert "pneumocascade.inference.worker" in check.advice


def test_without_weasyprint_there_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    (check,) = decoders.check_pdf()
    assert check.status == "note"
    assert "pneumocascade[report]" in check.advice


def test_pdf_needs_a_font(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("weasyprint") is None:  # importing it here would change how Pillow reads
        pytest.skip("WeasyPrint is not installed")
    assert decoders.check_pdf()[0].status == "ok"
    fonts = f"<fontconfig><dir>{tmp_path}</dir><cachedir>{tmp_path}</cachedir></fontconfig>"
    (tmp_path / "fonts.conf").write_text(f'<?xml version="1.0"?>{fonts}', encoding="utf-8")
    monkeypatch.setenv("FONTCONFIG_FILE", str(tmp_path / "fonts.conf"))
    (check,) = decoders.check_pdf()
    assert check.status == "problem"
    assert "no font" in check.found
    assert "fonts-dejavu-core" in check.advice


def test_a_library_of_the_system_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = 'raise OSError("cannot load library libpango")\n'
    (tmp_path / "weasyprint.py").write_text(broken, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (check,) = decoders.check_pdf()
    assert check.status == "problem"
    assert "cannot load library libpango" in check.found
    assert "apt-get install libpango" in check.advice
