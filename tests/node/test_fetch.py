"""A study of an archive is fetched, by C-GET or C-MOVE, judged, and its results written or sent."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ComputedRadiographyImageStorage, RLELossless, generate_uid
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event

from pneumocascade import Cascade, UsageError
from pneumocascade.errors import ArchiveError
from pneumocascade.model.store import read_manifest
from pneumocascade.node.fetch import FIND, GET, Fetcher, StudyJudged, judge_study
from pneumocascade.node.limits import Limits
from pneumocascade.node.peers import AllowList, Peer
from pneumocascade.node.service import Node, NodeSettings
from tests.node.programs import CALLED, accepts, free_port, orthanc, program, store, wait_for
from tests.reports.sources import MEANS, saved

MakeFilm = Callable[..., Path]
Fetch = Callable[..., StudyJudged]


@pytest.fixture
def fetch(tiny_folder: Path, tiny_cascade: Cascade, tmp_path: Path) -> Fetch:
    def run(archive: Peer, study: str, *, port: int = 0, destinations: tuple[Peer, ...] = ()) -> StudyJudged:
        limits = Limits(network_seconds=20)
        settings = NodeSettings(
            tmp_path / "spool", destinations, AllowList(None), port=port, ae_title=CALLED, limits=limits
        )
        node = Node(tiny_cascade, read_manifest(tiny_folder), settings)
        fetcher = Fetcher(archive, CALLED, limits)
        return judge_study(node, fetcher, study, tmp_path / "results", threading.Event())

    return run


@contextlib.contextmanager
def dcmqrscp(folder: Path, node_port: int, *options: str) -> Iterator[Peer]:
    """Run DCMTK's archive, which knows the node as a place to move to."""
    (folder / "store").mkdir(parents=True)
    port = free_port()
    (folder / "config").write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        f"HostTable BEGIN\nnode = ({CALLED}, 127.0.0.1, {node_port})\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nARCHIVE {folder / 'store'} RW (200, 1024mb) ANY\nAETable END\n",
        encoding="ascii",
    )
    command = [program("dcmqrscp"), "-c", str(folder / "config"), *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: accepts(port))
            yield Peer("ARCHIVE", "127.0.0.1", port)
        finally:
            process.kill()


@pytest.fixture
def study(make_film: MakeFilm) -> list[Path]:
    """Three films of a study, one of them compressed."""
    uid = generate_uid()
    films = [make_film(MEANS[kind], StudyInstanceUID=uid) for kind in ("normal", "bacterial", "viral")]
    dataset = pydicom.dcmread(films[2])
    dataset.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    films[2].write_bytes(saved(dataset))
    return films


def uid_of(study: list[Path]) -> str:
    return str(pydicom.dcmread(study[0]).StudyInstanceUID)


@contextlib.contextmanager
def study_archive(series: dict[str, Path | int | None]) -> Iterator[Peer]:
    """Run an archive that gives of each series a film, or answers by a status, or aborts the association."""

    def find(_: Event) -> Iterator[tuple[int, Dataset]]:
        for uid in series:
            found = Dataset()
            found.QueryRetrieveLevel, found.SeriesInstanceUID, found.Modality = "SERIES", uid, "CR"
            yield 0xFF00, found

    def get(event: Event) -> Iterator[int | tuple[int, Dataset]]:
        given = series[str(event.identifier.SeriesInstanceUID)]
        yield 1
        if given is None:
            event.assoc.abort()
        elif isinstance(given, int):
            yield given, Dataset()
        else:
            yield 0xFF00, pydicom.dcmread(given)

    entity = AE("ARCHIVE")
    entity.add_supported_context(FIND)
    entity.add_supported_context(GET)
    entity.add_supported_context(ComputedRadiographyImageStorage, scu_role=False, scp_role=True)
    handlers: list[Any] = [(evt.EVT_C_FIND, find), (evt.EVT_C_GET, get)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None, "it does not block"
    try:
        yield Peer("ARCHIVE", "127.0.0.1", int(server.server_address[1]))
    finally:
        server.shutdown()


def test_what_an_archive_does_not_give_and_what_has_no_answer_is_unfinished(
    fetch: Fetch, make_film: MakeFilm
) -> None:
    uid = generate_uid()
    film, unreadable = make_film(StudyInstanceUID=uid), make_film(StudyInstanceUID=uid, PixelData=b"\0" * 10)
    series: dict[str, Path | int | None] = {
        "1.2.1": film,
        "1.2.2": 0xA701,
        "1.2.3": unreadable,
        "1.2.4": None,
        "1.2.5": film,
    }
    with study_archive(series) as archive:
        judged = fetch(archive, uid)
    assert judged.fetched == ("C-GET", 2, 0, ("status 0xA701", "no answer", "it ended the association"))
    assert judged.outcomes == {"bacterial": 1, "error": 1}
    assert judged.unfinished == 4
    assert str(judged) == (
        "2 objects by C-GET (3 series not given by the archive: it ended the association, no answer, "
        "status 0xA701): 1 bacterial, 1 error; 2 results made, 0 sent, 4 unfinished"
    )


@pytest.mark.parametrize("given", [0xA701, None])
def test_an_archive_that_gives_nothing_says_why(fetch: Fetch, given: int | None) -> None:
    expected = "status 0xA701" if given else "no answer"
    with study_archive({"1.2.1": given}) as archive, pytest.raises(ArchiveError, match=expected):
        fetch(archive, "1.2.3")


def test_an_association_that_ends_before_the_query_is_an_error_of_the_archive(
    fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def abort_first(association: Association, *of_find: Any) -> Any:
        association.abort()
        return send(association, *of_find)

    send = Association.send_c_find
    monkeypatch.setattr(Association, "send_c_find", abort_first)
    with study_archive({}) as archive, pytest.raises(ArchiveError, match="ended the association"):
        fetch(archive, "1.2.3")


@pytest.mark.parametrize("options", [(), ("--disable-get",)], ids=["C-GET", "C-MOVE"])
def test_a_study_of_dcmtks_archive_is_judged(
    fetch: Fetch, study: list[Path], tmp_path: Path, options: tuple[str, ...]
) -> None:
    port = free_port()
    with dcmqrscp(tmp_path / "qr", port, *options) as archive:
        for film in study:
            dataset = pydicom.dcmread(film)
            if dataset.file_meta.TransferSyntaxUID.is_compressed:  # this archive gives no compressed objects
                dataset.decompress(generate_instance_uid=False)
                film.write_bytes(saved(dataset))
            sent = store(archive.port, film, options=("-aec", "ARCHIVE"))
            assert sent.returncode == 0, sent.stderr
        judged = fetch(archive, uid_of(study), port=port)
    assert judged.fetched.by == ("C-MOVE" if options else "C-GET")
    assert judged.outcomes == {"normal": 1, "bacterial": 1, "viral": 1}
    assert (judged.fetched.completed, judged.results, judged.unfinished) == (3, 6, 0)
    written = [pydicom.dcmread(path) for path in (tmp_path / "results").iterdir()]
    assert len(written) == 6
    assert {made.StudyInstanceUID for made in written} == {uid_of(study)}
    assert str(judged).startswith("3 objects by")


def test_a_study_of_orthanc_is_judged_and_its_results_sent_back(
    fetch: Fetch, study: list[Path], tmp_path: Path
) -> None:
    with orthanc(tmp_path / "orthanc", free_port()) as server:
        for film in study:
            url = f"http://127.0.0.1:{server.http_port}/instances"
            urllib.request.urlopen(urllib.request.Request(url, film.read_bytes(), method="POST")).close()
        archive = Peer("ARCHIVE", "127.0.0.1", server.dicom_port)
        judged = fetch(archive, uid_of(study), destinations=(archive,))
        assert (judged.fetched.by, judged.fetched.completed, judged.sent) == ("C-GET", 3, 6)
        assert server.get("/statistics")["CountInstances"] == 9
        assert server.get("/statistics")["CountStudies"] == 1


def test_an_archive_without_the_study_or_none_at_all_says_so(fetch: Fetch, tmp_path: Path) -> None:
    with orthanc(tmp_path / "orthanc", free_port()) as server:
        archive = Peer("ARCHIVE", "127.0.0.1", server.dicom_port)
        with pytest.raises(ArchiveError, match="has no study"):
            fetch(archive, "1.2.3.4")
        with pytest.raises(UsageError, match="no UID"):
            fetch(archive, "1.2.*")
    with pytest.raises(ArchiveError, match="cannot be reached"):
        fetch(Peer("NOBODY", "127.0.0.1", 1), "1.2.3.4")
