"""What a destination's answer means for a result, and how long is waited before the next attempt."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom.association import Association

from pneumocascade.node import sender
from pneumocascade.node.metrics import NodeMetrics
from pneumocascade.node.peers import Peer
from pneumocascade.node.sender import LONGEST_PAUSE, StoreSender, outcome_of_status, pause_after
from pneumocascade.node.spool import Spool
from tests.node.archives import counting_archive
from tests.node.conftest import QUICK, RunNode
from tests.node.programs import store, wait_for, wait_for_metrics
from tests.node.spools import add_results, spoil_first_results

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
            wait_for_metrics(node, f'results_total{{destination="{peer}",state="failed"}} 2.0')
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


def test_a_result_whose_file_cannot_be_read_holds_up_no_other(tmp_path: Path) -> None:
    with counting_archive() as archive, closing(Spool(tmp_path / "spool", 1 << 20)) as spool:
        peer = Peer("ARCHIVE", "127.0.0.1", archive.port)
        add_results(spool, str(peer), 6)
        spoil_first_results(spool, str(peer))
        sending = StoreSender(spool, peer, "NODE", QUICK, NodeMetrics("1.0.0"))
        sending.start()
        wait_for(lambda: spool.counts()[2:] == (1, 2, 3))
        sending.stop(5)
        found = spool.rows("SELECT state, tries > 0, reason FROM delivery ORDER BY result")
    assert [state for state, *_ in found] == ["failed", "failed", "failed", "waiting", "sent", "sent"]
    assert all(tried for _, tried, _ in found)
    assert found[0][2] == "its file is gone from the spool"
    assert found[1][2].startswith("its file is damaged: it has 700 bytes, not ")
    assert found[2][2] == "its file is damaged: this is not a DICOM object"
    assert found[3][2] == "its file cannot be read: Is a directory"


def test_a_result_that_a_library_fails_on_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[object] = []

    def fail_once(association: Association, dataset: Dataset) -> Dataset:
        sent.append(dataset.SOPInstanceUID)
        if len(sent) == 1:
            raise TypeError("as of pydicom, on a value that makes no sense")
        return send(association, dataset)

    send = Association.send_c_store
    monkeypatch.setattr(Association, "send_c_store", fail_once)
    with counting_archive() as archive, closing(Spool(tmp_path / "spool", 1 << 20)) as spool:
        peer = Peer("ARCHIVE", "127.0.0.1", archive.port)
        add_results(spool, str(peer), 2)
        sending = StoreSender(spool, peer, "NODE", QUICK, NodeMetrics("1.0.0"))
        sending.start()
        wait_for(lambda: spool.counts().sent == 2)
        sending.stop(5)
    assert len(sent) == 3
    assert sent[0] == sent[2]


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
