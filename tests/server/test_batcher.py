"""Shared batches: the cascade's own answers, a bounded line, and failures that stay where they belong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import cv2
import pytest

from pneumocascade import Cascade, Prediction, UsageError
from pneumocascade.errors import BusyError, FileAccessError, StorageError
from pneumocascade.model.engines.processor import usable_cores
from pneumocascade.model.spec import OPERATING_POINTS
from pneumocascade.server.batcher import MAX_WAITING, Batcher
from pneumocascade.server.predictions import MAX_FILES
from pneumocascade.server.queue import FilmQueue, Group, QueuedFilm
from pneumocascade.types import Reason
from tests.conftest import wait_until
from tests.inference.test_cascade import NORMAL, VIRAL, assert_same_answer, film_of

if TYPE_CHECKING:
    from pneumocascade.inference.cascade import Terms
    from pneumocascade.inference.prepare import PreparedFilm

SECONDS = 30.0
"""Longest wait for anything here; only a failing test waits so long."""


class Watched(Cascade):
    """The tiny models, which note their batches, and can be held up or made to fail by a film's name."""

    def __init__(self, cascade: Cascade) -> None:
        super().__init__(cascade.stage1, cascade.stage2, cascade.version, cascade.gate)
        self.batches: list[list[str]] = []
        self.entered = threading.Semaphore(0)
        self.release = threading.Event()  # cleared: the next batch waits
        self.release.set()

    def _judge(self, films: Sequence[PreparedFilm], how: Terms) -> list[Prediction]:
        self.batches.append([film.source for film in films])
        self.entered.release()
        assert self.release.wait(SECONDS), "nobody let the models go on"
        if any(film.source == "poison" for film in films):
            raise RuntimeError("the models failed")
        return super()._judge(films, how)


@pytest.fixture
def watched(models: Path) -> Iterator[Watched]:
    watched = Watched(Cascade.load(models, threads=1))
    yield watched
    watched.release.set()


@pytest.fixture
def make(watched: Watched) -> Iterator[Callable[..., Batcher]]:
    """Make batchers that are running, and stop them."""
    made = []

    def begin(workers: int = 1, **options: int) -> Batcher:
        made.append(Batcher(watched, workers=workers, **options))
        made[-1].start()
        return made[-1]

    yield begin
    watched.release.set()
    for batcher in made:
        batcher.stop()


def content_of(mean: float, seed: int = 0) -> bytes:
    return bytes(cv2.imencode(".png", film_of(mean, seed))[1])


NORMAL_FILM = content_of(NORMAL)
FILMS: dict[str, bytes] = {
    "normal": NORMAL_FILM,
    "viral": content_of(VIRAL),
    "between": content_of(85),
    "small": bytes(cv2.imencode(".png", film_of(VIRAL)[:40, :40])[1]),
    "broken": b"no film",
    "cut": NORMAL_FILM[: len(NORMAL_FILM) // 2],
    "empty": b"",
}


def films_of(*names: str) -> list[QueuedFilm]:
    """Return films that show what their names say; others are normal."""
    return [QueuedFilm(name, partial(bytes, FILMS.get(name, NORMAL_FILM))) for name in names]


def sources(future: Future[list[Prediction]]) -> list[str]:
    return [prediction.source for prediction in future.result(SECONDS)]


def requests(clients: int) -> Iterator[tuple[list[str], str]]:
    """Yield the films and the operating point of each client's request, all kinds among them."""
    kinds = list(FILMS)
    for client in range(clients):
        own = [kinds[(client + step) % len(kinds)] for step in range(1 + client % 4)]
        yield own, OPERATING_POINTS[client % len(OPERATING_POINTS)]


@pytest.mark.parametrize("workers", [1, 3])
def test_concurrent_requests_get_the_answers_of_the_cascade_alone(
    watched: Watched, make: Callable[..., Batcher], workers: int
) -> None:
    batcher = make(batch_size=4, workers=workers)
    asked = list(requests(42))
    with ThreadPoolExecutor(14) as pool:
        found = list(pool.map(lambda one: batcher.submit(films_of(*one[0]), one[1]).result(SECONDS), asked))
    seen: set[tuple[str, str | None]] = set()
    for (names, operating_point), answers in zip(asked, found, strict=True):
        alone = Cascade.predict_many(
            watched, [FILMS[name] for name in names], operating_point=operating_point, names=names
        )
        for answer, expected in zip(answers, alone, strict=True):
            assert answer.source == expected.source
            assert answer.operating_point == operating_point
            assert (answer.reasons, answer.error) == (expected.reasons, expected.error)
            assert answer.elapsed_ms > 0
            assert_same_answer(answer, expected, 1e-6)
            seen.add((answer.status, answer.aetiology))
    assert {("ok", None), ("ok", "viral"), ("refused", None), ("error", None)} <= seen


def test_films_of_several_requests_share_a_batch(watched: Watched, make: Callable[..., Batcher]) -> None:
    batcher = make(batch_size=4)
    watched.release.clear()
    first = batcher.submit(films_of("first"))
    assert watched.entered.acquire(timeout=SECONDS)
    futures = [batcher.submit(films_of(f"{number}a", f"{number}b")) for number in range(3)]
    watched.release.set()
    assert [sources(future) for future in (first, *futures)] == [
        ["first"],
        *([f"{n}a", f"{n}b"] for n in range(3)),
    ]
    # A film of each request in turn.
    assert watched.batches == [["first"], ["0a", "1a", "2a", "0b"], ["1b", "2b"]]


def test_a_film_alone_does_not_wait_for_others(watched: Watched, make: Callable[..., Batcher]) -> None:
    assert sources(make().submit(films_of("only"))) == ["only"]
    assert watched.batches == [["only"]]


def test_a_batch_has_one_operating_point_and_each_has_its_turn(
    watched: Watched, make: Callable[..., Batcher]
) -> None:
    batcher = make(batch_size=1)
    watched.release.clear()
    many = batcher.submit(films_of(*(f"many {number}" for number in range(20))), "balanced")
    assert watched.entered.acquire(timeout=SECONDS)
    other = batcher.submit(films_of("other"), "sensitive")
    watched.release.set()
    assert many.result(SECONDS)[19].operating_point == "balanced"
    assert other.result(SECONDS)[0].operating_point == "sensitive"
    assert watched.batches.index(["other"]) <= 2, "others wait for their turn, not for all"


def test_workers_judge_at_once_and_answers_keep_their_places(
    watched: Watched, make: Callable[..., Batcher]
) -> None:
    batcher = make(batch_size=2, workers=3)
    watched.release.clear()
    names = [f"film {number}" for number in range(6)]
    future = batcher.submit(films_of(*names))
    for _ in range(3):
        assert watched.entered.acquire(timeout=SECONDS), "a worker waits for another"
    watched.release.set()
    assert sources(future) == names


def test_what_does_not_fit_is_refused_at_once(watched: Watched, make: Callable[..., Batcher]) -> None:
    batcher = make(max_waiting=3)
    watched.release.clear()
    taken = batcher.submit(films_of("taken up"))
    assert watched.entered.acquire(timeout=SECONDS)
    waiting = [batcher.submit(films_of("a")), batcher.submit(films_of("b", "c"))]
    assert batcher.waiting == 3
    with pytest.raises(BusyError, match="3 films wait and at most 3 may") as caught:
        batcher.submit(films_of("d"))
    assert caught.value.retry_after == 1
    watched.release.set()
    assert [sources(future) for future in (taken, *waiting)] == [["taken up"], ["a"], ["b", "c"]]
    assert batcher.waiting == 0
    assert sources(batcher.submit(films_of("d"))) == ["d"]


def test_retry_after_is_what_the_line_takes_at_the_recent_rate() -> None:
    line = FilmQueue(10)
    line.open()
    for number in range(10):
        line.add(Group(films_of(str(number)), "balanced"))

    def retry_after() -> int:
        with pytest.raises(BusyError) as caught:
            line.add(Group(films_of("one more"), "balanced"))
        return caught.value.retry_after

    assert retry_after() == 1
    line.note(0.5)
    line.note(1.0)
    assert retry_after() == 8
    for _ in range(1000):
        line.note(0.001)
    assert retry_after() == 1


def test_every_request_that_the_server_takes_has_room() -> None:
    assert MAX_FILES <= MAX_WAITING


def test_a_failure_of_the_models_reaches_only_those_concerned(
    watched: Watched, make: Callable[..., Batcher]
) -> None:
    batcher = make(batch_size=8)
    watched.release.clear()
    first = batcher.submit(films_of("first"))
    assert watched.entered.acquire(timeout=SECONDS)
    guilty = batcher.submit(films_of("before", "poison", *(f"after {number}" for number in range(30))))
    innocent = batcher.submit(films_of("viral", "broken"))
    watched.release.set()
    with pytest.raises(RuntimeError, match="the models failed"):
        guilty.result(SECONDS)
    assert [prediction.status for prediction in innocent.result(SECONDS)] == ["ok", "error"]
    assert sources(first) == ["first"]
    assert sources(batcher.submit(films_of("next"))) == ["next"]
    assert batcher.waiting == 0
    shared = next(batch for batch in watched.batches if "poison" in batch)
    assert "viral" in shared


def test_a_failure_to_read_an_upload_reaches_only_those_concerned(make: Callable[..., Batcher]) -> None:
    def closed() -> bytes:
        raise ValueError("I/O operation on closed file")

    batcher = make()
    guilty = batcher.submit([*films_of("a"), QueuedFilm("closed", closed), *films_of("b")])
    innocent = batcher.submit(films_of("c"))
    with pytest.raises(ValueError, match="closed file"):
        guilty.result(SECONDS)
    assert sources(innocent) == ["c"]


@pytest.mark.parametrize(("prior", "threshold"), [(0.3, None), (None, 0.4)])
def test_a_film_that_cannot_be_read_costs_the_others_nothing(
    watched: Watched, make: Callable[..., Batcher], prior: float | None, threshold: float | None
) -> None:
    def damaged() -> bytes:
        raise FileAccessError("unreadable_file", "it is damaged")

    recorded: list[Prediction] = []
    watched.recorder = recorded.append
    films = [*films_of("a"), QueuedFilm("damaged", damaged), *films_of("b")]
    found = make(batch_size=3).submit(films, prior=prior, threshold=threshold).result(SECONDS)
    assert [(answer.source, answer.status) for answer in found] == [
        ("a", "ok"),
        ("damaged", "error"),
        ("b", "ok"),
    ]
    assert found[1].error == Reason("unreadable_file", "it is damaged")
    for name in ("operating_point", "prior", "model_version"):
        assert getattr(found[1], name) == getattr(found[0], name), name
    assert sorted(answer.source for answer in recorded) == ["a", "b", "damaged"]


def test_answers_that_are_missing_are_failures(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(_: Iterable[bytes], **__: object) -> Iterator[Prediction]:
        return iter(())

    batcher = Batcher(watched)
    monkeypatch.setattr(watched, "predict_many", forgetful)
    batcher.start()
    with pytest.raises(RuntimeError, match="1 films were judged and 0 answers given"):
        batcher.submit(films_of("a")).result(SECONDS)
    batcher.stop()


def test_stopping_answers_those_who_wait(watched: Watched, make: Callable[..., Batcher]) -> None:
    batcher = make(batch_size=1)
    watched.release.clear()
    taken = batcher.submit(films_of("taken up"))
    assert watched.entered.acquire(timeout=SECONDS)
    waiting = [batcher.submit(films_of("a", "b")), batcher.submit(films_of("c"), "specific")]
    stopping = threading.Thread(target=batcher.stop)
    stopping.start()
    for future in waiting:
        with pytest.raises(BusyError, match="stopping"):
            future.result(SECONDS)
    assert not taken.done()
    watched.release.set()
    stopping.join(SECONDS)
    assert sources(taken) == ["taken up"]
    assert watched.batches == [["taken up"]]
    with pytest.raises(BusyError, match="stopping"):
        batcher.submit(films_of("late"))
    batcher.start()
    assert sources(batcher.submit(films_of("again"))) == ["again"]


def test_the_worker_ends_when_it_is_stopped(make: Callable[..., Batcher]) -> None:
    before = threading.active_count()
    batcher = make()
    assert sources(batcher.submit(films_of("a"))) == ["a"]
    batcher.stop()
    wait_until(lambda: threading.active_count() <= before)


def test_requests_that_make_no_sense_are_refused(watched: Watched, make: Callable[..., Batcher]) -> None:
    batcher = make(max_waiting=2)
    with pytest.raises(UsageError, match="operating point is 'odd'"):
        batcher.submit(films_of("a"), "odd")
    for names in ((), ("a", "b", "c")):
        with pytest.raises(UsageError, match="expected 1 to 2"):
            batcher.submit(films_of(*names))
    with pytest.raises(UsageError, match="batch_size is 0"):
        Batcher(watched, batch_size=0)


def test_a_batcher_has_two_workers_for_each_core(watched: Watched) -> None:
    assert Batcher(watched).workers == 2 * usable_cores()


def test_films_before_the_start_start_it(watched: Watched) -> None:
    batcher = Batcher(watched)
    assert sources(batcher.submit(films_of("a"))) == ["a"]
    batcher.stop()


def test_answers_are_entered_once_though_one_cannot_be(watched: Watched) -> None:
    """The request whose answer is not entered learns of it; those beside it in the batch do not."""

    class Full(Watched):
        """Cannot enter the answer to one film."""

        names: ClassVar[list[str]] = []

        def record(self, prediction: Prediction) -> Prediction:
            self.names.append(prediction.source)
            if prediction.source == "lost":
                raise StorageError("the disk is full")
            return prediction

    full = Full(watched)
    batcher = Batcher(full, batch_size=8, workers=1)
    full.release.clear()
    batcher.start()
    first = batcher.submit(films_of("first"))
    assert full.entered.acquire(timeout=SECONDS)
    futures = [batcher.submit(films_of(*names)) for names in (("a", "b"), ("c", "lost", "d"), ("e",))]
    full.release.set()
    assert [sources(future) for future in (first, futures[0], futures[2])] == [["first"], ["a", "b"], ["e"]]
    with pytest.raises(StorageError):
        futures[1].result(SECONDS)
    batcher.stop()
    assert sorted(full.names) == ["a", "b", "c", "e", "first", "lost"]
