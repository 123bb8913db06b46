"""Associations that are made from here: no answer is lost, and none is waited for where they are over."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from pynetdicom import AE, evt
from pynetdicom.events import Event

from pneumocascade.node.limits import Limits
from pneumocascade.node.metrics import NodeMetrics
from pneumocascade.node.peers import Peer
from pneumocascade.node.sender import StoreSender
from pneumocascade.node.spool import Spool
from pneumocascade.node.transport import Entity, cut
from tests.node.archives import counting_archive
from tests.node.spools import add_results
from tests.reports.sources import MEANS, film_object, film_of


class SlowCheckpoint(threading.Event):
    """As if the system gave pynetdicom's thread of an association its turn late: when the answer is there."""

    def wait(self, timeout: float | None = None) -> bool:
        done = super().wait(timeout)
        time.sleep(0.3)
        return done


def slow_down(association: Any) -> None:
    checkpoint = SlowCheckpoint()
    association._reactor_checkpoint, before = checkpoint, association._reactor_checkpoint
    before.set()
    checkpoint.set()


def test_an_answer_is_not_lost_to_pynetdicoms_thread_of_the_association() -> None:
    dataset = film_object(film_of(MEANS["normal"]), "SC")
    with counting_archive() as archive:
        entity = Entity("NODE", Limits(network_seconds=2))
        entity.add_requested_context(SecondaryCaptureImageStorage, ExplicitVRLittleEndian)
        association: Any = entity.associate("127.0.0.1", archive.port, ae_title="ARCHIVE")
        try:
            slow_down(association)
            send = association.dimse.send_msg

            def send_and_have_no_turn(*message: object) -> None:
                send(*message)
                time.sleep(0.6)

            association.dimse.send_msg = send_and_have_no_turn
            answers = [association.send_c_store(dataset).get("Status") for _ in range(2)]
            association.release()
        finally:
            cut(association)
    assert answers == [0, 0]
    assert list(archive.times.values()) == [2]


def test_nothing_more_is_sent_where_an_archive_aborted_the_association(tmp_path: Path) -> None:
    def abort(event: Event) -> int:
        event.assoc.abort()
        return 0

    entity = AE("ARCHIVE")
    entity.add_supported_context(SecondaryCaptureImageStorage)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, abort)])
    assert server is not None, "it does not block"
    with closing(Spool(tmp_path / "spool", 1 << 20)) as spool:
        peer = Peer("ARCHIVE", "127.0.0.1", int(server.server_address[1]))
        add_results(spool, str(peer), 1)
        sending = StoreSender(spool, peer, "NODE", Limits(network_seconds=5), NodeMetrics("1.0.0"))
        (delivery,) = spool.due(str(peer), 1)
        association = sending._connect([delivery])
        assert association is not None
        slow_down(association)
        outcome = sending._send(association, delivery, delivery.path.read_bytes())
        assert (outcome.state, outcome.reason) == ("later", "no answer")
        assert not sending._is_open(association)
        server.shutdown()
