"""Associations that are made from here: no answer is lost."""

from __future__ import annotations

import threading
import time
from typing import Any

from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from pneumocascade.node.limits import Limits
from pneumocascade.node.transport import Entity, cut
from tests.node.archives import counting_archive
from tests.reports.sources import MEANS, film_object, film_of


class SlowCheckpoint(threading.Event):
    """As if the system gave pynetdicom's thread of an association its turn late: when the answer is there."""

    def wait(self, timeout: float | None = None) -> bool:
        done = super().wait(timeout)
        time.sleep(0.3)
        return done


def test_an_answer_is_not_lost_to_pynetdicoms_thread_of_the_association() -> None:
    dataset = film_object(film_of(MEANS["normal"]), "SC")
    with counting_archive() as archive:
        entity = Entity("NODE", Limits(network_seconds=2))
        entity.add_requested_context(SecondaryCaptureImageStorage, ExplicitVRLittleEndian)
        association: Any = entity.associate("127.0.0.1", archive.port, ae_title="ARCHIVE")
        try:
            checkpoint = SlowCheckpoint()
            association._reactor_checkpoint, before = checkpoint, association._reactor_checkpoint
            before.set()
            checkpoint.set()
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
