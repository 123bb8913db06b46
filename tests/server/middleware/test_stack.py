"""How often one address may send films, and in which order a request is checked."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from pneumocascade import Cascade, UsageError, server
from pneumocascade.audit.counter import STATE_VARIABLE
from pneumocascade.cli import app as command_line
from pneumocascade.server import Access
from pneumocascade.server.app import create_app
from pneumocascade.server.metrics import Metrics
from pneumocascade.server.middleware.limits import RateLimit
from pneumocascade.server.middleware.route_allow_list import is_open
from pneumocascade.server.middleware.stack import add_middleware
from tests.loops import run_apart
from tests.server.middleware.test_limits import small_app
from tests.tiny_models import write_tiny_models

URL = "/api/v1/predictions"
FILM = {"files": ("a.png", b"no film")}
TOKEN = "a-token-that-nobody-guesses"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """A server with every limit that may be asked for."""
    cascade = Cascade.load(write_tiny_models(tmp_path), threads=1)
    access = Access(hosts=("testserver",), per_minute=3)
    return create_app(cascade, with_web=False, token=TOKEN, access=access)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


def test_one_address_too_often_and_others_go_on(app: FastAPI, client: TestClient) -> None:
    statuses = [client.post(URL, files=FILM, headers=BEARER).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    refused = client.post(URL, files=FILM, headers=BEARER)
    assert refused.json()["detail"] == "more than 3 requests came from this address within a minute"
    assert 1 <= int(refused.headers["retry-after"]) <= 21
    # Who only asks is not counted, neither before nor after.
    assert {client.get("/api/v1/models", headers=BEARER).status_code for _ in range(10)} == {200}
    another = TestClient(app, client=("10.0.0.9", 1))
    assert another.post(URL, files=FILM, headers=BEARER).status_code == 200


def test_what_a_client_says_of_its_address_does_not_count(client: TestClient) -> None:
    statuses = [
        client.post(URL, files=FILM, headers={**BEARER, "X-Forwarded-For": f"10.0.0.{number}"}).status_code
        for number in range(4)
    ]
    assert statuses == [200, 200, 200, 429]


def test_as_time_goes_by_requests_are_let_in_again() -> None:
    now = 1000.0
    app = small_app()
    app.add_middleware(RateLimit, per_minute=2, clock=lambda: now)
    with TestClient(app) as client:

        def send() -> Any:
            return client.post("/api/take", content=b"x")

        assert [send().status_code for _ in range(3)] == [200, 200, 429]
        wait = int(send().headers["retry-after"])
        assert 30 <= wait <= 31
        now += 29
        assert send().status_code == 429
        now += wait - 29
        assert [send().status_code for _ in range(2)] == [200, 429]
        now += 3600  # who did not come for an hour has saved up no more than a minute's
        assert [send().status_code for _ in range(3)] == [200, 200, 429]


def test_a_clock_that_stands_still_lets_nobody_in_again() -> None:
    app = small_app()
    app.add_middleware(RateLimit, per_minute=1, clock=lambda: 7.0)
    with TestClient(app) as client:
        assert [client.post("/api/take", content=b"x").status_code for _ in range(5)] == [200, *[429] * 4]


def test_a_wrong_host_comes_first_and_costs_nobody_a_request(client: TestClient) -> None:
    """421 before 429 before 403 before 401: each tells no more than those before it."""
    wrong = {"Host": "elsewhere", "Origin": "http://elsewhere"}
    assert {client.post(URL, files=FILM, headers=wrong).status_code for _ in range(10)} == {421}
    foreign = {"Origin": "http://elsewhere"}
    assert client.post(URL, files=FILM, headers=foreign).status_code == 403
    assert client.post(URL, files=FILM).status_code == 401
    assert client.post(URL, files=FILM, headers=BEARER).status_code == 200
    for headers in (foreign, {}, BEARER):
        assert client.post(URL, files=FILM, headers=headers).status_code == 429


def test_who_guesses_tokens_by_sending_is_slowed_down(client: TestClient) -> None:
    guesses = [
        client.post(URL, headers={"Authorization": f"Bearer guess-number-{number:06}"}).status_code
        for number in range(20)
    ]
    assert guesses == [401] * 3 + [429] * 17


def test_nobody_reads_a_body_before_the_token() -> None:
    app = FastAPI()
    add_middleware(app, Metrics("0", lambda: 0), Access(), max_body=10, token=TOKEN)
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("a body was asked for")

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": URL,
        "headers": [(b"content-length", b"999999999"), (b"host", b"x")],
        "query_string": b"",
        "client": ("10.0.0.1", 1),
    }
    run_apart(app(scope, receive, send))
    assert sent[0]["status"] == 401


def test_every_refusal_is_counted(client: TestClient) -> None:
    client.post(URL, headers={"Host": "elsewhere"})
    for _ in range(4):
        client.post(URL, files=FILM)
    text = client.get("/metrics", headers=BEARER).text
    for status, count in ((421, 1), (401, 3), (429, 1)):
        counted = f'pneumocascade_http_requests_total{{method="POST",route="other",status="{status}"}}'
        assert f"{counted} {count}.0" in text


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], Access()),
        (["--requests-per-minute", "30"], Access(per_minute=30)),
        (
            ["--requests-per-minute", "30", "--allow-host", "other"],
            Access((*server.LOOPBACK, "other"), per_minute=30),
        ),
    ],
)
def test_the_command_line_hands_the_limit_on(
    monkeypatch: pytest.MonkeyPatch, options: list[str], expected: Access
) -> None:
    asked: list[Access] = []
    monkeypatch.setattr(server, "serve", lambda *_, access, **__: asked.append(access))
    result = CliRunner().invoke(command_line, ["serve", *options])
    assert result.exit_code == 0, result.output
    assert asked == [expected]


@pytest.mark.parametrize("wrong", ["0", "-1", "many", "1.5"])
def test_a_limit_that_is_none_is_refused(wrong: str) -> None:
    result = CliRunner().invoke(command_line, ["serve", "--requests-per-minute", wrong])
    assert result.exit_code == 2
    assert "Traceback" not in result.output


_SERVER = """
import sys
from pneumocascade import Cascade
from pneumocascade.server import Access, serve
serve(Cascade.load(sys.argv[1], threads=1), port=0, access=Access(per_minute=2))
"""


def test_a_limit_leaves_the_check_of_the_host_as_it_is(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _SERVER, str(write_tiny_models(tmp_path))]
    environment = {**os.environ, STATE_VARIABLE: str(tmp_path / "state")}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[3]
        try:
            with httpx.Client(base_url=address, trust_env=False, timeout=60) as client:
                assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 421
                statuses = [client.post(URL, files=FILM).status_code for _ in range(3)]
                # Uploads of the web app are requests as well.
                statuses.append(client.post("/gradio_api/upload", files=FILM).status_code)
        finally:
            process.kill()
    assert statuses == [200, 200, 429, 429]


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=https://example.org/x.js",
        "/gradio_api/file=HTTPS://example.org/x.js",
        "/gradio_api/file= https://example.org/x.js",
        "/gradio_api/file=file:///etc/passwd",
        "/gradio_api/file=data:text/html,x",
        "/gradio_api/proxy=https://example.org",
        "/gradio_api/deep_link",
        "/gradio_api/component_server",
        "/gradio_api/component_server/",
        "/gradio_api/process_recording",
        "/gradio_api/vibe-edit",
        "/gradio_api/dev/reload",
        "/gradio_api/run/predict",
        "/gradio_api/call/predict",
        "/gradio_api/stream/a/b/c/playlist.m3u8",
        "/gradio_api/file/etc/passwd",
        "/gradio_api//upload",
        "/gradio_api",
        "/monitoring",
        "/monitoring/summary",
        "/login",
        "/logout",
        "/custom_component/a/b/c/d",
        "//gradio_api/deep_link",
        "/GRADIO_API/deep_link",
        "",
    ],
)
def test_what_the_page_has_no_use_for_is_closed(path: str) -> None:
    assert not is_open(path)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/assets/index.js",
        URL,
        "/healthz",
        "/gradio_api/upload",
        "/gradio_api/queue/join",
        "/gradio_api/heartbeat/abc",
        "/gradio_api/file=/tmp/uploads/abc/film.png",
        "/gradio_api/file=C:\\uploads\\film.png",
        "/gradio_api/file=relative/1:2.png",
    ],
)
def test_what_the_page_needs_is_open(path: str) -> None:
    assert is_open(path)


def test_hosts_are_checked_when_the_server_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = FastAPI()
    with pytest.raises(UsageError, match="is no host"):
        add_middleware(app, Metrics("0", lambda: 0), Access(hosts=("http://x",)), max_body=1)
