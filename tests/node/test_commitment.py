"""Destinations that offer storage commitment are asked for it, and what they say is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.presentation import AllStoragePresentationContexts

from pneumocascade.node import sender
from pneumocascade.node.commitment import PUSH_MODEL, report_of
from pneumocascade.node.peers import Peer
from pneumocascade.node.spool import ReceivedFilm, ResultObject, Spool
from tests.node.archives import counting_archive
from tests.node.conftest import RunNode
from tests.node.programs import free_port, orthanc, store, wait_for, wait_for_metrics
from tests.node.spools import receive

MakeFilm = Callable[..., Path]
A = "A@h:1"
SR = "1.2.840.10008.5.1.4.1.1.88.33"


class CommittingArchive:
    """An archive of pynetdicom's that reports on an association of its own, as it is told.

    Attributes
    ----------
    requests : list of pydicom.Dataset
    status : int
        Answer to a request.
    keeps : callable
        Whether it commits to a SOP Instance UID.
    """

    def __init__(self) -> None:
        self.requests: list[Dataset] = []
        self.status = 0
        self.keeps: Callable[[str], bool] = lambda _: True
        self.port = 0

    def asked(self, event: Any) -> tuple[int, None]:
        self.requests.append(event.action_information)
        return self.status, None

    def report(self, port: int, request: Dataset) -> int:
        """Report on a request to a node; return the node's status."""
        made = Dataset()
        made.TransactionUID = request.TransactionUID
        items = list(request.ReferencedSOPSequence)
        made.ReferencedSOPSequence = [item for item in items if self.keeps(item.ReferencedSOPInstanceUID)]
        failed = [item for item in items if not self.keeps(item.ReferencedSOPInstanceUID)]
        for item in failed:
            item.FailureReason = 0x0112
        if failed:
            made.FailedSOPSequence = failed
        entity = AE("ARCHIVE")
        entity.add_requested_context(PUSH_MODEL)
        association = entity.associate("127.0.0.1", port, ae_title="PNEUMOCASCADE")
        assert association.is_established
        answer, _ = association.send_n_event_report(
            made, 2 if failed else 1, PUSH_MODEL, "1.2.840.10008.1.20.1.1"
        )
        association.release()
        return int(answer.Status)


@contextmanager
def committing_archive() -> Iterator[CommittingArchive]:
    archive = CommittingArchive()
    entity = AE("ARCHIVE")
    entity.supported_contexts = AllStoragePresentationContexts
    entity.add_supported_context(PUSH_MODEL)
    server = entity.start_server(
        ("127.0.0.1", 0),
        block=False,
        evt_handlers=[(evt.EVT_C_STORE, lambda _: 0), (evt.EVT_N_ACTION, archive.asked)],
    )
    assert server is not None, "it does not block"
    archive.port = int(server.server_address[1])
    try:
        yield archive
    finally:
        server.shutdown()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with closing(Spool(tmp_path / "spool", 10_000)) as opened:
        yield opened


def with_results(spool: Spool, *uids: str) -> ReceivedFilm:
    """Enter a film with results, which a destination takes and is to commit to."""
    film = receive(spool)
    assert film is not None
    spool.finish(film, "normal", "abc", [ResultObject("sr", SR, uid, b"result") for uid in uids], [A])
    for delivery in spool.due(A, 10):
        spool.sent(A, delivery, commit=True)
    return film


def test_what_was_sent_is_asked_for_once_until_the_report_is_overdue(spool: Spool) -> None:
    with_results(spool, "1.1", "1.2")
    wanted = spool.commitments.due(A, 10)
    assert [each.sop_instance_uid for each in wanted] == ["1.1", "1.2"]
    spool.commitments.asked(A, wanted, "2.25.1", 60.0)
    assert spool.commitments.due(A, 10) == []
    assert (spool.commitments.next_due(A) or 0) > time.time() + 50
    spool.commitments.asked(A, wanted, "2.25.2", -1.0)
    assert len(spool.commitments.due(A, 10)) == 2
    assert spool.commitments.counts() == (2, 0, 0)


def test_a_report_is_kept_and_one_of_no_request_changes_nothing(spool: Spool) -> None:
    with_results(spool, "1.1", "1.2", "1.3")
    spool.commitments.asked(A, spool.commitments.due(A, 10), "2.25.1", 60.0)
    assert spool.commitments.reported("2.25.9", ["1.1"], {}) is None
    assert spool.commitments.counts() == (3, 0, 0)
    assert spool.commitments.reported("2.25.1", ["1.1"], {"1.2": "no such object instance"}) == A
    assert spool.commitments.counts() == (1, 1, 1)
    folder = spool.folder
    spool.close()
    with closing(Spool(folder, 10_000)) as again:
        assert again.commitments.counts() == (1, 1, 1)


def test_what_nobody_commits_to_is_given_up_and_can_be_offered_again(spool: Spool) -> None:
    with_results(spool, "1.1")
    assert spool.commitments.give_up(A, time.time() - 60) == 0
    assert spool.commitments.give_up(A, time.time() + 1) == 1
    assert spool.commitments.counts() == (0, 0, 1)
    assert spool.retry_failed() == 1
    assert [each.sop_instance_uid for each in spool.due(A, 10)] == ["1.1"]
    assert spool.commitments.counts() == (0, 0, 0)


def test_a_film_stays_until_its_results_are_committed_to(spool: Spool) -> None:
    with_results(spool, "1.1")
    assert spool.remove_finished(time.time() + 1) == 0
    spool.commitments.asked(A, spool.commitments.due(A, 10), "2.25.1", 60.0)
    assert spool.remove_finished(time.time() + 1) == 0
    spool.commitments.reported("2.25.1", ["1.1"], {})
    assert spool.remove_finished(time.time() + 1) == 1
    assert spool.commitments.counts() == (0, 0, 0)


def test_a_report_without_a_transaction_is_none() -> None:
    with pytest.raises(ValueError, match="transaction"):
        report_of(Dataset())


def test_an_archive_is_asked_and_its_report_is_kept(
    run_node: RunNode, make_film: MakeFilm, tmp_path: Path
) -> None:
    with committing_archive() as archive:
        peer = Peer("ARCHIVE", "127.0.0.1", archive.port)
        with run_node(destinations=(peer,), http_port=free_port()) as node:
            assert store(node.port, make_film()).returncode == 0
            wait_for(lambda: len(archive.requests) == 1)
            (request,) = archive.requests
            assert len(request.ReferencedSOPSequence) == 2
            assert node.ready()[0]["commitments_open"] == 2
            kept = request.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
            archive.keeps = lambda uid: uid == kept
            assert archive.report(node.port, request) == 0
            assert node.spool.commitments.counts() == (0, 1, 1)
            assert archive.report(node.port, request) == 0, "the same report again"
            request.TransactionUID = "2.25.1"
            assert archive.report(node.port, request) == 0x0110
            states = (f'destination="{peer}",state="{state}"' for state in ("asked", "committed", "failed"))
            wait_for_metrics(node, *(f"commitments_total{{{state}}} 2.0" for state in states))
            wait_for_metrics(node, "pneumocascade_node_commitments_failed 1.0")


def test_a_request_that_is_not_taken_is_made_again(
    run_node: RunNode, make_film: MakeFilm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "LONGEST_PAUSE", 0.2)
    with committing_archive() as archive:
        archive.status = 0x0213
        peer = Peer("ARCHIVE", "127.0.0.1", archive.port)
        with run_node(destinations=(peer,)) as node:
            assert store(node.port, make_film()).returncode == 0
            wait_for(lambda: len(archive.requests) >= 2)
            archive.status = 0
            wait_for_metrics(node, 'state="asked"} 2.0')
            assert archive.report(node.port, archive.requests[-1]) == 0
            assert node.spool.commitments.counts() == (0, 2, 0)
    assert len({request.TransactionUID for request in archive.requests}) == len(archive.requests)


def test_an_archive_without_commitment_is_no_error(
    run_node: RunNode, make_film: MakeFilm, caplog: pytest.LogCaptureFixture
) -> None:
    with counting_archive() as archive:
        peer = Peer("ARCHIVE", "127.0.0.1", archive.port)
        with run_node(destinations=(peer,)) as node:
            assert store(node.port, make_film()).returncode == 0
            wait_for(lambda: node.spool.counts().sent == 2)
            assert node.spool.commitments.counts() == (0, 0, 0)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_orthanc_commits_to_what_it_took(run_node: RunNode, make_film: MakeFilm, tmp_path: Path) -> None:
    port = free_port()
    with orthanc(tmp_path / "orthanc", port) as server:
        peer = Peer("ARCHIVE", "127.0.0.1", server.dicom_port)
        with run_node(destinations=(peer,), port=port) as node:
            assert store(node.port, make_film()).returncode == 0
            wait_for(lambda: node.spool.commitments.counts() == (0, 2, 0))
    assert len(list((tmp_path / "orthanc").iterdir())) > 1
