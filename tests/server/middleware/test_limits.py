"""How much, how slowly, how often, by how many: over real sockets, by clients that behave badly."""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI, Request, UploadFile
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from pneumocascade.server.middleware import connections, limits
from pneumocascade.server.middleware.connections import TimeLimitedProtocol, allow_files
from pneumocascade.server.middleware.limits import BodyLimit, RateLimit, RequestLimit, SlowBodies
from pneumocascade.server.problems import PROBLEM_JSON, add_problem_handlers
from tests.conftest import wait_until

SECONDS = 30.0
"""Longest wait for what should come at once."""

HEAD = (
    b"POST %s HTTP/1.1\r\nHost: server\r\n"
    b"Content-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n"
)


def small_app() -> FastAPI:
    """An application that takes a body and tells its length, and one that takes a file."""
    app = FastAPI()
    add_problem_handlers(app)

    @app.post("/api/take")
    async def take(request: Request) -> int:
        return len(await request.body())

    @app.post("/api/file")
    async def file(file: UploadFile) -> int:
        return file.size or 0

    @app.get("/healthz")
    def healthz() -> str:
        return "ok"

    return app


@contextmanager
def serving(app: Any, patience: float = SECONDS, most: int = connections.MAX_CONNECTIONS) -> Iterator[int]:
    """Serve an application in a thread and give its port."""
    protocol = type("Protocol", (TimeLimitedProtocol,), {"patience": patience, "most": most})
    server = uvicorn.Server(uvicorn.Config(app, http=protocol, log_config=None, lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        wait_until(lambda: server.started)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(SECONDS)
            assert not thread.is_alive()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=SECONDS)


def rest(client: socket.socket) -> bytes:
    """Return all that comes until the server closes the connection."""
    found = b""
    try:
        while part := client.recv(65536):
            found += part
    except ConnectionResetError:  # a close with something unread on its side
        return found
    return found


def answer_of(client: socket.socket) -> bytes:
    """Return one whole answer, which may come in pieces."""
    found = b""
    while b"\r\n\r\n" not in found:
        found += client.recv(65536)
    head, _, body = found.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += client.recv(65536)
    return head + b"\r\n\r\n" + body


def trickle(client: socket.socket, content: bytes, pause: float) -> bytes:
    """Send one byte at a time until the server answers or is gone; return what it said."""
    client.settimeout(pause)
    for number in itertools.count():
        try:
            client.send(content[number % len(content) :][:1])
            if not (answer := client.recv(65536)):
                return b""
            client.settimeout(SECONDS)
            return answer + rest(client)
        except TimeoutError:  # noqa: PERF203  it is what is waited for
            assert number * pause < SECONDS, "nobody cut it"
        except (ConnectionResetError, BrokenPipeError):
            return b""
    raise AssertionError


@pytest.mark.parametrize("path", [b"/api/take", b"/api/file"])
def test_who_sends_a_byte_at_a_time_is_cut(path: bytes) -> None:
    app = small_app()
    app.add_middleware(SlowBodies, grace=0.5, rate=1000.0)
    head = HEAD % (path, 100_000)
    if path.endswith(b"file"):
        head = head.replace(b"application/octet-stream", b"multipart/form-data; boundary=b")
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="film"\r\n\r\n'
    with serving(app) as port, connect(port) as client:
        client.sendall(head)
        started = time.monotonic()
        answer = trickle(client, part + bytes(1000), 0.05)
        took = time.monotonic() - started
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert PROBLEM_JSON.encode() in answer
    assert b"less than 1000 bytes a second" in answer
    assert 0.4 < took < 10


def test_who_sends_nothing_after_the_head_is_cut() -> None:
    app = small_app()
    app.add_middleware(SlowBodies, grace=0.3, rate=1000.0)
    with serving(app) as port, connect(port) as client:
        client.sendall(HEAD % (b"/api/take", 10))
        assert rest(client).startswith(b"HTTP/1.1 408 ")


def test_who_sends_steadily_may_take_longer_than_the_grace() -> None:
    app = small_app()
    app.add_middleware(SlowBodies, grace=0.5, rate=1000.0)
    with serving(app) as port, connect(port) as client:
        client.sendall(HEAD % (b"/api/take", 10_000))
        for _ in range(20):
            client.sendall(b"x" * 500)
            time.sleep(0.06)
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_the_time_that_the_server_takes_is_not_the_clients() -> None:
    app = FastAPI()
    add_problem_handlers(app)

    @app.post("/api/slow")
    async def slow(request: Request) -> int:
        found = 0
        async for chunk in request.stream():
            found += len(chunk)
            await asyncio.sleep(0.1)
        return found

    app.add_middleware(SlowBodies, grace=0.3, rate=1e9)
    with serving(app) as port:
        response = httpx2.post(f"http://127.0.0.1:{port}/api/slow", content=b"x" * 1_000_000)
    assert response.json() == 1_000_000


def test_a_client_that_vanishes_costs_nothing() -> None:
    app = small_app()
    body, requests = BodyLimit(app, 10**6, "/api/"), RequestLimit(app)
    requests.app = body
    files = Path("/proc/self/fd")

    with serving(requests) as port:
        before = len(list(files.iterdir())) if files.is_dir() else 0
        gone = [connect(port) for _ in range(20)]
        for client in gone:
            client.sendall(HEAD % (b"/api/take", 50_000) + b"x" * 40_000)
        wait_until(lambda: body.held == 20 * 40_000)
        assert requests.current == 20
        for client in gone:
            client.close()
        wait_until(lambda: requests.current == 0)
        assert body.held == 0
        if before:
            wait_until(lambda: len(list(files.iterdir())) == before)
        assert httpx2.post(f"http://127.0.0.1:{port}/api/take", content=b"abc").json() == 3


def test_uploads_of_all_together_are_bounded() -> None:
    app = small_app()
    body = BodyLimit(app, limit=1000, prefix="/api/", total=1500)
    with serving(body) as port, connect(port) as waiting:
        waiting.sendall(HEAD % (b"/api/take", 1000) + b"x" * 999)
        wait_until(lambda: body.held == 999)
        url = f"http://127.0.0.1:{port}/api/take"
        refused = httpx2.post(url, content=b"x" * 600)
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == str(limits.RETRY_SECONDS)
        assert httpx2.post(url, content=b"x" * 400).json() == 400
        waiting.sendall(b"x")
        assert waiting.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert httpx2.post(url, content=b"x" * 600).json() == 600
        assert httpx2.post(url, content=b"x" * 1001).status_code == 413
        wait_until(lambda: body.held == 0)


def test_requests_beyond_the_limit_say_when_to_come_back() -> None:
    app = small_app()
    requests = RequestLimit(app, most=2)
    with serving(requests) as port, connect(port) as one, connect(port) as other:
        for client in (one, other):
            client.sendall(HEAD % (b"/api/take", 2) + b"x")
        wait_until(lambda: requests.current == 2)
        address = f"http://127.0.0.1:{port}"
        refused = httpx2.post(f"{address}/api/take", content=b"abc")
        assert refused.status_code == 503
        assert refused.headers["content-type"] == PROBLEM_JSON
        assert int(refused.headers["retry-after"]) >= 1
        assert httpx2.get(f"{address}/healthz").status_code == 200
        one.sendall(b"x")
        assert one.recv(65536).startswith(b"HTTP/1.1 200 ")
        wait_until(lambda: requests.current == 1)
        assert httpx2.post(f"{address}/api/take", content=b"abc").json() == 3


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: "])
def test_a_connection_without_a_request_is_closed(sent: bytes) -> None:
    with serving(small_app(), patience=0.3) as port, connect(port) as client:
        client.sendall(sent)
        started = time.monotonic()
        assert rest(client) == b""
        assert time.monotonic() - started < 10


def test_a_head_that_trickles_in_is_cut() -> None:
    with serving(small_app(), patience=0.3) as port, connect(port) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: server\r\nX-Long: ")
        assert trickle(client, b"x", 0.05) == b""


def test_the_rest_of_a_refused_body_is_not_waited_for() -> None:
    app = BodyLimit(small_app(), 1000, "/api/")
    with serving(app, patience=0.3) as port, connect(port) as client:
        client.sendall(HEAD % (b"/api/take", 10**6))
        assert answer_of(client).startswith(b"HTTP/1.1 413 ")
        assert trickle(client, b"x", 0.05) == b""


def test_a_connection_in_use_outlives_the_wait_for_a_request() -> None:
    with serving(small_app(), patience=0.3) as port, connect(port) as client:
        for _ in range(8):
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: server\r\n\r\n")
            assert answer_of(client).startswith(b"HTTP/1.1 200 ")
            time.sleep(0.1)


def test_a_slow_answer_outlives_the_wait_for_a_request() -> None:
    app = FastAPI()

    @app.get("/slow")
    async def slow() -> str:
        await asyncio.sleep(0.8)
        return "at last"

    with serving(app, patience=0.2) as port:
        assert httpx2.get(f"http://127.0.0.1:{port}/slow").json() == "at last"


def test_connections_are_bounded() -> None:
    with serving(small_app(), most=3) as port:
        held = [connect(port) for _ in range(3)]
        with connect(port) as one_more:
            assert rest(one_more).startswith(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: ")
        for client in held:
            client.close()

        def answers() -> bool:
            return httpx2.get(f"http://127.0.0.1:{port}/healthz").status_code == 200

        wait_until(answers)


def test_more_than_the_rate_is_refused_and_asking_is_free() -> None:
    app = small_app()
    app.add_middleware(RateLimit, per_minute=3)
    with TestClient(app) as client:
        statuses = [client.post("/api/take", content=b"x").status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        refused = client.post("/api/take", content=b"x")
        assert refused.headers["content-type"] == PROBLEM_JSON
        assert 1 <= int(refused.headers["retry-after"]) <= 21
        assert [client.get("/healthz").status_code for _ in range(10)] == [200] * 10
    with TestClient(app, client=("10.0.0.9", 1)) as another:
        assert another.post("/api/take", content=b"x").status_code == 200


@given(st.integers(1, 200), st.lists(st.floats(0, 30), min_size=1, max_size=200))
def test_no_stretch_of_time_has_more_than_the_rate(per_minute: int, pauses: list[float]) -> None:
    limit = RateLimit(small_app(), per_minute)
    times = list(itertools.accumulate(pauses, initial=1000.0))
    admitted = [now for now in times if limit._wait("10.0.0.1", now) == 0]
    for first, last in itertools.combinations(range(len(admitted)), 2):
        allowed = per_minute + (admitted[last] - admitted[first]) * per_minute / 60
        assert last - first + 1 <= allowed + 1e-6


@given(st.integers(1, 200), st.lists(st.floats(0, 5), max_size=50))
def test_who_waits_as_asked_is_let_in(per_minute: int, pauses: list[float]) -> None:
    limit = RateLimit(small_app(), per_minute)
    now = 1000.0
    for pause in pauses:
        now += pause
        limit._wait("10.0.0.1", now)
    wait = limit._wait("10.0.0.1", now)  # 0: let in at once, and one is taken out
    assert wait == 0 or limit._wait("10.0.0.1", now + wait + 1e-6) == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("", "unknown", False),
    ],
)
def test_the_owner_of_a_network_is_one_sender(one: str, other: str, same: bool) -> None:
    limit = RateLimit(small_app(), 1)
    app = TestClient(limit, client=(one, 1)), TestClient(limit, client=(other, 1))
    statuses = [client.post("/api/take", content=b"x").status_code for client in app]
    assert statuses == [200, 429 if same else 200]


def test_addresses_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_CLIENTS", 10)
    limit = RateLimit(small_app(), 1)
    for number in range(100):
        assert limit._wait(f"10.0.0.{number}", 0.0) == 0
    assert len(limit._buckets) == 10
    assert limit._wait("10.0.0.99", 0.0) > 0


def test_as_many_files_may_be_open_as_the_system_allows() -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        fewer = min(256, before[1])
        resource.setrlimit(resource.RLIMIT_NOFILE, (fewer, before[1]))
        assert allow_files(fewer + 10) == min(fewer + 10, before[1])
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(fewer + 10, before[1]), before[1])
        assert allow_files(1) == min(fewer + 10, before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
