"""Who a request is for, and which page made a browser send it: what strangers try."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from starlette.websockets import WebSocketDisconnect
from typer.testing import CliRunner

from pneumocascade import Cascade, UsageError, server
from pneumocascade.audit.counter import STATE_VARIABLE
from pneumocascade.cli import app as command_line
from pneumocascade.server import LOOPBACK, Access
from pneumocascade.server.app import create_app
from pneumocascade.server.middleware.access_log import AccessLog
from pneumocascade.server.middleware.origins import HostCheck, check_hosts, host_of
from tests.loops import run_apart
from tests.server.middleware.test_limits import connect, rest, serving, small_app
from tests.tiny_models import write_tiny_models

URL = "/api/v1/predictions"
FILM = {"files": ("a.png", b"no film")}
OURS = "127.0.0.1:7860"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A server that answers for this machine alone."""
    folder = tmp_path_factory.mktemp("server")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(STATE_VARIABLE, str(folder / "state"))
        app = create_app(
            Cascade.load(write_tiny_models(folder), threads=1), with_web=False, access=Access(hosts=LOOPBACK)
        )
    with TestClient(app, base_url=f"http://{OURS}") as client:
        yield client


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:7860", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:7860", "LOCALHOST"],
)
def test_this_machine_is_answered_whatever_the_port(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


STRANGERS = [
    "evil.example",
    "evil.example:7860",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "127.0.0.1.nip.io",
    "evil.example#localhost",
    "localhost@evil.example",
    "evil.example@localhost",
    "localhost:7860@evil.example",
    "localhost, evil.example",
    "localhost/evil.example",
    "localhost?evil.example",
    "localhost:7860:7860",
    "localhost:port",
    "localhost:99999",
    "localhost.",  # a name of its own to browsers, with cookies of its own
    "127.1",
    "127.0.0.2",
    "2130706433",
    "0x7f000001",
    "0.0.0.0",
    "0",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[0:0:0:0:0:0:0:1]",
    "[::1",
    "::1",
    "192.168.0.7:7860",
    "%6cocalhost",
    "localhost%00.evil.example",
    "loc\xef\xbd\x81lhost",  # a wide "a"
    "",
    " ",
    ":7860",
    "null",
    "*",
]


@pytest.mark.parametrize("host", STRANGERS)
@pytest.mark.parametrize("path", ["/healthz", "/api/v1/models", "/metrics"])
def test_a_name_that_points_here_is_not_answered(client: TestClient, host: str, path: str) -> None:
    response = client.get(path, headers=[(b"host", host.encode("latin-1"))])
    assert response.status_code == 421
    assert "evil" not in response.text  # what a stranger says is not said again


def test_what_proxies_say_does_not_stand_for_the_host(client: TestClient) -> None:
    for name in ("X-Forwarded-Host", "X-Host", "X-Original-Host", "Forwarded"):
        given = {name: "host=localhost" if name == "Forwarded" else "localhost"}
        assert client.get("/healthz", headers={"Host": "evil.example", **given}).status_code == 421
        assert client.get("/healthz", headers={name: "evil.example"}).status_code == 200


def status_for(hosts: list[bytes]) -> int:
    """Return how a check for this machine answers a request with so many Host headers."""
    found: list[int] = []

    async def app(*_: Any) -> None:
        found.append(200)

    async def send(message: Any) -> None:
        found.append(message.get("status", found[-1] if found else 0))

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", host) for host in hosts]}
    run_apart(HostCheck(app, LOOPBACK)(scope, _nothing, send))
    return found[0]


async def _nothing() -> Any:
    raise AssertionError("there is no body to ask for")


@pytest.mark.parametrize("hosts", [[], [b"localhost", b"localhost"], [b"localhost", b"evil.example"]])
def test_there_is_one_host_or_no_answer(hosts: list[bytes]) -> None:
    assert status_for([b"localhost"]) == 200
    assert status_for(hosts) == 421


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.0\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n Host: localhost\r\n\r\n",
        b"GET http://evil.example/healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    ],
)
def test_over_a_real_connection(request_: bytes) -> None:
    app = small_app()
    app.add_middleware(HostCheck, hosts=LOOPBACK)
    with serving(AccessLog(app)) as port:
        statuses = []
        for each in (request_, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"):
            with connect(port) as stranger:
                stranger.sendall(each.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                statuses.append(int(rest(stranger).split()[1]))
    assert statuses[0] in (400, 421)
    assert statuses[1] == 200


@given(st.builds("{}{}{}".format, st.text(max_size=3), st.sampled_from(["", *LOOPBACK]), st.text(max_size=3)))
def test_only_a_port_may_stand_beside_the_name(text: str) -> None:
    if host_of(text) in LOOPBACK:
        shown = re.sub(r"[\t\r\n]", "", text).strip().lower()
        assert re.fullmatch(r"(localhost|127\.0\.0\.1|\[::1\])(:\d*)?", shown)


def test_hosts_that_are_let_in_by_name() -> None:
    assert check_hosts(["Films.Example.ORG", "::1", "127.0.0.1"]) == {"films.example.org", "::1", "127.0.0.1"}
    for wrong in ("films.example.org:80", "http://films.example.org", "a/b", "", "a b@c", "[::1]", "*@x"):
        with pytest.raises(UsageError, match="is no host"):
            check_hosts([wrong])


def test_the_option_adds_to_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Access] = []
    monkeypatch.setattr(server, "serve", lambda *_, access, **__: asked.append(access))
    for options in ([], ["--allow-host", "films.example.org", "--allow-host", "other"]):
        result = CliRunner().invoke(command_line, ["serve", *options])
        assert result.exit_code == 0, result.output
    assert [access.hosts for access in asked] == [None, (*LOOPBACK, "films.example.org", "other")]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1:7861"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://localhost:7860"},
        {"Origin": "http://evil.example@127.0.0.1:7860"},
        {"Origin": f"http://{OURS}.evil.example"},
        {"Origin": f"http://evil.example/{OURS}"},
        {"Origin": "file://"},
        {"Origin": "http://[::1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "odd"},
        {"Sec-Fetch-Site": ""},
        {"Sec-Fetch-Site": "cross-site", "Origin": f"http://{OURS}"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_page_of_another_site_sends_nothing_here(
    client: TestClient, headers: dict[str, str], method: str
) -> None:
    response = client.request(method, URL, files=FILM, headers=headers)
    assert response.status_code == 403
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": f"http://{OURS}"},
        {"Origin": f"http://{OURS}", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        # Behind a proxy the Host header may be another: what the browser says of itself counts.
        {"Origin": "https://films.example.org", "Sec-Fetch-Site": "same-origin"},
    ],
)
def test_programs_and_the_own_page_do(client: TestClient, headers: dict[str, str]) -> None:
    response = client.post(URL, files=FILM, headers=headers)
    assert response.status_code == 200
    assert not [name for name in response.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("path", [URL, "/api/v1/models", "/healthz", "/metrics", "/", "/gradio_api/upload"])
@pytest.mark.parametrize("origin", ["http://evil.example", "null", f"http://{OURS}"])
def test_a_browser_that_asks_beforehand_gets_no_permission(
    client: TestClient, path: str, origin: str
) -> None:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
        "Access-Control-Request-Private-Network": "true",
    }
    response = client.options(path, headers=asked)
    assert response.status_code == 400
    assert "access-control-allow-origin" not in response.headers
    assert "access-control-allow-credentials" not in response.headers
    assert "access-control-allow-private-network" not in response.headers
    answer = client.get(path, headers={"Origin": origin})
    assert "access-control-allow-origin" not in answer.headers


def test_sockets_are_closed(client: TestClient) -> None:
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}, {}):
        with (
            pytest.raises(WebSocketDisconnect) as caught,
            client.websocket_connect("/queue", headers=headers),
        ):
            pass
        assert caught.value.code == 1008
