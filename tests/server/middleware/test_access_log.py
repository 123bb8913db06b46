"""One line a request: what is in it, and above all what is not."""

from __future__ import annotations

import http.client
import io
import json
import logging
import re
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from pneumocascade import Cascade, server
from pneumocascade.audit import logs
from pneumocascade.inference.cascade import Terms
from pneumocascade.inference.prepare import PreparedFilm
from pneumocascade.server.middleware.access_log import AccessLog, request_id
from pneumocascade.types import Prediction
from tests.audit.test_logs import lines, logging_as_before
from tests.conftest import film_png, vary_example, wait_until
from tests.imaging.dicom.objects import NAME, dataset, to_bytes
from tests.server.test_app import URL
from tests.server.test_batcher import FILMS, SECONDS, Watched
from tests.tiny_models import write_tiny_models

__all__ = ["logging_as_before"]

HOSTILE = "../../Planted^Patient\r\nSet-Cookie: a=b<script>.dcm"
FACTS = ("method", "route", "status", "duration_ms", "bytes_in", "bytes_out")
Said = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def said() -> Said:
    """All that was logged so far, by whomever."""
    stream = io.StringIO()
    logs.set_up("debug", as_json=True, stream=stream)
    return lambda: lines(stream)


class Quoting(Watched):
    """Fails on some films, and names them, as an operating system does."""

    def _judge(self, films: Sequence[PreparedFilm], how: Terms) -> list[Prediction]:
        for film in films:
            if film.source.startswith("fail"):
                raise FileNotFoundError(2, "no such file", film.source)
        return super()._judge(films, how)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Quoting(Cascade.load(write_tiny_models(tmp_path), threads=1))
    yield watched
    watched.release.set()


@pytest.fixture
def client(watched: Watched, said: Said) -> Iterator[TestClient]:
    app = AccessLog(server.create_app(watched, with_web=False))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def test_a_request_is_one_line(client: TestClient, said: Said) -> None:
    content = film_png()
    response = client.post(URL, files={"files": ("a.png", content, "image/png")})
    (line,) = said()
    assert set(FACTS) < set(line)
    assert (line["logger"], line["level"]) == ("pneumocascade.server.middleware.access_log", "info")
    assert (line["method"], line["route"], line["status"]) == ("POST", URL, 200)
    assert line["bytes_out"] == len(response.content)
    assert len(content) < line["bytes_in"] < len(content) + 1000
    assert 0 < line["duration_ms"] < 1000 * SECONDS
    assert line["request_id"] == response.headers["x-request-id"]


def test_a_number_of_films_that_a_route_tells_is_in_its_line(said: Said) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        logs.note(films=3)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    TestClient(AccessLog(app)).get("/")
    (line,) = said()
    assert (line["films"], line["status"], line["route"]) == (3, 204, "other")


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/healthz", "/healthz", 200),
        ("GET", f"/api/v1/{NAME}?patient={NAME}", "/api/{rest:path}", 404),
        ("GET", f"/{NAME}.dcm?a={NAME}", "other", 404),
        ("DELETE", "/api/v1/models", "/api/{rest:path}", 405),
        ("PLANTED", "/healthz", "other", 404),
    ],
)
def test_the_route_is_a_template(
    client: TestClient, said: Said, method: str, path: str, route: str, status: int
) -> None:
    response = client.request(method, path)
    (line,) = said()
    assert "planted" not in json.dumps(line).lower()
    assert line["status"] == response.status_code
    if method != "PLANTED":
        assert (line["method"], line["route"], line["status"]) == (method, route, status)
    else:
        assert line["method"] == "other"


@pytest.mark.parametrize("given_id", ["a", "A-z_0.9", "0" * 64])
def test_an_id_that_is_safe_is_kept(client: TestClient, said: Said, given_id: str) -> None:
    response = client.get("/healthz", headers={"X-Request-ID": given_id})
    assert response.headers.get_list("x-request-id") == [given_id]
    assert said()[0]["request_id"] == given_id


@pytest.mark.parametrize(
    "hostile", [b"", b"0" * 65, b"a b", b"a\nb", b"a\r\nSet-Cookie: c=d", b"<b>", b"\xff", b"a;b", b"a\x00"]
)
def test_an_id_that_is_not_is_replaced(hostile: bytes) -> None:
    found = request_id({"headers": [(b"x-request-id", hostile)]})
    assert re.fullmatch(r"[0-9a-f]{32}", found)


def test_two_ids_are_none() -> None:
    found = request_id({"headers": [(b"x-request-id", b"a"), (b"X-Request-ID", b"a")]})
    assert len(found) == 32


@given(st.binary(max_size=70))
def test_an_id_can_always_stand_in_a_header_and_a_line(given_id: bytes) -> None:
    found = request_id({"headers": [(b"x-request-id", given_id)]})
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", found)
    assert found == given_id.decode("latin-1") or len(found) == 32


def test_ids_differ_when_many_ask_at_once(client: TestClient, said: Said) -> None:
    def ask(number: int) -> str:
        film = FILMS["normal"]
        response = client.post(URL, files=[("files", (HOSTILE, film))] * (1 + number % 3))
        return str(response.headers["x-request-id"])

    with ThreadPoolExecutor(12) as pool:
        ids = list(pool.map(ask, range(60)))
    assert len(set(ids)) == 60
    assert sorted(line["request_id"] for line in said()) == sorted(ids)


def test_a_failure_is_one_line_with_the_status_and_id_of_its_answer(client: TestClient, said: Said) -> None:
    response = client.post(URL, files={"files": (f"fail {HOSTILE}", FILMS["normal"])})
    assert response.status_code == 500
    line = said()[-1]
    assert (line["level"], line["status"]) == ("error", 500)
    assert line["request_id"] == response.headers["x-request-id"]
    assert "planted" not in json.dumps(said()).lower()


def test_an_application_that_raises_is_a_failure(said: Said) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError(HOSTILE)

    assert TestClient(AccessLog(app), raise_server_exceptions=False).get("/").status_code == 500
    (line,) = said()
    assert (line["level"], line["status"]) == ("error", 500)


def test_busy_is_no_failure(said: Said) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 503, "headers": [(b"X-Request-Id", b"theirs")]})
        await send({"type": "http.response.body", "body": b"busy"})

    response = TestClient(AccessLog(app)).get("/")
    (line,) = said()
    assert (line["level"], line["status"], line["bytes_out"]) == ("info", 503, 4)
    assert response.headers.get_list("x-request-id") == [line["request_id"]]


@contextmanager
def served(app: Any) -> Iterator[int]:
    """Serve an application as :func:`pneumocascade.server.serve` does; yield its port."""
    listener = server.listen("127.0.0.1", 0)
    config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False)
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        wait_until(lambda: running.started)
        yield listener.getsockname()[1]
    finally:
        running.should_exit = True
        thread.join(SECONDS)
        listener.close()


def answer(port: int, request: bytes) -> bytes:
    """Return all that a server answers to bytes that ask it to close the connection, or make it do so."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def form(content: bytes, name: str = HOSTILE) -> tuple[bytes, dict[str, str]]:
    """Return a body with one film as a browser or worse would send it, and its headers."""
    head = f'--b\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
    return head + content + b"\r\n--b--\r\n", {"Content-Type": "multipart/form-data; boundary=b"}


def test_nothing_of_the_patient_is_logged_by_the_whole_server(watched: Watched, said: Said) -> None:
    good = to_bytes(dataset(vary_example(0), 8, PatientComments=NAME, WindowCenter="1.11", WindowWidth="1"))
    contents = (good, good.replace(b"1.11", b"Plan"), FILMS["normal"], b"no film", good[: len(good) // 2])
    names = ("Planted^Patient.dcm", HOSTILE.replace("\r\n", "%0d%0a"), HOSTILE, f"fail {NAME}")
    with served(AccessLog(server.create_app(watched, with_web=False))) as port:
        for content, name in product(contents, names):
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)) as connection:
                connection.request("POST", f"{URL}?include=pictures&x={NAME}", *form(content, name))
                connection.getresponse().read()
        answer(port, f"GET /{NAME} HTTP/9.9 {NAME}\r\n\r\n".encode())
        answer(port, f"GET /{NAME} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
    found = said()
    access = [line for line in found if line["logger"] == "pneumocascade.server.middleware.access_log"]
    assert len(access) >= len(names) * len(contents) + 1
    assert {200, 404, 500} <= {line["status"] for line in access}
    failures = [line for line in found if line["logger"] == "uvicorn.error" and "exception" in line]
    assert {line["request_id"] for line in failures} == {
        line["request_id"] for line in access if line["status"] == 500
    }
    assert "planted" not in json.dumps(found).lower()


def test_a_header_is_not_echoed_where_it_could_become_two(watched: Watched, said: Said) -> None:
    with served(AccessLog(server.create_app(watched, with_web=False))) as port:
        for hostile in (b"a\r\n Set-Cookie: c=d", b"a\nSet-Cookie: c=d", b"a%0d%0aSet-Cookie: c=d", b"a b"):
            request = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Request-ID: " + hostile
            head = answer(port, request + b"\r\n\r\n").lower()
            assert head.startswith(b"http/1.1 ")
            assert b"c=d" not in head
    assert "c=d" not in json.dumps(said())


@pytest.mark.parametrize("media_type", ["multipart/form-data; boundary=b", "image/png", "application/json"])
def test_a_client_that_goes_away_is_a_line_without_status(
    watched: Watched, said: Said, media_type: str
) -> None:
    with served(AccessLog(server.create_app(watched, with_web=False))) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
            head = f"Content-Type: {media_type}\r\nContent-Length: 999999\r\n\r\n"
            connection.sendall(f"POST {URL} HTTP/1.1\r\nHost: a\r\n{head}--b".encode())
        wait_until(lambda: any(line["message"] == "request" for line in said()))
    (line,) = (line for line in said() if line["message"] == "request")
    assert line["route"] == URL
    assert line["bytes_in"] == 3
    assert line["status"] in (None, 400)


def test_the_loggers_level_decides(watched: Watched) -> None:
    stream = io.StringIO()
    logs.set_up("warning", as_json=True, stream=stream)
    with TestClient(AccessLog(server.create_app(watched, with_web=False))) as client:
        assert client.get("/healthz").headers["x-request-id"]
    assert logging.getLogger("pneumocascade").level == logging.WARNING
    assert stream.getvalue() == ""
