"""A watched folder: each film once, when its writing has ended, whatever else lies there or dies."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pydicom
import pytest

from pneumocascade import Cascade, UsageError
from pneumocascade.imaging.files import MAX_BYTES
from pneumocascade.model.store import read_manifest
from pneumocascade.node.results import ResultMaker
from pneumocascade.node.spool import ResultObject
from pneumocascade.node.watch import NOT_A_FILM, FolderWatch, WatchSettings
from pneumocascade.node.watch_record import WatchRecord
from tests.conftest import EXAMPLES
from tests.node.programs import wait_for
from tests.reports.sources import MEANS
from tests.reports.validators import dciodvfy_errors

MakeFilm = Callable[..., Path]
Watching = Callable[..., contextlib.AbstractContextManager[FolderWatch]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def watch(tiny_folder: Path, tiny_cascade: Cascade, folder: Path, output: Path) -> Watching:
    """Watch the folder on a thread, or once."""

    @contextlib.contextmanager
    def run(**settings: Any) -> Iterator[FolderWatch]:
        maker = ResultMaker(tiny_cascade, read_manifest(tiny_folder), ("sr", "sc"))
        chosen: dict[str, Any] = {"folder": folder, "output": output, "settle": 0.3} | settings
        watching, stop = FolderWatch(tiny_cascade, maker, WatchSettings(**chosen)), threading.Event()
        if chosen.get("once"):
            watching.run(stop)
            yield watching
            return
        thread = threading.Thread(target=watching.run, args=[stop])
        thread.start()
        try:
            yield watching
        finally:
            stop.set()
            thread.join(20)

    return run


def results_in(output: Path) -> list[str]:
    return sorted(
        path.relative_to(output).as_posix() for path in output.rglob("*") if not path.name.startswith(".")
    )


def answer_in(output: Path, name: str) -> Any:
    return json.loads((output / f"{name}.json").read_text(encoding="utf-8"))


def test_what_is_there_is_answered_once(
    watch: Watching, folder: Path, output: Path, make_film: MakeFilm, tiny_cascade: Cascade, tmp_path: Path
) -> None:
    (folder / "ward" / "bed").mkdir(parents=True)
    shutil.copy(make_film(MEANS["viral"]), folder / "ward" / "bed" / "film")
    shutil.copy(EXAMPLES[0], folder / "normal.jpeg")
    (folder / "cut.jpeg").write_bytes(EXAMPLES[1].read_bytes()[:2000])
    (folder / "readme.txt").write_text("no film", encoding="utf-8")
    with watch(once=True) as first:
        assert first.statuses == {"ok": 2, "error": 1, "not a film": 1}
    assert results_in(output) == [
        "cut.jpeg.json",
        "normal.jpeg.json",
        "ward",
        "ward/bed",
        "ward/bed/film.json",
        "ward/bed/film.sc.dcm",
        "ward/bed/film.sr.dcm",
    ]
    found = answer_in(output, "ward/bed/film")
    expected = tiny_cascade.predict(folder / "ward" / "bed" / "film", name="ward/bed/film").to_dict()
    assert {name: found[name] for name in expected if name != "elapsed_ms"} == {
        name: value for name, value in expected.items() if name != "elapsed_ms"
    }
    assert found["objects"] == ["film.sr.dcm", "film.sc.dcm"]
    for name in found["objects"]:
        assert dciodvfy_errors(pydicom.dcmread(output / "ward" / "bed" / name), tmp_path) == []
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*.json")}
    with watch(once=True) as second:
        assert second.statuses == {}
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*.json")} == before


@pytest.mark.parametrize("poll", [False, True])
def test_a_film_that_is_being_written_is_left_alone_until_it_is_whole(
    watch: Watching, folder: Path, output: Path, poll: bool
) -> None:
    content = EXAMPLES[0].read_bytes()
    with watch(poll=poll, settle=1.0) as watching, (folder / "slow.jpeg").open("wb", buffering=0) as file:
        for start in range(0, len(content), len(content) // 8):
            file.write(content[start : start + len(content) // 8])
            time.sleep(0.15)
            assert results_in(output) == []
        wait_for(lambda: watching.statuses == {"ok": 1})
    assert results_in(output) == ["slow.jpeg.json"]
    assert answer_in(output, "slow.jpeg")["status"] == "ok"


def test_a_film_that_gets_its_name_when_it_is_whole_is_answered(
    watch: Watching, folder: Path, output: Path
) -> None:
    for name in ("film.jpeg.part", ".film.jpeg.XyZ", "film.tmp"):
        shutil.copy(EXAMPLES[0], folder / name)
    (folder / ".hidden").mkdir()
    shutil.copy(EXAMPLES[0], folder / ".hidden" / "film.jpeg")
    with watch() as watching:
        time.sleep(0.8)
        shutil.copy(EXAMPLES[0], folder / ".hidden" / "later.jpeg")
        (folder / "film.jpeg.part").rename(folder / "film.jpeg")
        wait_for(lambda: results_in(output) == ["film.jpeg.json"])
        time.sleep(0.8)
        assert watching.statuses == {"ok": 1}
    assert results_in(output) == ["film.jpeg.json"]


def test_new_folders_are_watched_and_results_below_them_are_not(
    watch: Watching, folder: Path, make_film: MakeFilm
) -> None:
    output = folder / "results"
    with watch(output=output) as watching:
        (folder / "new" / "deep").mkdir(parents=True)
        shutil.copy(make_film(), folder / "new" / "deep" / "film.dcm")
        wait_for(lambda: (output / "new" / "deep" / "film.dcm.json").exists())
        time.sleep(0.8)
        assert watching.statuses == {"ok": 1}
    with watch(output=output, once=True) as again:
        assert again.statuses == {}


def test_other_content_under_a_name_is_answered_anew_and_a_touched_file_is_not(
    watch: Watching, folder: Path, output: Path
) -> None:
    film = folder / "film.jpeg"
    shutil.copyfile(EXAMPLES[0], film)
    with watch() as watching:
        wait_for(lambda: watching.statuses["ok"] == 1)
        assert answer_in(output, "film.jpeg")["file_sha256"]
        os.utime(film)
        wait_for(lambda: watching.statuses["unchanged"] == 1)
        shutil.copyfile(EXAMPLES[3], film)
        wait_for(lambda: watching.statuses["ok"] == 2)


def test_objects_of_an_earlier_film_do_not_stay_beside_the_answer_of_another(
    watch: Watching, folder: Path, output: Path, make_film: MakeFilm
) -> None:
    film = folder / "film.dcm"
    shutil.copy(make_film(), film)
    with watch(once=True):
        assert results_in(output) == ["film.dcm.json", "film.dcm.sc.dcm", "film.dcm.sr.dcm"]
    shutil.copy(EXAMPLES[0], film)  # no DICOM object any more
    with watch(once=True) as again:
        assert again.statuses == {"ok": 1}
    assert results_in(output) == ["film.dcm.json"]
    assert answer_in(output, "film.dcm")["objects"] == []


def test_a_file_that_is_no_film_any_more_keeps_no_answer(
    watch: Watching, folder: Path, output: Path, make_film: MakeFilm
) -> None:
    shutil.copy(make_film(), folder / "film.dcm")
    with watch(once=True) as watching:
        assert watching.statuses == {"ok": 1}
    (folder / "film.dcm").write_text("see the archive", encoding="utf-8")
    with watch(once=True) as again:
        assert again.statuses == {NOT_A_FILM: 1}
    assert results_in(output) == []


def test_a_film_on_which_this_software_fails_ends_no_watch_and_is_judged_by_the_next(
    watch: Watching, folder: Path, output: Path, make_film: MakeFilm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> list[ResultObject]:
        raise TypeError("Doe^John, quoted by a library")

    shutil.copy(make_film(), folder / "film.dcm")
    shutil.copy(EXAMPLES[0], folder / "film.jpeg")
    with monkeypatch.context() as patch:
        patch.setattr(ResultMaker, "make", fail)
        with watch() as watching:
            wait_for(lambda: watching.statuses == {"failed": 1, "ok": 1})
            found = answer_in(output, "film.dcm")
            assert (found["status"], found["objects"]) == ("error", [])
            assert found["error"] == {
                "code": "internal_error",
                "message": "the film could not be judged, for a fault of this software (TypeError): "
                "its log says more",
            }
            shutil.copy(EXAMPLES[1], folder / "later.jpeg")  # it goes on, and tries the film no more
            wait_for(lambda: watching.statuses == {"failed": 1, "ok": 2})
    with watch(once=True) as again:
        assert again.statuses == {"ok": 1}
    assert answer_in(output, "film.dcm")["objects"] == ["film.dcm.sr.dcm", "film.dcm.sc.dcm"]


def test_a_file_with_more_bytes_than_any_film_is_answered_as_predict_does(
    watch: Watching, folder: Path, output: Path, tiny_cascade: Cascade
) -> None:
    shutil.copyfile(EXAMPLES[0], folder / "film.jpeg")
    for size in (MAX_BYTES + 1, MAX_BYTES + 2):  # of which the second is not taken for the first
        os.truncate(folder / "film.jpeg", size)
        with watch(once=True, settle=0) as watching:
            assert watching.statuses == {"error": 1}
        found = answer_in(output, "film.jpeg")
        expected = {"code": "unreadable_file", "message": f"the file has {size} bytes, more than any film"}
        assert found["error"] == expected
        assert found["error"] == tiny_cascade.predict(folder / "film.jpeg").to_dict()["error"]
        assert found["file_sha256"] is None
    with watch(once=True) as watching:
        assert watching.statuses == {}


def test_links_are_not_followed(watch: Watching, folder: Path, output: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(EXAMPLES[0], tmp_path / "elsewhere" / "film.jpeg")
    (folder / "link.jpeg").symlink_to(EXAMPLES[0])
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "empty.jpeg").touch()
    with watch(once=True) as watching:
        assert watching.statuses == {}


def test_a_folder_without_reports_of_changes_is_looked_at(
    watch: Watching, folder: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with watch():
        time.sleep(0.2)
        shutil.copy(EXAMPLES[0], folder / "film.jpeg")
        wait_for(lambda: results_in(output) == ["film.jpeg.json"])


def test_an_answer_that_cannot_be_written_is_written_later(
    watch: Watching, folder: Path, output: Path
) -> None:
    output.mkdir()
    (output / "sub").write_text("in the way", encoding="utf-8")
    (folder / "sub").mkdir()
    shutil.copy(EXAMPLES[0], folder / "sub" / "film.jpeg")
    with watch() as watching:
        wait_for(lambda: watching.statuses["failed"] >= 1)
        (output / "sub").unlink()
        wait_for(lambda: (output / "sub" / "film.jpeg.json").exists())


def test_what_a_killed_watch_left_is_removed(watch: Watching, folder: Path, output: Path) -> None:
    output.mkdir()
    left = output / ".film.jpeg.json.b3365c14ce35.part"
    left.write_text("{", encoding="utf-8")
    shutil.copy(EXAMPLES[0], folder / "film.jpeg")
    with watch(once=True):
        assert results_in(output) == ["film.jpeg.json"]
    assert not left.exists()


def test_a_second_watch_of_the_same_results_is_refused(output: Path) -> None:
    output.mkdir()
    with closing(WatchRecord(output)), pytest.raises(UsageError, match="another process uses the results"):
        WatchRecord(output)
    WatchRecord(output).close()


def test_folders_that_make_no_sense_are_refused(watch: Watching, folder: Path, tmp_path: Path) -> None:
    for settings in ({"folder": tmp_path / "none"}, {"output": folder}, {"output": tmp_path}):
        with pytest.raises(UsageError), watch(once=True, **settings):
            pass


@pytest.mark.slow
def test_a_watch_that_is_killed_goes_on(folder: Path, output: Path, tiny_folder: Path) -> None:
    for number in range(60):
        shutil.copy(EXAMPLES[number % 4], folder / f"{number:02}.jpeg")
    command = [sys.executable, "-m", "pneumocascade", "watch", str(folder), "--output", str(output)]
    command += ["--models", str(tiny_folder), "--settle", "0.1"]
    for _ in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            count = len(list(output.glob("*.json")))
            wait_for(lambda count=count: len(list(output.glob("*.json"))) > count)
            process.kill()
    before = {path: path.stat().st_mtime_ns for path in output.glob("*.json")}
    done = subprocess.run([*command, "--once"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    after = {path: path.stat().st_mtime_ns for path in output.glob("*.json")}
    assert len(after) == 60
    # Those that were answered between result and record are answered again, two at most a kill.
    assert sum(after[path] != moment for path, moment in before.items()) <= 6
    assert all(json.loads(path.read_text(encoding="utf-8"))["status"] for path in after)
    assert not list(output.glob("*.part"))


@pytest.mark.slow
def test_a_watch_that_is_asked_to_end_ends_well(folder: Path, output: Path, tiny_folder: Path) -> None:
    command = [sys.executable, "-m", "pneumocascade", "watch", str(folder), "--output", str(output)]
    with subprocess.Popen(
        [*command, "--models", str(tiny_folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert "watches" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=30)
    assert (process.returncode, told) == (0, "nothing new\n")
    assert not list(output.glob(".*-wal"))
