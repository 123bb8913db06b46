"""Storage commitment (PS3.4, Annex J): an archive is asked to keep the results that it took, and answers.

The request goes out on the association of the results. The report comes on an association that the archive
makes to this node: that of the request is not kept open for it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from pydicom.dataset import Dataset

from pneumocascade.errors import StorageError
from pneumocascade.imaging.dicom.quiet import quiet
from pneumocascade.imaging.dicom.values import items_of, text_of, whole_of
from pneumocascade.node.uids import is_uid

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.events import Event

    from pneumocascade.node.commitment_record import SentResult
    from pneumocascade.node.metrics import NodeMetrics
    from pneumocascade.node.spool import Spool

PUSH_MODEL = "1.2.840.10008.1.20.1"
"""SOP class of storage commitment."""

_WELL_KNOWN_INSTANCE = "1.2.840.10008.1.20.1.1"
_REQUEST = 1
"""Action type of a request (PS3.4, J.3.2.1.1)."""

_SUCCESS, _PROCESSING_FAILURE = 0x0000, 0x0110
_REASONS = {
    0x0110: "processing failure",
    0x0112: "no such object instance",
    0x0119: "class and instance conflict",
    0x0122: "the SOP class is not supported",
    0x0131: "duplicate transaction UID",
    0x0213: "resource limitation",
}
"""Failure reasons (PS3.3, C.14.1.1)."""

_log = logging.getLogger(__name__)


class CommitmentReport(NamedTuple):
    """What an archive says of a request.

    Attributes
    ----------
    transaction_uid : str
    committed : tuple of str
        SOP Instance UIDs that it keeps.
    failed : dict of str to str
        Why it does not keep others.
    """

    transaction_uid: str
    committed: tuple[str, ...]
    failed: dict[str, str]


def ask_for_commitment(
    association: Association, results: Sequence[SentResult], transaction_uid: str
) -> int | None:
    """Ask an archive to commit to results; return the status, ``None`` where there was no answer."""
    request = Dataset()
    request.TransactionUID = transaction_uid
    request.ReferencedSOPSequence = [_reference(each) for each in results]
    try:
        answer, _ = association.send_n_action(request, _REQUEST, PUSH_MODEL, _WELL_KNOWN_INSTANCE)
    except (ValueError, RuntimeError):  # the association is gone
        return None
    status = answer.get("Status")
    return None if status is None else int(status)


def _reference(result: SentResult) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = result.sop_class_uid
    item.ReferencedSOPInstanceUID = result.sop_instance_uid
    return item


def report_of(information: Dataset) -> CommitmentReport:
    """Read the event information of an N-EVENT-REPORT (PS3.4, J.3.3.1.2).

    Raises
    ------
    ValueError
        Where it names no transaction.
    """
    with quiet():
        transaction_uid = text_of(information, "TransactionUID")
        if not is_uid(transaction_uid):
            raise ValueError("a report on storage commitment has no transaction UID")
        failed = {
            uid: _reason(whole_of(item, "FailureReason", 0))
            for item in items_of(information, "FailedSOPSequence")
            for uid in _uids([item])
        }
        committed = tuple(_uids(items_of(information, "ReferencedSOPSequence")))
    return CommitmentReport(transaction_uid, committed, failed)


def _uids(items: Iterable[Dataset]) -> list[str]:
    return [text_of(item, "ReferencedSOPInstanceUID") for item in items]


def _reason(code: int) -> str:
    return _REASONS.get(code, f"reason 0x{code:04X}")


class CommitmentReports:
    """Takes reports into the spool. May be shared between threads.

    Parameters
    ----------
    spool : Spool
    metrics : NodeMetrics
    """

    def __init__(self, spool: Spool, metrics: NodeMetrics) -> None:
        self._spool = spool
        self._metrics = metrics

    def take(self, event: Event) -> tuple[int, None]:
        """Enter a report, and return the status for its sender once it is on the disk."""
        try:
            report = report_of(event.event_information)
            destination = self._spool.commitments.reported(*report)
        except StorageError as error:
            _log.error("a report on storage commitment was refused", exc_info=error)
            return _PROCESSING_FAILURE, None
        except Exception:  # noqa: BLE001  pydicom raises many kinds on damaged values
            _log.warning("a report on storage commitment was refused: it cannot be read")
            return _PROCESSING_FAILURE, None
        if destination is None:
            _log.warning("a report on storage commitment is of no request that is open")
            return _PROCESSING_FAILURE, None
        self._metrics.committed(destination, "committed", len(report.committed))
        self._metrics.committed(destination, "failed", len(report.failed))
        facts = {"destination": destination, "results": len(report.committed)}
        if report.failed:
            reasons = ", ".join(sorted(set(report.failed.values())))
            _log.error(
                "an archive does not commit to results that it took",
                extra={**facts, "failed": len(report.failed), "reason": reasons},
            )
        else:
            _log.info("an archive committed to results", extra=facts)
        return _SUCCESS, None
