"""The spool keeps what it was given, whatever ends the process, and no more than it may."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pneumocascade import UsageError
from pneumocascade.errors import StorageError
from pneumocascade.node.spool import FILE_NAME, ReceivedFilm, ResultObject, Spool, SpoolFullError
from tests.node.spools import receive

MODELS = "1.0.0"


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with closing(Spool(tmp_path / "spool", 10_000)) as opened:
        yield opened


def received(spool: Spool, uid: str = "1.2.3", content: bytes = b"film") -> ReceivedFilm:
    film = receive(spool, content, uid, MODELS)
    assert film is not None
    return film


def result(uid: str = "1.2.3.1", kind: str = "sr") -> ResultObject:
    return ResultObject(kind, "1.2.840.10008.5.1.4.1.1.88.33", uid, b"result of " + uid.encode())


def files_in(folder: Path) -> set[str]:
    return {path.name for name in ("films", "results") for path in (folder / name).iterdir()}


def test_a_film_is_received_judged_and_delivered_to_each_destination(spool: Spool) -> None:
    film = received(spool)
    assert film.path.read_bytes() == b"film"
    assert [each.id for each in spool.waiting()] == [film.id]
    spool.finish(film, "normal", "abc", [result(), result("1.2.3.2", "sc")], ["A@h:1", "B@h:1"])
    assert spool.waiting() == []
    first, second = spool.due("A@h:1", 10)
    assert [first.kind, second.kind] == ["sr", "sc"]
    assert first.path.read_bytes() == b"result of 1.2.3.1"
    spool.sent("A@h:1", first)
    spool.failed("A@h:1", second, "status 0xA900")
    assert spool.due("A@h:1", 10) == []
    assert len(spool.due("B@h:1", 10)) == 2
    assert spool.counts() == (0, 1, 2, 1, 1)


def test_an_object_is_received_once_and_again_where_its_content_or_the_models_changed(spool: Spool) -> None:
    received(spool)
    assert receive(spool) is None
    assert len(files_in(spool.folder)) == 1
    assert spool.stored_bytes == 4
    received(spool, content=b"other pixels")
    assert receive(spool, models="2.0.0") is not None
    assert spool.find("1.2.3", b"film".hex(), MODELS) == 1
    assert spool.find("1.2.3", b"film".hex(), "3.0.0") is None


@pytest.mark.parametrize("outcome", ["failed", "error"])
def test_a_film_without_an_answer_waits_again_where_it_is_sent_again(spool: Spool, outcome: str) -> None:
    film = received(spool)
    spool.trying(film.id)
    spool.finish(film, outcome, "")
    film.path.unlink()  # whatever became of it: the object is there again
    again = received(spool)
    assert (again.id, again.path.read_bytes()) == (film.id, b"film")
    assert [each.path for each in spool.waiting()] == [again.path]
    assert files_in(spool.folder) == {again.path.name}
    assert spool.stored_bytes == 4
    assert spool.find("1.2.3", b"film".hex(), MODELS) == film.id
    assert receive(spool) is None
    spool.finish(again, "normal", "abc", [result()])
    assert receive(spool) is None


def test_films_without_an_answer_wait_again_where_their_objects_are_there(spool: Spool) -> None:
    films = [received(spool, f"1.2.{number}") for number in range(4)]
    for film, outcome in zip(films, ("failed", "error", "failed", "normal"), strict=True):
        spool.finish(film, outcome, "")
    films[2].path.unlink()
    assert spool.retry_unanswered() == 2
    assert [film.id for film in spool.waiting()] == [films[0].id, films[1].id]
    assert spool.counts().judged == 2


def test_a_result_with_a_uid_that_is_there_is_not_entered_or_sent_again(spool: Spool) -> None:
    first, second = received(spool), received(spool, content=b"again")
    spool.finish(first, "normal", "abc", [result()], ["A@h:1"])
    spool.finish(second, "normal", "abc", [result()], ["A@h:1"])
    assert len(spool.due("A@h:1", 10)) == 1
    assert len(files_in(spool.folder)) == 3
    assert spool.digests_of(second, MODELS) == {"abc"}


def test_no_more_is_received_than_fits_but_results_always_do(spool: Spool) -> None:
    film = received(spool, content=b"x" * 9_990)
    with pytest.raises(SpoolFullError, match="no room for 11"):
        receive(spool, b"y" * 11, "1.2.4")
    spool.finish(film, "normal", "abc", [result()], ["A@h:1"])
    assert spool.stored_bytes == 9_990 + len(result().content)
    assert len(files_in(spool.folder)) == 2
    spool.sent("A@h:1", spool.due("A@h:1", 1)[0])
    assert spool.remove_finished(time.time() + 1) == 1
    assert spool.stored_bytes == 0
    assert files_in(spool.folder) == set()


def test_what_waits_for_a_destination_is_never_removed(spool: Spool) -> None:
    film = received(spool)
    spool.finish(film, "normal", "abc", [result()], ["A@h:1", "B@h:1"])
    spool.sent("A@h:1", spool.due("A@h:1", 1)[0])
    assert spool.remove_finished(time.time() + 1) == 0
    assert spool.stranded(["A@h:1"]) == {"B@h:1": 1}
    spool.failed("B@h:1", spool.due("B@h:1", 1)[0], "status 0xC000")
    assert spool.retry_failed() == 1
    assert len(spool.due("B@h:1", 1)) == 1


def test_a_delivery_that_is_put_off_comes_due_later(spool: Spool) -> None:
    spool.finish(received(spool), "normal", "abc", [result()], ["A@h:1"])
    spool.later("A@h:1", spool.due("A@h:1", 1)[0], 60, "no answer")
    assert spool.due("A@h:1", 1) == []
    moment = spool.next_due("A@h:1")
    assert moment is not None
    assert 50 < moment - time.time() <= 60
    assert spool.next_due("B@h:1") is None


def test_a_film_that_ended_the_process_comes_after_the_others(spool: Spool) -> None:
    bad, good = received(spool), received(spool, "1.2.4")
    spool.trying(bad.id)
    assert [film.id for film in spool.waiting()] == [good.id, bad.id]


def test_a_film_that_was_tried_before_is_told_by_when_it_came(spool: Spool) -> None:
    began = time.time()
    film = received(spool)
    assert spool.trying(film.id) is None
    moment = spool.trying(film.id)
    assert moment is not None
    assert began <= moment <= time.time()


@pytest.mark.skipif(sys.platform != "linux", reason="writes to /dev/full")
def test_an_object_whose_last_bytes_find_no_room_leaves_nothing(spool: Spool) -> None:
    with pytest.raises(StorageError, match="cannot be kept"), spool.incoming() as incoming:
        incoming._file.close()
        incoming._file = Path("/dev/full").open("wb")  # noqa: SIM115  takes bytes into memory, not to the disk
        incoming.write(b"film")
        incoming.keep("1.2.3", "1.2", "00", MODELS)
    assert spool.stored_bytes == 0
    assert files_in(spool.folder) == set()


def test_a_second_process_is_kept_out(spool: Spool) -> None:
    with pytest.raises(UsageError, match="another process"):
        Spool(spool.folder, 1)


def test_another_database_is_not_taken_for_a_spool(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as other:
        other.execute("CREATE TABLE film (id INTEGER)")
    with pytest.raises(UsageError, match="not a spool"):
        Spool(tmp_path, 1)


def test_results_that_cannot_be_written_leave_the_film_as_it_was(spool: Spool, tmp_path: Path) -> None:
    film = received(spool)
    before = spool.stored_bytes
    (spool.folder / "results").rmdir()
    with pytest.raises(StorageError, match="results cannot be kept"):
        spool.finish(film, "normal", "abc", [result()], ["A@h:1"])
    (spool.folder / "results").mkdir()
    assert [each.id for each in spool.waiting()] == [film.id]
    assert spool.stored_bytes == before


def test_the_file_alone_is_whole_once_the_spool_is_closed(tmp_path: Path) -> None:
    with closing(Spool(tmp_path, 10_000)) as spool:
        received(spool)
    copy = tmp_path / "copy.sqlite3"
    copy.write_bytes((tmp_path / FILE_NAME).read_bytes())
    with closing(sqlite3.connect(copy)) as alone:
        assert alone.execute("SELECT count(*) FROM film").fetchone() == (1,)


_WRITING = """
import sys
from pathlib import Path
from pneumocascade.node.spool import ResultObject, Spool
spool = Spool(Path(sys.argv[1]), 10**9)
for number in range(int(sys.argv[2]), 10**9):
    with spool.incoming() as incoming:
        incoming.write(b"film %d" % number)
        film = incoming.keep(f"1.{number}", "1", "00", "m")
    print("received", number, flush=True)
    spool.finish(film, "normal", "ab", [ResultObject("sr", "1.2", f"2.{number}", b"result")], ["A@h:1"])
    print("finished", number, flush=True)
"""


@pytest.mark.slow
def test_a_process_that_is_killed_loses_nothing_that_it_said_it_kept(tmp_path: Path) -> None:
    rng = random.Random(5)
    said: dict[str, set[int]] = {"received": set(), "finished": set()}
    start = 0
    for _ in range(6):
        command = [sys.executable, "-c", _WRITING, str(tmp_path), str(start)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            words = [process.stdout.readline()]
            time.sleep(rng.uniform(0.02, 0.5))
            process.kill()
            words += process.stdout.readlines()
        for word, number in (line.split() for line in words if line.endswith("\n")):
            said[word].add(int(number))
        with closing(Spool(tmp_path, 10**9)) as spool:
            waiting = {int(film.sop_instance_uid[2:]) for film in spool.waiting()}
            due = {int(each.sop_instance_uid[2:]) for each in spool.due("A@h:1", 10**6)}
            assert said["finished"] <= due
            assert said["received"] <= waiting | due
            assert not waiting & due
            assert len(files_in(tmp_path)) == len(waiting) + 2 * len(due)
        start = max(waiting | due) + 1
    assert len(said["finished"]) > 6
