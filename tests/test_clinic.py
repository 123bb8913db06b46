"""The walk-through of docs/clinic.md, run as it stands there: DICOM in, SR, Secondary Capture and PDF out."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pneumocascade.audit.counter import STATE_VARIABLE

PAGE = Path(__file__).parents[1] / "docs" / "clinic.md"
PROGRAMS = ("img2dcm", "dciodvfy", "dsr2html", "storescu", "Orthanc", "jq", "curl")


def script_and_output() -> tuple[str, str]:
    """Return the page's commands, and what it says that they print."""
    blocks = re.findall(r"^```console\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).splitlines()
    commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    printed = [line for line in lines if not line.startswith("$ ")]
    return "\n".join(("set -eu -o pipefail", *commands)), "\n".join(printed)


@pytest.mark.slow
def test_the_walk_through_prints_what_the_page_says(tmp_path: Path) -> None:
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"Debian's packages dcmtk, dicom3tools, orthanc, jq or curl are missing: no {missing}")
    script, printed = script_and_output()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, STATE_VARIABLE: str(tmp_path / "state"), "COLUMNS": "100"}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
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
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert "research use only" in (tmp_path / "report.html").read_text(encoding="utf-8")
