"""Wherever a run is cut, going on gives the file that an uncut run gives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from pneumocascade import UsageError
from pneumocascade.cli import app
from pneumocascade.model.gate import UNCHECKED
from pneumocascade.output.parquet import rows_of
from pneumocascade.output.resume import Done, Settings, find_done
from pneumocascade.output.writers import Format, Writer, open_writer
from pneumocascade.types import Prediction, Reason, StageResult
from tests.conftest import vary_example
from tests.tiny_models import write_tiny_models

SETTINGS = Settings("1", "balanced")
STAGE1 = StageResult({"normal": 0.9, "pneumonia": 0.1}, "normal", 0.5, ("normal",))
NAMES = ["a.png", 'b,"\n.png', "=c.png", "ü \udce9.png", "e.png"]
ANSWERS = [
    Prediction(NAMES[0], "ok", "balanced", "1", "normal", stage1=STAGE1, elapsed_ms=1.5),
    Prediction(NAMES[1], "error", "balanced", "1", error=Reason("empty_file", "the file\nis empty")),
    Prediction(NAMES[2], "refused", "balanced", "1", reasons=(Reason("blank", "Nothing, really."),)),
    Prediction(NAMES[3], "ok", "balanced", "1", "normal", stage1=STAGE1, warnings=("odd",)),
    Prediction(NAMES[4], "error", "balanced", "1", error=Reason("empty_file", "empty")),
]


def no_table(_: object) -> Writer:
    raise AssertionError("a table is not gone on with")


def write(path: Path, shape: Format, answers: list[Prediction], *, go_on: bool = False) -> None:
    with open_writer(path, shape, no_table, go_on=go_on) as writer:
        for answer in answers:
            writer.write(answer)


@pytest.mark.parametrize("shape", ["jsonl", "csv"])
def test_cut_at_any_byte_nothing_is_lost_or_repeated(tmp_path: Path, shape: Format) -> None:
    path = tmp_path / "answers"
    write(path, shape, ANSWERS)
    whole = path.read_bytes()
    counts = set()
    for end in range(len(whole) + 1):
        path.write_bytes(whole[:end])
        done = find_done(path, shape, NAMES, SETTINGS)
        assert done.unread == sum(answer.status == "error" for answer in ANSWERS[: done.films])
        write(path, shape, ANSWERS[done.films :], go_on=done.begun)
        assert path.read_bytes() == whole
        counts.add(done.films)
    assert counts == set(range(len(ANSWERS) + 1))


def test_parquet_goes_on_behind_its_whole_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    monkeypatch.setattr("pneumocascade.output.parquet.ROWS", 2)
    path = tmp_path / "answers.parquet"
    write(path, "parquet", ANSWERS)
    whole = list(rows_of(path))
    assert [row["source"] for row in whole[:3]] == NAMES[:3]
    assert [file.name for file in sorted(path.iterdir())] == [f"part-00000{n}.parquet" for n in range(3)]
    for lost in range(4):
        for file in sorted(path.iterdir())[3 - lost :]:
            file.rename(file.with_name(f".{file.name}.unfinished"))  # as a kill leaves it
        done = find_done(path, "parquet", NAMES, SETTINGS)
        assert done.films == (5, 4, 2, 0)[lost]
        write(path, "parquet", ANSWERS[done.films :], go_on=True)
        assert list(rows_of(path)) == whole


def test_parquet_tells_zero_from_nothing_and_is_read_while_it_is_written(tmp_path: Path) -> None:
    dataset = pytest.importorskip("pyarrow.dataset")
    sure = replace(STAGE1, probabilities={"normal": 1.0, "pneumonia": 0.0})
    write(tmp_path / "answers", "parquet", [replace(ANSWERS[0], stage1=sure), ANSWERS[2]])
    (tmp_path / "answers" / ".part-000001.parquet.unfinished").write_bytes(b"cut off by a kill")
    rows = dataset.dataset(tmp_path / "answers").to_table().to_pylist()
    assert [row["probability_pneumonia"] for row in rows] == [0.0, None]
    assert rows[1]["source"] == "=c.png"


def test_parquet_is_not_written_over(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    write(tmp_path / "answers", "parquet", ANSWERS)
    with pytest.raises(UsageError, match="go on with --resume"):
        write(tmp_path / "answers", "parquet", ANSWERS)


def test_damaged_parquet_is_an_error(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "part-000000.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(UsageError, match=r"part-000000.parquet is damaged"):
        find_done(tmp_path, "parquet", NAMES, SETTINGS)


def test_nothing_there_is_nothing_done(tmp_path: Path) -> None:
    assert find_done(tmp_path / "none", "csv", NAMES, SETTINGS) == Done(0, 0, begun=False)


@pytest.mark.parametrize("shape", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize(
    ("sources", "settings", "message"),
    [
        ([NAMES[0], "other.png"], SETTINGS, "answer 2 .* is of .*but film 2 of this run is 'other.png'"),
        (NAMES[:3], SETTINGS, "film 4 of this run is None"),
        (NAMES, replace(SETTINGS, model_version="2"), "model_version='1'.*model_version='2'"),
        (NAMES, replace(SETTINGS, operating_point="specific"), "specific"),
        (NAMES, replace(SETTINGS, gate=False), "gate=False"),
    ],
)
def test_answers_of_another_run_are_left_alone(
    tmp_path: Path, shape: Format, sources: list[str], settings: Settings, message: str
) -> None:
    if shape == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / "answers"
    write(path, shape, ANSWERS)
    before = [file.read_bytes() for file in ([path] if path.is_file() else path.iterdir())]
    with pytest.raises(UsageError, match=message):
        find_done(path, shape, sources, settings)
    assert [file.read_bytes() for file in ([path] if path.is_file() else path.iterdir())] == before


def test_answers_without_the_gate_are_known_by_their_warning(tmp_path: Path) -> None:
    path = tmp_path / "answers"
    for shape in ("jsonl", "csv"):
        write(path, shape, [replace(answer, warnings=("odd", UNCHECKED)) for answer in ANSWERS])
        assert find_done(path, shape, NAMES, replace(SETTINGS, gate=False)).films == len(NAMES)


@pytest.mark.parametrize("shape", ["jsonl", "csv"])
def test_answers_to_films_that_were_not_read_do_not_tell_of_the_gate(tmp_path: Path, shape: Format) -> None:
    path = tmp_path / "answers"
    unread = [answer for answer in ANSWERS if answer.status == "error"]
    names = [answer.source for answer in unread]
    for warnings in ((), (UNCHECKED,)):  # earlier versions warned of films that they could not read, too
        write(path, shape, [replace(answer, warnings=warnings) for answer in unread])
        for gate in (True, False):
            assert find_done(path, shape, names, replace(SETTINGS, gate=gate)) == Done(2, 2, begun=True)


@pytest.mark.parametrize(
    ("shape", "content", "message"),
    [
        ("jsonl", b'{"source": "a.png"}\n', "line 1 .* is not an answer"),
        ("jsonl", b"\xff\xfe\n", "line 1 .* is not an answer"),
        ("csv", b"name,finding\na,b\n", "does not begin as"),
        ("json", b"[]", "not with json"),
        ("table", b"film", "not with table"),
    ],
)
def test_what_is_no_file_of_answers_is_left_alone(
    tmp_path: Path, shape: Format, content: bytes, message: str
) -> None:
    path = tmp_path / "answers"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        find_done(path, shape, NAMES, SETTINGS)
    assert path.read_bytes() == content


@pytest.mark.parametrize("shape", ["jsonl", "csv"])
@pytest.mark.parametrize("done", range(len(ANSWERS) + 1))
@pytest.mark.parametrize(
    "tail",
    [
        b"my only copy of my notes",
        b"{",
        b"\0",
        b'{"source": "e.png", "finding"',
        b"e.pngx",
        b'"e.png, and, then, an, open, quote\nand a line\n',
        b"\xff\xfe",
    ],
)
def test_what_no_run_wrote_is_not_cut_off(tmp_path: Path, shape: Format, done: int, tail: bytes) -> None:
    if tail == b"{" and shape == "jsonl" and done < len(NAMES):
        pytest.skip("that is how an answer begins")
    path = tmp_path / "answers"
    write(path, shape, ANSWERS[:done])
    path.write_bytes(before := path.read_bytes() + tail)
    with pytest.raises(UsageError, match=r"left alone|is not an answer"):
        find_done(path, shape, NAMES, SETTINGS)
    assert path.read_bytes() == before


@pytest.mark.parametrize("shape", ["jsonl", "csv"])
def test_the_beginning_of_another_films_answer_is_not_cut_off(tmp_path: Path, shape: Format) -> None:
    path = tmp_path / "answers"
    write(path, shape, ANSWERS)
    path.write_bytes(before := path.read_bytes()[:-5])
    assert find_done(path, shape, NAMES, SETTINGS).films == len(NAMES) - 1
    for sources in ([*NAMES[:-1], "e.pn"], [*NAMES[:-1], "other.png"], NAMES[:-1]):
        path.write_bytes(before)
        with pytest.raises(UsageError, match="left alone"):
            find_done(path, shape, sources, SETTINGS)
        assert path.read_bytes() == before


def test_notes_that_are_no_answers_survive_resume(tmp_path: Path, chest_png: Path) -> None:
    notes = tmp_path / "notes.jsonl"
    notes.write_text("my only copy of my notes")
    result = CliRunner().invoke(app, ["predict", str(chest_png), "--resume", "--output", str(notes)])
    assert isinstance(result.exception, UsageError)
    assert notes.read_text() == "my only copy of my notes"


def test_a_row_of_too_few_cells_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "answers"
    write(path, "csv", ANSWERS[:1])
    path.write_bytes(path.read_bytes() + b"b,ok\nc,ok\n")
    with pytest.raises(UsageError, match=r"row 2 .* is not an answer"):
        find_done(path, "csv", NAMES, SETTINGS)


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["jsonl", "csv", "parquet"])
def test_killed_and_gone_on_with(tmp_path: Path, shape: str) -> None:
    if shape == "parquet":
        pytest.importorskip("pyarrow")
    (tmp_path / "models").mkdir()
    models = write_tiny_models(tmp_path / "models")
    Image.fromarray(vary_example(0, 128, 128)).save(tmp_path / "film.png")
    count = 4000 if shape == "parquet" else 1500
    names = [f"{tmp_path}/{'./' * (index % 500)}film.png?{index}" for index in range(count)]
    for index in range(0, count, 3):  # every third is a film, the others are not there
        names[index] = f"{tmp_path}/{'./' * (index % 700)}film.png"
    output = tmp_path / f"answers.{shape}"
    command = [sys.executable, "-m", "pneumocascade", "predict", "-", "--models", str(models)]
    command += ["--output", str(output), "--batch-size", "4"]
    kills = 0
    while kills < 3:
        process = subprocess.Popen(
            [*command, "--resume"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        before = size_of(output)
        assert process.stdin is not None
        process.stdin.write("\n".join(names))
        process.stdin.close()
        deadline = time.monotonic() + 60
        while process.poll() is None and size_of(output) <= before and time.monotonic() < deadline:
            time.sleep(0.01)
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
    assert kills >= 1
    result = CliRunner().invoke(app, [*command[3:], "--resume"], input="\n".join(names))
    assert result.exit_code == 1, result.output
    assert f"{sum('?' in name for name in names)} of {count} could not be read" in result.stderr
    assert sources_in(output, shape) == names


def size_of(output: Path) -> int:
    """Return the bytes written so far."""
    files = output.glob("part-*.parquet") if output.is_dir() else [output] if output.exists() else []
    return sum(file.stat().st_size for file in files)


def sources_in(output: Path, shape: str) -> list[str]:
    if shape == "parquet":
        return [row["source"] for row in rows_of(output)]
    from pneumocascade.output.resume import _csv_rows, _json_rows

    with output.open("rb") as file:
        rows = _json_rows(file, output) if shape == "jsonl" else _csv_rows(file, output)
        skip = 1 if shape == "csv" else 0
        return [row["source"] for row, _ in islice(rows, skip, None)]
