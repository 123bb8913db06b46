"""The walk-throughs of docs/clinic.md, docs/node.md and docs/dicomweb.md, run as they stand there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pneumocascade.audit.counter import STATE_VARIABLE
from tests.node.programs import DICOMWEB_PLUGIN

PAGES = Path(__file__).parents[1] / "docs"
PROGRAMS = ("img2dcm", "dciodvfy", "dsr2html", "storescu", "echoscu", "Orthanc", "jq", "curl")


def script_and_output(page: str) -> tuple[str, str]:
    """Return a page's commands, and what it says that they print."""
    text = (PAGES / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```console\n(\$ .*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).splitlines()
    commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    printed = [line for line in lines if not line.startswith("$ ")]
    return "\n".join(("set -eu -o pipefail", *commands)), "\n".join(printed)


def run_page(page: str, folder: Path) -> None:
    """Run a page's commands in an empty folder, and hold what they print against the page."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"Debian's packages dcmtk, dicom3tools, orthanc, jq or curl are missing: no {missing}")
    script, printed = script_and_output(page)
    path = f"{links_to_python(folder / 'bin')}{os.pathsep}{without_python(os.environ['PATH'])}"
    environment = {**os.environ, "PATH": path, STATE_VARIABLE: str(folder / "state"), "COLUMNS": "100"}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=250,
        check=False,
    )
    found = [line for line in done.stdout.splitlines() if not line.startswith(("W: ", "I: "))]
    assert [line.rstrip() for line in found] == [line.rstrip() for line in printed.splitlines()]
    assert done.returncode == 0


def links_to_python(folder: Path) -> Path:
    """Make a folder with this Python and the package's command, and nothing else of Python's folder.

    pynetdicom puts commands there that are named like DCMTK's.
    """
    folder.mkdir()
    for name, call in (("python", ""), ("pneumocascade", " -m pneumocascade")):
        link = folder / name
        link.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)}{call} "$@"\n', encoding="utf-8")
        link.chmod(0o755)
    return folder


def without_python(path: str) -> str:
    own = {str(Path(sys.executable).parent), str(Path(sys.prefix) / "bin")}
    return os.pathsep.join(folder for folder in path.split(os.pathsep) if folder not in own)


@pytest.mark.slow
def test_the_walk_through_of_predict_prints_what_the_page_says(tmp_path: Path) -> None:
    run_page("clinic.md", tmp_path)
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert "research use only" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_walk_through_of_the_node_prints_what_the_page_says(tmp_path: Path) -> None:
    run_page("node.md", tmp_path)
    assert len(list((tmp_path / "results").iterdir())) == 2
    assert "Traceback" not in (tmp_path / "node.log").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_walk_through_of_dicomweb_prints_what_the_page_says(tmp_path: Path) -> None:
    if not DICOMWEB_PLUGIN.exists():
        pytest.skip("Debian's package orthanc-dicomweb is missing")
    run_page("dicomweb.md", tmp_path)
    assert "Traceback" not in (tmp_path / "node.log").read_text(encoding="utf-8")
