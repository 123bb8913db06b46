"""The node: spool, receiver, DICOMweb, judge and senders, from start to stop."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pneumocascade.inference.cascade import DEFAULT_OPERATING_POINT
from pneumocascade.model.engines.processor import usable_cores
from pneumocascade.node.commitment import CommitmentReports
from pneumocascade.node.identity import AE_TITLE
from pneumocascade.node.intake import Intake
from pneumocascade.node.judge import Judge
from pneumocascade.node.limits import Limits
from pneumocascade.node.metrics import NodeMetrics
from pneumocascade.node.peers import Peer
from pneumocascade.node.receiver import Receiver, Security
from pneumocascade.node.results import ResultKind, ResultMaker
from pneumocascade.node.schedule import Schedule
from pneumocascade.node.sender import GIVE_UP_DAYS, Sender, StoreSender
from pneumocascade.node.spool import Spool
from pneumocascade.node.status_page import StatusPage

if TYPE_CHECKING:
    from pneumocascade.inference.cascade import Cascade
    from pneumocascade.model.store import Manifest
    from pneumocascade.node.dicomweb.archive import ArchiveToken, WebArchive
    from pneumocascade.node.peers import AllowList
    from pneumocascade.server import Access, BackgroundServer

STOP_SECONDS = 10.0
"""Longest wait, when the node stops, for films that are judged, and for a result that is sent."""

KEEP_DAYS = 7.0
"""Time for which films and results stay in the spool once all is delivered."""

_CLEANING_SECONDS = 60.0
_DAY = 86400.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WebSettings:
    """How a node serves DICOMweb.

    Attributes
    ----------
    port : int
        On the node's address; 0 for any free one.
    access : Access
        Who may come in.
    token : str, optional
        Asked of every request.
    """

    port: int
    access: Access
    token: str | None = None


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """How a node works.

    Attributes
    ----------
    spool : Path
        Folder.
    destinations : tuple of Peer or WebArchive
        Who gets the results.
    allowed : AllowList
        Who may send.
    host, port, ae_title
        What is listened on, and what callers must call.
    results : tuple of str
        See :data:`pneumocascade.node.results.RESULT_KINDS`.
    operating_point : str
    keep_days, give_up_days : float
        See ``KEEP_DAYS`` and :data:`pneumocascade.node.sender.GIVE_UP_DAYS`.
    http_port : int or None
        Of health and metrics, on 127.0.0.1; ``None`` for none.
    limits : Limits
    tls, destination_tls : ssl.SSLContext, optional
    retry_failed : bool
        Offer again, at the start, what destinations refused or did not commit to, and judge again films that
        failed or could not be read.
    commitment : bool
        Ask destinations that offer it to commit to the results that they took.
    dicomweb : WebSettings, optional
        By default DICOMweb is not served.
    archive_token : ArchiveToken, optional
        For destinations that are a WebArchive.
    """

    spool: Path
    destinations: tuple[Peer | WebArchive, ...]
    allowed: AllowList
    host: str = "127.0.0.1"
    port: int = 11112
    ae_title: str = AE_TITLE
    results: tuple[ResultKind, ...] = ("sr", "sc")
    operating_point: str = DEFAULT_OPERATING_POINT
    keep_days: float = KEEP_DAYS
    give_up_days: float = GIVE_UP_DAYS
    http_port: int | None = None
    limits: Limits = field(default_factory=Limits)
    tls: ssl.SSLContext | None = None
    destination_tls: ssl.SSLContext | None = None
    retry_failed: bool = False
    commitment: bool = True
    dicomweb: WebSettings | None = None
    archive_token: ArchiveToken | None = None


class Node:
    """Takes films by C-STORE and STOW-RS, judges each once, and sends results to every destination.

    Parameters
    ----------
    cascade : Cascade
        Gives every answer.
    models : Manifest
        Of its models.
    settings : NodeSettings

    Raises
    ------
    UsageError
        Where spool, results or destinations cannot be used.
    """

    def __init__(self, cascade: Cascade, models: Manifest, settings: NodeSettings) -> None:
        self._settings = settings
        self.metrics = NodeMetrics(cascade.version)
        maker = ResultMaker(cascade, models, settings.results)
        self.spool = Spool(settings.spool, settings.limits.spool_bytes)
        self.metrics.watch_spool(self.spool)
        self._schedule = Schedule(settings.limits.pause_seconds)
        answered_by = cascade.version
        if settings.operating_point != DEFAULT_OPERATING_POINT:  # what earlier versions kept has no suffix
            answered_by += f", {settings.operating_point}"
        self._intake = Intake(self.spool, self._schedule, answered_by, self.metrics)
        reports = CommitmentReports(self.spool, self.metrics)
        self.receiver = Receiver(self._intake, reports, settings.limits, self.metrics)
        self._senders = [self._sender(destination) for destination in settings.destinations]
        self._judge = Judge(
            self.spool,
            self._schedule,
            cascade,
            maker,
            tuple(map(str, settings.destinations)),
            self.metrics,
            operating_point=settings.operating_point,
            answered_by=answered_by,
            done=self._wake_senders,
        )
        self._page: StatusPage | None = None
        self._web: BackgroundServer | None = None
        self._stopping = threading.Event()
        self._takes_films = False
        self._cleaner = threading.Thread(target=self._clean, name="cleaner", daemon=True)
        self.port = 0
        self.http_port: int | None = None
        self.dicomweb_port: int | None = None

    def _sender(self, destination: Peer | WebArchive) -> Sender[Any]:
        settings = self._settings
        give_up = settings.give_up_days * _DAY
        if isinstance(destination, Peer):
            return StoreSender(
                self.spool,
                destination,
                settings.ae_title,
                settings.limits,
                self.metrics,
                tls=settings.destination_tls,
                give_up=give_up,
                commitment=settings.commitment,
            )
        from pneumocascade.node.dicomweb.push import WebSender

        return WebSender(
            self.spool,
            destination,
            settings.limits,
            self.metrics,
            tls=settings.destination_tls,
            token=settings.archive_token,
            give_up=give_up,
        )

    def start(self, *, listen: bool = True) -> None:
        """Go on where the last run ended, listen, judge and send.

        ``port``, ``http_port`` and ``dicomweb_port`` say on which ports.

        Parameters
        ----------
        listen : bool
            ``False``: only once :meth:`listen` is called.

        Raises
        ------
        UsageError
            Where an address cannot be listened on.
        """
        settings = self._settings
        try:
            if settings.http_port is not None:
                self._page = StatusPage(settings.http_port, self.ready, self.metrics.text)
                self.http_port = self._page.port
            self._go_on()
            if settings.dicomweb is not None:
                self._serve_dicomweb(settings.dicomweb)
            if listen:
                self.listen()
        except BaseException:
            self._close()
            raise
        self._judge.start(usable_cores())
        for sender in self._senders:
            sender.start()
        self._cleaner.start()
        self._takes_films = True

    def listen(self) -> None:
        """Take associations; see ``port``.

        Raises
        ------
        UsageError
            Where the address cannot be listened on.
        """
        settings = self._settings
        security = Security(settings.allowed, settings.tls)
        self.port = self.receiver.start(settings.ae_title, settings.host, settings.port, security)

    def _serve_dicomweb(self, web: WebSettings) -> None:
        from pneumocascade.node.dicomweb.app import dicomweb_app
        from pneumocascade.node.dicomweb.catalogue import Catalogue
        from pneumocascade.server import BackgroundServer

        settings = self._settings
        if described := Catalogue(self.spool).describe_earlier():
            _log.info("results of an earlier version are found now", extra={"results": described})
        app = dicomweb_app(self._intake, settings.limits, self.metrics, web.access, web.token)
        self._web = BackgroundServer(app, settings.host, web.port, settings.tls)
        self.dicomweb_port = self._web.port

    def _go_on(self) -> None:
        """Take up what the last run left."""
        if self._settings.retry_failed:
            if count := self.spool.retry_failed():
                _log.warning("results that were given up are offered again", extra={"results": count})
            if count := self.spool.retry_unanswered():
                _log.warning("films that got no answer are judged again", extra={"films": count})
        waiting = self.spool.waiting()
        if waiting:
            _log.warning("films of the last run are judged first", extra={"films": len(waiting)})
        self._schedule.add_ready(waiting)
        for destination, count in self.spool.stranded(map(str, self._settings.destinations)).items():
            _log.warning(
                "results wait for a destination that is not given: name it again to send them",
                extra={"destination": destination, "results": count},
            )

    def stop(self) -> None:
        """Take no more films, finish those that are being judged or sent, and close the spool."""
        self._takes_films = False
        self._stopping.set()
        self.receiver.stop(STOP_SECONDS / 2)
        self._stop_web()
        self._schedule.close()
        self._judge.join(STOP_SECONDS)
        for sender in self._senders:
            sender.stop(STOP_SECONDS)
        self._close()

    def _stop_web(self) -> None:
        if self._web is not None:
            self._web.stop(STOP_SECONDS / 2)
            self._web = None

    def _close(self) -> None:
        self._stop_web()
        if self._page is not None:
            self._page.close()
        self.spool.close()

    def ready(self) -> tuple[dict[str, Any], bool]:
        """Return what the node has to do, and whether it takes films."""
        counts: dict[str, int] = {}
        if self._takes_films:
            counts = self.spool.counts()._asdict() | self.spool.commitments.counts()._asdict()
        status = "ready" if self._takes_films else "stopping"
        return {"status": status, **counts, "spool_bytes": self.spool.stored_bytes}, self._takes_films

    def _wake_senders(self) -> None:
        for sender in self._senders:
            sender.wake()

    def _clean(self) -> None:
        """Delete what was delivered and is old, once a minute."""
        while True:
            try:
                removed = self.spool.remove_finished(time.time() - self._settings.keep_days * _DAY)
                if removed:
                    _log.info("finished films were removed from the spool", extra={"films": removed})
            except Exception:  # noqa: BLE001  tried again in a minute
                _log.exception("the spool could not be cleaned")
            if self._stopping.wait(_CLEANING_SECONDS):
                return
