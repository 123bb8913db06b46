"""What a destination's answer means for a result, and how long is waited before the next attempt."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from pneumocascade.node import sender
from pneumocascade.node.peers import Peer
from pneumocascade.node.sender import LONGEST_PAUSE, outcome_of_status, pause_after
from tests.node.archives import counting_archive
from tests.node.conftest import RunNode
from tests.node.programs import store, wait_for

MakeFilm = Callable[..., Path]
CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (0x0000, "sent"),
        (0xB000, "sent"),
        (0xB007, "sent"),
        (0x0111, "sent"),
        (0xA700, "later"),
        (0x0110, "later"),
        (0x0122, "failed"),
        (0x0124, "failed"),
        (0xA900, "failed"),
        (0xA9FF, "failed"),
        (0xC000, "failed"),
        (0xC123, "failed"),
        (None, "later"),
    ],
)
def test_a_status_is_taken_for_what_the_standard_says(status: int | None, state: str) -> None:
    assert outcome_of_status(status)[0] == state


def test_pauses_double_up_to_a_bound_and_differ_by_chance() -> None:
    rng = random.Random(1)
    for failures in range(1, 2000):
        whole = min(LONGEST_PAUSE, 2.0 ** min(failures - 1, 30))
        assert whole / 2 <= pause_after(failures, rng) <= whole
    assert len({pause_after(20, rng) for _ in range(20)}) == 20


def test_what_is_refused_for_good_is_given_up_and_holds_nothing_up(
    run_node: RunNode, make_film: MakeFilm
) -> None:
    with counting_archive() as archive:
        archive.status = lambda sop_class: 0xA900 if sop_class == CAPTURE else 0xB000
        peer = Peer("ARCHIVE", "127.0.0.1", archive.port)
        with run_node(destinations=(peer,)) as node:
            assert store(node.port, make_film(), make_film()).returncode == 0
            wait_for(lambda: node.spool.counts()[2:] == (0, 2, 2))
            text = node.metrics.text().decode()
        assert f'results_total{{destination="{peer}",state="failed"}} 2.0' in text
        # The operator sees to the archive, and has it all offered again.
        archive.status = lambda _: 0
        with run_node(destinations=(peer,), retry_failed=True) as node:
            wait_for(lambda: node.spool.counts()[2:] == (0, 4, 0))
    assert set(archive.times.values()) == {1}


def test_a_destination_without_room_is_asked_again(
    run_node: RunNode, make_film: MakeFilm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "FIRST_PAUSE", 0.05)
    asked: list[str] = []

    def at_the_fourth(sop_class: str) -> int:
        asked.append(sop_class)
        return 0 if len(asked) > 3 else 0xA700

    with counting_archive() as archive:
        archive.status = at_the_fourth
        with run_node(destinations=(Peer("ARCHIVE", "127.0.0.1", archive.port),), results=("sr",)) as node:
            assert store(node.port, make_film()).returncode == 0
            wait_for(lambda: node.spool.counts().sent == 1)
    assert len(asked) == 4
    assert list(archive.times.values()) == [1]


def test_what_is_too_old_is_given_up(
    run_node: RunNode, make_film: MakeFilm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "FIRST_PAUSE", 0.05)
    with run_node(destinations=(Peer("ARCHIVE", "127.0.0.1", 1),), give_up_days=0.3 / 86400) as node:
        assert store(node.port, make_film()).returncode == 0
        wait_for(lambda: node.spool.counts()[2:] == (0, 0, 2))


def test_results_for_a_destination_that_is_not_given_any_more_wait(
    run_node: RunNode, make_film: MakeFilm, caplog: pytest.LogCaptureFixture
) -> None:
    with run_node(destinations=(Peer("OLD", "127.0.0.1", 1),)) as node:
        assert store(node.port, make_film()).returncode == 0
        wait_for(lambda: node.spool.counts().waiting == 2)
    with run_node(destinations=(Peer("NEW", "127.0.0.1", 2),)) as node:
        assert node.spool.counts().waiting == 2
    assert any("not given" in record.message for record in caplog.records)
