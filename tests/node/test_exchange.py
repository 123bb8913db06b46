"""Films in by DCMTK's storescu, results out to DCMTK's storescp and Orthanc, as a clinic would see it."""

from __future__ import annotations

import io
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import (
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from pneumocascade import Cascade
from pneumocascade.audit.history import History
from pneumocascade.imaging.dicom.frames import READ_SYNTAXES
from pneumocascade.node.peers import AllowList, Peer
from pneumocascade.node.tls import TlsFiles
from tests.node.conftest import QUICK, RunNode
from tests.node.programs import (
    call,
    echo,
    free_port,
    orthanc,
    program,
    store,
    storescp,
    wait_for,
    wait_for_metrics,
)
from tests.reports.sources import MEANS, REFUSED_MEAN, film_object, film_of, saved
from tests.reports.validators import dciodvfy_errors

MakeFilm = Callable[..., Path]
Archive = tuple[Peer, Path]


def objects_in(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]


def kinds(objects: Sequence[pydicom.Dataset]) -> list[str]:
    return sorted(str(each.SOPClassUID) for each in objects)


def has(folder: Path, count: int) -> Callable[[], bool]:
    """Whether an archive's folder holds so many objects; DCMTK writes them at once, then names them."""
    return lambda: len([path for path in folder.iterdir() if path.stat().st_size]) >= count


def test_echo_is_answered_to_the_called_title_alone(run_node: RunNode) -> None:
    with run_node() as node:
        assert echo(node.port)
        assert not echo(node.port, called="ANOTHER")


@pytest.mark.parametrize("kind", ["CR", "DX", "SC", "MF"])
def test_each_kind_of_film_is_answered_in_its_study(
    run_node: RunNode, archive: Archive, make_film: MakeFilm, kind: str, tmp_path: Path
) -> None:
    peer, folder = archive
    film = make_film(MEANS["viral"], kind, **({"NumberOfFrames": 1} if kind == "MF" else {}))
    with run_node(destinations=(peer,)) as node:
        assert store(node.port, film).returncode == 0
        wait_for(has(folder, 2))
        wait_for(lambda: node.spool.counts().sent == 2)
    source, results = pydicom.dcmread(film), objects_in(folder)
    assert kinds(results) == sorted([SecondaryCaptureImageStorage, ComprehensiveSRStorage])
    for made in results:
        assert made.StudyInstanceUID == source.StudyInstanceUID
        assert made.PatientName == source.PatientName
        assert "research use only" in made.SeriesDescription
        assert dciodvfy_errors(made, tmp_path) == []
    report = call("dsrdump", *(path for path in folder.iterdir() if path.name.startswith("SRc")))
    assert "Viral pneumonia" in report.stdout
    assert all(source.SOPInstanceUID in str(made) for made in results)


def test_a_film_is_answered_again_at_another_operating_point(run_node: RunNode, make_film: MakeFilm) -> None:
    film = make_film()
    for point, judged in (("balanced", 1), ("sensitive", 2), ("sensitive", 2), ("balanced", 2)):
        with run_node(operating_point=point) as node:
            assert store(node.port, film).returncode == 0
            wait_for(lambda judged=judged: node.spool.counts()[:2] == (0, judged))


def test_a_refused_film_is_answered_by_why_and_an_unreadable_one_is_counted(
    run_node: RunNode, archive: Archive, make_film: MakeFilm
) -> None:
    peer, folder = archive
    refused, unreadable = make_film(REFUSED_MEAN), make_film(PixelData=b"\0" * 10)
    with run_node(destinations=(peer,)) as node:
        assert store(node.port, refused, unreadable).returncode == 0
        wait_for(lambda: node.spool.counts()[:4] == (0, 2, 0, 2))
        films = "pneumocascade_node_films_total"
        wait_for_metrics(node, f'{films}{{outcome="refused"}} 1.0', f'{films}{{outcome="error"}} 1.0')
    (report,) = (path for path in folder.iterdir() if path.name.startswith("SRc"))
    assert "Refused: there is no finding" in call("dsrdump", report).stdout


def test_a_presentation_state_is_sent_where_it_is_asked_for_and_can_be(
    run_node: RunNode, archive: Archive, make_film: MakeFilm
) -> None:
    peer, folder = archive
    with run_node(destinations=(peer,), results=("sr", "pr")) as node:
        assert (
            store(node.port, make_film(), make_film(MEANS["viral"], "MF", NumberOfFrames=1)).returncode == 0
        )
        wait_for(lambda: node.spool.counts().sent == 3)
    sent = kinds(objects_in(folder))
    assert sent.count(GrayscaleSoftcopyPresentationStateStorage) == 1
    assert sent.count(ComprehensiveSRStorage) == 2


@pytest.mark.skipif(find_spec("weasyprint") is None, reason="the extra report is not installed")
def test_a_pdf_is_sent_where_it_is_asked_for(
    run_node: RunNode, archive: Archive, make_film: MakeFilm, tmp_path: Path
) -> None:
    peer, folder = archive
    with run_node(destinations=(peer,), results=("pdf",)) as node:
        assert store(node.port, make_film()).returncode == 0
        wait_for(lambda: node.spool.counts().sent == 1, 60)
    (made,) = objects_in(folder)
    assert made.SOPClassUID == EncapsulatedPDFStorage
    assert made.EncapsulatedDocument.startswith(b"%PDF")
    assert dciodvfy_errors(made, tmp_path) == []


def test_what_is_sent_again_is_answered_once_and_other_pixels_anew(
    run_node: RunNode, archive: Archive, make_film: MakeFilm
) -> None:
    peer, folder = archive
    film = make_film()
    with run_node(destinations=(peer,)) as node:
        assert store(node.port, film, film).returncode == 0
        wait_for(lambda: node.spool.counts().sent == 2)
        assert store(node.port, film).returncode == 0
        # The same pixels in another encoding and with another name are the same film, too.
        again = pydicom.dcmread(film)
        again.PatientName = "Doe^Janet"
        again.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
        film.write_bytes(saved(again))
        assert store(node.port, film, options=("--propose-rle",)).returncode == 0
        wait_for(lambda: node.spool.counts()[:2] == (0, 2))
        assert node.spool.counts().sent == 2
        # Other pixels under the same UID are another film.
        other = film_object(film_of(MEANS["normal"]), SOPInstanceUID=again.SOPInstanceUID)
        film.write_bytes(saved(other))
        assert store(node.port, film).returncode == 0
        wait_for(lambda: node.spool.counts().sent == 4)
    assert len(objects_in(folder)) == 4
    assert len({made.SOPInstanceUID for made in objects_in(folder)}) == 4


def test_a_result_that_comes_back_is_taken_and_not_judged(
    run_node: RunNode, archive: Archive, make_film: MakeFilm
) -> None:
    peer, folder = archive
    with run_node(destinations=(peer,)) as node:
        assert store(node.port, make_film()).returncode == 0
        wait_for(lambda: node.spool.counts().sent == 2)
        (capture,) = (path for path in folder.iterdir() if path.name.startswith("SC"))
        assert store(node.port, capture).returncode == 0
        assert node.spool.counts()[:3] == (0, 1, 0)


def test_a_study_is_judged_after_a_pause_although_its_association_stays_open(
    run_node: RunNode, archive: Archive, make_film: MakeFilm
) -> None:
    from pynetdicom import AE

    peer, _ = archive
    limits = replace(QUICK, pause_seconds=0.2, network_seconds=20)
    film = pydicom.dcmread(make_film())
    with run_node(destinations=(peer,), limits=limits) as node:
        client = AE("MODALITY")
        client.add_requested_context(film.SOPClassUID)
        association = client.associate("127.0.0.1", node.port, ae_title="PNEUMOCASCADE")
        assert association.send_c_store(film).Status == 0
        wait_for(lambda: node.spool.counts().sent == 2)
        assert association.is_established
        association.release()


def test_every_transfer_syntax_that_is_read_is_accepted(run_node: RunNode) -> None:
    from pynetdicom import AE

    with run_node() as node:
        client = AE("MODALITY")
        for syntax in READ_SYNTAXES:
            client.add_requested_context("1.2.840.10008.5.1.4.1.1.1.1", syntax)
        association = client.associate("127.0.0.1", node.port, ae_title="PNEUMOCASCADE")
        # One context for each, of the same class.
        accepted = {str(each.transfer_syntax[0]) for each in association.accepted_contexts}
        association.release()
    assert accepted == set(map(str, READ_SYNTAXES))


@pytest.mark.parametrize(
    ("encoder", "options", "syntax"),
    [
        ("dcmcjpls", (), JPEGLSLossless),
        ("dcmcjpeg", (), "1.2.840.10008.1.2.4.70"),
        ("dcmcrle", (), RLELossless),
        ("gdcm", (), JPEG2000Lossless),
    ],
)
def test_compressed_films_are_judged_like_the_others(
    run_node: RunNode,
    archive: Archive,
    make_film: MakeFilm,
    encoder: str,
    options: tuple[str, ...],
    syntax: str,
) -> None:
    peer, folder = archive
    film = make_film(MEANS["viral"])
    compressed = film.with_suffix(".compressed.dcm")
    if encoder == "gdcm":
        dataset = pydicom.dcmread(film)
        dataset.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg")
        compressed.write_bytes(saved(dataset))
    else:
        assert call(encoder, *options, film, compressed).returncode == 0
    assert pydicom.dcmread(compressed).file_meta.TransferSyntaxUID == syntax
    proposed = {
        JPEGLSLossless: "--propose-jls-lossless",
        "1.2.840.10008.1.2.4.70": "--propose-lossless",
        RLELossless: "--propose-rle",
        JPEG2000Lossless: "--propose-j2k-lossless",
    }[syntax]
    with run_node(destinations=(peer,), results=("sr",)) as node:
        assert store(node.port, compressed, options=(proposed,)).returncode == 0
        wait_for(lambda: node.spool.counts().sent == 1)
    (report,) = folder.iterdir()
    assert "Viral pneumonia" in call("dsrdump", report).stdout


def test_orthanc_sends_a_study_and_finds_the_results_in_it(
    run_node: RunNode, make_film: MakeFilm, tmp_path: Path
) -> None:
    port = free_port()
    with orthanc(tmp_path / "orthanc", port) as server:
        peer = Peer("ARCHIVE", "127.0.0.1", server.dicom_port)
        with run_node(destinations=(peer,), port=port):
            (film,) = [make_film(MEANS["bacterial"])]
            request = urllib.request.Request(
                f"http://127.0.0.1:{server.http_port}/instances", film.read_bytes(), method="POST"
            )
            urllib.request.urlopen(request, timeout=10).close()
            (study,) = server.get("/studies")
            server.post("/modalities/node/store", study)
            wait_for(lambda: len(server.instances()) == 3)
            # Sent once more, with the results in it, nothing is added.
            server.post("/modalities/node/store", {"Resources": [study], "Permissive": True})
        assert server.get("/statistics")["CountStudies"] == 1
        assert server.get("/statistics")["CountSeries"] == 3
        found = [pydicom.dcmread(io.BytesIO(server.file(each))) for each in server.instances()]
    assert {ComprehensiveSRStorage, SecondaryCaptureImageStorage} < set(kinds(found))


def test_a_destination_that_is_down_gets_everything_once_it_is_up(
    run_node: RunNode, make_film: MakeFilm, tmp_path: Path
) -> None:
    down, up = free_port(), free_port()
    peers = (Peer("ARCHIVE", "127.0.0.1", down), Peer("ARCHIVE", "127.0.0.1", up))
    with run_node(destinations=peers) as node, storescp(tmp_path / "up", up) as received:
        assert store(node.port, make_film(), make_film(MEANS["normal"])).returncode == 0
        # One that is there is not kept waiting by one that is not.
        wait_for(lambda: node.spool.counts()[2:] == (4, 4, 0))
        with storescp(tmp_path / "down", down) as late:
            wait_for(lambda: node.spool.counts()[2:] == (0, 8, 0))
            assert {path.name for path in late.iterdir()} == {path.name for path in received.iterdir()}


def test_what_waits_when_a_node_stops_is_sent_by_the_next(
    run_node: RunNode, make_film: MakeFilm, tmp_path: Path
) -> None:
    port = free_port()
    peer = Peer("ARCHIVE", "127.0.0.1", port)
    with run_node(destinations=(peer,)) as node:
        assert store(node.port, make_film()).returncode == 0
        wait_for(lambda: node.spool.counts().waiting == 2)
    assert not (tmp_path / "spool" / "spool.sqlite3-wal").exists()
    with storescp(tmp_path / "late", port) as late, run_node(destinations=(peer,)) as node:
        wait_for(lambda: node.spool.counts().sent == 2)
        assert len(list(late.iterdir())) == 2


def test_answers_are_entered_in_the_history_once(
    run_node: RunNode, tiny_cascade: Cascade, make_film: MakeFilm, tmp_path: Path
) -> None:
    with closing(History(tmp_path / "history.sqlite3")) as history:
        recording = Cascade(
            tiny_cascade.stage1,
            tiny_cascade.stage2,
            tiny_cascade.version,
            tiny_cascade.gate,
            recorder=history.add,
        )
        film = make_film()
        with run_node(recording) as node:
            assert store(node.port, film, film, make_film(REFUSED_MEAN)).returncode == 0
            wait_for(lambda: node.spool.counts().judged == 2)
        assert sorted(entry.status for entry in history.entries()) == ["ok", "refused"]


def test_health_and_metrics_are_told_and_nothing_else(run_node: RunNode, make_film: MakeFilm) -> None:
    with run_node(http_port=0) as node:
        address = f"http://127.0.0.1:{node.http_port}"
        film = make_film()
        assert store(node.port, film).returncode == 0
        wait_for_metrics(node, 'pneumocascade_node_films_total{outcome="bacterial"} 1.0')
        with urllib.request.urlopen(f"{address}/readyz", timeout=5) as answer:
            found = json.loads(answer.read())
        with urllib.request.urlopen(f"{address}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{address}/films", timeout=5)
    assert found["status"] == "ready"
    assert found["judged"] == 1
    assert 'pneumocascade_node_films_total{outcome="bacterial"} 1.0' in text
    assert 'pneumocascade_node_objects_received_total{status="0000"} 1.0' in text
    assert "Doe" not in text
    assert film.stem not in text


def test_old_films_leave_the_spool_once_their_results_are_delivered(
    run_node: RunNode, archive: Archive, make_film: MakeFilm, tmp_path: Path
) -> None:
    peer, _ = archive
    with run_node(destinations=(peer,), keep_days=0) as node:
        assert store(node.port, make_film()).returncode == 0
        wait_for(lambda: node.spool.counts().sent == 2)
    with run_node(destinations=(peer,), keep_days=0) as node:  # cleans as it starts
        wait_for(lambda: node.spool.counts() == (0, 0, 0, 0, 0))
        for name in ("films", "results"):
            folder = tmp_path / "spool" / name
            wait_for(lambda folder=folder: not list(folder.iterdir()))


def certificate(folder: Path, name: str, authority: str | None = None) -> tuple[Path, Path]:
    """Make a key and a certificate, of its own or of an authority's, with OpenSSL's program."""
    key, made = folder / f"{name}.key", folder / f"{name}.pem"
    command = [program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(made)]
    if authority is not None:
        command += ["-CA", str(folder / f"{authority}.pem"), "-CAkey", str(folder / f"{authority}.key")]
    subprocess.run(command, check=True, capture_output=True)
    return made, key


def test_tls_asks_callers_for_a_certificate_and_keeps_others_out(
    run_node: RunNode, make_film: MakeFilm, tmp_path: Path
) -> None:
    authority, _ = certificate(tmp_path, "authority")
    made, key = certificate(tmp_path, "node", "authority")
    stranger, stranger_key = certificate(tmp_path, "stranger")
    tls = TlsFiles(made, key, authority)
    good = ("+tls", str(key), str(made), "+cf", str(authority))
    with run_node(tls=tls.for_server()) as node:
        assert echo(node.port, *good)
        assert not echo(node.port)
        assert not echo(node.port, "+tls", str(stranger_key), str(stranger), "+cf", str(authority))
        assert store(node.port, make_film(), options=good).returncode == 0
        wait_for(lambda: node.spool.counts().judged == 1)


def test_results_go_out_over_tls(run_node: RunNode, make_film: MakeFilm, tmp_path: Path) -> None:
    authority, _ = certificate(tmp_path, "authority")
    made, key = certificate(tmp_path, "node", "authority")
    tls, port = TlsFiles(made, key, authority), free_port()
    options = ("+tls", str(key), str(made), "+cf", str(authority))
    with (
        storescp(tmp_path / "late", port, *options) as folder,
        run_node(
            destinations=(Peer("ARCHIVE", "127.0.0.1", port),), destination_tls=tls.for_client()
        ) as node,
    ):
        assert store(node.port, make_film()).returncode == 0
        wait_for(lambda: node.spool.counts().sent == 2)
        assert len(list(folder.iterdir())) == 2


def test_callers_that_are_not_on_the_allow_list_are_rejected(run_node: RunNode) -> None:
    with run_node(allowed=AllowList.parse(["CT1@127.0.0.1", "DX2@127.9.9.9"], "127.0.0.1")) as node:
        assert echo(node.port, "-aet", "CT1")
        assert not echo(node.port, "-aet", "DX2")
        assert not echo(node.port, "-aet", "ANYBODY")
        wait_for_metrics(node, "pneumocascade_node_associations_rejected_total 2.0")
