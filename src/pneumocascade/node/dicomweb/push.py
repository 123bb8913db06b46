"""Results by STOW-RS (PS3.18, 10.5) to an archive, until it has them or has refused them for good."""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING, Any

import httpx

from pneumocascade.node.dicomweb.accept import DICOM_JSON
from pneumocascade.node.dicomweb.multipart import multipart_body, new_boundary
from pneumocascade.node.dicomweb.store import APPLICATION_DICOM
from pneumocascade.node.sender import GIVE_UP_DAYS, DeliveryOutcome, Sender, outcome_of_status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pneumocascade.node.commitment_record import SentResult
    from pneumocascade.node.dicomweb.archive import ArchiveToken, WebArchive
    from pneumocascade.node.limits import Limits
    from pneumocascade.node.metrics import NodeMetrics
    from pneumocascade.node.spool import Delivery, Spool

MAX_ANSWER_BYTES = 1 << 20
"""Of an archive's answer that are read."""

_OF_THE_OBJECT = frozenset({400, 409, 411, 413, 415, 422})
"""Statuses that refuse an object; others refuse this node, or say that the archive has no time."""


class WebSender(Sender["_Session"]):
    """Sends results by STOW-RS, one object a request.

    Parameters
    ----------
    spool : Spool
    archive : WebArchive
    limits : Limits
    metrics : NodeMetrics
    tls : ssl.SSLContext, optional
        By default the system's authorities, or those of ``SSL_CERT_FILE``, vouch for the archive.
    token : ArchiveToken, optional
    give_up : float
        Seconds; see :data:`pneumocascade.node.sender.GIVE_UP_DAYS`.
    """

    def __init__(
        self,
        spool: Spool,
        archive: WebArchive,
        limits: Limits,
        metrics: NodeMetrics,
        *,
        tls: ssl.SSLContext | None = None,
        token: ArchiveToken | None = None,
        give_up: float = GIVE_UP_DAYS * 86400,
    ) -> None:
        super().__init__(spool, str(archive), metrics, give_up=give_up)
        self._archive = archive
        self._seconds = limits.network_seconds
        self._tls = tls or ssl.create_default_context()
        self._headers = {"Accept": DICOM_JSON} | ({"Authorization": token.header} if token else {})

    def _connect(self, results: Sequence[Delivery | SentResult]) -> _Session | None:  # noqa: ARG002
        return _Session(
            # Neither proxies nor passwords (.netrc) of the environment: results go where they are told to.
            httpx.Client(
                headers=self._headers,
                verify=self._tls,
                timeout=self._seconds,
                follow_redirects=False,
                trust_env=False,
            )
        )

    def _send(self, connection: _Session, delivery: Delivery, content: bytes) -> DeliveryOutcome:
        boundary = new_boundary()
        body = b"".join(multipart_body([[content]], APPLICATION_DICOM, boundary))
        kind = f'multipart/related; type="{APPLICATION_DICOM}"; boundary={boundary}'
        try:
            with connection.client.stream(
                "POST", f"{self._archive.url}/studies", content=body, headers={"Content-Type": kind}
            ) as answer:
                outcome = outcome_of_answer(answer.status_code, _read(answer), delivery.sop_instance_uid)
        except (httpx.HTTPError, RuntimeError) as error:  # RuntimeError: it was closed by another thread
            outcome = DeliveryOutcome("later", f"no answer ({type(error).__name__})")
        connection.is_open = outcome.state != "later"
        return outcome

    def _is_open(self, connection: _Session) -> bool:
        return connection.is_open

    def _end(self, connection: _Session) -> None:
        connection.client.close()

    def _cut(self, connection: _Session) -> None:
        connection.client.close()


class _Session:
    """Connections to an archive, until it does not answer."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.is_open = True


def outcome_of_answer(status: int, body: bytes, sop_instance_uid: str) -> DeliveryOutcome:
    """Return what an archive's answer means for an object.

    Parameters
    ----------
    status : int
        Of HTTP.
    body : bytes
        DICOM JSON, where the archive gives it.
    sop_instance_uid : str
        Of the object that was sent.

    Returns
    -------
    DeliveryOutcome
        By the object's failure reason where the answer has one, which is of the kind of C-STORE's status
        (PS3.18, I.2.2). Else by the status: ``"sent"`` for 2xx; ``"failed"`` where it refuses the object;
        ``"later"`` where it does not take it now, or refuses this node, which somebody may put right.
    """
    reason = failure_reason(body, sop_instance_uid)
    if reason is not None and (200 <= status < 300 or status in _OF_THE_OBJECT):
        return DeliveryOutcome(*outcome_of_status(reason))
    words = f"HTTP status {status}"
    if 200 <= status < 300:
        return DeliveryOutcome("sent", words)
    return DeliveryOutcome("failed" if status in _OF_THE_OBJECT else "later", words)


def failure_reason(body: bytes, sop_instance_uid: str) -> int | None:
    """Return why an archive did not store an object; ``None`` where it did, or does not say."""
    try:
        answer = json.loads(body)
        items = _items(answer, "00081198") + _items(answer, "0008119A")
        for item in items:
            named = item.get("00081155", {}).get("Value", [sop_instance_uid])
            if named[0] == sop_instance_uid:
                return int(item["00081197"]["Value"][0])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None  # not as PS3.18, I.2 has it: the status alone counts
    return None


def _items(answer: Any, tag: str) -> list[Any]:
    return list(answer.get(tag, {}).get("Value", []))


def _read(answer: httpx.Response) -> bytes:
    body = b""
    for piece in answer.iter_bytes():
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            return b""
    return body
