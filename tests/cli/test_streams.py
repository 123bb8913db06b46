"""Commands whose standard streams are closed, full or not of UTF-8 end as others do."""

from __future__ import annotations

import csv
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pneumocascade.cli import main
from pneumocascade.cli.streams import make_usable
from tests.conftest import EXAMPLES

FILM = str(EXAMPLES[0])

DECISIVE = {"PYTHONIOENCODING", "PYTHONUNBUFFERED", "PYTHONUTF8"}
"""Variables that say how Python writes to its streams."""


def shell(redirections: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command as a shell does; ``variables`` go into its environment."""
    command = shlex.join([sys.executable, "-m", "pneumocascade", *arguments])
    kept = {name: value for name, value in os.environ.items() if name not in DECISIVE}
    return subprocess.run(
        ["sh", "-c", f"{command} {redirections}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        env={**kept, **variables},
        timeout=120,
    )


def test_a_closed_standard_input_is_an_empty_list() -> None:
    process = shell("<&-", "predict", "-")
    assert process.returncode == 2
    assert b"no films in the list on standard input" in process.stderr
    assert b"Traceback" not in process.stderr


@pytest.mark.parametrize(
    ("where", "unbuffered"), [(">&-", ""), ("<&- >&-", "1"), ("> /dev/full", ""), ("> /dev/full", "1")]
)
@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", FILM],
        ["predict", FILM, "--format", "jsonl"],
        ["predict", FILM, "--format", "json"],
        ["predict", "--help"],
        ["--version"],
    ],
)
def test_a_standard_output_that_takes_nothing_is_told(
    where: str, unbuffered: str, arguments: list[str]
) -> None:
    if "full" in where and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    process = shell(where, *arguments, PYTHONUNBUFFERED=unbuffered)
    assert process.returncode == 1, process.stderr
    (line,) = process.stderr.decode().splitlines()
    assert line.startswith("pneumocascade: ")
    assert ("No space left" if "full" in where else "Bad file descriptor") in line


@pytest.mark.parametrize("shape", ["table", "json", "jsonl", "csv"])
@pytest.mark.parametrize("reader", ["true", "head -c 1"])
def test_a_pipe_that_is_read_no_further_ends_quietly(shape: str, reader: str) -> None:
    process = shell(f"| {reader}", "predict", *[FILM] * 12, "--format", shape)
    assert process.stderr == b""


@pytest.mark.parametrize("where", ["2>&-", "<&- 2>&-", "<&- >&- 2>&-"])
def test_answers_that_go_to_a_file_need_no_stream(where: str, tmp_path: Path) -> None:
    output = tmp_path / "answers.jsonl"
    process = shell(where, "predict", FILM, str(tmp_path / "none.png"), "--output", str(output))
    assert process.returncode == 1, "one film is not there"
    assert process.stdout == b""
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["status"] for row in rows] == ["ok", "error"]


def test_files_do_not_get_the_numbers_of_streams(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from pneumocascade.cli.streams import make_usable\n"
        "make_usable()\n"
        f"number = os.open({str(tmp_path / 'file')!r}, os.O_CREAT | os.O_WRONLY)\n"
        "sys.exit(number if all(map(os.get_inheritable, range(3))) else 1)\n"
    )
    command = f"exec {shlex.join([sys.executable, '-c', code])} <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], check=False).returncode == 3


def test_streams_that_are_there_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    before = (sys.stdin, sys.stdout, sys.stderr)
    make_usable()
    assert (sys.stdin, sys.stdout, sys.stderr) == before
    monkeypatch.setattr(sys, "argv", ["pneumocascade", "--version"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0


@pytest.mark.parametrize("shape", ["table", "json", "jsonl", "csv"])
@pytest.mark.parametrize("encoding", ["latin-1:strict", "ascii"])
def test_results_are_utf8_whatever_the_locale(tmp_path: Path, shape: str, encoding: str) -> None:
    film = tmp_path / "ä€.jpeg"
    film.write_bytes(EXAMPLES[0].read_bytes())
    process = shell("", "predict", str(film), "--format", shape, PYTHONIOENCODING=encoding, PYTHONUTF8="1")
    assert process.returncode == 0, process.stderr
    if shape == "table":
        shown = r"\xe4\u20ac.jpeg" if encoding == "ascii" else r"ä\u20ac.jpeg"
        assert shown in process.stdout.decode("latin-1")
        return
    text = process.stdout.decode("utf-8")
    if shape == "csv":
        (row,) = csv.DictReader(text.splitlines())
    else:
        (row,) = json.loads(text) if shape == "json" else map(json.loads, text.splitlines())
    assert row["source"] == str(film)
