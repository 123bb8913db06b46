"""Films in by STOW-RS, results out by QIDO-RS and WADO-RS, as dicomweb-client sees them."""

from __future__ import annotations

import sqlite3
import ssl
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from pneumocascade.node import service
from pneumocascade.node.service import WebSettings
from pneumocascade.node.spool import FILE_NAME
from pneumocascade.server import LOOPBACK, Access
from tests.node.dicomweb.conftest import MULTIPART, ServedNode, ServeNode, body_of, certificate, film
from tests.node.programs import store, wait_for
from tests.reports.sources import MEANS, saved

TOKEN = "a-token-of-the-tests"
SINGLE = "application/dicom"


def value(match: dict[str, Any], tag: str) -> Any:
    return match[tag]["Value"][0]


def test_a_film_is_stored_and_its_results_are_found_and_the_same(served: ServedNode) -> None:
    source = film(MEANS["viral"], "DX")
    answer = served.client.store_instances([source])
    (stored,) = answer.ReferencedSOPSequence
    assert stored.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert answer.RetrieveURL == f"{served.url}/studies/{source.StudyInstanceUID}"
    study = source.StudyInstanceUID
    wait_for(lambda: len(served.node.spool.results_of(study)) == 2)
    results = served.client.retrieve_study(study)
    kept = {uid: pydicom.dcmread(path) for uid, path in served.node.spool.results_of(study)}
    assert {made.SOPInstanceUID: made for made in results} == kept
    assert {made.SOPClassUID for made in results} == {ComprehensiveSRStorage, SecondaryCaptureImageStorage}
    for made in results:
        one = served.client.retrieve_instance(study, made.SeriesInstanceUID, made.SOPInstanceUID)
        assert one == made
        (of_series,) = served.client.retrieve_series(study, made.SeriesInstanceUID)
        assert of_series == made
        as_it_is = served.get(
            f"/studies/{study}/series/{made.SeriesInstanceUID}/instances/{made.SOPInstanceUID}", SINGLE
        )
        assert as_it_is.content == dict(served.node.spool.results_of(study))[made.SOPInstanceUID].read_bytes()


def test_studies_series_and_instances_are_found(served: ServedNode, source: Dataset) -> None:
    client, study = served.client, source.StudyInstanceUID
    (found,) = client.search_for_studies(search_filters={"StudyInstanceUID": study})
    assert value(found, "00100020") == source.PatientID
    assert found["00080061"]["Value"] == ["OT", "SR"]
    assert (value(found, "00201206"), value(found, "00201208")) == (2, 2)
    assert value(found, "00081190") == f"{served.url}/studies/{study}"
    series = client.search_for_series(study)
    assert [value(each, "00080060") for each in series] == ["SR", "OT"]
    assert "00100020" not in series[0]  # what the path names is not said again
    (capture,) = client.search_for_instances(study, search_filters={"Modality": "OT"})
    assert value(capture, "00080016") == SecondaryCaptureImageStorage
    (again,) = client.search_for_instances(search_filters={"SOPInstanceUID": value(capture, "00080018")})
    assert value(again, "00100020") == source.PatientID
    (same,) = client.search_for_instances(
        study, value(capture, "0020000E"), fields=["Manufacturer", "00081090"]
    )
    assert value(same, "00080070") == "pneumocascade"
    assert "00080070" not in capture
    everything = served.get(f"/studies/{study}/instances?includefield=all&00080060=SR").json()
    assert "0040A730" in everything[0]


def test_pages_and_what_is_not_done_are_told(served: ServedNode, source: Dataset) -> None:
    study = source.StudyInstanceUID
    first = served.get(f"/studies/{study}/instances?limit=1")
    second = served.get(f"/studies/{study}/instances?limit=1&offset=1&fuzzymatching=true")
    assert first.json() != second.json()
    assert "more results" in first.headers["warning"]
    assert "fuzzymatching" in second.headers["warning"]
    for empty in (
        f"/studies/{study}/instances?offset=2",
        "/studies?StudyInstanceUID=1.2.3",
        "/series?Modality=PR",
    ):
        assert served.get(empty).status_code == 204
    assert len(served.get(f"/studies/{study}/series?Modality=&PatientName=*").json()) == 2
    # Both what the path and what the query names must hold.
    assert served.get(f"/studies/{study}/series?StudyInstanceUID=1.2.3").status_code == 204


@pytest.mark.parametrize(
    "query",
    [
        *("PatientID=4711", "Nonsense=1", "limit=-1", "limit=x", "offset=1e9", "includefield=Nonsense"),
        *("StudyInstanceUID=../../etc", "StudyInstanceUID=1*", "StudyInstanceUID=,", "offset=" + "9" * 5000),
    ],
)
def test_what_results_are_not_found_by_is_refused(served: ServedNode, query: str) -> None:
    answer = served.get(f"/studies?{query}")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


def test_metadata_name_large_values_by_where_they_are(served: ServedNode, source: Dataset) -> None:
    study = source.StudyInstanceUID
    report, capture = served.client.retrieve_study_metadata(study)
    whole = {made.SOPInstanceUID: made for made in served.client.retrieve_study(study)}
    read = Dataset.from_json(report)
    assert read.ContentSequence == whole[read.SOPInstanceUID].ContentSequence
    pixels = whole[value(capture, "00080018")].PixelData
    (bulk,) = served.client.retrieve_bulkdata(capture["7FE00010"]["BulkDataURI"])
    (frame,) = served.client.retrieve_instance_frames(
        study, value(capture, "0020000E"), value(capture, "00080018"), [1]
    )
    assert bulk == frame == pixels
    place = str(capture["7FE00010"]["BulkDataURI"]).removeprefix(served.url)
    for wrong in ("7FE00011", "00100010", "0040A730", "x", "%2e%2e%2f"):
        assert served.get(place.replace("7FE00010", wrong)).status_code == 404
    assert served.get(place.replace("bulkdata/7FE00010", "frames/2")).status_code == 404


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("*/*", 200),
        ('multipart/related; type="application/dicom"', 200),
        ('multipart/related; type="application/dicom"; transfer-syntax=*', 200),
        (f"multipart/related; type=application/dicom; transfer-syntax={ExplicitVRLittleEndian}", 200),
        ('text/html, multipart/related; type="application/dicom"; q=0.1', 200),
        (f'multipart/related; type="application/dicom"; transfer-syntax={RLELossless}', 406),
        ('multipart/related; type="application/octet-stream"', 406),
        ('multipart/related; type="application/dicom"; q=0', 406),
        ("application/dicom", 406),  # there are two
        ("image/jpeg", 406),
        ("application/dicom+xml", 406),
    ],
)
def test_objects_are_given_as_the_client_takes_them(
    served: ServedNode, source: Dataset, accept: str, status: int
) -> None:
    assert served.get(f"/studies/{source.StudyInstanceUID}", accept).status_code == status


def test_metadata_are_json_alone_and_the_query_goes_before_the_header(
    served: ServedNode, source: Dataset
) -> None:
    path = f"/studies/{source.StudyInstanceUID}/metadata"
    assert served.get(path, "application/dicom+xml").status_code == 406
    assert served.get(path, "application/json").headers["content-type"] == "application/dicom+json"
    assert served.get(f"{path}?accept=application/dicom%2Bjson", "text/html").status_code == 200


def test_what_is_stored_again_by_whichever_way_is_judged_once(served: ServedNode, tmp_path: Path) -> None:
    source = film(MEANS["normal"])
    path = tmp_path / "film.dcm"
    path.write_bytes(saved(source))
    before = served.node.spool.counts().judged
    served.judge(source, source)
    served.judge(source)
    assert served.post(path.read_bytes(), SINGLE).status_code == 200
    assert store(served.node.port, path).returncode == 0
    wait_for(lambda: served.node.spool.counts().received == 0)
    assert served.node.spool.counts().judged == before + 1
    # The same pixels in another encoding are found to be the same once they are decoded.
    again = pydicom.dcmread(path)
    again.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    served.judge(again)
    assert len(served.node.spool.results_of(source.StudyInstanceUID)) == 2
    assert served.node.spool.outcomes_of(source.StudyInstanceUID) == {"normal": 1, "repeated": 1}


def test_results_that_come_back_are_taken_and_not_judged(served: ServedNode, source: Dataset) -> None:
    before = served.node.spool.counts()
    answer = served.client.store_instances(served.client.retrieve_study(source.StudyInstanceUID))
    assert len(answer.ReferencedSOPSequence) == 2
    assert served.node.spool.counts() == before


def test_results_are_removed_when_they_were_kept_long_enough(
    serve_node: ServeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_CLEANING_SECONDS", 0.1)
    source = film()
    with serve_node(keep_days=3 / 86400) as served:
        served.judge(source)
        assert len(served.client.retrieve_study(source.StudyInstanceUID)) == 2
        wait_for(lambda: served.get(f"/studies/{source.StudyInstanceUID}").status_code == 404)
        assert served.get("/studies").status_code == 204
        assert served.node.spool.stored_bytes == 0
        assert [path.name for path in served.node.spool.folder.rglob("*.dcm*")] == []


def test_results_of_an_earlier_version_are_found(serve_node: ServeNode) -> None:
    source = film()
    with serve_node() as served:
        served.judge(source)
        path = served.node.spool.folder / FILE_NAME
    with closing(sqlite3.connect(path)) as earlier:
        earlier.execute("ALTER TABLE result DROP COLUMN series_uid")
        earlier.execute("ALTER TABLE result DROP COLUMN modality")
    with serve_node() as served:
        assert len(served.client.search_for_series(source.StudyInstanceUID)) == 2
        assert len(served.client.retrieve_study(source.StudyInstanceUID)) == 2


def test_nobody_comes_in_without_the_token_or_for_another_host(serve_node: ServeNode) -> None:
    with serve_node(dicomweb=WebSettings(0, Access(LOOPBACK, per_minute=2), TOKEN)) as served:
        assert served.get("/studies").status_code == 401
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert httpx.get(f"{served.url}/studies", headers=bearer, trust_env=False).status_code == 204
        assert httpx.get(f"{served.url}/studies", auth=("any", TOKEN), trust_env=False).status_code == 204
        other = {**bearer, "Host": "rebound.example"}
        assert httpx.get(f"{served.url}/studies", headers=other, trust_env=False).status_code == 421
        page = {**bearer, "Sec-Fetch-Site": "cross-site"}
        statuses = [
            served.post(body_of(b""), headers=headers).status_code for headers in (page, bearer, bearer)
        ]
        assert statuses == [403, 409, 429]
        told = httpx.get(f"{served.url}/studies", headers=bearer, trust_env=False).headers
        assert told["cache-control"] == "no-store"
        assert 'route="/dicomweb/studies",status="409"' in served.node.metrics.text().decode()


def test_it_is_served_over_tls_with_the_certificate_of_the_node(
    serve_node: ServeNode, tmp_path: Path
) -> None:
    files = certificate(tmp_path)
    with serve_node(tls=files.for_server()) as served:
        with pytest.raises(httpx.RemoteProtocolError):
            served.get("/studies")
        url = served.url.replace("http:", "https:").replace("127.0.0.1", "localhost")
        trusting = ssl.create_default_context(cafile=files.certificate)
        answer = httpx.post(
            f"{url}/studies",
            content=body_of(saved(source := film())),
            headers={"Content-Type": MULTIPART},
            verify=trusting,
            trust_env=False,
        )
        assert answer.json()["00081190"]["Value"] == [f"{url}/studies/{source.StudyInstanceUID}"]


def test_it_stops_with_the_node(serve_node: ServeNode) -> None:
    with serve_node() as served:
        assert served.get("/studies").status_code == 204
    started = time.monotonic()
    with pytest.raises(httpx.ConnectError):
        served.get("/studies")
    assert time.monotonic() - started < 5
