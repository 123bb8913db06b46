"""The validators of dicom3tools and DCMTK, as the tests ask them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from tests.reports.sources import saved


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program of Debian's packages dicom3tools and dcmtk, or skip the test where it is missing."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed (Debian's packages dicom3tools and dcmtk)")
    return subprocess.run([path, *arguments], capture_output=True, text=True, timeout=60, check=False)


def write(dataset: Dataset, folder: Path) -> str:
    """Write an object to a file and return its path."""
    path = folder / f"{dataset.SOPInstanceUID}.dcm"
    path.write_bytes(saved(dataset))
    return str(path)


def dciodvfy_errors(dataset: Dataset, folder: Path) -> list[str]:
    """Return the errors that dicom3tools finds in an object, against the definition of its class."""
    done = run("dciodvfy", write(dataset, folder))
    lines = (done.stdout + done.stderr).splitlines()
    assert not any(line.startswith("Abort") for line in lines), lines
    return [line for line in lines if line.startswith("Error")]


def dump(program: str, dataset: Dataset, folder: Path, *options: str) -> str:
    """Return what a program of DCMTK prints of an object, which it must read without an error."""
    done = run(program, *options, write(dataset, folder))
    assert done.returncode == 0, done.stderr
    problems = [line for line in done.stderr.splitlines() if line.startswith(("E:", "F:"))]
    assert problems == []
    return done.stdout
