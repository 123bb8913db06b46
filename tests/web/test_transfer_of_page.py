"""The page and its files come compressed, and browsers keep what never changes."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from pneumocascade.server.middleware.transfer import ASKED_AGAIN, KEPT

TAKES = {"Accept-Encoding": "gzip"}


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, headers=TAKES, timeout=60) as client:
        yield client


def script_of(page: str) -> str:
    """Return the path of the first script that the page loads."""
    return next(part.split('"')[0] for part in page.split('src="./')[1:] if part.startswith("assets/"))


def sent(response: httpx.Response) -> int:
    """Return the bytes of the body as they were sent."""
    return int(response.headers["content-length"])


def test_the_page_and_its_files_come_compressed(client: httpx.Client) -> None:
    plain = client.get("/", headers={"Accept-Encoding": "identity"})
    page = client.get("/")
    assert "content-encoding" not in plain.headers
    assert page.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in page.headers["vary"].lower()
    assert sent(page) < 0.6 * sent(plain)  # most of the rest is pictures
    assert page.text.startswith("<!doctype html>")
    assert page.headers["content-security-policy"]
    script = client.get("/viewer/viewer.js")
    assert script.headers["content-encoding"] == "gzip"
    assert client.get(f"/{script_of(page.text)}").headers["content-encoding"] == "gzip"
    assert client.get("/api/v1/openapi.json").headers["content-encoding"] == "gzip"
    assert "content-encoding" not in client.get("/healthz").headers


def test_files_are_kept_as_long_as_their_names_stand_for_their_content(client: httpx.Client) -> None:
    page = client.get("/").text
    assert client.get(f"/{script_of(page)}").headers["cache-control"] == KEPT
    script = client.get("/viewer/viewer.js")
    assert script.headers["cache-control"] == ASKED_AGAIN
    again = client.get("/viewer/viewer.js", headers={"If-None-Match": script.headers["etag"]})
    assert (again.status_code, again.headers["cache-control"]) == (304, ASKED_AGAIN)
    assert "cache-control" not in client.get("/assets/nothing-12345678.js").headers
    assert "cache-control" not in client.get("/").headers
