"""What comes in: C-ECHO, C-STORE of films, and reports on storage commitment.

Each object is in the spool before its sender is told so.
"""

from __future__ import annotations

import io
import logging
import ssl
import threading
import time
from typing import TYPE_CHECKING, NamedTuple, cast

from pynetdicom import evt
from pynetdicom.dsutils import create_file_meta

from pneumocascade.errors import FilmError, StorageError, UsageError
from pneumocascade.imaging.dicom.frames import READ_SYNTAXES
from pneumocascade.node.commitment import PUSH_MODEL
from pneumocascade.node.identity import IMPLEMENTATION_UID, IMPLEMENTATION_VERSION
from pneumocascade.node.intake import content_digest, head_of
from pneumocascade.node.spool import SpoolFullError
from pneumocascade.node.transport import BoundedMessages, BoundedServer, Entity
from pneumocascade.node.uids import is_uid

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.dimse_primitives import C_STORE, N_EVENT_REPORT
    from pynetdicom.events import Event

    from pneumocascade.node.commitment import CommitmentReports
    from pneumocascade.node.intake import Intake
    from pneumocascade.node.limits import Limits
    from pneumocascade.node.metrics import NodeMetrics
    from pneumocascade.node.peers import AllowList

VERIFICATION = "1.2.840.10008.1.1"

FILM_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography Image Storage
    "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray Image Storage - For Presentation
    "1.2.840.10008.5.1.4.1.1.1.1.1",  # Digital X-Ray Image Storage - For Processing
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture Image Storage
    "1.2.840.10008.5.1.4.1.1.7.2",  # Multi-frame Grayscale Byte Secondary Capture Image Storage
    "1.2.840.10008.5.1.4.1.1.7.3",  # Multi-frame Grayscale Word Secondary Capture Image Storage
    "1.2.840.10008.5.1.4.1.1.7.4",  # Multi-frame True Color Secondary Capture Image Storage
)
"""SOP classes that are taken."""

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
"""Status of C-STORE (PS3.4, B.2.3)."""

_PREAMBLE = b"\0" * 128 + b"DICM"
_log = logging.getLogger(__name__)


class Security(NamedTuple):
    """How those who call are told from others.

    Attributes
    ----------
    allowed : AllowList
    tls : ssl.SSLContext or None
    """

    allowed: AllowList
    tls: ssl.SSLContext | None = None


class Receiver:
    """Takes films by C-STORE, and what archives report on storage commitment.

    Parameters
    ----------
    intake : Intake
    reports : CommitmentReports
    limits : Limits
    metrics : NodeMetrics
    """

    def __init__(
        self, intake: Intake, reports: CommitmentReports, limits: Limits, metrics: NodeMetrics
    ) -> None:
        self._intake = intake
        self._reports = reports
        self._limits = limits
        self._metrics = metrics
        self._server: BoundedServer | None = None
        self._thread: threading.Thread | None = None

    def start(self, ae_title: str, host: str, port: int, security: Security) -> int:
        """Listen, and return the port.

        Parameters
        ----------
        ae_title : str
            What callers must call.
        host : str
        port : int
            0 for any free one.
        security : Security

        Raises
        ------
        UsageError
            Where the address cannot be listened on.
        """
        entity = Entity(ae_title, self._limits)
        entity.require_called_aet = True
        entity.add_supported_context(VERIFICATION)
        for film_class in FILM_CLASSES:
            entity.add_supported_context(film_class, list(READ_SYNTAXES))
        entity.add_supported_context(PUSH_MODEL, scu_role=True, scp_role=True)
        handlers = [
            (evt.EVT_C_ECHO, self._echo),
            (evt.EVT_N_EVENT_REPORT, self._report),
            (evt.EVT_C_STORE, self.store),
            (evt.EVT_REJECTED, self._rejected),
        ]
        try:
            server = BoundedServer(
                entity,
                (host, port),
                self._limits,
                allows=security.allowed.allows,
                ended=self.ended,
                tls=security.tls,
                handlers=handlers,
            )
        except OSError as error:
            raise UsageError(f"cannot listen on port {port} of {host}: {error.strerror or error}") from error
        entity._servers.append(server)
        self._server = server
        self._metrics.watch(lambda: server.open_connections, lambda: server.in_flight.bytes)
        self._thread = threading.Thread(target=server.serve_forever, name="dicom-listener", daemon=True)
        self._thread.start()
        return int(server.server_address[1])

    def stop(self, seconds: float) -> None:
        """Take no new connection, wait some seconds for open associations, and abort those that remain."""
        server = self._server
        if server is None:
            return
        server.shutdown()
        deadline = time.monotonic() + seconds
        while server.open_connections and time.monotonic() < deadline:
            time.sleep(0.02)
        for association in server.active_associations:
            association.abort()
        self._server = None

    def _echo(self, event: Event) -> int:
        self._answered(event, self._limits.pdu_bytes)
        return SUCCESS

    def _report(self, event: Event) -> tuple[int, None]:
        content = cast("N_EVENT_REPORT", event.request).EventInformation
        try:
            return self._reports.take(event)
        finally:
            size = content.getbuffer().nbytes if content is not None else 0
            self._answered(event, size + self._limits.pdu_bytes)

    @staticmethod
    def _answered(event: Event, size: int) -> None:
        messages = event.assoc.dimse
        if isinstance(messages, BoundedMessages):  # not those of an association that was made from here
            messages.answered(size)

    def _rejected(self, _: Event) -> None:
        self._metrics.rejected()

    def ended(self, association: Association) -> None:
        """Give the films of an association their turn."""
        self._intake.ended(id(association))

    def store(self, event: Event) -> int:
        """Take an object, of whichever association, and return the status for its sender."""
        content = cast("C_STORE", event.request).DataSet
        size = content.getbuffer().nbytes if content is not None else 0
        try:
            status = self._kept(event)
        except SpoolFullError:
            _log.error(
                "an object was refused: the spool is full", extra={"bytes": self._intake.spool.stored_bytes}
            )
            status = OUT_OF_RESOURCES
        except StorageError as error:
            _log.error("an object was refused: the spool cannot be written", exc_info=error)
            status = OUT_OF_RESOURCES
        finally:
            self._answered(event, size + self._limits.pdu_bytes)
        self._metrics.stored(status)
        return status

    def _kept(self, event: Event) -> int:
        """Put an object into the spool, unless it is there; return the status for its sender."""
        request = cast("C_STORE", event.request)
        uid, class_uid = str(request.AffectedSOPInstanceUID or ""), str(request.AffectedSOPClassUID or "")
        if request.DataSet is None or not is_uid(uid):
            return CANNOT_UNDERSTAND
        content = request.DataSet.getbuffer()
        syntax = str(event.context.transfer_syntax)
        head = _head(class_uid, uid, syntax, str(event.assoc.requestor.ae_title).strip())
        whole = b"".join((head, content))
        try:
            found = head_of(io.BytesIO(whole))
        except FilmError:
            _log.warning("an object was refused: it cannot be read", extra={"bytes": len(content)})
            return CANNOT_UNDERSTAND
        if found.sop_instance_uid != uid or not is_uid(found.study_uid):
            _log.warning("an object was refused: it has no study, or another UID than was announced")
            return DOES_NOT_MATCH
        if found.ours:  # an archive that forwards a whole study would have its results judged, and so on
            _log.info("a result of this software was taken and left out")
            return SUCCESS
        digest = content_digest(syntax)
        digest.update(content)
        known = digest.hexdigest()
        if not self._intake.has(found, known):
            with self._intake.spool.incoming() as incoming:
                incoming.write(whole)
                self._intake.keep(incoming, found, known, id(event.assoc))
        return SUCCESS


def _head(class_uid: str, uid: str, syntax: str, source: str) -> bytes:
    """Return what a file begins with (PS3.10, 7.1): preamble, prefix, and file meta information."""
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_file_meta_info

    meta = create_file_meta(
        sop_class_uid=class_uid,  # type: ignore[arg-type]
        sop_instance_uid=uid,  # type: ignore[arg-type]
        transfer_syntax=syntax,  # type: ignore[arg-type]
        implementation_uid=IMPLEMENTATION_UID,  # type: ignore[arg-type]
        implementation_version=IMPLEMENTATION_VERSION,
    )
    meta.SourceApplicationEntityTitle = source
    stream = DicomBytesIO()
    write_file_meta_info(stream, meta)
    return _PREAMBLE + stream.getvalue()
