"""What goes out: results to one destination, until it has them or has refused them for good.

A DICOM node that offers storage commitment is then asked to commit to them.
"""

from __future__ import annotations

import io
import logging
import random
import ssl
import threading
import time
import uuid
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, Literal, NamedTuple, TypeVar

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from pneumocascade.errors import FilmError, StorageError
from pneumocascade.imaging.dicom.objects import read_object
from pneumocascade.node.commitment import PUSH_MODEL, ask_for_commitment
from pneumocascade.node.transport import Entity, cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pynetdicom.association import Association

    from pneumocascade.node.commitment_record import SentResult
    from pneumocascade.node.limits import Limits
    from pneumocascade.node.metrics import NodeMetrics
    from pneumocascade.node.peers import Peer
    from pneumocascade.node.spool import Delivery, Spool

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0
"""Seconds before the second attempt, and between attempts in the end."""

GIVE_UP_DAYS = 7.0
"""Time for which a result is offered to a destination that cannot be reached or cannot take it now."""

ASK_AGAIN_SECONDS = 3600.0
"""Time without a report after which a destination is asked anew to commit to results."""

BATCH = 64
"""Results of one association."""

_SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
_DUPLICATE = 0x0111
_REFUSED_FOR_GOOD = frozenset({0x0106, 0x0117, 0x0122, 0x0124})
"""Invalid attribute or instance, SOP class not supported, not authorised (PS3.7, C.5)."""

State = Literal["sent", "failed", "later"]
_log = logging.getLogger(__name__)


ConnectionT = TypeVar("ConnectionT")


class DeliveryOutcome(NamedTuple):
    """What a destination's answer means for a result.

    Attributes
    ----------
    state : str
        ``"sent"``, ``"failed"`` or ``"later"``.
    reason : str
    commit : bool
        Whether the destination can be asked to commit to a result that it took.
    """

    state: State
    reason: str
    commit: bool = False


def outcome_of_status(status: int | None) -> tuple[State, str]:
    """Return what a destination's status means for a result, and the status in words.

    Parameters
    ----------
    status : int or None
        Of C-STORE (PS3.4, B.2.3; PS3.7, C); ``None`` where there was none.

    Returns
    -------
    str
        ``"sent"`` for success, warnings and an instance that it has; ``"failed"`` where it will never take
        it; ``"later"`` else.
    str
    """
    if status is None:
        return "later", "no answer"
    words = f"status 0x{status:04X}"
    if status in (0x0000, 0x0001, 0x0107, 0x0116, _DUPLICATE) or 0xB000 <= status <= 0xBFFF:
        return "sent", words
    refused = 0xA900 <= status <= 0xA9FF or 0xC000 <= status <= 0xCFFF or status in _REFUSED_FOR_GOOD
    return ("failed" if refused else "later"), words


def pause_after(failures: int, rng: random.Random) -> float:
    """Return the seconds to wait after so many failures in a row: doubled each time, half of it by chance."""
    whole = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 20))
    return whole * rng.uniform(0.5, 1.0)


class Sender(ABC, Generic[ConnectionT]):
    """Sends one destination its results, on a thread of its own. Subclasses say by which protocol.

    Parameters
    ----------
    spool : Spool
    name : str
        Of the destination.
    metrics : NodeMetrics
    give_up : float
        Seconds; see ``GIVE_UP_DAYS``.
    """

    def __init__(
        self, spool: Spool, name: str, metrics: NodeMetrics, *, give_up: float = GIVE_UP_DAYS * 86400
    ) -> None:
        self._name = name
        self._spool = spool
        self._metrics = metrics
        self._give_up = give_up
        self._rng = random.Random()  # noqa: S311  jitter
        self._failures = 0
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._connection: ConnectionT | None = None
        self._thread = threading.Thread(target=self._run, name=f"sender {self._name}", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def wake(self) -> None:
        """Look for results now."""
        self._wake.set()

    def stop(self, seconds: float) -> None:
        """Let the result that is being sent be answered, for so many seconds, and end."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(seconds)
        if self._thread.is_alive() and self._connection is not None:
            self._cut(self._connection)
            self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                pause = self._once()
            except StorageError as error:
                _log.error("the spool cannot be used: results wait", exc_info=error)
                pause = LONGEST_PAUSE / 10
            except Exception:  # noqa: BLE001  a fault of one destination or object holds up no other
                _log.exception("results could not be sent", extra={"destination": self._name})
                self._failures += 1
                pause = pause_after(self._failures, self._rng)
            if pause is None:
                self._wake.wait(1.0)
            elif pause > 0:
                self._stopping.wait(pause)

    def _once(self) -> float | None:
        """Send what is due; return the seconds to wait, ``None`` to wait for new results."""
        due = self._spool.due(self._name, BATCH)
        uncommitted = self._uncommitted()
        if not due and not uncommitted:
            return self._seconds_to_next()
        connection = self._connect([*due, *uncommitted])
        if connection is None:
            self._failures += 1
            pause = pause_after(self._failures, self._rng)
            self._metrics.delivered(self._name, "unreachable")
            self._drop_old(due, "it cannot be reached")
            _log.warning(
                "a destination cannot be reached",
                extra={"destination": self._name, "waiting": len(due), "seconds": round(pause, 1)},
            )
            return pause
        self._connection = connection
        try:
            pause = self._send_all(connection, due)
            ready = self._is_open(connection) and not self._stopping.is_set()
            if ready and (results := self._uncommitted()):
                self._ask_for_commitment(connection, results)
            return pause
        finally:
            self._connection = None
            self._end(connection)

    def _seconds_to_next(self) -> float | None:
        moments = (self._spool.next_due(self._name), self._spool.commitments.next_due(self._name))
        known = [moment for moment in moments if moment is not None]
        return min(1.0, max(0.0, min(known) - time.time())) if known else None

    def _uncommitted(self) -> list[SentResult]:
        """Return the results that the destination is to commit to, without those that are too old."""
        commitments = self._spool.commitments
        if not commitments.due(self._name, 1):
            return []
        if count := commitments.give_up(self._name, time.time() - self._give_up):
            self._metrics.committed(self._name, "failed", count)
            _log.error(
                "a destination did not commit to results in time",
                extra={"destination": self._name, "results": count},
            )
        return commitments.due(self._name, BATCH)

    def _send_all(self, connection: ConnectionT, due: Sequence[Delivery]) -> float:
        """Send results one after the other; return the seconds to wait before the next connection."""
        for delivery in due:
            if self._stopping.is_set():
                return 0.0
            outcome = self._outcome(connection, delivery)
            self._enter(delivery, outcome)
            if outcome.state != "later":
                self._failures = 0
            elif not self._is_open(connection):
                self._failures += 1
                return pause_after(self._failures, self._rng)
        return 0.0

    def _outcome(self, connection: ConnectionT, delivery: Delivery) -> DeliveryOutcome:
        """Send a result; one whose file is gone or damaged, or that cannot be sent, holds up no other."""
        try:
            content = delivery.path.read_bytes()
        except FileNotFoundError:
            return DeliveryOutcome("failed", "its file is gone from the spool")
        except OSError as error:  # the disk may be there again later, or fewer files be open
            return DeliveryOutcome("later", f"its file cannot be read: {error.strerror}")
        if len(content) != delivery.bytes:
            found = f"{len(content)} bytes, not {delivery.bytes}"
            return DeliveryOutcome("failed", f"its file is damaged: it has {found}")
        try:
            return self._send(connection, delivery, content)
        except FilmError as error:
            return DeliveryOutcome("failed", f"its file is damaged: {error.message}")
        except Exception as error:  # noqa: BLE001  a fault of ours or a library's with one object
            _log.exception("a result could not be sent", extra={"destination": self._name})
            return DeliveryOutcome("later", f"it could not be sent ({type(error).__name__})")

    def _enter(self, delivery: Delivery, outcome: DeliveryOutcome) -> None:
        facts = {"destination": self._name, "result": delivery.result, "kind": delivery.kind}
        state = outcome.state
        if state == "later" and time.time() - delivery.since > self._give_up:
            state = "failed"
        self._metrics.delivered(self._name, state)
        if state == "sent":
            self._spool.sent(self._name, delivery, outcome.reason, commit=outcome.commit)
            _log.info("a result was sent", extra=facts)
        elif state == "failed":
            self._spool.failed(self._name, delivery, outcome.reason)
            _log.error("a result is not sent: it is given up", extra={**facts, "reason": outcome.reason})
        else:
            pause = pause_after(delivery.tries + 1, self._rng)
            self._spool.later(self._name, delivery, pause, outcome.reason)
            _log.warning(
                "a result was not sent: it is tried again",
                extra={**facts, "reason": outcome.reason, "seconds": round(pause, 1)},
            )

    def _drop_old(self, due: Sequence[Delivery], reason: str) -> None:
        for delivery in due:
            if time.time() - delivery.since > self._give_up:
                self._enter(delivery, DeliveryOutcome("failed", reason))

    def _ask_for_commitment(self, connection: ConnectionT, results: Sequence[SentResult]) -> None:  # noqa: ARG002
        """Ask the destination to commit to results that it took, where its protocol has that."""
        self._spool.commitments.later(self._name, results, ASK_AGAIN_SECONDS, "it is not offered")

    @abstractmethod
    def _connect(self, results: Sequence[Delivery | SentResult]) -> ConnectionT | None:
        """Return a connection by which results can be sent; ``None`` where there is none."""

    @abstractmethod
    def _send(self, connection: ConnectionT, delivery: Delivery, content: bytes) -> DeliveryOutcome:
        """Send a result, of which the file's content is given, and return what became of it.

        Raises
        ------
        FilmError
            Where the content is damaged.
        """

    @abstractmethod
    def _is_open(self, connection: ConnectionT) -> bool:
        """Return whether more can be sent by a connection."""

    @abstractmethod
    def _end(self, connection: ConnectionT) -> None:
        """End a connection."""

    @abstractmethod
    def _cut(self, connection: ConnectionT) -> None:
        """End a connection on which another thread waits."""


class StoreSender(Sender["Association"]):
    """Sends results by C-STORE, and asks for storage commitment.

    Parameters
    ----------
    spool : Spool
    destination : Peer
    ae_title : str
        How this node calls itself.
    limits : Limits
    metrics : NodeMetrics
    tls : ssl.SSLContext, optional
    give_up : float
        Seconds; see ``GIVE_UP_DAYS``.
    commitment : bool
        Ask for storage commitment where it is offered.
    """

    def __init__(
        self,
        spool: Spool,
        destination: Peer,
        ae_title: str,
        limits: Limits,
        metrics: NodeMetrics,
        *,
        tls: ssl.SSLContext | None = None,
        give_up: float = GIVE_UP_DAYS * 86400,
        commitment: bool = True,
    ) -> None:
        super().__init__(spool, str(destination), metrics, give_up=give_up)
        self.destination = destination
        self._limits = limits
        self._tls = tls
        self._entity = Entity(ae_title, limits)
        if commitment:
            self._entity.add_requested_context(PUSH_MODEL, _SYNTAXES)

    def _connect(self, results: Sequence[Delivery | SentResult]) -> Association | None:
        for sop_class in dict.fromkeys(result.sop_class_uid for result in results):
            if not any(each.abstract_syntax == sop_class for each in self._entity.requested_contexts):
                self._entity.add_requested_context(sop_class, _SYNTAXES)
        peer = self.destination
        try:
            association = self._entity.associate(
                peer.host,
                peer.port,
                ae_title=peer.ae_title,
                max_pdu=self._limits.pdu_bytes,
                tls_args=(self._tls, peer.host) if self._tls is not None else None,
            )
        except (OSError, RuntimeError):  # a name that leads nowhere
            return None
        if not association.is_established:
            cut(association)
            return None
        return association

    def _send(self, connection: Association, delivery: Delivery, content: bytes) -> DeliveryOutcome:
        accepted = {context.abstract_syntax for context in connection.accepted_contexts}
        if delivery.sop_class_uid not in accepted:
            return DeliveryOutcome("failed", f"it does not take SOP class {delivery.sop_class_uid}")
        dataset = read_object(io.BytesIO(content))
        try:
            answer = connection.send_c_store(dataset)
        except (ValueError, RuntimeError, AttributeError) as error:
            # The association is gone, or pynetdicom cannot encode the object as it was agreed.
            state: State = "later" if not connection.is_established else "failed"
            return DeliveryOutcome(state, f"it could not be sent ({type(error).__name__})")
        status = answer.get("Status")
        if status is None:
            cut(connection)  # it is over, which pynetdicom may yet have to notice
        commit = PUSH_MODEL in accepted
        return DeliveryOutcome(*outcome_of_status(None if status is None else int(status)), commit=commit)

    def _ask_for_commitment(self, connection: Association, results: Sequence[SentResult]) -> None:
        """Ask for what the destination took; it is entered before, for the report may come at once."""
        if not any(context.abstract_syntax == PUSH_MODEL for context in connection.accepted_contexts):
            super()._ask_for_commitment(connection, results)
            return
        commitments = self._spool.commitments
        transaction_uid = f"2.25.{uuid.uuid4().int}"
        commitments.asked(self._name, results, transaction_uid, ASK_AGAIN_SECONDS)
        status = ask_for_commitment(connection, results, transaction_uid)
        facts = {"destination": self._name, "results": len(results)}
        if status == 0:
            self._metrics.committed(self._name, "asked", len(results))
            _log.info("a destination was asked to commit to results", extra=facts)
            return
        reason = "no answer" if status is None else f"status 0x{status:04X}"
        commitments.later(self._name, results, LONGEST_PAUSE, reason)
        _log.warning(
            "a destination did not take a request to commit to results: it is asked again",
            extra={**facts, "reason": reason, "seconds": LONGEST_PAUSE},
        )

    def _is_open(self, connection: Association) -> bool:
        return bool(connection.is_established)

    def _end(self, connection: Association) -> None:
        if connection.is_established:
            connection.release()
        cut(connection)

    def _cut(self, connection: Association) -> None:
        cut(connection)
