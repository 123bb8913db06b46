"""Requests that are not what they say: each is refused by what it is, and leaves nothing behind."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from pneumocascade.imaging.dicom.quiet import quiet
from pneumocascade.node.dicomweb.store import CLASS_NOT_SUPPORTED, OBJECT_TOO_LARGE, SYNTAX_NOT_SUPPORTED
from pneumocascade.node.receiver import CANNOT_UNDERSTAND, DOES_NOT_MATCH, OUT_OF_RESOURCES
from tests.node.conftest import QUICK
from tests.node.dicomweb.conftest import MULTIPART, ServedNode, ServeNode, body_of, film
from tests.node.hostile import connected, ended
from tests.node.programs import wait_for
from tests.reports.sources import MEANS, film_object, film_of, saved

STUDY = "1.2.826.0.1.3680043.8.498.1"


@pytest.fixture(autouse=True)
def nothing_is_left(served: ServedNode) -> Iterator[None]:
    """Hold every test of this file to leaving the spool as it was."""
    before = served.node.spool.counts(), served.node.spool.stored_bytes
    yield
    wait_for(lambda: not list(served.node.spool.folder.rglob("*.part")))
    assert (served.node.spool.counts(), served.node.spool.stored_bytes) == before
    assert served.get("/studies").status_code in (200, 204)


def reasons(body: dict[str, dict[str, list[dict[str, dict[str, list[int]]]]]], tag: str) -> list[int]:
    return [item["00081197"]["Value"][0] for item in body.get(tag, {}).get("Value", [])]


@pytest.mark.parametrize(
    "part", [b"", b"not DICOM", b"\0" * 128 + b"DICM", b"\0" * 128 + b"DICM" + b"\xff" * 500]
)
def test_what_is_no_object_is_told_among_the_other_failures(served: ServedNode, part: bytes) -> None:
    answer = served.post(body_of(part))
    assert answer.status_code == 409
    assert reasons(answer.json(), "0008119A") == [CANNOT_UNDERSTAND]


def test_an_object_that_is_cut_off_in_its_head_is_refused(served: ServedNode) -> None:
    answer = served.post(body_of(saved(film())[:400]))
    assert answer.status_code == 409


def odd(**attributes: str) -> bytes:
    """Return a film whose attributes may be wrong."""
    with quiet():
        return saved(film_object(film_of(MEANS["bacterial"]), **attributes))


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, CLASS_NOT_SUPPORTED),
        ({"StudyInstanceUID": ""}, DOES_NOT_MATCH),
        ({"StudyInstanceUID": "../../../etc/passwd"}, DOES_NOT_MATCH),
        ({"SOPInstanceUID": "1" * 65}, DOES_NOT_MATCH),
    ],
)
def test_an_object_that_is_not_taken_is_told_with_the_reason(
    served: ServedNode, attributes: dict[str, str], reason: int
) -> None:
    answer = served.post(body_of(odd(**attributes)))
    assert answer.status_code == 409
    assert reasons(answer.json(), "00081198") == [reason]


def test_a_transfer_syntax_that_is_not_read_is_told(served: ServedNode) -> None:
    content = saved(film()).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0", 1)
    answer = served.post(body_of(content))
    assert reasons(answer.json(), "00081198") == [SYNTAX_NOT_SUPPORTED]


def test_an_object_of_another_study_than_the_path_names_is_refused(served: ServedNode) -> None:
    answer = served.post(body_of(saved(film())), path=f"/studies/{STUDY}")
    assert answer.status_code == 409
    assert reasons(answer.json(), "00081198") == [DOES_NOT_MATCH]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("", 415),
        ("text/plain", 415),
        ("multipart/form-data; boundary=the-boundary", 415),
        ('multipart/related; type="application/dicom+json"; boundary=the-boundary', 415),
        ('multipart/related; type="application/dicom"', 400),
        ('multipart/related; type="application/dicom"; boundary=another', 400),
        (f'multipart/related; type="application/dicom"; boundary={"x" * 201}', 400),
    ],
)
def test_another_type_or_boundary_is_refused(served: ServedNode, kind: str, status: int) -> None:
    answer = served.post(body_of(saved(film())), kind)
    assert answer.status_code == status
    assert answer.json()["status"] == status


def test_a_part_of_another_type_is_refused(served: ServedNode) -> None:
    assert served.post(body_of(saved(film()), kind="image/jpeg")).status_code == 409


def test_a_body_that_ends_in_a_part_is_refused(served: ServedNode) -> None:
    whole = body_of(saved(film()))
    assert served.post(whole[: len(whole) // 2]).status_code == 400
    assert served.post(whole[:-6]).status_code == 400
    assert served.post(body_of()).status_code == 400


@pytest.mark.parametrize("uid", ["..%2f..%2fetc", "%2e%2e", "1.2/../../3", "1" * 65, "1.2;x", "*"])
def test_uids_in_a_path_are_nothing_but_uids(served: ServedNode, uid: str) -> None:
    for path in (f"/studies/{uid}", f"/studies/{uid}/metadata", f"/studies/1.2/series/{uid}"):
        assert served.get(path).status_code in (400, 404)
    assert served.post(body_of(saved(film())), path=f"/studies/{uid}").status_code in (400, 404, 405)


def request_of(length: int, body: bytes) -> bytes:
    head = f"POST /dicomweb/studies HTTP/1.1\r\nHost: localhost\r\nContent-Type: {MULTIPART}\r\n"
    return f"{head}Content-Length: {length}\r\n\r\n".encode() + body


def test_two_gigabytes_are_refused_when_they_are_announced(served: ServedNode) -> None:
    assert served.node.dicomweb_port is not None
    with connected(served.node.dicomweb_port) as caller:
        caller.sendall(request_of(2 << 30, b""))
        assert caller.recv(100).startswith(b"HTTP/1.1 413 ")


def test_who_goes_away_in_the_middle_of_an_object_leaves_nothing(served: ServedNode) -> None:
    assert served.node.dicomweb_port is not None
    body = body_of(saved(film()))
    with connected(served.node.dicomweb_port) as caller:
        caller.sendall(request_of(len(body), body[:50_000]))
    with connected(served.node.dicomweb_port) as caller:
        caller.sendall(request_of(len(body), body[:50_000]))
        caller.shutdown(socket.SHUT_WR)
        ended(caller)


def test_other_methods_and_paths_are_told(served: ServedNode) -> None:
    assert served.post(b"", path="/series").status_code == 405
    assert served.get("/instances/1.2").status_code == 404
    assert served.get("/../status").status_code == 404


def test_an_object_or_request_that_is_too_large_and_a_full_spool_are_refused(serve_node: ServeNode) -> None:
    small, large = film(), film()
    large.PixelData = b"\0" * 300_000
    limits = replace(QUICK, object_bytes=200_000, in_flight_bytes=1_000_000)
    with serve_node(limits=limits) as served:
        answer = served.post(body_of(saved(large), saved(small)))
        assert answer.status_code == 202
        assert reasons(answer.json(), "0008119A") == [OBJECT_TOO_LARGE]
        assert served.post(body_of(saved(large))).status_code == 409
        assert len(answer.json()["00081199"]["Value"]) == 1
        assert served.post(body_of(b"\0" * 1_000_001)).status_code == 413
    with serve_node(limits=replace(QUICK, spool_bytes=10_000)) as served:
        before = served.node.spool.stored_bytes
        answer = served.post(body_of(saved(film())))
        assert answer.status_code == 503
        assert reasons(answer.json(), "0008119A") == [OUT_OF_RESOURCES]
        assert "retry-after" in answer.headers
        assert served.node.spool.stored_bytes <= before


def test_names_of_patients_are_in_no_log(served: ServedNode, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "pneumocascade")
    served.post(body_of(saved(film())[:400], odd(StudyInstanceUID="")))
    served.get("/studies?PatientName=Doe")
    assert caplog.records
    assert "Doe" not in caplog.text
    assert STUDY not in caplog.text


def test_a_data_set_that_is_no_file_is_refused(served: ServedNode) -> None:
    stream = io.BytesIO()
    made: Dataset = film()
    made.save_as(stream, enforce_file_format=False)
    bare = stream.getvalue()[stream.getvalue().find(b"\x08\x00") :]
    assert served.post(body_of(bare)).status_code == 409
