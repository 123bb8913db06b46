"""What an object is, and its way into the spool, whether it comes by C-STORE or by STOW-RS."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from pneumocascade.imaging.dicom.objects import read_object
from pneumocascade.imaging.dicom.values import text_of
from pneumocascade.reports.common_attributes import MANUFACTURER

if TYPE_CHECKING:
    from pneumocascade.node.metrics import NodeMetrics
    from pneumocascade.node.schedule import Schedule
    from pneumocascade.node.spool import IncomingObject, Spool

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """What an object says of itself that the spool needs.

    Attributes
    ----------
    sop_class_uid, sop_instance_uid, study_uid : str
        Empty where it does not say it.
    ours : bool
        Whether this software made it.
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    ours: bool


def head_of(stream: BinaryIO) -> ObjectHead:
    """Return what an object says of itself.

    Raises
    ------
    FilmError
        Where it cannot be read.
    """
    dataset = read_object(stream, header_only=True)
    return ObjectHead(
        text_of(dataset, "SOPClassUID"),
        text_of(dataset, "SOPInstanceUID"),
        text_of(dataset, "StudyInstanceUID"),
        text_of(dataset, "Manufacturer") == MANUFACTURER.upper(),
    )


def content_digest(transfer_syntax: str) -> hashlib._Hash:
    """Return the digest that an object is known by, to be updated with its data set as it was sent.

    File meta information is no part of it: an object is the same by whichever way it comes.
    """
    return hashlib.sha256(transfer_syntax.encode())


class Intake:
    """Takes objects into the spool and the schedule. May be shared between threads.

    Parameters
    ----------
    spool : Spool
    schedule : Schedule
    answered_by : str
        Version of the models that judge what comes in and, where it is not the default, operating point: a
        film is answered once by each.
    metrics : NodeMetrics
    """

    def __init__(self, spool: Spool, schedule: Schedule, answered_by: str, metrics: NodeMetrics) -> None:
        self.spool = spool
        self._schedule = schedule
        self._answered_by = answered_by
        self._metrics = metrics

    def has(self, head: ObjectHead, digest: str) -> bool:
        """Return whether an object waits or has its answer, so that it is not kept again; it is counted.

        Raises
        ------
        StorageError
            Where the spool cannot be read.
        """
        found = self.spool.find(head.sop_instance_uid, digest, self._answered_by) is not None
        if found:
            self._metrics.repeated()
        return found

    def keep(self, incoming: IncomingObject, head: ObjectHead, digest: str, source: int) -> None:
        """Keep a whole object: when this returns, it is on the disk.

        Parameters
        ----------
        incoming : IncomingObject
        head : ObjectHead
        digest : str
            See :func:`content_digest`.
        source : int
            Number of the association or request that it came by; see :meth:`ended`.

        Raises
        ------
        StorageError
            Where it cannot be kept.
        """
        film = incoming.keep(head.sop_instance_uid, head.study_uid, digest, self._answered_by)
        if film is not None:
            _log.info("a film was received", extra={"film": film.id, "bytes": incoming.size})
            self._schedule.add(film, source)

    def ended(self, source: int) -> None:
        """Give the films of an association or request their turn."""
        self._schedule.ended(source)
