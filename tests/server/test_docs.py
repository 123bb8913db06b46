"""The interactive documentation: whole, from this server alone, and behind the token."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from pneumocascade import Cascade
from pneumocascade.server.app import DOCS_FOLDER, create_app
from tests.server.test_batcher import FILMS

DOCS = "/api/v1/docs"
DESCRIPTION = "/api/v1/openapi.json"
TOKEN = "0123456789abcdef"


@pytest.fixture
def client(models: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Cascade.load(models, threads=1), with_web=False)) as client:
        yield client


@pytest.fixture
def guarded(models: Path) -> Iterator[TestClient]:
    app = create_app(Cascade.load(models, threads=1), with_web=False, token=TOKEN)
    with TestClient(app) as client:
        yield client


class Addresses(HTMLParser):
    """Gathers what a page refers to, and scripts within its text."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("src", "href") and value]
        assert tag != "script" or "src" in dict(attrs)


def test_the_page_is_whole_and_asks_no_other_host(client: TestClient) -> None:
    page = client.get(DOCS)
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe-eval" not in policy
    assert not re.search(r"https?:", policy + page.text)
    addresses = Addresses()
    addresses.feed(page.text)
    assert len(addresses.found) > 3
    for address in addresses.found:
        if not address.startswith("data:"):
            part = client.get(f"/api/v1/{address}")
            assert part.status_code == 200, address
            assert (part.headers.get("cache-control") == "no-store") is (address == "openapi.json")


def test_what_is_vendored_has_its_version_and_licence() -> None:
    names = {path.name for path in DOCS_FOLDER.iterdir()}
    assert {"swagger-ui-5.35.0-bundle.js", "swagger-ui-5.35.0.css", "swagger-ui-LICENSE.txt"} <= names
    licence = (DOCS_FOLDER / "swagger-ui-LICENSE.txt").read_text(encoding="utf-8")
    assert "Apache License" in licence
    assert "SmartBear" in licence


def test_other_methods_and_files_are_problems(client: TestClient) -> None:
    assert client.head(DOCS).status_code == 200
    assert client.post(DOCS).status_code == 405
    for path in (f"{DOCS}/odd.js", f"{DOCS}/../app.py", f"{DOCS}/"):
        assert client.get(path).status_code == 404


def test_a_browser_opens_it_with_the_token_and_sends_no_film_so(guarded: TestClient) -> None:
    basic = {"Authorization": f"Basic {base64.b64encode(f'any:{TOKEN}'.encode()).decode()}"}
    for path in (DOCS, f"{DOCS}/docs.js", DESCRIPTION):
        refused = guarded.get(path)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Basic")
        assert guarded.get(path, headers=basic).status_code == 200
    film = {"files": ("a", b"no film")}
    assert guarded.post("/api/v1/predictions", files=film, headers=basic).status_code == 401
    assert guarded.get("/api/v1/models", headers=basic).status_code == 401


def test_the_description_says_what_stands_around_the_routes(client: TestClient, guarded: TestClient) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    free, closed = client.get(DESCRIPTION).json(), guarded.get(DESCRIPTION, headers=bearer).json()
    for described in (free, closed):
        scheme = described["components"]["securitySchemes"]["token"]
        assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")

    def operation(described: dict[str, Any], path: str, method: str = "get") -> dict[str, Any]:
        found: dict[str, Any] = described["paths"][path][method]
        return found

    predict = operation(closed, "/api/v1/predictions", "post")
    assert predict["security"] == [{"token": []}]
    assert {"401", "403", "408", "413", "415", "422", "429", "503"} <= set(predict["responses"])
    assert "401" not in operation(free, "/api/v1/predictions", "post")["responses"]
    assert "security" not in operation(closed, "/healthz")
    assert set(operation(closed, "/healthz")["responses"]) == {"200", "421"}
    assert all(parameter["description"] for parameter in predict["parameters"])
    bodies = predict["requestBody"]["content"]
    assert bodies["application/dicom"]["schema"] == {"type": "string", "format": "binary"}
    form = closed["components"]["schemas"]["UploadForm"]["properties"]
    assert form["files"]["items"] == {"type": "string", "format": "binary"}
    assert next(iter(form)) == "files"
    assert "HTTPValidationError" not in closed["components"]["schemas"]


def test_a_saliency_map_is_described_as_what_it_is(client: TestClient) -> None:
    parts = client.get(DESCRIPTION).json()["components"]["schemas"]
    described = parts["SaliencyMap"]
    assert "label it gave" not in described["description"]
    for text in (described["description"], described["properties"]["map"]["description"]):
        assert "positive label" in text
    normal = client.post("/api/v1/predictions?include=saliency", files={"files": FILMS["normal"]}).json()
    (row,) = normal["predictions"]
    assert row["finding"] == "normal"
    assert np.mean(row["saliency"]["stage1"]["map"]) < 0, "the label that was given is not what it speaks for"
