"""Pages of origins that are named may use the API, and nothing else of the server; others may not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from pneumocascade import Cascade, UsageError, server
from pneumocascade.audit.counter import STATE_VARIABLE
from pneumocascade.cli import app as command_line
from pneumocascade.server import LOOPBACK, Access
from pneumocascade.server.app import create_app
from pneumocascade.server.middleware.origins import check_origins
from tests.tiny_models import write_tiny_models

URL = "/api/v1/predictions"
FILM = {"files": ("a.png", b"no film")}
VIEWER = "https://viewer.example.org"
TOKEN = "0123456789abcdef"
SENT = {"Origin": VIEWER, "Sec-Fetch-Site": "cross-site"}
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ALLOWED = "access-control-allow-origin"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("server")
    access = Access(hosts=LOOPBACK, origins=(VIEWER, "http://localhost:3000"), per_minute=1000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(STATE_VARIABLE, str(folder / "state"))
        cascade = Cascade.load(write_tiny_models(folder), threads=1)
        app = create_app(cascade, with_web=False, access=access, token=TOKEN)
    with TestClient(app, base_url="http://127.0.0.1:7860") as client:
        yield client


def test_a_page_that_is_named_sends_and_reads(client: TestClient) -> None:
    asked = {
        "Origin": VIEWER,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    before = client.options(URL, headers=asked)  # without a token: browsers send none
    assert before.status_code == 200
    assert before.headers[ALLOWED] == VIEWER
    assert "Authorization" in before.headers["access-control-allow-headers"]
    answer = client.post(URL, files=FILM, headers=SENT | BEARER)
    assert answer.status_code == 200
    assert answer.headers[ALLOWED] == VIEWER
    assert "access-control-allow-credentials" not in answer.headers
    assert "Retry-After" in answer.headers["access-control-expose-headers"]


def test_it_can_read_what_is_refused(client: TestClient) -> None:
    no_token = client.post(URL, files=FILM, headers=SENT)
    other_host = client.post(URL, files=FILM, headers=SENT | BEARER | {"Host": "evil.example"})
    assert (no_token.status_code, other_host.status_code) == (401, 421)
    assert no_token.headers[ALLOWED] == other_host.headers[ALLOWED] == VIEWER


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://viewer.example.org",
        f"{VIEWER}:8443",
        f"{VIEWER}.evil.example",
        f"{VIEWER}/",
        "https://evil@viewer.example.org",
        "http://localhost:3001",
    ],
)
def test_others_are_refused_as_ever(client: TestClient, origin: str) -> None:
    answer = client.post(URL, files=FILM, headers=BEARER | {"Origin": origin})
    assert answer.status_code == 403
    assert ALLOWED not in answer.headers
    before = client.options(URL, headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
    assert before.status_code == 400
    assert ALLOWED not in before.headers


@pytest.mark.parametrize("path", ["/", "/gradio_api/upload", "/metrics", "/apiary"])
def test_the_rest_of_the_server_is_for_no_other_page(client: TestClient, path: str) -> None:
    sent = client.post(path, files=FILM, headers=SENT | BEARER)
    assert sent.status_code == 403
    read = client.get(path, headers=SENT | BEARER)
    assert ALLOWED not in sent.headers
    assert ALLOWED not in read.headers


def test_what_is_no_origin_is_refused() -> None:
    fine = {"https://a.example", "http://localhost:3000", "http://[::1]:8080", "http://192.0.2.1"}
    assert check_origins(fine) == fine
    wrong = ("*", "null", "", "a.example", "https://*.example", "https://a.example/", "https://A.example")
    for origin in (*wrong, "https://a.example:443", "ftp://a.example", "https://u@a.example", "https://a:x"):
        with pytest.raises(UsageError, match="is no origin"):
            check_origins([origin])


def test_the_option_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(server, "serve", lambda *_, access, **__: asked.append(access.origins))
    for options in ([], ["--cors-origin", VIEWER, "--cors-origin", "http://localhost:3000"]):
        result = CliRunner().invoke(command_line, ["serve", *options])
        assert result.exit_code == 0, result.output
    assert asked == [(), (VIEWER, "http://localhost:3000")]
