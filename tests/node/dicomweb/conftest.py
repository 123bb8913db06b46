"""A node with the tiny models that serves DICOMweb in this process, and what is sent to it."""

from __future__ import annotations

import contextlib
import io
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread
from pydicom.dataset import Dataset

from pneumocascade import Cascade
from pneumocascade.model.store import read_manifest
from pneumocascade.node.peers import AllowList
from pneumocascade.node.service import Node, NodeSettings, WebSettings
from pneumocascade.node.tls import TlsFiles
from pneumocascade.server import LOOPBACK, Access
from tests.node.conftest import QUICK
from tests.node.programs import program, wait_for
from tests.reports.sources import MEANS, film_object, film_of, saved

BOUNDARY = "the-boundary"
MULTIPART = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


def body_of(*parts: bytes, kind: str = "application/dicom") -> bytes:
    """Return parts as the body of a request."""
    head = f"\r\n--{BOUNDARY}\r\nContent-Type: {kind}\r\n\r\n".encode()
    return b"".join(head + part for part in parts) + f"\r\n--{BOUNDARY}--\r\n".encode()


def film(mean: float = MEANS["bacterial"], kind: str = "CR", **attributes: Any) -> Dataset:
    """Return a film's object as it is read from a file; ``dicomweb-client`` writes others without a head."""
    return dcmread(io.BytesIO(saved(film_object(film_of(mean), kind, **attributes))))


def certificate(folder: Path) -> TlsFiles:
    """Make a certificate for ``localhost`` that vouches for itself."""
    files = TlsFiles(folder / "cert.pem", folder / "key.pem")
    options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    options += " -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
    subprocess.run(
        [program("openssl"), *options.split(), "-keyout", files.key, "-out", files.certificate],
        check=True,
        capture_output=True,
        timeout=30,
    )
    return files


class ServedNode:
    """A node, and clients of it."""

    def __init__(self, node: Node) -> None:
        self.node = node
        assert node.dicomweb_port is not None
        self.url = f"http://127.0.0.1:{node.dicomweb_port}/dicomweb"
        self.client = DICOMwebClient(self.url)

    def post(
        self, body: bytes, kind: str = MULTIPART, path: str = "/studies", **options: Any
    ) -> httpx.Response:
        headers = {"Content-Type": kind, **options.pop("headers", {})}
        return httpx.post(f"{self.url}{path}", content=body, headers=headers, trust_env=False, **options)

    def get(self, path: str, accept: str = "*/*") -> httpx.Response:
        return httpx.get(f"{self.url}{path}", headers={"Accept": accept}, trust_env=False)

    def judge(self, *films: Dataset) -> None:
        """Store films, and wait until the node is done with all it has."""
        assert self.post(body_of(*map(saved, films))).status_code == 200
        wait_for(lambda: self.node.spool.counts().received == 0)


ServeNode = Callable[..., contextlib.AbstractContextManager[ServedNode]]


@contextlib.contextmanager
def served_node(folder: Path, models: Path, cascade: Cascade, **settings: Any) -> Iterator[ServedNode]:
    """Run a node that serves DICOMweb; settings may be given."""
    chosen: dict[str, Any] = {
        "spool": folder / "spool",
        "destinations": (),
        "allowed": AllowList(None),
        "port": 0,
        "limits": QUICK,
        "dicomweb": WebSettings(0, Access(LOOPBACK)),
    }
    node = Node(cascade, read_manifest(models), NodeSettings(**(chosen | settings)))
    node.start()
    try:
        yield ServedNode(node)
    finally:
        node.stop()


@pytest.fixture
def serve_node(tmp_path: Path, tiny_folder: Path, tiny_cascade: Cascade) -> ServeNode:
    """Run a node of one's own that serves DICOMweb."""

    def serve(**settings: Any) -> contextlib.AbstractContextManager[ServedNode]:
        return served_node(tmp_path, tiny_folder, tiny_cascade, **settings)

    return serve


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path, tiny_cascade: Cascade
) -> Iterator[ServedNode]:
    """A node that the tests of a module share."""
    with served_node(tmp_path_factory.mktemp("served"), tiny_folder, tiny_cascade) as running:
        yield running


@pytest.fixture(scope="module")
def source(served: ServedNode) -> Dataset:
    """A film that the shared node has judged."""
    made = film()
    served.judge(made)
    return made
