"""Answers are compressed where that helps; streams of events still stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import Message

from pneumocascade.server.middleware.transfer import MIN_COMPRESSED_BYTES, CacheHeaders, Compression
from tests.loops import run_apart

TAKES = {"Accept-Encoding": "gzip"}


def test_an_event_reaches_the_client_before_the_next_is_made() -> None:
    """The messages of the server are looked at one by one: a client of the tests would gather them."""
    app = FastAPI()
    more = asyncio.Event()
    seen: list[bytes] = []

    @app.get("/gradio_api/queue/data")
    def events() -> StreamingResponse:
        async def each() -> AsyncIterator[bytes]:
            yield b"data: first\n\n" * 200
            await asyncio.wait_for(more.wait(), 10)  # it is set only when the first was received
            yield b"data: second\n\n"

        return StreamingResponse(each(), media_type="text/event-stream")

    async def receive() -> Message:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            assert b"content-encoding" not in dict(message["headers"])
        elif body := message.get("body"):
            seen.append(body)
            more.set()

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/gradio_api/queue/data",
        "raw_path": b"/gradio_api/queue/data",
        "query_string": b"",
        "headers": [(b"accept-encoding", b"gzip, br")],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("testserver", 80),
        "root_path": "",
    }
    run_apart(Compression(CacheHeaders(app))(scope, receive, send))
    assert seen[-1] == b"data: second\n\n"
    assert len(seen) == 2


def test_small_and_compressed_answers_stay_as_they_are() -> None:
    app = FastAPI()

    @app.get("/small")
    def small() -> PlainTextResponse:
        return PlainTextResponse("a" * (MIN_COMPRESSED_BYTES - 1))

    @app.get("/large")
    def large() -> PlainTextResponse:
        return PlainTextResponse("a" * MIN_COMPRESSED_BYTES)

    client = TestClient(Compression(app))
    assert "content-encoding" not in client.get("/small", headers=TAKES).headers
    assert client.get("/large", headers=TAKES).headers["content-encoding"] == "gzip"
    assert "content-encoding" not in client.get("/large", headers={"Accept-Encoding": "br"}).headers
