"""A film as the body of a request, and as base64 in JSON: the answers and limits are those of a form."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from pneumocascade import Cascade
from pneumocascade.server import predictions
from pneumocascade.server.app import create_app
from tests.server.test_batcher import FILMS

URL = "/api/v1/predictions"
FILM = FILMS["viral"]
ENCODED = base64.b64encode(FILM).decode()


@pytest.fixture
def client(models: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Cascade.load(models, threads=1), with_web=False)) as client:
        yield client


def raw(client: TestClient, content: Any, kind: str, **params: Any) -> Any:
    return client.post(URL, content=content, headers={"Content-Type": kind}, params=params)


def rows(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [{**row, "elapsed_ms": 0} for row in answer.json()["predictions"]]


def test_every_way_to_send_a_film_gives_the_same_answer(client: TestClient) -> None:
    form = rows(client.post(URL, files={"files": ("file 1", FILM)}, params={"prior": 0.2}))
    kinds = ("image/png", "IMAGE/JPEG; x=y", "image/x-odd", "application/dicom", "application/octet-stream")
    for kind in kinds:
        assert rows(raw(client, FILM, kind, prior=0.2)) == form
    for image in (ENCODED, f"data:image/png;base64,{ENCODED}"):
        assert rows(client.post(URL, json={"image": image, "prior": 0.2})) == form


def test_options_of_a_json_body(client: TestClient) -> None:
    body = {"image": ENCODED, "source": "ward 3", "operating_point": "sensitive", "include": ["saliency"]}
    (found,) = rows(client.post(URL, json=body))
    assert (found["source"], found["operating_point"]) == ("ward 3", "sensitive")
    assert found["saliency"]
    two = client.post(URL, json=body, params={"operating_point": "specific"})
    assert two.status_code == 422
    assert "two operating points" in two.text


def test_include_is_a_field_of_a_form_too(client: TestClient) -> None:
    film = {"files": ("a.png", FILM)}
    (found,) = rows(
        client.post(URL, files=film, data={"include": "saliency"}, params={"include": "pictures"})
    )
    assert {"saliency", "pictures"} <= set(found)
    (found,) = rows(client.post(URL, files=film, data={"include": "", "operating_point": ""}))
    assert "saliency" not in found
    assert client.post(URL, files=film, data={"include": "odd"}).status_code == 422


def test_an_archive_may_be_the_body(client: TestClient) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("viral", "normal"):
            archive.writestr(f"{name}.png", FILMS[name])
    found = rows(raw(client, stream.getvalue(), "application/zip"))
    assert [row["source"] for row in found] == ["file 1/viral.png", "file 1/normal.png"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "Invalid JSON"),
        (b"[" * 100_000, "Invalid JSON"),
        (b"[]", "body"),
        (b"{}", "body.image: Field required"),
        (json.dumps({"image": "no base64!"}).encode(), "body.image: this is not base64"),
        (json.dumps({"image": "Zm\u00e9"}).encode(), "body.image: this is not base64"),
        (json.dumps({"image": ""}).encode(), "body.image: there is no film"),
        (json.dumps({"image": ENCODED, "prior": 1}).encode(), "body.prior"),
        (json.dumps({"image": ENCODED, "operating_piont": "x"}).encode(), "body.operating_piont"),
        (json.dumps({"image": ENCODED, "operating_point": "odd"}).encode(), "operating point is 'odd'"),
        (b'{"image": "\xff"}', "Invalid JSON"),
    ],
)
def test_json_that_makes_no_sense_is_a_problem(client: TestClient, body: bytes, words: str) -> None:
    answer = raw(client, body, "application/json")
    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    assert ENCODED[:20] not in answer.text


def test_other_bodies_are_problems(client: TestClient) -> None:
    empty = raw(client, b"", "image/png")
    assert (empty.status_code, "empty" in empty.text) == (422, True)
    odd = raw(client, FILM, "text/plain")
    assert odd.status_code == 415
    assert "multipart/form-data" in odd.json()["detail"]
    assert "application/dicom" in odd.headers["accept-post"]
    assert raw(client, b"--b\r\nodd", "multipart/form-data; boundary=b").status_code in (400, 422)
    (unread,) = rows(raw(client, b"no film", "image/png"))
    assert unread["status"] == "error"


def test_the_limit_of_a_file_holds_for_every_body(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictions, "MAX_FILE_BYTES", 1000)
    many = b"x" * 1001
    answers = [
        raw(client, many, "image/png"),
        raw(client, iter([many] * 3), "image/png"),  # of a length that is not declared
        client.post(URL, json={"image": base64.b64encode(many).decode()}),
        client.post(URL, files={"files": ("a", many)}),
    ]
    assert [answer.status_code for answer in answers] == [413] * 4
    assert raw(client, b"x" * 1000, "image/png").status_code == 200


def test_json_larger_than_any_film_is_not_kept(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "MAX_FILE_BYTES", 1000)
    answer = raw(client, iter([b" " * 1024 * 1024] * 3), "application/json")
    assert answer.status_code == 413
    assert "the body is larger" in answer.json()["detail"]
