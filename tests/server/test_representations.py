"""Answers as files: by the Accept header, and as base64 in the JSON."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from email import message_from_bytes
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pydicom
import pytest
from fastapi import HTTPException
from fastapi.testclient import TestClient
from PIL import Image

from pneumocascade import Cascade
from pneumocascade.errors import MissingExtraError
from pneumocascade.server import attachments
from pneumocascade.server.app import create_app
from pneumocascade.server.representations import media_type_for
from tests.reports.sources import MEANS, film_of, planted
from tests.server.test_batcher import FILMS

URL = "/api/v1/predictions"
JPEG = [("files", ("a.png", FILMS["viral"]))]
UNREADABLE = [("files", ("b", FILMS["broken"]))]

needs_reports = pytest.mark.skipif(
    find_spec("weasyprint") is None or find_spec("highdicom") is None,
    reason="the extra report is not installed",
)


@pytest.fixture(scope="module")
def source() -> pydicom.Dataset:
    return planted(film_of(MEANS["viral"]))


@pytest.fixture(scope="module")
def dicom(source: pydicom.Dataset) -> list[tuple[str, tuple[str, bytes]]]:
    stream = io.BytesIO()
    source.save_as(stream, enforce_file_format=True)
    return [("files", ("film.dcm", stream.getvalue()))]


@pytest.fixture
def client(models: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Cascade.load(models, threads=1), with_web=False)) as client:
        yield client


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/json, text/plain, */*", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
        ("application/*", "application/json"),
        ("APPLICATION/PDF", "application/pdf"),
        ("application/pdf, */*", "application/pdf"),
        ("application/pdf;q=0.5, application/json;q=0.4", "application/pdf"),
        ("application/json;q=0, */*;q=0.1", "application/pdf"),
        ("image/*", "image/png"),
        ('multipart/related; type="application/dicom"', "multipart/related"),
    ],
)
def test_the_accept_header_chooses(accept: str | None, expected: str) -> None:
    assert media_type_for(accept) == expected


@pytest.mark.parametrize("accept", ["text/html", "application/pdf;q=0", "*/*;q=0", "application/json;q=odd"])
def test_what_nobody_makes_is_not_acceptable(accept: str) -> None:
    with pytest.raises(HTTPException) as caught:
        media_type_for(accept)
    assert caught.value.status_code == 406
    assert "application/pdf" in caught.value.detail


@needs_reports
def test_reports_come_as_base64_with_the_answer(
    client: TestClient, dicom: Any, source: pydicom.Dataset
) -> None:
    answer = client.post(URL, files=dicom, data={"include": ["pdf,sr", "sc"]}, params={"include": "saliency"})
    (found,) = answer.json()["predictions"]
    assert set(found["saliency"]) == {"stage1", "stage2"}
    assert base64.b64decode(found["pdf"], validate=True).startswith(b"%PDF-")
    kinds = {"sr": "SR", "sc": "OT"}
    for name, modality in kinds.items():
        made = pydicom.dcmread(io.BytesIO(base64.b64decode(found[name], validate=True)))
        assert made.Modality == modality
        assert made.StudyInstanceUID == source.StudyInstanceUID
        assert made.PatientID == source.PatientID


@needs_reports
def test_there_is_no_object_of_what_came_as_none(client: TestClient) -> None:
    films = JPEG + UNREADABLE
    plain, unread = client.post(URL, files=films, params={"include": "sr,pdf"}).json()["predictions"]
    assert plain["sr"] is None
    assert plain["pdf"]
    assert "there is no sr of it" in plain["warnings"][-1]
    assert not {"sr", "pdf"} & set(unread)


@needs_reports
def test_an_answer_may_be_a_file(client: TestClient, dicom: Any) -> None:
    def get(accept: str, **params: str) -> Any:
        answer = client.post(URL, files=dicom, params=params, headers={"Accept": accept})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].partition(";")[0] == accept
        assert "Accept" in answer.headers["vary"]
        return answer

    assert get("application/pdf").content.startswith(b"%PDF-")
    assert Image.open(io.BytesIO(get("image/png").content)).format == "PNG"
    assert pydicom.dcmread(io.BytesIO(get("application/dicom").content)).Modality == "SR"
    assert pydicom.dcmread(io.BytesIO(get("application/dicom", include="sc").content)).Modality == "OT"
    both = get("multipart/related")
    head = f"Content-Type: {both.headers['content-type']}\r\n\r\n".encode()
    parts = [part for part in message_from_bytes(head + both.content).walk() if not part.is_multipart()]
    contents = [part.get_payload(decode=True) for part in parts]
    read = [pydicom.dcmread(io.BytesIO(content)) for content in contents if isinstance(content, bytes)]
    assert [one.Modality for one in read] == ["SR", "OT"]
    assert {part.get_content_type() for part in parts} == {"application/dicom"}


@needs_reports
@pytest.mark.parametrize(
    ("films", "accept", "include", "status", "words"),
    [
        (JPEG, "application/dicom", "", 422, "did not come as a DICOM object"),
        (JPEG, "multipart/related", "", 422, "did not come as a DICOM object"),
        (UNREADABLE, "image/png", "", 422, "not an image"),
        (JPEG * 2, "image/png", "", 422, "2 films"),
        (JPEG, "application/dicom", "sr,sc", 422, "multipart/related"),
        (JPEG * 11, "application/pdf", "", 413, "more than 10 films"),
        (JPEG * 11, "application/json", "pdf", 413, "more than 10 films"),
        (JPEG, "text/html", "", 406, "no media type"),
    ],
)
def test_a_file_that_cannot_be_made_is_a_problem(
    client: TestClient, films: Any, accept: str, include: str, status: int, words: str
) -> None:
    answer = client.post(URL, files=films, headers={"Accept": accept}, params={"include": include})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]


def test_packages_that_are_missing_are_named_before_films_are_judged(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise MissingExtraError("a report", "report")

    kind = attachments.Attachment(attachments.ATTACHMENTS["pdf"].make, display=True, check=missing)
    monkeypatch.setitem(attachments.ATTACHMENTS, "pdf", kind)
    answer = client.post(URL, files=JPEG, params={"include": "pdf"})
    assert answer.status_code == 501
    assert "pneumocascade[report]" in answer.json()["detail"]
