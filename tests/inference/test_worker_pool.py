"""A decoder that dies, hangs or takes all memory costs one film; nothing but numbers and text comes back."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from pneumocascade import Cascade
from pneumocascade.inference import worker_pool as pool
from pneumocascade.inference.prepare import PreparedFilm, prepare_film
from pneumocascade.inference.repair import REPAIRS, candidates
from pneumocascade.inference.worker_pool import IsolatedReader
from pneumocascade.inference.worker_protocol import film_from_bytes, film_to_bytes, read_frame, write_frame
from pneumocascade.types import Acquisition, Radiograph, Reason
from tests.conftest import wait_until
from tests.reports.sources import MEANS, film_object, film_of
from tests.server.test_batcher import FILMS
from tests.tiny_models import write_tiny_models


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Cascade:
    return Cascade.load(write_tiny_models(tmp_path_factory.mktemp("tiny")), threads=1)


@pytest.fixture(scope="module")
def isolated(tiny: Cascade) -> Iterator[Cascade]:
    reader = IsolatedReader(2)
    yield Cascade(tiny.stage1, tiny.stage2, tiny.version, tiny.gate, reader)
    reader.close()


def dicom() -> bytes:
    stream = io.BytesIO()
    film_object(film_of(MEANS["viral"]), "DX", PatientAge="040Y").save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def assert_same(film: PreparedFilm, expected: PreparedFilm) -> None:
    for field in fields(expected):
        if field.name not in ("inputs", "seconds", "display"):
            assert getattr(film, field.name) == getattr(expected, field.name), field.name
    assert len(film.inputs) == len(expected.inputs)
    for array, other in zip(film.inputs, expected.inputs, strict=True):
        np.testing.assert_array_equal(array, other)
        assert array.dtype == np.float32
    assert (film.display is None) == (expected.display is None)
    if film.display is not None and expected.display is not None:
        assert film.display.original is not None
        assert expected.display.original is not None
        np.testing.assert_array_equal(film.display.pixels, expected.display.pixels)
        np.testing.assert_array_equal(film.display.original.square, expected.display.original.square)
        for part, other_part, arrays in (
            (film.display, expected.display, ("pixels", "original")),
            (film.display.original, expected.display.original, ("square",)),
        ):
            for field in fields(other_part):  # all of them, also those that are added one day
                if field.name not in arrays:
                    assert getattr(part, field.name) == getattr(other_part, field.name), field.name


def test_a_film_is_made_ready_as_it_is_here(tiny: Cascade, isolated: Cascade, tmp_path: Path) -> None:
    specs = tiny.specs
    path = tmp_path / "film.dcm"
    path.write_bytes(dicom())
    sources: list[bytes | str | Path] = [
        *FILMS.values(),
        dicom(),
        path,
        str(path),
        f"{path}#frame=9",
        tmp_path / "missing",
    ]
    for source in sources:
        for gate, display in ((True, False), (False, True)):
            found = isolated.reader((source, None), specs=specs, gate=gate, display=display)
            expected = prepare_film((source, None), specs=specs, gate=gate, display=display)
            assert_same(found, expected)
            assert (found.display is not None) == (display and found.status != "error")


def test_the_display_copy_keeps_tint_and_warnings(tiny: Cascade, isolated: Cascade) -> None:
    grey = film_of(MEANS["viral"]).astype(np.uint16) * 16
    stream = io.BytesIO()
    np.save(stream, np.dstack([grey, grey - grey // 16, grey]))
    read = isolated.reader((stream.getvalue(), None), specs=tiny.specs, display=True)
    assert_same(read, prepare_film((stream.getvalue(), None), specs=tiny.specs, display=True))
    assert read.display is not None
    assert read.display.colourfulness > 5
    assert read.display.warnings == ("the film uses 12 of its 16 bits; its grey values were stretched",)
    (changed,) = candidates(read.display, "inverted")
    assert isolated.predict(changed).warnings[:2] == (*read.display.warnings, *REPAIRS["inverted"])


def undecoded(form: str, content: bytes) -> Any:
    """Return a film in one of the forms that the readers take, newly made, since a file is read once."""
    if form in ("dataset", "broken dataset"):
        dataset = pydicom.dcmread(io.BytesIO(content))
        if form == "broken dataset":
            dataset.Rows = "many"
        return dataset
    forms = {"bytearray": bytearray, "memoryview": memoryview, "file": io.BytesIO}
    return forms[form](content)


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of the data set that makes no sense
@pytest.mark.parametrize("form", ["bytearray", "memoryview", "file", "dataset", "broken dataset"])
def test_all_that_is_still_to_be_decoded_goes_to_a_worker(
    tiny: Cascade, isolated: Cascade, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    content = dicom()
    options: dict[str, Any] = {"specs": tiny.specs, "display": True}
    expected = [prepare_film((undecoded(form, content), name), **options) for name in (None, "named")]

    def decoded_here(*_: object, **__: object) -> PreparedFilm:
        raise AssertionError("a film was decoded in this process")

    monkeypatch.setattr(pool, "prepare_film", decoded_here)
    for film, name in zip(expected, (None, "named"), strict=True):
        assert_same(isolated.reader((undecoded(form, content), name), **options), film)
    assert expected[0].status == ("error" if form == "broken dataset" else "ok")


def test_a_file_of_text_is_refused_as_elsewhere(isolated: Cascade, tiny: Cascade) -> None:
    with pytest.raises(TypeError, match="binary mode"):
        isolated.reader((io.StringIO("film"), None), specs=tiny.specs)


def test_what_is_decoded_already_is_made_ready_here(tiny: Cascade) -> None:
    reader = IsolatedReader(0)  # it would wait for ever
    film = Radiograph(film_of(MEANS["viral"]), "film")
    specs = tiny.specs
    assert reader((film, None), specs=specs).source == "film"
    assert reader((film.pixels, None), specs=specs).status == "ok"


def workers_of(parent: int) -> list[int]:
    """Return the processes that decode for a process."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes()
            own = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if own == parent and b"pneumocascade.inference.worker" in line:
            found.append(int(entry.name))
    return found


def test_a_worker_that_dies_costs_its_film_alone(tiny: Cascade, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(workers_of(os.getpid()))
    reader = IsolatedReader(1)
    specs = tiny.specs
    assert reader((FILMS["viral"], "a"), specs=specs).status == "ok"
    (victim,) = set(workers_of(os.getpid())) - before
    os.kill(victim, signal.SIGSTOP)
    with ThreadPoolExecutor(2) as threads:
        films = [threads.submit(reader, (FILMS["viral"], name), specs=specs) for name in ("b", "c")]
        wait_until(lambda: reader._idle.empty())
        time.sleep(0.1)
        os.kill(victim, signal.SIGSEGV)
        os.kill(victim, signal.SIGCONT)
        found = [film.result(60) for film in films]
    assert sorted(film.status for film in found) == ["error", "ok"]
    failed = next(film for film in found if film.status == "error")
    assert failed.source in ("b", "c")
    assert failed.error is not None
    assert failed.error.code == "decoder_failed"
    reader.close()
    assert set(workers_of(os.getpid())) == before


def test_a_worker_that_died_while_idle_costs_no_film(tiny: Cascade) -> None:
    before = set(workers_of(os.getpid()))
    reader = IsolatedReader(1)
    assert reader((FILMS["viral"], "a"), specs=tiny.specs).status == "ok"
    (victim,) = set(workers_of(os.getpid())) - before
    os.kill(victim, signal.SIGKILL)
    os.waitid(os.P_PID, victim, os.WEXITED | os.WNOWAIT)  # it is gone, and the reader has not asked yet
    assert reader((FILMS["viral"], "b"), specs=tiny.specs).status == "ok"
    reader.close()


@pytest.mark.parametrize("cause", ["ends", "hangs", "is not there"])
def test_a_worker_that_does_not_start_is_not_the_fault_of_the_film(
    tiny: Cascade, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cause: str
) -> None:
    program = tmp_path / "python"
    if cause != "is not there":
        program.write_text("#!/bin/sh\n" + ("exit 1\n" if cause == "ends" else "exec sleep 60\n"))
        program.chmod(0o755)
    reader = IsolatedReader(1)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(program))
        patch.setattr(pool, "START_SECONDS", 0.3)
        film = reader((FILMS["viral"], "a"), specs=tiny.specs)
    assert film.error is not None
    assert film.error.code == "decoder_not_started"
    assert "could not be started" in film.error.message
    assert reader((FILMS["viral"], "a"), specs=tiny.specs).status == "ok"
    reader.close()


def test_a_worker_that_hangs_is_replaced(tiny: Cascade) -> None:
    reader = IsolatedReader(1, seconds=1.0)
    specs = tiny.specs
    before = set(workers_of(os.getpid()))
    assert reader((FILMS["viral"], "a"), specs=specs).status == "ok"
    (victim,) = set(workers_of(os.getpid())) - before
    os.kill(victim, signal.SIGSTOP)
    film = reader((FILMS["viral"], "b"), specs=specs)
    assert film.error == Reason("decoder_timeout", "the film was not decoded within 1 seconds")
    assert reader((FILMS["viral"], "c"), specs=specs).status == "ok"
    reader.close()


def test_a_worker_whose_time_ends_with_its_answer_does_not_get_the_next_film(
    tiny: Cascade, monkeypatch: pytest.MonkeyPatch
) -> None:
    class LateTimer(threading.Timer):
        """Runs a little after it was cancelled, as one whose time was over just before."""

        def run(self) -> None:
            self.finished.wait(self.interval)
            time.sleep(0.01)
            self.function(*self.args, **self.kwargs)

    reader = IsolatedReader(1)
    assert reader((FILMS["viral"], "a"), specs=tiny.specs).status == "ok"
    with monkeypatch.context() as patch:
        patch.setattr(threading, "Timer", LateTimer)
        late = reader((FILMS["viral"], "b"), specs=tiny.specs)
    assert late.error is not None
    assert late.error.code == "decoder_timeout"
    assert reader((FILMS["viral"], "c"), specs=tiny.specs).status == "ok"
    reader.close()


def test_memory_is_bounded_and_the_largest_film_fits(tiny: Cascade) -> None:
    specs = tiny.specs
    side = 9400  # just below the largest picture that is read
    tile = film_of(MEANS["viral"])
    large = np.tile(tile, (side // tile.shape[0] + 1, side // tile.shape[1] + 1))[:side, :side]
    stream = io.BytesIO()
    from PIL import Image

    Image.fromarray(np.dstack([large] * 3)).save(stream, "PNG", compress_level=1)
    whole, tight = IsolatedReader(1), IsolatedReader(1, memory=200 << 20)
    assert whole((stream.getvalue(), None), specs=specs).status in ("ok", "refused")
    film = tight((stream.getvalue(), None), specs=specs)
    assert film.status == "error", "a picture of 265 MB does not fit into 200 MB"
    assert tight((FILMS["viral"], None), specs=specs).status == "ok"
    whole.close()
    tight.close()


def test_a_worker_ends_with_the_one_who_asks(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from pneumocascade.inference.worker_pool import IsolatedReader, _Worker\n"
        "worker = _Worker(1 << 30)\n"
        "print(worker._process.pid, flush=True)\n"
        "time.sleep(100)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text())


FILM = PreparedFilm(
    "naïve\n.png",
    "ok",
    ("a warning",),
    (),
    None,
    (np.ones((1, 3, 4, 4), np.float32), np.zeros((1, 3, 6, 6), np.float32)),
    "f" * 64,
    Acquisition("DX", age_years=4.5),
    0.25,
)


def test_a_film_comes_back_from_the_wire() -> None:
    assert_same(film_from_bytes(film_to_bytes(FILM)), FILM)
    refused = replace(FILM, status="refused", reasons=(Reason("blank", "no"),), inputs=())
    assert_same(film_from_bytes(film_to_bytes(refused)), refused)
    shared = replace(FILM, inputs=FILM.inputs[:1] * 2)
    again = film_from_bytes(film_to_bytes(shared))
    assert again.inputs[0] is again.inputs[1], "a film that both stages prepare alike is sent once"


@pytest.mark.parametrize(
    "change",
    [
        {"status": "pwned"},
        {"shapes": [[1, 3, 10**9, 10**9]]},
        {"shapes": [[1, 3, -4, -4]]},
        {"shapes": [[1, 2, 4, 4], [1, 3, 6, 6]]},
        {"inputs": [7]},
        {"inputs": ["__class__"]},
        {"acquisition": {"modality": "DX", "evil": 1}},
        {"shapes": [[1, 3, 4, 4]]},
        {"reasons": 3},
        {"seconds": "soon"},
        {"display": {"shape": [10**9, 1], "side": 4, "size_read": [9, 9], "bits": 8, "margin": 0}},
        {"display": {"shape": [0, 0], "side": 0, "size_read": [9, 9], "bits": 8, "margin": 0}},
        {"display": {"shape": [2, 2], "side": 4, "size_read": [9, 9], "bits": 8, "margin": 0}},
        {"display": 7},
    ],
    ids=str,
)
def test_an_answer_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    head, _, rest = film_to_bytes(FILM).partition(b"\n")
    forged = json.dumps({**json.loads(head), **change}).encode() + b"\n" + rest
    with pytest.raises((ValueError, LookupError, TypeError)):
        film_from_bytes(forged)


def test_frames_are_bounded() -> None:
    stream = io.BytesIO()
    write_frame(stream, b"0123456789")
    for most, error in ((9, ValueError), (None, None)):
        stream.seek(0)
        if error:
            with pytest.raises(error):
                read_frame(stream, most)
        else:
            assert read_frame(stream, most) == b"0123456789"
    with pytest.raises(EOFError):
        read_frame(io.BytesIO(stream.getvalue()[:-1]))


def test_a_worker_that_answers_nonsense_is_replaced(tiny: Cascade, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = IsolatedReader(1)
    specs = tiny.specs
    with monkeypatch.context() as patch:
        patch.setattr(pool, "film_from_bytes", lambda _: json.loads("{"))
        film = reader((FILMS["viral"], "a"), specs=specs)
    assert film.error is not None
    assert film.error.code == "decoder_failed"
    assert reader((FILMS["viral"], "a"), specs=specs).status == "ok"
    reader.close()


@pytest.mark.parametrize("kind", ["path", "bytes"])
def test_an_answer_that_was_not_read_is_not_given_to_the_next_film(
    tiny: Cascade, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    sources: dict[str, bytes | Path] = {name: FILMS[name] for name in ("viral", "normal")}
    if kind == "path":
        for name in sources:
            (tmp_path / name).write_bytes(FILMS[name])
            sources[name] = tmp_path / name
    reader = IsolatedReader(1)
    assert reader((FILMS["viral"], "first"), specs=tiny.specs).status == "ok"

    def exhausted(stream: object, most: int | None = None) -> bytes:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(pool, "read_frame", exhausted)
        with pytest.raises(MemoryError):
            reader((sources["viral"], "one"), specs=tiny.specs)
    found = reader((sources["normal"], "two"), specs=tiny.specs)
    expected = prepare_film((sources["normal"], "two"), specs=tiny.specs)
    assert (found.source, found.pixels_sha256) == ("two", expected.pixels_sha256)
    reader.close()


def test_a_worker_goes_whatever_its_request_raised(tiny: Cascade, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(workers_of(os.getpid()))
    reader = IsolatedReader(1)
    assert reader((FILMS["viral"], "a"), specs=tiny.specs).status == "ok"

    def interrupted(_: bytes) -> PreparedFilm:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pool, "film_from_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            reader((FILMS["viral"], "b"), specs=tiny.specs)
    assert set(workers_of(os.getpid())) == before
    assert reader((FILMS["viral"], "c"), specs=tiny.specs).source == "c"
    reader.close()


def test_an_answer_repeats_the_number_of_its_request(tiny: Cascade) -> None:
    reader = IsolatedReader(1)
    assert reader((FILMS["viral"], "a"), specs=tiny.specs).status == "ok"
    worker = reader._idle.get()
    assert worker is not None
    worker._asked += 1  # as where one more request had been sent
    reader._idle.put(worker)
    assert worker._process.stdin is not None
    stages = json.dumps([spec.to_json() for spec in tiny.specs]).encode()
    settings = json.dumps({"path": None, "name": "stale", "gate": True, "display": False}).encode()
    for frame in (b"2", settings, stages, FILMS["normal"]):
        write_frame(worker._process.stdin, frame)
    film = reader((FILMS["viral"], "b"), specs=tiny.specs)
    assert film.error is not None
    assert film.error.code == "decoder_failed"
    assert reader((FILMS["viral"], "c"), specs=tiny.specs).source == "c"
    reader.close()


def test_no_thread_is_left(tiny: Cascade) -> None:
    before = threading.active_count()
    reader = IsolatedReader(1)
    reader((FILMS["viral"], "a"), specs=tiny.specs)
    reader.close()
    wait_until(lambda: threading.active_count() <= before)
