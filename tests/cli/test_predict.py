from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pneumocascade import Cascade
from pneumocascade.cli import app
from pneumocascade.report import to_dict

runner = CliRunner()


def run(*arguments: str | Path, stdin: str | None = None) -> Result:
    return runner.invoke(app, ["predict", *map(str, arguments)], input=stdin)


@pytest.fixture
def films(tmp_path: Path, chest_png: Path) -> Path:
    """A good film, one that is cut short and one that is no image."""
    folder = tmp_path / "films"
    folder.mkdir()
    data = chest_png.read_bytes()
    (folder / "a.png").write_bytes(data)
    (folder / "b.png").write_bytes(data[: len(data) // 2])
    (folder / "c.jpeg").write_text("not an image")
    return folder


def test_every_film_gets_a_line_and_bad_ones_show_in_the_exit_status(films: Path) -> None:
    result = run(films, "--format", "jsonl")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [Path(row["source"]).name for row in rows] == ["a.png", "b.png", "c.jpeg"]
    assert [row["status"] for row in rows] == ["ok", "error", "error"]
    assert result.exit_code == 1
    assert "2 of 3 could not be read" in result.stderr


def test_the_command_line_says_what_the_cascade_says(chest_png: Path, cascade: Cascade) -> None:
    result = run(chest_png, "--format", "json", "--operating-point", "sensitive")
    [row] = json.loads(result.stdout)
    expected = to_dict(cascade.predict(chest_png, operating_point="sensitive"))
    assert result.exit_code == 0
    del row["elapsed_ms"], expected["elapsed_ms"]
    assert row == expected


def test_list_on_standard_input(films: Path) -> None:
    result = run("-", "--format", "csv", stdin=f"{films / 'a.png'}\n\n{films / 'none.png'}\n")
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert [row["status"] for row in rows] == ["ok", "error"]
    assert rows[1]["code"] == "file_not_found"


def test_output_file_and_its_suffix(films: Path, tmp_path: Path) -> None:
    result = run(films / "a.png", "--output", tmp_path / "out.jsonl")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert json.loads((tmp_path / "out.jsonl").read_text())["status"] == "ok"


def test_the_table_names_films_codes_and_the_limits(films: Path) -> None:
    result = run(films)
    for text in ("a.png", "truncated_image", "unreadable_image", "Not intended for medical diagnosis"):
        assert text in result.stdout


def test_pictures_are_saved(films: Path, tmp_path: Path) -> None:
    result = run(films, "--save-pictures", tmp_path / "pictures", "--format", "jsonl")
    assert result.exit_code == 1
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert [name.rsplit("-", 1)[1] for name in names] == ["steps.png", "verdict.png"]
    assert all(name.startswith("a-") for name in names), "of the one film that could be read"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["x.png", "--format", "xml"],
        ["x.png", "--operating-point", "bold"],
        ["x.png", "--workers", "0"],
        ["-"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "pneumocascade", "predict", *arguments],
        input=b"",
        capture_output=True,
        check=False,
    )
    assert process.returncode == 2, process.stderr


def test_unwritable_output_is_wrong_usage(chest_png: Path, tmp_path: Path) -> None:
    process = subprocess.run(
        [
            sys.executable,
            "-m",
            "pneumocascade",
            "predict",
            str(chest_png),
            "--output",
            str(tmp_path / "no" / "x.csv"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2
    assert "cannot be written" in process.stderr


def test_altered_models_are_not_used(chest_png: Path, tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "pneumocascade", "predict", str(chest_png), "--models", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 1
    assert "manifest.json is missing" in process.stderr


@pytest.mark.slow
def test_interrupted(chest_png: Path, tmp_path: Path) -> None:
    paths = tmp_path / "list.txt"
    paths.write_text(f"{chest_png}\n" * 5000)
    with paths.open() as stdin:
        process = subprocess.Popen(
            [sys.executable, "-m", "pneumocascade", "predict", "-", "--output", str(tmp_path / "out.jsonl")],
            stdin=stdin,
            stderr=subprocess.PIPE,
        )
    deadline = time.monotonic() + 60
    output = tmp_path / "out.jsonl"
    while time.monotonic() < deadline and not (output.exists() and output.stat().st_size):
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert all(json.loads(line)["status"] == "ok" for line in output.read_text().splitlines())
