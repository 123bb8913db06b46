"""The REST API: the contract's answers, limits, and problem details."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from pneumocascade import Cascade, UsageError, __version__, server
from pneumocascade.report import to_dict
from pneumocascade.web.counter import STATE_VARIABLE, Counter
from tests.conftest import vary_example

URL = "/api/v1/predictions"


def png(seed: int = 0, side: int = 300) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(vary_example(seed, side, side)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A count of films of the test's own."""
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def client(cascade: Cascade, state: Path) -> Iterator[TestClient]:
    with TestClient(server.create_app(cascade, with_web=False)) as client:
        yield client


def test_one_film_gets_the_answer_of_the_cascade(client: TestClient, cascade: Cascade) -> None:
    response = client.post(URL, files={"files": ("a.png", png(), "image/png")})
    assert response.status_code == 200
    (found,) = response.json()["predictions"]
    expected = to_dict(cascade.predict(png(), name="a.png"))
    assert found.pop("elapsed_ms") >= 0
    expected.pop("elapsed_ms")
    assert found == expected


def test_many_films_are_answered_in_order_whatever_they_are(client: TestClient, state: Path) -> None:
    films = [
        ("a.png", png(1)),
        ("b.png", png(2, 64)),
        ("c.jpeg", b"no film"),
        ("d.png", b""),
        ("e.png", png(3)),
    ]
    response = client.post(URL, files=[("files", film) for film in films])
    found = response.json()["predictions"]
    assert [one["source"] for one in found] == [name for name, _ in films]
    assert [one["status"] for one in found] == ["ok", "refused", "error", "error", "ok"]
    assert found[1]["reasons"][0]["code"] == "too_small"
    assert [one["error"]["code"] for one in found[2:4]] == ["unreadable_image", "empty_file"]
    assert Counter(state).value() == 2


def test_operating_point_is_taken_and_checked(client: TestClient) -> None:
    film = {"files": ("a.png", png())}
    found = client.post(URL, files=film, params={"operating_point": "sensitive"}).json()["predictions"][0]
    assert found["operating_point"] == "sensitive"
    response = client.post(URL, files=film, params={"operating_point": "odd"})
    assert_problem(response, 422, "operating point is 'odd'")


def test_operating_point_is_taken_from_the_form_too(client: TestClient) -> None:
    film = {"files": ("a.png", png())}
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
def test_another_method_is_told_which_there_are(
    client: TestClient, method: str, path: str, allowed: str
) -> None:
    response = client.request(method, path)
    assert_problem(response, 405, f"{path} takes {allowed}, not {method}")
    assert response.headers["allow"] == allowed


@pytest.mark.parametrize("path", ["/healthz", "/api/v1/nothing", "/nothing", URL])
def test_browsers_are_told_to_guess_no_types(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_at_most_a_hundred_films(client: TestClient) -> None:
    films = [("files", (f"{number}.png", b"x")) for number in range(server.MAX_FILES + 1)]
    assert_problem(client.post(URL, files=films), 413, "at most 100")


def test_a_film_that_is_too_large(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_FILE_BYTES", 1000)
    assert_problem(client.post(URL, files={"files": ("a.png", b"x" * 1001)}), 413, "1001 bytes")
    assert client.post(URL, files={"files": ("a.png", b"x" * 1000)}).status_code == 200


def test_a_body_that_is_too_large(cascade: Cascade, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_BODY_BYTES", 5000)
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


def test_models_are_described(client: TestClient, cascade: Cascade) -> None:
    body = client.get("/api/v1/models").json()
    assert body["version"] == cascade.version
    assert body["stage1"]["labels"] == ["normal", "pneumonia"]
    assert body["stage2"]["operating_points"].keys() == cascade.stage2.spec.operating_points.keys()


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
