"""The REST API: the contract's answers, limits, and problem details."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient

from pneumocascade import Cascade, UsageError, __version__, server
from pneumocascade.audit.counter import Counter
from pneumocascade.server import app as application
from pneumocascade.server import predictions
from pneumocascade.server.batcher import Batcher
from tests.conftest import film_png, wait_until
from tests.loops import run_apart
from tests.server.test_batcher import FILMS, SECONDS, Watched, requests
from tests.tiny_models import write_tiny_models

URL = "/api/v1/predictions"


@pytest.fixture
def client(cascade: Cascade, state: Path) -> Iterator[TestClient]:
    with TestClient(server.create_app(cascade, with_web=False)) as client:
        yield client


def test_one_film_gets_the_answer_of_the_cascade(client: TestClient, cascade: Cascade) -> None:
    response = client.post(URL, files={"files": ("a.png", film_png(), "image/png")})
    assert response.status_code == 200
    (found,) = response.json()["predictions"]
    expected = cascade.predict(film_png(), name="a.png").to_dict()
    assert found.pop("elapsed_ms") >= 0
    expected.pop("elapsed_ms")
    assert found == expected


def test_many_films_are_answered_in_order_whatever_they_are(client: TestClient, state: Path) -> None:
    films = [
        ("a.png", film_png(1)),
        ("b.png", film_png(2, 64)),
        ("c.jpeg", b"no film"),
        ("d.png", b""),
        ("e.png", film_png(3)),
    ]
    response = client.post(URL, files=[("files", film) for film in films])
    found = response.json()["predictions"]
    assert [one["source"] for one in found] == [name for name, _ in films]
    assert [one["status"] for one in found] == ["ok", "refused", "error", "error", "ok"]
    assert found[1]["reasons"][0]["code"] == "too_small"
    assert [one["error"]["code"] for one in found[2:4]] == ["unreadable_image", "empty_file"]
    assert Counter(state).value() == 2


def test_operating_point_is_taken_and_checked(client: TestClient) -> None:
    film = {"files": ("a.png", film_png())}
    found = client.post(URL, files=film, params={"operating_point": "sensitive"}).json()["predictions"][0]
    assert found["operating_point"] == "sensitive"
    response = client.post(URL, files=film, params={"operating_point": "odd"})
    assert_problem(response, 422, "operating point is 'odd'")


def test_two_operating_points_are_an_error(client: TestClient) -> None:
    response = client.post(
        f"{URL}?operating_point=balanced&operating_point=sensitive", files={"files": ("film.png", film_png())}
    )
    assert_problem(response, 422, "two operating points are given: balanced and sensitive")


def test_text_in_place_of_a_file_is_an_error(client: TestClient) -> None:
    assert_problem(
        client.post(URL, data={"files": "film.png"}), 422, "files is text where a file is expected"
    )


def test_operating_point_is_taken_from_the_form_too(client: TestClient) -> None:
    film = {"files": ("a.png", film_png())}
    found = client.post(URL, files=film, data={"operating_point": "specific"}).json()["predictions"][0]
    assert found["operating_point"] == "specific"
    assert_problem(
        client.post(URL, files=film, data={"operating_point": "odd"}), 422, "operating point is 'odd'"
    )
    form = {"operating_point": "specific"}
    for asked, status in (("sensitive", 422), ("specific", 200)):
        response = client.post(URL, files=film, params={"operating_point": asked}, data=form)
        assert response.status_code == status
    assert response.json()["predictions"][0]["operating_point"] == "specific"


def assert_problem(response: Any, status: int, detail: str) -> None:
    """Check a problem report (RFC 9457)."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert set(body) == {"type", "title", "status", "detail"}
    assert body["status"] == status
    assert detail in body["detail"]


def test_requests_that_make_no_sense_are_problems(client: TestClient) -> None:
    assert_problem(client.post(URL), 422, "files")
    assert_problem(client.get("/api/v1/nothing"), 404, "/api/v1/nothing")
    assert_problem(client.get("/nothing"), 404, "Not Found")
    for path in ("/api", "/api/", "/api/v1"):
        assert_problem(client.get(path), 404, path)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", URL, "POST"),
        ("DELETE", "/api/v1/models", "GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
        ("PUT", "/readyz", "GET, HEAD"),
    ],
)
def test_another_method_gets_the_allowed_ones(
    client: TestClient, method: str, path: str, allowed: str
) -> None:
    response = client.request(method, path)
    assert_problem(response, 405, f"{path} takes {allowed}, not {method}")
    assert response.headers["allow"] == allowed


@pytest.mark.parametrize("path", ["/healthz", "/api/v1/nothing", "/nothing", URL])
def test_browsers_must_guess_no_types(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_at_most_a_hundred_films(client: TestClient) -> None:
    films = [("files", (f"{number}.png", b"x")) for number in range(predictions.MAX_FILES + 1)]
    assert_problem(client.post(URL, files=films), 413, "at most 100")


def test_a_film_that_is_too_large(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "MAX_FILE_BYTES", 1000)
    assert_problem(client.post(URL, files={"files": ("a.png", b"x" * 1001)}), 413, "1001 bytes")
    assert client.post(URL, files={"files": ("a.png", b"x" * 1000)}).status_code == 200


def test_a_body_that_is_too_large(cascade: Cascade, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "MAX_BODY_BYTES", 5000)
    with TestClient(server.create_app(cascade, with_web=False)) as client:
        assert_problem(client.post(URL, files={"files": ("a.png", b"x" * 6000)}), 413, "5000 bytes")

        def chunks() -> Iterator[bytes]:
            yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
            for _ in range(10):
                yield b"x" * 1000
            yield b"\r\n--b--\r\n"

        response = client.post(
            URL, content=chunks(), headers={"content-type": "multipart/form-data; boundary=b"}
        )
        assert_problem(response, 413, "5000 bytes")


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """The tiny models, whose batches can be held up and are noted."""
    watched = Watched(Cascade.load(write_tiny_models(tmp_path), threads=1))
    yield watched
    watched.release.set()


def post(client: TestClient, names: list[str], operating_point: str = "balanced") -> Any:
    films = [("files", (name, FILMS.get(name, FILMS["normal"]))) for name in names]
    return client.post(URL, files=films, params={"operating_point": operating_point})


def comparable(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without its time; the size of a batch may move the last place of a probability."""
    kept = {key: value for key, value in answer.items() if key != "elapsed_ms"}
    for stage in ("stage1", "stage2"):
        if kept.get(stage):
            rounded = {
                label: pytest.approx(one, abs=2e-6) for label, one in kept[stage]["probabilities"].items()
            }
            kept[stage] = {**kept[stage], "probabilities": rounded}
    return kept


def test_concurrent_clients_get_the_answers_of_the_cascade_alone(watched: Watched, state: Path) -> None:
    asked = list(requests(28))
    with TestClient(server.create_app(watched, with_web=False)) as client, ThreadPoolExecutor(14) as pool:
        found = list(pool.map(lambda one: post(client, *one), asked))
    analysed = 0
    for (names, operating_point), response in zip(asked, found, strict=True):
        assert response.status_code == 200
        alone = watched.predict_many(
            [FILMS[name] for name in names], operating_point=operating_point, names=names
        )
        answers = response.json()["predictions"]
        assert [{**one, "elapsed_ms": 0} for one in answers] == [
            {**comparable(expected.to_dict()), "elapsed_ms": 0} for expected in alone
        ]
        assert all(one["elapsed_ms"] > 0 for one in answers)
        analysed += sum(one["status"] == "ok" for one in answers)
    assert Counter(state).value() == analysed > 0


def test_many_more_requests_may_wait_than_the_server_has_threads(watched: Watched) -> None:
    batcher = Batcher(watched, workers=1, batch_size=8)
    with (
        TestClient(server.create_app(watched, with_web=False, batcher=batcher)) as client,
        ThreadPoolExecutor(60) as pool,
    ):
        watched.release.clear()
        responses = [pool.submit(post, client, ["film 0"])]
        assert watched.entered.acquire(timeout=SECONDS)
        responses += [pool.submit(post, client, [f"film {number}"]) for number in range(1, 60)]
        wait_until(lambda: batcher.waiting == 59)
        healthy = client.get("/healthz")
        watched.release.set()
        assert healthy.status_code == 200
        found = [response.result(SECONDS).json()["predictions"][0]["source"] for response in responses]
    assert found == [f"film {number}" for number in range(60)]
    assert max(map(len, watched.batches)) == 8


def test_a_full_line_is_a_problem_that_says_when_to_try_again(watched: Watched) -> None:
    batcher = Batcher(watched, max_waiting=2, workers=1)
    with (
        TestClient(server.create_app(watched, with_web=False, batcher=batcher)) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        watched.release.clear()
        taken = pool.submit(post, client, ["taken up"])
        assert watched.entered.acquire(timeout=SECONDS)
        waiting = pool.submit(post, client, ["a", "b"])
        wait_until(lambda: batcher.waiting == 2)
        refused = post(client, ["c"])
        watched.release.set()
        assert_problem(refused, 503, "2 films wait and at most 2 may")
        assert int(refused.headers["retry-after"]) >= 1
        assert [one.result(SECONDS).status_code for one in (taken, waiting)] == [200, 200]
        assert post(client, ["c"]).status_code == 200


def test_a_failure_of_the_models_is_a_problem_and_the_next_request_works(watched: Watched) -> None:
    app = server.create_app(watched, with_web=False)
    with TestClient(app, raise_server_exceptions=False) as client:
        response = post(client, ["normal", "poison"])
        assert_problem(response, 500, "unexpected RuntimeError")
        assert "the models failed" not in response.text
        assert post(client, ["normal"]).status_code == 200


def test_those_who_wait_at_shutdown_get_an_error(watched: Watched) -> None:
    batcher = Batcher(watched, workers=1)
    app = server.create_app(watched, with_web=False, batcher=batcher)

    async def answers() -> list[httpx2.Response]:
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://server") as client:
            async with app.router.lifespan_context(app):
                watched.release.clear()
                taken = asyncio.create_task(client.post(URL, files={"files": ("a", FILMS["normal"])}))
                assert await asyncio.to_thread(watched.entered.acquire, timeout=SECONDS)
                waiting = asyncio.create_task(client.post(URL, files={"files": ("b", FILMS["normal"])}))
                await asyncio.to_thread(wait_until, lambda: batcher.waiting == 1)
                waiting.add_done_callback(lambda _: watched.release.set())
            return [await taken, await waiting]

    taken, waiting = run_apart(answers())
    assert taken.status_code == 200
    assert_problem(waiting, 503, "the server is stopping")
    assert waiting.headers["retry-after"] == "1"


def test_an_application_may_be_started_again(watched: Watched) -> None:
    app = server.create_app(watched, with_web=False)
    for _ in range(2):
        with TestClient(app) as client:
            assert post(client, ["normal"]).status_code == 200


def test_models_are_described(client: TestClient, cascade: Cascade) -> None:
    body = client.get("/api/v1/models").json()
    assert body["version"] == cascade.version
    assert body["stage1"]["labels"] == ["normal", "pneumonia"]
    assert body["stage2"]["operating_points"].keys() == cascade.specs[1].operating_points.keys()


def test_health(client: TestClient, cascade: Cascade) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    for path in ("/healthz", "/readyz", "/api/v1/models"):
        assert client.head(path).status_code == 200
    assert client.get("/readyz").json() == {"status": "ready", "model_version": cascade.version}
    described = client.get("/api/v1/openapi.json").json()
    assert described["info"]["version"] == __version__
    assert URL in described["paths"]


def test_no_page_that_loads_from_elsewhere(client: TestClient) -> None:
    assert client.get("/docs").status_code == 404
    assert client.get("/redoc").status_code == 404


def test_port_that_is_taken(cascade: Cascade) -> None:
    with server.listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} of 127.0.0.1 is taken"):
            server.serve(cascade, port=port)


@pytest.mark.parametrize(
    ("host", "port"), [("127.0.0.1", 70000), ("127.0.0.1", -1), ("no.such.host.invalid", 0), ("8.8.8.8", 0)]
)
def test_address_that_cannot_be_listened_on(host: str, port: int) -> None:
    with pytest.raises(UsageError, match="cannot listen"):
        server.listen(host, port)


def test_listens_where_it_says() -> None:
    with server.listen("127.0.0.1", 0) as listener:
        assert listener.family == socket.AF_INET
        assert listener.getsockname()[0] == "127.0.0.1"


def test_answers_do_not_wait_for_acknowledgements() -> None:
    """An answer is sent in several packets; with Nagle's algorithm the second waits for the client, 40 ms."""

    async def no_delay() -> int:
        accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.set_result(
                writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            )
            writer.close()

        with server.listen("127.0.0.1", 0) as listener:
            async with await asyncio.start_server(accept, sock=listener):
                _, writer = await asyncio.open_connection(*listener.getsockname())
                try:
                    return await asyncio.wait_for(accepted, SECONDS)
                finally:
                    writer.close()

    assert run_apart(no_delay())
