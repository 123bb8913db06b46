"""packaging/network: Orthanc, set up as there, sends films by itself and serves what OHIF asks for."""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

from pneumocascade import Cascade
from pneumocascade.model.store import read_manifest
from pneumocascade.node.identity import AE_TITLE
from pneumocascade.node.peers import AllowList, Peer
from pneumocascade.node.receiver import FILM_CLASSES
from pneumocascade.node.service import Node, NodeSettings
from pneumocascade.reports.common_attributes import MANUFACTURER
from tests.node.conftest import QUICK
from tests.node.programs import DICOMWEB_PLUGIN, accepts, free_port, program, wait_for
from tests.reports.sources import MEANS, film_object, film_of, saved
from tests.test_packaging import check_call

NETWORK = Path(__file__).parents[2] / "packaging" / "network"
NODE_PORT = 11112
"""Where the node listens by default."""

USER, PASSWORD = "reader", "correct horse"
IMAGE = re.compile(r"[a-z]+/[a-z]+:v?\d+(\.\d+)+")
"""A public image with the tag of a version, from no registry by name."""


def compose() -> dict[str, Any]:
    yaml: Any = pytest.importorskip("yaml")
    return dict(yaml.safe_load((NETWORK / "compose.yaml").read_text(encoding="utf-8")))


def node_options() -> dict[str, str]:
    """Return the options that the node is started with."""
    words = compose()["services"]["node"]["command"]
    return dict(word.split("=", 1) for word in words if word.startswith("--"))


def archive_settings() -> dict[str, Any]:
    return dict(json.loads((NETWORK / "orthanc.json").read_text(encoding="utf-8")))


class Web:
    """What answers at a port, to one who knows the password.

    Parameters
    ----------
    port : int
    """

    def __init__(self, port: int) -> None:
        self.port = port

    def request(self, path: str, body: bytes | None = None, **headers: str) -> bytes:
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return self._answer(path, body, {"Authorization": f"Basic {login}"} | headers)

    def get(self, path: str, **headers: str) -> Any:
        return json.loads(self.request(path, None, **headers))

    def refusal(self, path: str, body: bytes | None = None, *, known: bool = True) -> int:
        """Return the status with which a request is refused."""
        with pytest.raises(urllib.error.HTTPError) as caught:
            self.request(path, body) if known else self._answer(path, body, {})
        with caught.value:
            return caught.value.code

    def _answer(self, path: str, body: bytes | None, headers: dict[str, str]) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return bytes(answer.read())


@contextlib.contextmanager
def node_of(folder: Path, archive_port: int, models: Path, cascade: Cascade) -> Iterator[Node]:
    """Run a node with the Compose file's allow-list and destination."""
    options = node_options()
    destination = options["--destination"].replace("orthanc:4242", f"127.0.0.1:{archive_port}")
    settings = NodeSettings(
        spool=folder / "spool",
        destinations=(Peer.parse(destination),),
        allowed=AllowList.parse([options["--allow"]], options["--host"]),
        port=0,
        limits=QUICK,
    )
    node = Node(cascade, read_manifest(models), settings)
    node.start()
    try:
        yield node
    finally:
        node.stop()


@contextlib.contextmanager
def archive_of(folder: Path, dicom_port: int, node_port: int) -> Iterator[Web]:
    """Run Orthanc with orthanc.json and forward.lua; its paths, ports and StableAge are the test's."""
    web = Web(free_port())
    settings = archive_settings()
    settings |= {
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "Plugins": [str(DICOMWEB_PLUGIN)],
        "LuaScripts": [str(NETWORK / "forward.lua")],
        "HttpPort": web.port,
        "DicomPort": dicom_port,
        "StableAge": 1,
    }
    settings["DicomModalities"]["node"] |= {"Host": "127.0.0.1", "Port": node_port}
    (folder / "etc").mkdir()
    (folder / "etc" / "orthanc.json").write_text(json.dumps(settings), encoding="utf-8")
    users = {"RegisteredUsers": {USER: PASSWORD}}
    (folder / "etc" / "users.json").write_text(json.dumps(users), encoding="utf-8")
    with (
        (folder / "orthanc.log").open("wb") as log,
        subprocess.Popen([program("Orthanc"), str(folder / "etc")], stdout=log, stderr=log) as process,
    ):
        try:
            wait_for(lambda: accepts(web.port) and accepts(dicom_port))
            yield web
        finally:
            process.kill()


@pytest.fixture(scope="module")
def film() -> Dataset:
    return film_object(film_of(MEANS["bacterial"]))


@pytest.fixture(scope="module")
def archive(
    tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path, tiny_cascade: Cascade, film: Dataset
) -> Iterator[Web]:
    """The archive once a film was uploaded, nothing else was asked, and all series are stable."""
    if not DICOMWEB_PLUGIN.exists():
        pytest.skip("Orthanc's plugin is not installed (Debian's package orthanc-dicomweb)")
    folder, port = tmp_path_factory.mktemp("network"), free_port()
    with (
        node_of(folder, port, tiny_folder, tiny_cascade) as node,
        archive_of(folder, port, node.port) as web,
    ):
        web.request("/instances", saved(film))
        wait_for(lambda: len(web.get("/series")) == 3)
        wait_for(lambda: all(series["IsStable"] for series in web.get("/series?expand")))
        time.sleep(0.5)  # the script has run for each of them
        yield web


def series_of(web: Web, study: str) -> dict[str, str]:
    """Return the series of a study's URL by modality, asked for as OHIF does."""
    found = web.get(f"{study}/series?includefield=0008103E,00080021")
    return {one["00080060"]["Value"][0]: one["0020000E"]["Value"][0] for one in found}


def instance_of(web: Web, url: str) -> str:
    """Return the URL of the one instance of a series, from its metadata."""
    (metadata,) = web.get(f"{url}/metadata", Accept="application/dicom+json")
    return f"{url}/instances/{metadata['00080018']['Value'][0]}"


def test_the_archive_sends_a_film_by_itself_and_results_come_back_into_its_study(
    archive: Web, film: Dataset
) -> None:
    (study,) = archive.get("/studies?expand")
    assert study["MainDicomTags"]["StudyInstanceUID"] == film.StudyInstanceUID
    assert set(series_of(archive, f"/dicom-web/studies/{film.StudyInstanceUID}")) == {"CR", "SR", "OT"}


def test_what_came_back_is_not_sent_again(archive: Web) -> None:
    jobs = [job for job in archive.get("/jobs?expand") if job["Type"] == "DicomModalityStore"]
    assert [(job["State"], job["Content"]["InstancesCount"]) for job in jobs] == [("Success", 1)]


def test_the_list_of_studies_finds_the_study_by_a_part_of_the_name(archive: Web, film: Dataset) -> None:
    query = "limit=101&offset=0&fuzzymatching=false&includefield=00081030,00080060"
    (study,) = archive.get(f"/dicom-web/studies?PatientName=*Doe*&{query}")
    assert study["0020000D"]["Value"] == [film.StudyInstanceUID]
    assert set(study["00080061"]["Value"]) == {"CR", "SR", "OT"}
    with contextlib.suppress(json.JSONDecodeError):  # nothing found: no content, or an empty list
        assert archive.get(f"/dicom-web/studies?PatientName=*Nobody*&{query}") == []


@pytest.mark.parametrize("modality", ["CR", "OT"])
def test_frames_of_the_film_and_of_the_capture_are_served(archive: Web, film: Dataset, modality: str) -> None:
    study = f"/dicom-web/studies/{film.StudyInstanceUID}"
    instance = instance_of(archive, f"{study}/series/{series_of(archive, study)[modality]}")
    accepted = "multipart/related; type=application/octet-stream; transfer-syntax=*"
    frame = archive.request(f"{instance}/frames/1", Accept=accepted)
    whole = archive.request(instance, Accept='multipart/related; type="application/dicom"')
    stored = pydicom.dcmread(io.BytesIO(whole[whole.index(b"DICM") - 128 :]))
    assert stored.PixelData in frame


def test_the_report_is_served_with_its_content(archive: Web, film: Dataset) -> None:
    study = f"/dicom-web/studies/{film.StudyInstanceUID}"
    url = f"{study}/series/{series_of(archive, study)['SR']}"
    (metadata,) = archive.get(f"{url}/metadata", Accept="application/dicom+json")
    assert metadata["0040A043"]["Value"][0]["00080100"]["Value"] == ["126000"]  # Imaging Measurement Report
    assert "Bacterial pneumonia" in json.dumps(metadata["0040A730"])
    whole = archive.request(instance_of(archive, url), Accept='multipart/related; type="application/dicom"')
    assert b"Bacterial pneumonia" in whole


def test_the_archive_asks_for_a_password(archive: Web) -> None:
    for path in ("/studies", "/dicom-web/studies", "/app/explorer.html"):
        assert archive.refusal(path, known=False) == 401
        assert archive.request(path)


@pytest.fixture
def viewer(archive: Web, tmp_path: Path) -> Iterator[Web]:
    """nginx with nginx.conf before the archive; a page and a script stand for OHIF's."""
    nginx, web = program("nginx"), Web(free_port())
    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "index.html").write_text("<title>OHIF</title>", encoding="utf-8")
    (tmp_path / "mime.types").write_text("types { text/html html; }", encoding="utf-8")
    (tmp_path / "html" / "app.js").touch()
    (tmp_path / "html" / "app.js.gz").write_bytes(gzip.compress(b"start()"))
    text = (NETWORK / "nginx.conf").read_text(encoding="utf-8")
    for there, here in (
        ("/tmp/", f"{tmp_path}/"),
        ("/etc/nginx/", f"{tmp_path}/"),
        ("orthanc:8042", f"127.0.0.1:{archive.port}"),
        ("listen 8080", f"listen 127.0.0.1:{web.port}"),
        ("/usr/share/nginx/html", f"{tmp_path}/html"),
        ("/etc/ohif/app-config.js", f"{NETWORK}/ohif.js"),
    ):
        assert there in text
        text = text.replace(there, here)
    (tmp_path / "nginx.conf").write_text(text, encoding="utf-8")
    command = [nginx, "-c", str(tmp_path / "nginx.conf")]
    if os.geteuid() == 0:
        command += ["-g", "user root;"]  # pytest's folders are its user's own
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: accepts(web.port))
            yield web
        finally:
            process.terminate()


def test_the_viewer_comes_from_one_place_with_the_studies_and_only_reads(viewer: Web, film: Dataset) -> None:
    assert viewer.refusal("/", known=False) == 401
    assert viewer.refusal("/dicom-web/studies", known=False) == 401
    assert b"OHIF" in viewer.request("/")
    assert b"OHIF" in viewer.request(f"/viewer?StudyInstanceUIDs={film.StudyInstanceUID}")
    assert viewer.request("/app.js") == b"start()"
    assert viewer.request("/app-config.js") == (NETWORK / "ohif.js").read_bytes()
    (study,) = viewer.get("/dicom-web/studies")
    assert study["00081190"]["Value"][0].startswith(f"http://127.0.0.1:{viewer.port}/dicom-web/")
    assert viewer.refusal("/dicom-web/studies", b"a film") == 403
    assert viewer.request("/studies") == viewer.request("/")  # the archive's own interface is not passed on


def test_the_files_of_the_network_agree() -> None:
    services, settings = compose()["services"], archive_settings()
    check_call(["pneumocascade", *services["node"]["command"]])
    destination, caller = Peer.parse(node_options()["--destination"]), node_options()["--allow"]
    assert (settings["DicomAet"], settings["DicomPort"]) == (destination.ae_title, destination.port)
    assert caller == settings["DicomAet"]
    assert destination.host in services
    called = settings["DicomModalities"]["node"]
    assert (called["AET"], called["Host"], called["Port"]) == (AE_TITLE, "node", NODE_PORT)
    root = settings["DicomWeb"]["Root"].rstrip("/")
    config = (NETWORK / "ohif.js").read_text(encoding="utf-8")
    assert re.findall(r"(?:qido|wado)Root: '(.+)'", config) == [root, root]
    server = (NETWORK / "nginx.conf").read_text(encoding="utf-8")
    assert set(re.findall(r"proxy_pass http://([^/;]+)", server)) == {f"orthanc:{settings['HttpPort']}"}
    script = (NETWORK / "forward.lua").read_text(encoding="utf-8")
    assert tuple(re.findall(r"\['([\d.]+)'\]", script)) == FILM_CLASSES
    assert re.findall(r"MAKER = '(.+)'", script) == [MANUFACTURER]


def test_the_services_are_confined_and_reachable_from_this_machine_alone() -> None:
    services = compose()["services"]
    extended = services["node"]["extends"]
    assert (NETWORK / extended["file"]).resolve() == (NETWORK.parent / "compose.yaml").resolve()
    assert extended["service"] == "node"  # confined there; tests/test_packaging.py
    for name in ("orthanc", "ohif"):
        service = services[name]
        assert IMAGE.fullmatch(service["image"])
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert int(service["user"].split(":")[0]) > 0
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_what_is_mounted_is_there() -> None:
    whole = compose()
    volumes = [volume for service in whole["services"].values() for volume in service.get("volumes", ())]
    sources = {volume.split(":")[0] for volume in volumes}
    files = {source for source in sources if source.startswith("./")}
    assert len(files) == 4
    assert all((NETWORK / source).is_file() for source in files)
    assert sources - files <= set(whole["volumes"])
    ignored = (NETWORK.parents[1] / ".gitignore").read_text(encoding="utf-8").split()
    assert f"/packaging/network/{whole['secrets']['users']['file']}" in ignored
