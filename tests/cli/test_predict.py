from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from pneumocascade import Cascade, UsageError
from pneumocascade.audit.history import History
from pneumocascade.cli import app
from pneumocascade.cli.predict import _rate
from pneumocascade.model.gate import UNCHECKED
from tests.conftest import draw_chest
from tests.imaging.film_files import make_closed

runner = CliRunner()


def run(*arguments: str | Path, stdin: str | bytes | None = None) -> Result:
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
    expected = cascade.predict(chest_png, operating_point="sensitive").to_dict()
    assert result.exit_code == 0
    del row["elapsed_ms"], expected["elapsed_ms"]
    assert row == expected


def test_list_on_standard_input(films: Path) -> None:
    result = run("-", "--format", "csv", stdin=f"{films / 'a.png'}\n\n{films / 'none.png'}\n")
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert [row["status"] for row in rows] == ["ok", "error"]
    assert rows[1]["code"] == "file_not_found"


def test_a_list_may_begin_like_an_image(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (films / "P2 films").mkdir()
    (films / "P2 films" / "a.png").write_bytes((films / "a.png").read_bytes())
    monkeypatch.chdir(films)
    result = run("-", "--format", "jsonl", stdin="P2 films/a.png\na.png\n")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["source"], row["status"]) for row in rows] == [("P2 films/a.png", "ok"), ("a.png", "ok")]


def test_a_list_may_end_its_names_with_nul(films: Path) -> None:
    odd = films / "a line\nbreak.png"
    odd.write_bytes((films / "a.png").read_bytes())
    result = run("-", "-0", "--format", "jsonl", stdin=f"{odd}\0{films / 'a.png'}\0")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["source"] for row in rows] == [str(odd), str(films / "a.png")]
    assert [row["status"] for row in rows] == ["ok", "ok"]


def test_an_image_on_standard_input_is_judged(chest_png: Path, cascade: Cascade, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    result = run("-", "--format", "json", "--save-pictures", pictures, stdin=chest_png.read_bytes())
    (row,) = json.loads(result.stdout)
    assert row["source"] == "-"
    assert row["stage1"] == cascade.predict(chest_png).to_dict()["stage1"]
    assert list(pictures.glob("film-*-steps.png"))
    assert (
        run("-", "--engine", "ray", "--output", tmp_path / "out", stdin=chest_png.read_bytes()).exit_code == 1
    )


def test_what_is_no_film_is_named(films: Path) -> None:
    (films / "notes.txt").write_text("notes")
    (films / "report.pdf").write_bytes(b"%PDF-1.7")
    (films / "elsewhere").symlink_to(films.parent)
    result = run(films, "--format", "jsonl")
    assert f"2 files are no films: {films / 'notes.txt'}, {films / 'report.pdf'}" in result.stderr
    assert f"1 link to a folder is not followed: {films / 'elsewhere'}" in result.stderr
    assert len(result.stdout.splitlines()) == 3


def test_a_film_that_may_be_missing_shows_in_the_exit_status(
    films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("b.png", "c.jpeg"):
        (films / name).unlink()
    closed = films / "closed"
    make_closed(closed, monkeypatch)
    result = run(films, "--format", "jsonl")
    assert f"1 file or folder could not be opened: {closed}" in result.stderr
    assert result.exit_code == 1


def test_standard_output_by_its_usual_name(films: Path) -> None:
    result = run(films / "a.png", "--format", "jsonl", "--output", "-")
    assert json.loads(result.stdout)["status"] == "ok"


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
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    stages = [f"{stage}.png" for row in answers for stage in ("stage1", "stage2") if row.get(stage)]
    assert stages
    assert [name.rsplit("-", 1)[1] for name in names] == [*stages, "steps.png", "verdict.png"]
    assert all(name.startswith("a-") for name in names), "of the one film that could be read"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["x.png", "--format", "xml"],
        ["x.png", "--operating-point", "bold"],
        ["x.png", "--workers", "0"],
        ["-"],
        [""],
        ["x.png", ""],
        [os.fspath(Path(__file__).parent)],
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


def test_fhir_is_a_bundle_for_every_film_and_cannot_be_resumed(
    films: Path, tmp_path: Path, cascade: Cascade
) -> None:
    output = tmp_path / "out.ndjson"
    result = run(films, "--format", "fhir", "--output", output)
    assert result.exit_code == 1
    bundles = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    statuses = [bundle["entry"][0]["resource"]["status"] for bundle in bundles]
    assert statuses == ["partial", "cancelled", "cancelled"]
    stored = cascade.specs[0].point("balanced").sensitivity
    assert f'"value": {stored}' in output.read_text(encoding="utf-8")
    before = output.read_bytes()
    again = run(films, "--format", "fhir", "--output", output, "--resume")
    assert isinstance(again.exception, UsageError)
    assert "not with fhir" in str(again.exception)
    assert output.read_bytes() == before


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


def heed_interrupts() -> None:
    """Undo what a shell does to its background jobs, which hand it on: ignoring SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["table", "json", "jsonl", "csv"])
def test_interrupted(chest_png: Path, tmp_path: Path, shape: str) -> None:
    names = [f"{chest_png.parent}/{'./' * index}{chest_png.name}" for index in range(500)]
    (tmp_path / "list.txt").write_text("\n".join(names))
    pictures = tmp_path / "pictures"
    command = [sys.executable, "-m", "pneumocascade", "predict", "-", "--format", shape, "--batch-size", "2"]
    with (tmp_path / "list.txt").open() as stdin:
        process = subprocess.Popen(
            [*command, "--save-pictures", str(pictures)],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed_interrupts,
        )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(pictures.glob("*-verdict.png"))) < 3:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    try:
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, stderr
    rows: list[Any]
    if shape == "table":
        rows = [line for line in stdout.splitlines() if line.startswith(str(chest_png.parent))]
    elif shape == "csv":
        rows = list(csv.DictReader(stdout.splitlines()))
    else:
        rows = json.loads(stdout) if shape == "json" else [json.loads(line) for line in stdout.splitlines()]
    assert 2 <= len(rows) < 500
    if shape != "table":
        assert [row["source"] for row in rows] == names[: len(rows)]


def test_a_refused_film_is_answered(tmp_path: Path) -> None:
    film = tmp_path / "small.png"
    Image.fromarray(draw_chest(height=60, width=60)).save(film)
    result = run(film, "--format", "jsonl")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["status"] == "refused"


def test_what_no_gate_lets_through_is_marked(tmp_path: Path) -> None:
    drawing = tmp_path / "drawing.png"
    Image.fromarray(draw_chest()).save(drawing)
    (refused,) = (json.loads(line) for line in run(drawing, "--format", "jsonl").stdout.splitlines())
    result = run(drawing, "--format", "jsonl", "--no-gate")
    (judged,) = (json.loads(line) for line in result.stdout.splitlines())
    assert result.exit_code == 0
    assert (refused["status"], refused["warnings"]) == ("refused", [])
    assert (judged["status"], judged["warnings"][0]) == ("ok", UNCHECKED)
    assert judged["stage1"] is not None


def test_a_folder_without_films_is_reported_among_others(chest_png: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    result = run(chest_png, empty, "--format", "jsonl")
    good, bad = (json.loads(line) for line in result.stdout.splitlines())
    assert result.exit_code == 1
    assert good["status"] == "ok"
    assert (bad["source"], bad["status"], bad["error"]["code"]) == (str(empty), "error", "not_a_file")


@pytest.mark.parametrize("shape", ["table", "json", "jsonl", "csv"])
def test_a_name_that_is_not_utf8_does_not_lose_the_others(
    chest_png: Path, tmp_path: Path, shape: str
) -> None:
    odd = os.fsencode(tmp_path) + b"/fi\xe9lm.png"
    try:
        Path(os.fsdecode(odd)).write_bytes(chest_png.read_bytes())
    except OSError:
        pytest.skip("this file system has names in UTF-8 only")
    process = subprocess.run(
        [sys.executable, "-m", "pneumocascade", "predict", "-", "--format", shape],
        input=os.fsencode(chest_png) + b"\n" + odd + b"\r\n",
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
    )
    assert process.returncode == 0, process.stderr
    text = process.stdout.decode()
    assert str(chest_png) in text
    assert r"fi\udce9lm.png" in text


def test_speed_is_over_all_the_time_so_far() -> None:
    assert _rate(16, 160, 2.0) == "8.0 films/s, 0:00:18 left"
    assert _rate(160, 160, 20.0) == "8.0 films/s, 0:00:00 left"


def test_answers_are_entered_in_a_history(films: Path, tmp_path: Path) -> None:
    history = tmp_path / "history.sqlite3"
    rows = [
        json.loads(line) for line in run(films, "--format", "jsonl", "--history", history).stdout.splitlines()
    ]
    with contextlib.closing(History(history)) as opened:
        assert [entry.status for entry in opened.entries()] == [row["status"] for row in rows]
    on_ray = run(films, "--engine", "ray", "--output", tmp_path / "out", "--history", history)
    assert isinstance(on_ray.exception, UsageError)


def test_what_is_left_out_is_listed_in_a_file_and_the_answers_stay_as_they_are(
    tmp_path: Path, chest_png: Path
) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "film.png").write_bytes(chest_png.read_bytes())
    (folder / "notes.txt").write_text("no film")
    (folder / "link").symlink_to(tmp_path)
    listing = tmp_path / "left-out.json"
    result = run(folder, "--format", "json", "--left-out", listing)
    assert result.exit_code == 0
    assert [row["status"] for row in json.loads(result.stdout)] == ["ok"]
    assert json.loads(listing.read_text()) == [
        {"path": str(folder / "link"), "kind": "linked_folder"},
        {"path": str(folder / "notes.txt"), "kind": "other_file"},
    ]
    assert run(folder / "film.png", "--left-out", listing).exit_code == 0
    assert json.loads(listing.read_text()) == []
    refused = run(folder, "--left-out", folder / "film.png")
    assert refused.exit_code != 0
    assert isinstance(refused.exception, UsageError)
    assert "--left-out would write over" in str(refused.exception)


def test_a_threshold_of_ones_own(chest_png: Path, tmp_path: Path) -> None:
    output = tmp_path / "answers.jsonl"
    assert run(chest_png, "--threshold", "0.001", "--output", output).exit_code == 0
    row = json.loads(output.read_text())
    assert row["operating_point"] == "custom"
    assert row["stage1"]["threshold"] == 0.001
    assert row["finding"] == "pneumonia"
    again = run(chest_png, "--threshold", "0.001", "--output", output, "--resume")
    assert "1 of 1 films have their answer" in again.stderr
    for other in (["--threshold", "0.002"], ["--operating-point", "balanced"]):
        refused = run(chest_png, *other, "--output", output, "--resume")
        assert isinstance(refused.exception, UsageError)
    for wrong in (["0"], ["1"], ["0.5", "--operating-point", "sensitive"]):
        assert isinstance(run(chest_png, "--threshold", *wrong).exception, UsageError)


def test_a_dash_is_standard_output(chest_png: Path) -> None:
    result = run(chest_png, "--format", "jsonl", "--output", "-")
    assert json.loads(result.stdout)["status"] == "ok"
    assert not Path("-").exists()


def test_a_document_on_standard_input_is_called_by_its_name() -> None:
    result = run("-", "--format", "jsonl", stdin=b"%PDF-1.7\n" + bytes(200))
    assert result.exit_code == 1
    assert "PDF is not read" in json.loads(result.stdout)["error"]["message"]
