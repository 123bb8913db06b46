"""Results by STOW-RS to an archive: what its answers mean, and Orthanc as a real one."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from dicomweb_client.api import DICOMwebClient

from pneumocascade.node import sender
from pneumocascade.node.dicomweb.archive import ArchiveToken, WebArchive
from pneumocascade.node.dicomweb.multipart import MultipartReader, media_type_of
from pneumocascade.node.dicomweb.push import WebSender, outcome_of_answer
from pneumocascade.node.metrics import NodeMetrics
from pneumocascade.node.service import WebSettings
from pneumocascade.node.spool import Spool
from pneumocascade.server import LOOPBACK, Access
from tests.node.conftest import QUICK, RunNode
from tests.node.dicomweb.conftest import ServeNode, certificate, film
from tests.node.dicomweb.test_multipart import Parts
from tests.node.programs import free_port, orthanc, store, wait_for
from tests.node.spools import add_results, spoil_first_results

MakeFilm = Callable[..., Path]
UID = "1.2.3"


def answer(reason: int, uid: str = UID, tag: str = "00081198") -> bytes:
    item = {"00081155": {"vr": "UI", "Value": [uid]}, "00081197": {"vr": "US", "Value": [reason]}}
    return json.dumps({tag: {"vr": "SQ", "Value": [item]}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        (200, b"", "sent"),
        (200, b"<xml/>", "sent"),
        (202, answer(0xC000, "1.2.4"), "sent"),
        (202, answer(0xC000), "failed"),
        (202, answer(0xB000), "sent"),
        (200, answer(0xA700), "later"),
        (409, answer(0x0111), "sent"),
        (409, answer(0x0122), "failed"),
        (409, answer(0xA700), "later"),
        (409, answer(0x0110), "later"),
        (409, b"", "failed"),
        (409, b"[" * 100_000, "failed"),
        (409, b'{"00081198": 7}', "failed"),
        *((status, b"", "failed") for status in (400, 413, 415, 422)),
        *((status, b"", "later") for status in (301, 401, 403, 404, 408, 429, 500, 502, 503, 504)),
        (503, answer(0xC000), "later"),
    ],
)
def test_an_answer_is_taken_for_what_the_standard_says(status: int, body: bytes, state: str) -> None:
    assert outcome_of_answer(status, body, UID).state == state


class WebArchiveDouble:
    """An archive that counts the objects that it gets, and answers as it is told."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.asked = 0
        self.objects: Counter[bytes] = Counter()
        self.authorization: set[str | None] = set()
        self.url = ""

    def take(self, request: BaseHTTPRequestHandler) -> int:
        self.asked += 1
        self.authorization.add(request.headers["Authorization"])
        body = request.rfile.read(int(request.headers["Content-Length"]))
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            kind, parameters = media_type_of(request.headers["Content-Type"])
            assert (kind, parameters["type"]) == ("multipart/related", "application/dicom")
            parts = Parts()
            reader = MultipartReader(parameters["boundary"], parts)
            reader.feed(body)
            reader.close()
            self.objects.update(content for _, content in parts.told)
        return status


@contextlib.contextmanager
def web_archive(tls: ssl.SSLContext | None = None) -> Iterator[WebArchiveDouble]:
    double = WebArchiveDouble()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/dicom-web/studies"
            status = double.take(self)
            self.send_response(status)
            self.send_header("Location", f"{double.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "https" if tls else "http"
    double.url = f"{scheme}://127.0.0.1:{server.server_address[1]}/dicom-web"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def test_results_are_offered_until_the_archive_has_each_once(
    run_node: RunNode, make_film: MakeFilm, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sender, "FIRST_PAUSE", 0.05)
    token = ArchiveToken.parse("a-secret-token")
    with web_archive() as archive:
        archive.statuses = [503, 401, 302, 200, 500]
        with run_node(destinations=(WebArchive(archive.url),), archive_token=token) as node:
            assert store(node.port, make_film()).returncode == 0
            wait_for(lambda: node.spool.counts().sent == 2)
            kept = [path.read_bytes() for path in (node.spool.folder / "results").iterdir()]
            text = node.metrics.text().decode()
        assert archive.objects == Counter(kept)
        assert archive.asked == 6
        assert archive.authorization == {"Bearer a-secret-token"}
    assert "a-secret-token" not in caplog.text + text
    assert "Traceback" not in caplog.text


def test_what_is_refused_for_good_is_given_up_and_what_is_unreachable_waits_for_the_next_start(
    run_node: RunNode, make_film: MakeFilm
) -> None:
    with web_archive() as archive:
        archive.statuses = [415]
        with run_node(destinations=(WebArchive(archive.url),)) as node:
            assert store(node.port, make_film()).returncode == 0
            wait_for(lambda: node.spool.counts()[2:] == (0, 1, 1))
    gone = WebArchive(f"http://127.0.0.1:{free_port()}/dicom-web")
    with run_node(destinations=(gone,)) as node:
        assert store(node.port, make_film()).returncode == 0
        wait_for(lambda: node.spool.counts().waiting == 2)
        wait_for(lambda: 'state="later"' in node.metrics.text().decode())
    with run_node(destinations=(gone,)) as node:
        assert node.spool.counts().waiting == 2


def test_a_result_whose_file_cannot_be_read_holds_up_no_other(tmp_path: Path) -> None:
    with web_archive() as archive, contextlib.closing(Spool(tmp_path / "spool", 1 << 20)) as spool:
        destination = WebArchive(archive.url)
        add_results(spool, str(destination), 5)
        spoil_first_results(spool, str(destination))
        sending = WebSender(spool, destination, QUICK, NodeMetrics("1.0.0"))
        sending.start()
        wait_for(lambda: spool.counts()[2:] == (1, 2, 2))  # the archive takes what was overwritten
        sending.stop(5)


def test_an_archive_whose_certificate_nobody_vouches_for_gets_nothing(
    run_node: RunNode, make_film: MakeFilm, tmp_path: Path
) -> None:
    files = certificate(tmp_path)
    with web_archive(files.for_server()) as archive:
        destination = WebArchive(archive.url)
        with run_node(destinations=(destination,)) as node:
            assert store(node.port, make_film()).returncode == 0
            wait_for(lambda: 'state="later"' in node.metrics.text().decode())
            assert archive.asked == 0
        trusting = ssl.create_default_context(cafile=files.certificate)
        with run_node(destinations=(destination,), destination_tls=trusting) as node:
            wait_for(lambda: node.spool.counts().sent == 2)
    assert sum(archive.objects.values()) == 2


def test_orthanc_sends_films_by_stow_and_takes_and_fetches_results(
    serve_node: ServeNode, tmp_path: Path
) -> None:
    web = free_port()
    source = film()
    with orthanc(tmp_path / "orthanc", free_port(), dicomweb_port=web) as server:
        url = f"http://127.0.0.1:{server.http_port}/dicom-web"
        client = DICOMwebClient(url)
        settings = WebSettings(web, Access(LOOPBACK))
        with serve_node(destinations=(WebArchive(url),), dicomweb=settings) as served:
            client.store_instances([source])
            (study,) = server.get("/studies")
            sent = server.post("/dicom-web/servers/node/stow", {"Resources": [study], "Synchronous": True})
            assert int(sent["InstancesCount"]) == 1
            wait_for(lambda: served.node.spool.counts().sent == 2)
            results = served.node.spool.results_of(source.StudyInstanceUID)
            kept = {uid: path.read_bytes() for uid, path in results}
            # What Orthanc got by STOW is what is in the spool, and it gives the same back.
            assert {server.file(instance) for instance in server.instances()} > set(kept.values())
            found = client.retrieve_study(source.StudyInstanceUID)
            assert {made.SOPInstanceUID for made in found} == {*kept, source.SOPInstanceUID}
            # It can fetch them by QIDO and WADO as well.
            query = {"Uri": "/studies", "Arguments": {"StudyInstanceUID": source.StudyInstanceUID}}
            (match,) = server.post("/dicom-web/servers/node/qido", query)
            assert source.PatientID in json.dumps(match)
            server.delete(f"/studies/{study}")
            wanted = {"Resources": [{"Study": source.StudyInstanceUID}], "Synchronous": True}
            server.post("/dicom-web/servers/node/retrieve", wanted)
            assert {server.file(instance) for instance in server.instances()} == set(kept.values())
