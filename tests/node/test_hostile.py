"""Callers that misbehave are cut off, cost little, and keep nobody else from being answered."""

from __future__ import annotations

import contextlib
import logging
import random
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pynetdicom.dsutils import encode

from pneumocascade.node.receiver import CANNOT_UNDERSTAND, DOES_NOT_MATCH, SUCCESS
from pneumocascade.node.service import Node
from tests.node import hostile
from tests.node.conftest import QUICK, RunNode
from tests.node.programs import echo, store, wait_for
from tests.reports.sources import MEANS

MakeFilm = Callable[..., Path]

pytestmark = pytest.mark.slow

SMALL = replace(
    QUICK,
    acse_seconds=2,
    network_seconds=2.5,
    object_bytes=200_000,
    in_flight_bytes=10 << 20,
    pdu_bytes=16384,
)


@pytest.fixture(autouse=True)
def quiet_pynetdicom() -> Iterator[None]:
    """As the command line does: what it logs quotes what was sent."""
    logger = logging.getLogger("pynetdicom")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    yield
    logger.setLevel(before)


@pytest.fixture
def node(run_node: RunNode) -> Iterator[Node]:
    with run_node(limits=SMALL) as running:
        yield running


def still_answers(node: Node, film: Path) -> None:
    """Check that a caller that behaves is served, and that nothing of the others is left."""
    assert echo(node.port)
    assert store(node.port, film).returncode == 0
    wait_for(lambda: node.spool.counts().judged == 1)
    server = node.receiver._server
    assert server is not None
    wait_for(lambda: server.open_connections == 0)
    assert server.in_flight.bytes == 0
    assert node.spool.counts().received == 0


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 600,
        hostile.pdu(9, b"\0" * 20),
        hostile.pdu(1, b"\0" * 100),
        hostile.pdu(1, b"\xff" * 100),
        hostile.pdu(1, b"", announced=0xFFFFFFFF),
        hostile.pdu(4, b"\0" * 20),
        hostile.pdu(5, b"\0" * 4),
        hostile.pdu(7, b"\0" * 4),
        hostile.request()[:50],
        hostile.request()[:-3] + b"\xff\xff\xff",
    ],
    ids=lambda sent: f"{sent[:6].hex()}-{len(sent)}",
)
def test_what_is_no_association_is_cut_off_in_time(node: Node, make_film: MakeFilm, sent: bytes) -> None:
    with hostile.connected(node.port) as caller:
        caller.sendall(sent)
        hostile.ended(caller)
    still_answers(node, make_film())


def test_random_bytes_are_cut_off(node: Node, make_film: MakeFilm) -> None:
    rng = random.Random(3)
    for _ in range(20):
        with hostile.connected(node.port) as caller:
            caller.sendall(rng.choice([b"", hostile.request()]) + rng.randbytes(rng.randrange(1, 3000)))
            caller.shutdown(1)
            hostile.ended(caller)
    still_answers(node, make_film())


@pytest.mark.parametrize(
    "sent",
    [
        hostile.data(b"no command", command=True, last=True),
        hostile.data(hostile.command("1.2.3"), command=True, last=True, context=77),
        hostile.data(hostile.command("1.2.3", abstract="1.2.3.4"), command=True, last=True)
        + hostile.data(b"x" * 100, last=True),
        hostile.pdu(4, b"\0\0\0\x50\x01\x03"),
        hostile.pdu(4, b"\xff\xff\xff\xff\x01\x03"),
        hostile.pdu(4, b"", announced=0x7FFFFFFF) + b"x" * 10_000,
        hostile.data(hostile.command("1.2.3"), command=True, last=True) + hostile.pdu(7, b"\0" * 4),
        hostile.data(hostile.command("1.2.3"), command=True, last=True) + hostile.data(b"x" * 1000),
        hostile.request(),
    ],
    ids=["command", "context", "class", "short", "long", "huge", "abort", "half", "twice"],
)
def test_an_association_that_goes_wrong_is_cut_off(node: Node, make_film: MakeFilm, sent: bytes) -> None:
    with hostile.associated(node.port) as caller:
        caller.sendall(sent)
        hostile.ended(caller)
    still_answers(node, make_film())


@pytest.mark.parametrize("content", [b"", b"\0" * 500, b"\x08\x00\x16\x00UI\xff\xff" + b"1.2" * 50])
def test_an_object_that_cannot_be_read_is_refused(node: Node, make_film: MakeFilm, content: bytes) -> None:
    with hostile.associated(node.port) as caller:
        caller.sendall(hostile.data(hostile.command("1.2.3"), command=True, last=True))
        caller.sendall(hostile.data(content, last=True))
        answer = caller.recv(65536)
    assert hostile.status_in(answer) in (CANNOT_UNDERSTAND, DOES_NOT_MATCH)
    still_answers(node, make_film())


def test_a_context_that_was_not_accepted_cannot_be_used(node: Node, make_film: MakeFilm) -> None:
    with hostile.associated(node.port, abstract=hostile.CT) as caller:
        caller.sendall(hostile.data(hostile.command("1.2.3", abstract=hostile.CT), command=True, last=True))
        caller.sendall(hostile.data(b"x" * 1000, last=True))
        hostile.ended(caller)
    still_answers(node, make_film())


@pytest.mark.parametrize("little", [True, False], ids=["implicit", "big"])
def test_a_film_in_another_transfer_syntax_is_refused_or_answered_as_itself(
    node: Node, make_film: MakeFilm, little: bool
) -> None:
    film = dcmread(make_film(MEANS["viral"]))
    with hostile.associated(node.port) as caller:
        caller.sendall(hostile.object_of(film.SOPInstanceUID, encode(film, little, little) or b""))
        status = hostile.status_in(caller.recv(65536))
    if little:  # what is plainly implicit is read as that
        assert status == SUCCESS
        wait_for(lambda: node.spool.counts().judged == 1)
        assert node.spool.outcomes_of(film.StudyInstanceUID) == {"viral": 1}
    else:
        assert status in (CANNOT_UNDERSTAND, DOES_NOT_MATCH)
        assert node.spool.counts().received == node.spool.counts().judged == 0


def test_pixels_that_are_said_to_be_two_gigabytes_lead_to_no_result(node: Node, make_film: MakeFilm) -> None:
    film = dcmread(make_film())
    del film.PixelData
    pixels = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0x7FFFFFFE) + b"x" * 1000
    with hostile.associated(node.port) as caller:
        caller.sendall(hostile.object_of(film.SOPInstanceUID, (encode(film, False, True) or b"") + pixels))
        caller.recv(65536)
    wait_for(lambda: node.spool.counts().received == 0)
    assert node.spool.results_of(film.StudyInstanceUID) == []
    assert store(node.port, make_film()).returncode == 0


def test_an_object_of_another_uid_than_announced_or_without_study_is_refused(
    node: Node, make_film: MakeFilm
) -> None:
    sent = store(node.port, make_film(StudyInstanceUID=""), options=("-v",))
    assert "datasetdoesnotmatch" in (sent.stdout + sent.stderr).lower()
    still_answers(node, make_film())


def test_an_object_that_is_too_large_ends_its_association(node: Node, make_film: MakeFilm) -> None:
    with hostile.associated(node.port) as caller:
        caller.sendall(hostile.data(hostile.command("1.2.3"), command=True, last=True))
        with pytest.raises(OSError):
            for _ in range(100_000):
                caller.sendall(hostile.data(b"x" * 10_000))
    still_answers(node, make_film())


def test_a_sender_of_a_byte_now_and_then_is_cut_off(node: Node, make_film: MakeFilm) -> None:
    start = hostile.data(hostile.command("1.2.3"), command=True, last=True)
    over = threading.Event()

    def drip() -> None:
        with hostile.associated(node.port) as caller:
            caller.sendall(start[:20])
            try:
                for byte in start[20:]:
                    caller.sendall(bytes([byte]))
                    if over.wait(0.2):
                        return
            except OSError:
                pass
            over.set()

    thread = threading.Thread(target=drip)
    thread.start()
    assert echo(node.port), "others are served meanwhile"
    assert over.wait(SMALL.network_seconds + 5)
    thread.join()
    still_answers(node, make_film())


def test_an_association_that_says_nothing_is_cut_off(node: Node, make_film: MakeFilm) -> None:
    with hostile.associated(node.port) as caller:
        hostile.ended(caller)
    still_answers(node, make_film())


def test_more_connections_than_are_taken_are_closed_and_others_return(run_node: RunNode) -> None:
    limits = replace(SMALL, associations=2, acse_seconds=1.5)
    with run_node(limits=limits) as node:
        callers = [hostile.connected(node.port) for _ in range(limits.connections + 5)]
        for caller in callers:
            hostile.ended(caller)
            caller.close()
        assert echo(node.port)


def test_more_associations_than_are_taken_are_rejected(run_node: RunNode) -> None:
    with run_node(limits=replace(SMALL, associations=1)) as node:
        with hostile.associated(node.port):
            assert not echo(node.port)
        wait_for(lambda: echo(node.port))


def test_an_unknown_syntax_or_class_is_not_accepted(node: Node) -> None:
    for wrong in ({"syntax": "1.2.3.4"}, {"abstract": "1.2.840.10008.5.1.4.1.1.2"}):
        with hostile.connected(node.port) as caller:
            caller.sendall(hostile.request(**wrong))
            answer = caller.recv(65536)
            # Accepted as an association; the context's result is 3 or 4: class or syntax not supported.
            assert answer[0] == 2
            place = answer.index(b"\x21\x00")
            assert answer[place + 6] in (3, 4)


def test_a_wrong_called_title_is_rejected(node: Node) -> None:
    with hostile.connected(node.port) as caller:
        caller.sendall(hostile.request("WRONG"))
        answer = hostile.ended(caller)
    # A-ASSOCIATE-RJ: permanent, service user, called AE title not recognised.
    assert answer[:10] == b"\x03\0\0\0\0\x04\0\x01\x01\x07"


def test_a_full_spool_refuses_objects_and_takes_them_again_when_there_is_room(
    run_node: RunNode, make_film: MakeFilm
) -> None:
    first, second = make_film(), make_film()
    size = first.stat().st_size
    with run_node(limits=replace(QUICK, spool_bytes=size + size // 2)) as node:
        assert store(node.port, first).returncode == 0
        refused = store(node.port, second, options=("-v",))
        assert "outofresources" in (refused.stdout + refused.stderr).lower()
        wait_for(lambda: node.spool.counts().judged == 1)
        node.spool.remove_finished(float("inf"))
        assert store(node.port, second).returncode == 0
        wait_for(lambda: node.spool.counts().judged == 1)


def test_many_hostile_callers_at_once_do_not_keep_a_film_from_its_answer(
    run_node: RunNode, make_film: MakeFilm
) -> None:
    with run_node(limits=replace(SMALL, associations=40)) as node:
        over = threading.Event()

        def harass(seed: int) -> None:
            rng = random.Random(seed)
            while not over.is_set():
                with contextlib.suppress(OSError), hostile.connected(node.port, 3) as caller:
                    caller.sendall(hostile.request() + rng.randbytes(rng.randrange(200)))
                    over.wait(rng.uniform(0, 0.3))

        threads = [threading.Thread(target=harass, args=[seed]) for seed in range(12)]
        for thread in threads:
            thread.start()
        try:
            film = make_film()
            wait_for(lambda: store(node.port, film).returncode == 0)
            wait_for(lambda: node.spool.counts().judged == 1)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        still_answers(node, film)
