"""An archive of pynetdicom's that counts what it gets, and answers as it is told."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.presentation import AllStoragePresentationContexts


class CountingArchive:
    """What an archive got.

    Attributes
    ----------
    times : Counter
        How often each SOP Instance UID came.
    contents : dict of str to set of str
        SHA-256 of what came under each.
    status : callable
        Returns the answer to a SOP class; 0 by default.
    """

    def __init__(self) -> None:
        self.times: Counter[str] = Counter()
        self.contents: dict[str, set[str]] = {}
        self.sources: dict[str, set[tuple[str, str]]] = {}
        self.status: Callable[[str], int] = lambda _: 0
        self.port = 0
        self._lock = threading.Lock()

    def take(self, event: Any) -> int:
        request = event.request
        status = self.status(str(request.AffectedSOPClassUID))
        if status not in (0, 0xB000):
            return status
        uid = str(request.AffectedSOPInstanceUID)
        made = event.dataset
        with self._lock:
            self.times[uid] += 1
            self.contents.setdefault(uid, set()).add(hashlib.sha256(request.DataSet.getvalue()).hexdigest())
            self.sources.setdefault(str(made.StudyInstanceUID), set()).add((str(made.Modality), uid))
        return status


@contextlib.contextmanager
def counting_archive(port: int = 0) -> Iterator[CountingArchive]:
    """Run such an archive."""
    archive = CountingArchive()
    entity = AE("ARCHIVE")
    entity.supported_contexts = AllStoragePresentationContexts
    server = entity.start_server(
        ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, archive.take)]
    )
    assert server is not None, "it does not block"
    archive.port = int(server.server_address[1])
    try:
        yield archive
    finally:
        server.shutdown()
