"""Nothing that is written takes the place of what is read, nor of what else is written."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pneumocascade import UsageError
from pneumocascade.cli import app
from pneumocascade.cli.destinations import check_destinations, check_file, check_folder
from tests.conftest import EXAMPLES

runner = CliRunner()


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.jpeg"
    path.write_bytes(EXAMPLES[0].read_bytes())
    return path


def refused(*arguments: str | Path, stdin: str | None = None) -> str:
    """Run ``predict`` and return why that was wrong usage."""
    result = runner.invoke(app, ["predict", *map(str, arguments)], input=stdin)
    assert isinstance(result.exception, UsageError), result.output
    return str(result.exception)


def test_a_film_is_not_written_over_whatever_leads_to_it(film: Path, tmp_path: Path) -> None:
    before = film.read_bytes()
    link, hard, folder = tmp_path / "link", tmp_path / "hard", tmp_path / "folder"
    link.symlink_to(film)
    hard.hardlink_to(film)
    folder.symlink_to(tmp_path)
    outputs = [film, link, hard, folder / "film.jpeg", Path(os.path.relpath(film))]
    for output in outputs:
        for named in (film, link, f"{film}#frame=1", folder / "film.jpeg", f"{folder}/../*/film.jpeg"):
            message = refused(EXAMPLES[1], named, "--format", "jsonl", "--output", output)
            assert message.startswith("--output would write over")
            assert film.read_bytes() == before
    assert "--history would" in refused(tmp_path, "--history", film)
    assert "--output would" in refused("-", "--format", "csv", "--output", link, stdin=f"{film}\n")
    assert film.read_bytes() == before


def test_a_report_does_not_take_the_place_of_an_input(film: Path, tmp_path: Path) -> None:
    page = film.rename(tmp_path / "film.html")
    before = page.read_bytes()
    assert "--report would write over" in refused(page, "--report", page)
    assert page.read_bytes() == before


def test_an_archive_of_films_is_not_written_over(film: Path, tmp_path: Path) -> None:
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.write(film, "series/film.jpeg")
    before = archive.read_bytes()
    for named in (archive, f"{archive}/series/film.jpeg", f"{archive}/no/such/member.dcm#frame=2"):
        assert "would write over" in refused(named, "--format", "json", "--output", archive)
        assert archive.read_bytes() == before


def test_what_only_lists_films_is_not_written_over(film: Path, tmp_path: Path) -> None:
    listed = tmp_path / "DICOMDIR"
    listed.write_bytes(b"no directory")
    with pytest.raises(UsageError, match="would write over"):
        check_destinations({"--output": listed}, {}, [str(listed), str(film)])


@pytest.mark.skipif(not Path("/dev/stdin").exists(), reason="this system has no /dev/stdin")
def test_the_list_of_films_is_not_written_over(film: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text(f"{film}\n")
    command = [sys.executable, "-m", "pneumocascade", "predict", "-", "--output", str(listed)]
    with listed.open() as stdin:
        process = subprocess.run(command, stdin=stdin, capture_output=True, text=True, check=False)
    assert process.returncode == 2
    assert "--output would write over '/dev/stdin'" in process.stderr
    assert listed.read_text() == f"{film}\n"


def test_two_destinations_are_not_one_file(film: Path, tmp_path: Path) -> None:
    one, link = tmp_path / "k.jsonl", tmp_path / "link.jsonl"
    link.symlink_to(one)
    for other in (one, link, tmp_path / "." / "k.jsonl"):
        assert "are both" in refused(film, "--output", one, "--history", other)
        assert not one.exists()
    page = tmp_path / "page.html"
    assert "are both" in refused(film, "--output", page, "--format", "json", "--report", page)
    one.write_text("")
    (tmp_path / "hard").hardlink_to(one)
    with pytest.raises(UsageError, match="are both"):
        check_destinations({"--output": one, "--history": tmp_path / "hard"}, {}, [])


def test_no_destination_lies_below_a_file_that_will_be(tmp_path: Path) -> None:
    output = tmp_path / "out"
    for below in (output, output / "deep" / "pictures"):
        with pytest.raises(UsageError, match="--save-pictures"):
            check_destinations({"--output": output}, {"--save-pictures": below}, [])
    with pytest.raises(UsageError, match="to be a file"):
        check_destinations({"--output": output, "--report": output / "x.html"}, {}, [])


def test_what_goes_well_together_is_let_through(film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    files = {"--report": out / "report.html", "--history": tmp_path / "history", "--output": None}
    check_destinations(files, {"--output": out, "--save-pictures": out, "--dicom-output": out / "x"}, [])
    (tmp_path / "history").write_text("")
    check_destinations(files, {}, [str(film), str(tmp_path), "none/at/all.png", "a\0b", "", "s3://b/history"])


def test_films_are_not_looked_at_where_nothing_can_be_written_over(tmp_path: Path) -> None:
    def films() -> Iterator[str]:
        raise AssertionError("checked")
        yield ""

    check_destinations({"--output": tmp_path / "none"}, {"--save-pictures": tmp_path}, films())
    (tmp_path / "there").write_text("")
    with pytest.raises(AssertionError, match="checked"):
        check_destinations({"--output": tmp_path / "there"}, {}, films())


def test_films_are_never_opened(film: Path, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("")
    os.mkfifo(tmp_path / "pipe")  # whoever opens it waits for good
    film.chmod(0)
    check_destinations({"--output": tmp_path / "there"}, {}, [str(tmp_path / "pipe"), str(film)])


def test_nothing_is_made_to_find_out_whether_it_can_be(tmp_path: Path) -> None:
    check_folder("--save-pictures", tmp_path / "a" / "b")
    check_file("--report", tmp_path / "a" / "report.html")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="is not a folder"):
        check_folder("--save-pictures", tmp_path / "broken")


@contextmanager
def nobody() -> Iterator[None]:
    """Give up the superuser's rights, who may write everywhere."""
    mighty = os.getuid() == 0
    if mighty:
        os.setresuid(65_534, 65_534, 0)
    try:
        yield
    finally:
        if mighty:
            os.setresuid(0, 0, 0)


@pytest.mark.skipif(not hasattr(os, "setresuid"), reason="needs Linux's users")
def test_what_may_not_be_written_to_is_told(tmp_path: Path) -> None:
    folder, page = tmp_path / "folder", tmp_path / "page.html"
    folder.mkdir(mode=0o555)
    page.write_text("kept")
    page.chmod(0o444)
    for parent in (tmp_path, *tmp_path.parents):
        if not (mode := parent.stat().st_mode) & 0o001:  # pytest's own folders are for their owner alone
            parent.chmod(mode | 0o011)
    with nobody():
        for wanted in (folder, folder / "deep" / "er"):
            with pytest.raises(UsageError, match="may not be written to"):
                check_folder("--dicom-output", wanted)
        with pytest.raises(UsageError, match="may not be written to"):
            check_file("--report", folder / "report.html")
        with pytest.raises(UsageError, match=r"page.html may not be written to"):
            check_file("--report", page)
