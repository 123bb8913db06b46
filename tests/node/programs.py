"""DCMTK's programs and Orthanc, as the tests start them: real clients and real archives."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pneumocascade.node.service import Node

CALLED = "PNEUMOCASCADE"
DICOMWEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def program(name: str) -> str:
    """Return the path of a program of Debian's packages, or skip the test where it is missing.

    pynetdicom brings programs of the same names as DCMTK's into Python's own folder, which is left out.
    """
    own = {str(Path(sys.executable).parent), str(Path(sys.prefix) / "bin")}
    folders = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder not in own]
    path = shutil.which(name, path=os.pathsep.join([*folders, "/usr/sbin"]))
    if path is None:
        pytest.skip(f"{name} is not installed (Debian's packages dcmtk, orthanc and nginx-light)")
    return path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def call(name: str, *arguments: object, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Run one of DCMTK's clients to its end."""
    return subprocess.run(
        [program(name), *map(str, arguments)], capture_output=True, text=True, timeout=seconds, check=False
    )


def echo(port: int, *options: object, called: str = CALLED) -> bool:
    return call("echoscu", "-aec", called, *options, "127.0.0.1", port).returncode == 0


def store(port: int, *files: Path, options: tuple[object, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Send files with DCMTK's ``storescu``."""
    return call("storescu", "-aec", CALLED, *options, "127.0.0.1", port, *files)


def wait_for(condition: Any, seconds: float = 30.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def wait_for_metrics(node: Node, *metrics: str) -> None:
    """Wait until a node shows these metrics: what the spool has is counted a moment later."""
    wait_for(lambda: all(metric in node.metrics.text().decode() for metric in metrics))


def accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextlib.contextmanager
def storescp(folder: Path, port: int, *options: str) -> Iterator[Path]:
    """Run DCMTK's ``storescp``, which writes what it gets into a folder."""
    folder.mkdir(exist_ok=True)
    command = [program("storescp"), "-aet", "ARCHIVE", "-od", str(folder), *options, str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: accepts(port))
            yield folder
        finally:
            process.kill()


class Orthanc:
    """An Orthanc server on this machine."""

    def __init__(self, http_port: int, dicom_port: int) -> None:
        self.http_port = http_port
        self.dicom_port = dicom_port

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=20) as answer:
            return json.loads(answer.read())

    def post(self, path: str, body: object) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http_port}{path}", json.dumps(body).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def delete(self, path: str) -> None:
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", method="DELETE")
        with urllib.request.urlopen(request, timeout=20):
            pass

    def file(self, instance: str) -> bytes:
        url = f"http://127.0.0.1:{self.http_port}/instances/{instance}/file"
        with urllib.request.urlopen(url, timeout=20) as answer:
            return bytes(answer.read())

    def instances(self) -> list[str]:
        return list(self.get("/instances"))


@contextlib.contextmanager
def orthanc(folder: Path, node_port: int, *, dicomweb_port: int | None = None) -> Iterator[Orthanc]:
    """Run Orthanc, which knows the node as modality ``node``, and on its port of DICOMweb as a server."""
    if dicomweb_port is not None and not DICOMWEB_PLUGIN.exists():
        pytest.skip("Orthanc's plugin is not installed (Debian's package orthanc-dicomweb)")
    folder.mkdir()
    server = Orthanc(free_port(), free_port())
    settings = {
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "HttpPort": server.http_port,
        "DicomPort": server.dicom_port,
        "DicomAet": "ARCHIVE",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(DICOMWEB_PLUGIN)] if dicomweb_port is not None else [],
        "DicomWeb": {
            "Enable": dicomweb_port is not None,
            "Root": "/dicom-web/",
            "Servers": {"node": [f"http://127.0.0.1:{dicomweb_port}/dicomweb/"]},
        },
        "DicomModalities": {"node": [CALLED, "127.0.0.1", node_port]},
        "OverwriteInstances": False,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowFind": True,
    }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(settings), encoding="utf-8")
    with subprocess.Popen(
        [program("Orthanc"), str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait_for(lambda: accepts(server.http_port) and accepts(server.dicom_port))
            yield server
        finally:
            process.terminate()
