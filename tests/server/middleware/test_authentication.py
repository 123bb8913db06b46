"""Nobody without the token, wherever they knock; and the health of the server for anybody."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from typer.testing import CliRunner

from pneumocascade import Cascade, UsageError
from pneumocascade.audit.counter import STATE_VARIABLE
from pneumocascade.cli import app as command_line
from pneumocascade.server.app import create_app

TOKEN = "a-token-that-nobody-guesses"


@pytest.fixture
def client(cascade: Cascade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    return TestClient(create_app(cascade, with_web=False, token=TOKEN))


def basic(password: str, user: str = "anybody") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize("path", ["/api/v1/models", "/metrics", "/api/v1/predictions"])
@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        TOKEN,
        basic(TOKEN),
    ],
)
def test_programs_need_the_token(client: TestClient, path: str, header: str) -> None:
    response = client.get(path, headers={"Authorization": header} if header else {})
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["content-type"] == "application/problem+json"
    assert TOKEN not in response.text


def test_with_the_token_all_is_as_without(client: TestClient) -> None:
    headers = {"Authorization": f"bearer {TOKEN}"}
    assert client.get("/api/v1/models", headers=headers).status_code == 200
    film = {"files": ("a.png", b"no film")}
    assert client.post("/api/v1/predictions", files=film, headers=headers).status_code == 200
    assert client.post("/api/v1/predictions", files=film).status_code == 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_anybody_may_ask_for_the_health(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/gradio_api/info", "/anything", "//api/v1/models", "/API/v1/models"),
        *("/api/v1/docs", "/api/v1/openapi.json"),
    ],
)
def test_browsers_are_asked_for_the_token_as_a_password(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Basic realm=")
    assert client.get(path, headers={"Authorization": basic("wrong")}).status_code == 401
    assert client.get(path, headers={"Authorization": "Basic %%%"}).status_code == 401
    assert client.get(path, headers={"Authorization": basic(TOKEN, "user:")}).status_code == 401
    # There is no web app here: of what gets past authentication, only the documentation is found.
    let_in = client.get(path, headers={"Authorization": basic(TOKEN)})
    assert let_in.status_code == (200 if path.startswith("/api/v1/") else 404)


def test_the_web_app_is_behind_it(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n", encoding="ascii")
    code = "import sys; from pathlib import Path; from pneumocascade import Cascade, server; "
    code += "server.serve(Cascade.load(threads=1), port=0, token=Path(sys.argv[1]).read_text().strip())"
    command = [sys.executable, "-c", code, str(tmp_path / "token")]
    environment = {**os.environ, STATE_VARIABLE: str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[3]
        try:
            statuses = {
                (path, header): httpx2.get(f"{address}{path}", headers={"Authorization": header}).status_code
                for path in ("/", "/config", "/gradio_api/info", "/healthz")
                for header in (basic("wrong"), basic(TOKEN))
            }
        finally:
            process.terminate()
    assert [key for key, status in statuses.items() if status == 401] == [
        (path, basic("wrong")) for path in ("/", "/config", "/gradio_api/info")
    ]
    assert {status for status in statuses.values() if status != 401} == {200}


def test_sockets_are_closed(client: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect) as caught, client.websocket_connect("/anything"):
        pass
    assert caught.value.code == 1008


@pytest.mark.parametrize(
    "token", ["", "short", "with a space in the middle", "ümlaut-ümlaut-ümlaut", "a\n" * 20]
)
def test_a_token_that_is_no_use_is_refused(cascade: Cascade, token: str) -> None:
    with pytest.raises(UsageError, match="expected 16 or more"):
        create_app(cascade, with_web=False, token=token)


def test_the_command_line_tells_of_a_token_file_it_cannot_use(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("short\n", encoding="ascii")
    for given, message in ((file, "expected 16"), (tmp_path / "missing", "cannot be read")):
        result = CliRunner().invoke(command_line, ["serve", "--port", "1", "--token-file", str(given)])
        assert isinstance(result.exception, UsageError)
        assert message in str(result.exception) or "port 1" in str(result.exception)
