"""Security headers of every kind of answer, read as a browser reads them."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from pneumocascade import Cascade
from pneumocascade.server import Access
from pneumocascade.server import app as application
from pneumocascade.server.app import create_app
from pneumocascade.server.batcher import Batcher
from pneumocascade.server.middleware.headers import page_policy
from tests.conftest import wait_until
from tests.server.test_batcher import FILMS, SECONDS, Watched
from tests.tiny_models import write_tiny_models
from tests.web.conftest import running

URL = "/api/v1/predictions"
FILM = {"files": ("a.png", b"no film")}


def policy_of(headers: Any) -> dict[str, list[str]]:
    """Return the one content security policy, by directive; two of them, or a directive twice, are errors."""
    (text,) = headers.get_list("content-security-policy")
    found: dict[str, list[str]] = {}
    for part in text.split(";"):
        name, *values = part.split()
        assert name not in found, f"{name} is said twice: browsers take the first"
        found[name] = values
    return found


def assert_common(headers: Any, camera: str = "()") -> None:
    """Check the headers that every answer has, each once; the page alone may ask for the camera."""
    expected = {
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
        "x-frame-options": "DENY",
    }
    assert {name: headers.get_list(name) for name in expected} == {
        name: [value] for name, value in expected.items()
    }
    denied = dict(part.strip().split("=") for part in headers["permissions-policy"].split(","))
    assert denied.pop("camera") == camera
    assert {"microphone", "geolocation", "display-capture"} <= denied.keys()
    assert set(denied.values()) == {"()"}
    assert "server" not in headers or not re.search(r"\d", headers["server"])
    assert "x-powered-by" not in headers
    assert not [name for name in headers if name.startswith("access-control-")]


def assert_no_page(headers: Any) -> None:
    """Check that an answer, shown as a page, may load, run and send nothing."""
    assert_common(headers)
    assert policy_of(headers) == {"default-src": ["'none'"], "sandbox": [], "frame-ancestors": ["'none'"]}


@pytest.fixture
def cascade_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cascade:
    return Cascade.load(write_tiny_models(tmp_path), threads=1)


@pytest.fixture
def client(cascade_here: Cascade) -> Iterator[TestClient]:
    with TestClient(create_app(cascade_here, with_web=False)) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("HEAD", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("GET", "/metrics", 200),
        ("GET", "/api/v1/models", 200),
        ("GET", "/api/v1/openapi.json", 200),
        ("GET", URL, 405),
        ("DELETE", "/healthz", 405),
        ("OPTIONS", URL, 405),
        ("POST", URL, 422),
        ("GET", "/api/nothing", 404),
        ("GET", "/nothing", 404),
        ("GET", "/nothing/<script>alert(1)</script>", 404),
    ],
)
def test_answers_that_are_no_page(client: TestClient, method: str, path: str, status: int) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    assert_no_page(response.headers)
    assert "html" not in response.headers.get("content-type", "")
    if path.startswith(("/api", "/metrics")):
        assert response.headers["cache-control"] == "no-store"


def test_an_answer_about_films(client: TestClient) -> None:
    response = client.post(URL, files=FILM)
    assert response.status_code == 200
    assert_no_page(response.headers)
    assert response.headers["cache-control"] == "no-store"


def test_answers_of_every_refusal(cascade_here: Cascade, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "MAX_BODY_BYTES", 1000)
    access = Access(hosts=("testserver",), per_minute=2)
    app = create_app(cascade_here, with_web=False, token="a-token-that-nobody-guesses", access=access)
    headers = {"Authorization": "Bearer a-token-that-nobody-guesses"}
    with TestClient(app) as client:
        refusals = {
            401: client.get("/api/v1/models"),
            403: client.post(URL, files=FILM, headers={**headers, "Origin": "http://elsewhere"}),
            413: client.post(URL, files={"files": ("a", b"x" * 2000)}, headers=headers),
            421: client.get("/healthz", headers={"Host": "elsewhere"}),
            429: client.post(URL, files=FILM, headers=headers),
        }
    for status, response in refusals.items():
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"
        assert_no_page(response.headers)


def test_an_answer_of_a_busy_server(cascade_here: Cascade) -> None:
    watched = Watched(cascade_here)
    batcher = Batcher(watched, max_waiting=1, workers=1)
    app = create_app(watched, with_web=False, batcher=batcher)
    with TestClient(app) as client, ThreadPoolExecutor(2) as pool:
        watched.release.clear()
        try:
            pool.submit(client.post, URL, files={"files": ("a", FILMS["normal"])})
            assert watched.entered.acquire(timeout=SECONDS)
            pool.submit(client.post, URL, files={"files": ("b", FILMS["normal"])})
            wait_until(lambda: batcher.waiting == 1)
            response = client.post(URL, files={"files": ("c", FILMS["normal"])})
        finally:
            watched.release.set()
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
    assert_no_page(response.headers)


def test_an_answer_to_a_failure(cascade_here: Cascade, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret of the server")

    monkeypatch.setattr("pneumocascade.server.metrics.Metrics.text", fail)
    app = create_app(cascade_here, with_web=False)
    with TestClient(app, raise_server_exceptions=False) as client:
        response = client.get("/metrics")
    assert response.status_code == 500
    assert "a secret" not in response.text
    assert_no_page(response.headers)


class Scripts(HTMLParser):
    """The scripts of a page: the texts of those within it, and where the others are."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=False)
        self.inline: list[str] = []
        self.sources: list[str] = []
        self.handlers: list[str] = []
        self._open = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        if tag == "script":
            self._open = True
            self.inline.append("")
            self.sources += [value or "" for name, value in attrs if name == "src"]

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._open:
            self.inline[-1] += data


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A running server with the web app."""
    models = write_tiny_models(tmp_path_factory.mktemp("models"))
    with (
        running(tmp_path_factory.mktemp("server"), str(models)) as address,
        httpx.Client(base_url=address, timeout=120, trust_env=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def page(web: httpx.Client) -> httpx.Response:
    return web.get("/")


def test_the_page_may_run_its_own_scripts_alone(page: httpx.Response) -> None:
    assert_common(page.headers, camera="(self)")
    policy = policy_of(page.headers)
    assert policy["default-src"] == ["'none'"]
    assert policy["object-src"] == policy["form-action"] == policy["frame-ancestors"] == ["'none'"]
    assert policy["base-uri"] == policy["connect-src"] == policy["font-src"] == ["'self'"]
    scripts = policy["script-src"]
    # Gradio makes functions of its components' scripts: see pneumocascade.server.middleware.headers.
    assert [one for one in scripts if not one.startswith("'sha256-")] == ["'self'", "'unsafe-eval'"]
    # Sources without a host: nothing is loaded from elsewhere, whatever markup gets into the page.
    everywhere = {value for name, values in policy.items() for value in values if name != "script-src"}
    assert everywhere == {"'none'", "'self'", "'unsafe-inline'", "data:", "blob:"}
    assert [name for name, values in policy.items() if "'unsafe-inline'" in values] == ["style-src"]


def test_the_digests_are_those_of_the_scripts_in_the_page(page: httpx.Response) -> None:
    found = Scripts(page.text)
    digests = {
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in found.inline
        if text
    }
    allowed = {one for one in policy_of(page.headers)["script-src"] if one.startswith("'sha256-")}
    assert digests == allowed
    assert len(digests) >= 3
    assert found.handlers == []
    assert [source for source in found.sources if re.match(r"[a-z]+:|//", source)] == []


def test_a_policy_allows_no_script_but_those_of_its_page() -> None:
    both = page_policy(b"<p><SCRIPT>a()</SCRIPT><script type=module>b()</script><script src=x></script>")
    scripts = next(part.split() for part in both.split("; ") if part.startswith("script-src"))
    digests = [f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'" for text in (b"b()",)]
    assert scripts[1:3] == ["'self'", "'unsafe-eval'"]
    assert scripts[3:] == digests  # an element in capitals is none that Gradio writes, and is not allowed


def test_what_else_the_web_app_answers(web: httpx.Client, page: httpx.Response) -> None:
    sources = {source.removeprefix("./") for source in Scripts(page.text).sources}
    asset = next(source for source in sources if "assets/" in source)
    file = {"files": ("x.html", b"<script>planted = 1</script>")}
    uploaded = web.post("/gradio_api/upload", files=file).json()
    answers = {
        f"/{asset.lstrip('/')}": 200,
        "/theme.css": 200,
        "/config": 200,
        "/favicon.ico": 200,
        "/nothing": 404,
        "/index.html": 404,
        "/gradio_api/nothing": 404,
        f"/gradio_api/file={uploaded[0]}": 200,
        "/gradio_api/file=/etc/hostname": 403,
        "/healthz": 200,
    }
    for path, status in answers.items():
        response = web.get(path)
        assert (path, response.status_code) == (path, status)
        assert_no_page(response.headers)
    assert web.post("/").status_code == 405
    assert_no_page(web.post("/").headers)


@pytest.mark.parametrize("name", ["x.html", "x.js", "x.mjs", "x.svg", "x.xml", "x.css", "x.pdf"])
def test_an_upload_is_given_back_as_no_page_and_no_script(web: httpx.Client, name: str) -> None:
    (kept,) = web.post("/gradio_api/upload", files={"files": (name, b"planted = 1")}).json()
    for headers in ({}, {"Range": "bytes=0-5"}):
        response = web.get(f"/gradio_api/file={kept}", headers=headers)
        assert response.status_code in (200, 206)
        assert response.headers["content-type"] == "application/octet-stream"
        assert response.headers["content-disposition"].startswith("attachment")
        assert_no_page(response.headers)


def test_another_host_may_show_the_page_where_it_is_allowed(cascade_here: Cascade) -> None:
    access = Access(frame_ancestors="https://films.example.org")
    with TestClient(create_app(cascade_here, with_web=False, access=access)) as client:
        headers = client.get("/healthz").headers
    assert policy_of(headers)["frame-ancestors"] == ["https://films.example.org"]
    assert "x-frame-options" not in headers  # it knows no other hosts, and would deny this one
