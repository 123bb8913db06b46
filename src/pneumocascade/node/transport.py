"""pynetdicom's server with bounds: connections, time for each PDU, its size, and bytes of an association.

pynetdicom reads a PDU of whatever length is announced, waits for the rest of it without end, makes TLS
handshakes one after the other before it accepts the next connection, and keeps what it has not handled in
memory. Here each of these is bounded.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

from pynetdicom import AE, evt
from pynetdicom.acse import ACSE
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from pneumocascade.node.identity import IMPLEMENTATION_UID, IMPLEMENTATION_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from pynetdicom.association import Association
    from pynetdicom.events import Event
    from pynetdicom.pdu_primitives import P_DATA
    from pynetdicom.transport import T_CONNECT, AddressInformation

    from pneumocascade.node.limits import Limits

_CHUNK = 1 << 18
_LIMIT_EXCEEDED = (0x02, 0x03, 0x02)
"""Rejected (transient), by the presentation service: local limit exceeded (PS3.8, 9.3.4)."""

_NOT_RECOGNISED = (0x01, 0x01, 0x03)
"""Rejected (permanent), by the service user: calling AE title not recognised (PS3.8, 9.3.4)."""

_LOOP_SECONDS = 0.005
"""Sleep of pynetdicom's threads where nothing happens; its own 1 ms costs a few per cent of a core each."""

_log = logging.getLogger(__name__)


class InFlight:
    """Bytes that associations have sent and had no answer to, all together.

    Parameters
    ----------
    most : int
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, size: int) -> bool:
        """Count bytes, which may be negative; return whether they are within the bound."""
        with self._lock:
            self._bytes += size
            return self._bytes <= self.most

    @property
    def bytes(self) -> int:
        """Bytes at the moment."""
        return self._bytes


class BoundedSocket(AssociationSocket):
    """A socket that reads no longer PDU than is allowed, and waits no longer for it than is allowed.

    Attributes
    ----------
    longest_pdu : int
    seconds : float
    """

    longest_pdu = 0
    seconds = 0.0

    def recv(self, nr_bytes: int) -> bytearray:
        """Read so many bytes, fewer where the connection ends.

        Raises
        ------
        OSError
            Where they are too many, or do not come in time.
        """
        if nr_bytes > self.longest_pdu:
            raise OSError(f"a PDU of {nr_bytes} bytes was announced, more than {self.longest_pdu}")
        connection = self.socket
        assert connection is not None, "pynetdicom reads connected sockets"
        deadline = time.monotonic() + self.seconds
        content = bytearray()
        while len(content) < nr_bytes:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("a PDU did not come in time")
            connection.settimeout(left)
            piece = connection.recv(min(nr_bytes - len(content), _CHUNK))
            if not piece:
                break
            content += piece
        connection.settimeout(self.seconds)
        return content


class CallingSocket(BoundedSocket):
    """The same for a connection that is made from here; it is closed where it could not be made, too."""

    def connect(self, primitive: T_CONNECT) -> None:
        """Connect; from then on a peer that neither reads nor writes holds nobody up."""
        super().connect(primitive)
        if self.socket is not None:
            self.socket.settimeout(self.seconds)

    def _shutdown_socket(self) -> None:
        connection = self.socket
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


class Entity(AE):
    """pynetdicom's application entity with this software's name and limits.

    Parameters
    ----------
    ae_title : str
    limits : Limits
    """

    def __init__(self, ae_title: str, limits: Limits) -> None:
        super().__init__(ae_title)
        self._limits = limits
        self.implementation_class_uid = IMPLEMENTATION_UID
        self.implementation_version_name = IMPLEMENTATION_VERSION
        self.maximum_associations = limits.connections  # the server counts associations itself
        self.maximum_pdu_size = limits.pdu_bytes
        self.acse_timeout = limits.acse_seconds
        self.dimse_timeout = limits.network_seconds
        self.network_timeout = limits.network_seconds
        self.connection_timeout = limits.acse_seconds

    def _create_socket(
        self,
        assoc: Association,
        address: AddressInformation,
        tls_args: tuple[ssl.SSLContext, str] | None,
    ) -> CallingSocket:
        made = CallingSocket(assoc, address=address)
        made.longest_pdu, made.seconds = self._limits.longest_pdu, self._limits.network_seconds
        made.tls_args = tls_args
        assoc.dimse = AwaitedMessages(assoc)
        _contain(assoc)
        return made


class AwaitedMessages(DIMSEServiceProvider):
    """Messages of an association that was made from here: whoever asked gets the answer.

    pynetdicom's own thread of the association looks for messages, too. It is paused while somebody waits for
    an answer, but may be on its way to one last look just then: it took the answer, and whoever waited was
    told after the whole network timeout that there was none.
    """

    def get_msg(self, block: bool = False) -> Any:
        """Return a message; none to pynetdicom's thread, which does not block, while it is paused."""
        # In this order: a message that is there was asked for after the pause began.
        if not block and (self.msg_queue.empty() or not self.assoc._reactor_checkpoint.is_set()):
            return None, None
        return super().get_msg(block)


def _contain(association: Association) -> None:
    """Let the thread of an association's state machine be quiet, daemonic, and end without a traceback.

    It raises where a peer's mistake and an answer to it cross: there is no such transition in PS3.8, 9.2.3.
    """
    provider = association.dul
    run = provider.run

    def run_contained() -> None:
        try:
            run()
        except Exception:  # noqa: BLE001  whatever it is, this association is over
            _log.debug("the state machine of an association failed", exc_info=True)
            association._kill = True

    provider.run = run_contained  # type: ignore[method-assign]
    provider.daemon = True
    provider._run_loop_delay = _LOOP_SECONDS


def cut(association: Association) -> None:
    """End an association that was made from here, and its threads, whatever the other side does."""
    wrapped = association.dul.socket
    if wrapped is not None and wrapped.socket is not None:
        with contextlib.suppress(OSError):
            wrapped.socket.shutdown(socket.SHUT_RDWR)
    if association.is_alive() or association.dul.is_alive():
        association.kill()


class BoundedMessages(DIMSEServiceProvider):
    """Messages of an association, whose bytes are counted until they are answered.

    Parameters
    ----------
    assoc : pynetdicom.association.Association
    in_flight : InFlight
        Of all associations.
    most : int
        Bytes of this one.
    """

    def __init__(self, assoc: Association, in_flight: InFlight, most: int) -> None:
        super().__init__(assoc)
        self._in_flight = in_flight
        self._most = most
        self._bytes = 0
        self._over = False

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take a fragment of a message, or abort the association where there are too many."""
        if self._over:
            return
        size = sum(len(data) for _, data in primitive.presentation_data_value_list)
        self._bytes += size
        if not self._in_flight.add(size) or self._bytes > self._most:
            self._cut_off("it sent too many bytes")
            return
        try:
            super().receive_primitive(primitive)
        except Exception:  # noqa: BLE001  pynetdicom and pydicom raise many kinds on bytes that make no sense
            self._cut_off("it sent no DICOM message")

    def _cut_off(self, reason: str) -> None:
        self._over = True
        self.message = None
        _log.warning("an association was aborted", extra={"reason": reason, "bytes": self._bytes})
        self.assoc.abort(block=False)

    def answered(self, size: int) -> None:
        """Forget bytes of a message that was answered."""
        size = min(size, self._bytes)
        self._bytes -= size
        self._in_flight.add(-size)

    def end(self) -> None:
        """Forget all messages."""
        self.message = None
        self.answered(self._bytes)


class CheckedCaller(ACSE):
    """Associations of those who may send, as many as there may be.

    Attributes
    ----------
    allows : callable
        Given AE title and address; whether it may.
    enter : callable
        Counts an association; ``False`` where there are too many.
    """

    allows: Callable[[str, str], bool]
    enter: Callable[[Association], bool]

    def _negotiate_as_acceptor(self) -> None:
        request = self.requestor.primitive
        title = str(getattr(request, "calling_ae_title", "") or "")
        address = self.requestor.address
        if self.allows(title, address):
            if self.enter(self.assoc):
                super()._negotiate_as_acceptor()
            else:
                self._reject(_LIMIT_EXCEEDED)
            return
        _log.warning(
            "an association was rejected: its caller is not on the allow-list",
            extra={"caller": title, "address": address},
        )
        self._reject(_NOT_RECOGNISED)

    def _reject(self, why: tuple[int, int, int]) -> None:
        self.send_reject(*why)
        evt.trigger(self.assoc, evt.EVT_REJECTED, {})
        self.assoc.kill()


class BoundedServer(ThreadedAssociationServer):
    """pynetdicom's server, which takes so many connections and no more.

    Parameters
    ----------
    ae : Entity
    address : tuple of str and int
    limits : Limits
    allows : callable
        See :class:`CheckedCaller`.
    ended : callable
        Given each association when it is over, however it ended.
    tls : ssl.SSLContext, optional
    handlers : list
        Of events.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        ae: Entity,
        address: tuple[str, int],
        limits: Limits,
        *,
        allows: Callable[[str, str], bool],
        ended: Callable[[Association], object],
        tls: ssl.SSLContext | None,
        handlers: list[Any],
    ) -> None:
        self.limits = limits
        self.allows = allows
        self.ended = ended
        self.tls = tls
        self.in_flight = InFlight(limits.in_flight_bytes)
        self._open = 0
        self._associations: set[int] = set()
        self._count = threading.Lock()
        super().__init__(
            ae,
            address,
            ae.ae_title,
            ae.supported_contexts,
            evt_handlers=handlers,
            request_handler=_BoundedHandler,
        )

    @property
    def open_connections(self) -> int:
        """How many there are at the moment."""
        return self._open

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002  socketserver's
        """Return whether there is room for another connection."""
        with self._count:
            if self._open >= self.limits.connections:
                _log.warning("a connection was closed: there are too many", extra={"open": self._open})
                return False
            self._open += 1
            return True

    def enter(self, association: Association) -> bool:
        """Count an association; connections that have none yet take nobody's place."""
        with self._count:
            if len(self._associations) >= self.limits.associations:
                return False
            self._associations.add(id(association))
            return True

    def left(self, association: Association | None = None) -> None:
        """Count a connection that is over, and its association."""
        with self._count:
            self._open -= 1
            self._associations.discard(id(association))

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  socketserver's
        """Say nothing on standard error: what a connection did wrong was logged."""
        _log.debug("a connection failed before its association", exc_info=True)


def _wake(event: Event) -> None:
    """Let an association whose connection is closed before it began end now, not when its time is over."""
    if event.assoc.requestor.primitive is None:
        # What it gets where the time is over.
        event.assoc.dul.to_user_queue.put(None)


class _BoundedHandler(RequestHandler):
    """Sets an association up on a connection, within the server's bounds."""

    server: BoundedServer

    def handle(self) -> None:
        """Make the TLS handshake, here on a thread of this connection, and start the association."""
        started = False
        try:
            if self._handshake():
                association = self._bounded()
                evt.trigger(association, evt.EVT_CONN_OPEN, {"address": self.client_address})
                association.start()
                started = True
        finally:
            if not started:
                self.server.left()
                self.server.shutdown_request(self.request)

    def _handshake(self) -> bool:
        limits, tls = self.server.limits, self.server.tls
        self.request.settimeout(limits.acse_seconds)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is None:
            return True
        try:
            self.request = tls.wrap_socket(self.request, server_side=True)
        except OSError as error:
            _log.warning("a TLS handshake failed", extra={"kind": type(error).__name__})
            return False
        return True

    def _bounded(self) -> Association:
        server, limits = self.server, self.server.limits
        association = self._create_association()
        connection = association.dul.socket
        assert connection is not None, "pynetdicom has just set it"
        connection.__class__ = BoundedSocket  # a second object would announce the connection twice
        connection.longest_pdu, connection.seconds = limits.longest_pdu, limits.network_seconds  # type: ignore[attr-defined]
        _contain(association)
        messages = BoundedMessages(association, server.in_flight, limits.object_bytes + limits.longest_pdu)
        association.dimse = messages
        association.acse = CheckedCaller(association)
        association.acse.allows, association.acse.enter = server.allows, server.enter
        association.bind(evt.EVT_CONN_CLOSE, _wake)
        run, raw = association.run, self.request

        def run_to_the_end() -> None:
            try:
                run()
            finally:
                messages.end()
                association.dul.kill_dul()
                with contextlib.suppress(OSError):
                    raw.shutdown(socket.SHUT_RDWR)
                raw.close()
                server.left(association)
                server.ended(association)

        association.run = run_to_the_end  # type: ignore[method-assign]
        return association
