"""The REST API, with the web app mounted at ``/``.

Errors are problem details (RFC 9457), ``application/problem+json``.
"""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from pneumocascade import __version__, report
from pneumocascade.batcher import Batcher
from pneumocascade.cascade import DEFAULT_OPERATING_POINT, Cascade
from pneumocascade.errors import MissingExtraError, UsageError
from pneumocascade.line import Film
from pneumocascade.web.counter import Counter

try:
    import uvicorn
    from fastapi import FastAPI, Form, HTTPException, Query, Request, UploadFile
    from fastapi.concurrency import run_in_threadpool
    from fastapi.routing import APIRoute

    from pneumocascade.problems import add_problem_handlers, problem
except ModuleNotFoundError as error:
    raise MissingExtraError("the server", "web") from error

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from pneumocascade.records import Prediction

MAX_FILES = 100
"""Films of one request."""

MAX_FILE_BYTES = 64 * 1024 * 1024
"""Largest film, in bytes."""

MAX_BODY_BYTES = 512 * 1024 * 1024
"""Largest request, in bytes."""


def create_app(cascade: Cascade, *, with_web: bool = True, batcher: Batcher | None = None) -> FastAPI:
    """Return the application; its lifespan starts and stops the batcher.

    Parameters
    ----------
    cascade : Cascade
        Gives every answer.
    with_web : bool
        Mount the web app at ``/``.
    batcher : Batcher, optional
        Answers the requests for predictions; by default one around the cascade.
    """
    shared = batcher or Batcher(cascade)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        shared.start()
        try:
            yield
        finally:
            await run_in_threadpool(shared.stop)

    # The interactive documentation would load its scripts from another host.
    app = FastAPI(
        title="pneumocascade",
        version=__version__,
        description=report.DISCLAIMER,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    counter = Counter()
    _add_predictions(app, shared, counter)
    _add_descriptions(app, cascade)
    _add_refusals(app)
    add_problem_handlers(app)
    app.add_middleware(BodyLimit, limit=MAX_BODY_BYTES, prefix="/api/")
    app.add_middleware(_SecurityHeaders)
    if with_web:
        from pneumocascade.web import mount_app

        mount_app(app, cascade, counter)
    return app


def _add_predictions(app: FastAPI, batcher: Batcher, counter: Counter) -> None:
    # A coroutine: hundreds of requests may wait for the batcher, and the server has few threads.
    @app.post("/api/v1/predictions", responses={503: {"description": "Too many films wait; see Retry-After"}})
    async def predictions(
        files: list[UploadFile],
        operating_point: Annotated[str | None, Query()] = None,
        in_form: Annotated[str | None, Form(alias="operating_point")] = None,
    ) -> dict[str, Any]:
        """Judge one or many films; the operating point is taken from the query or the form."""
        _check_limits(files)
        films = [
            Film(file.filename or f"file {number}", partial(_content, file))
            for number, file in enumerate(files, start=1)
        ]
        found = await asyncio.wrap_future(batcher.submit(films, _one_of(operating_point, in_form)))
        return await run_in_threadpool(_report, found, counter)


def _report(found: list[Prediction], counter: Counter) -> dict[str, Any]:
    counter.add(sum(prediction.status == "ok" for prediction in found))
    return {"predictions": [report.to_dict(prediction) for prediction in found]}


def _content(file: UploadFile) -> bytes:
    file.file.seek(0)
    return file.file.read()


def _add_descriptions(app: FastAPI, cascade: Cascade) -> None:
    @app.get("/api/v1/models")
    def models() -> dict[str, Any]:
        """Describe the models."""
        return {
            "version": cascade.version,
            "stage1": dataclasses.asdict(cascade.stage1.spec),
            "stage2": dataclasses.asdict(cascade.stage2.spec),
        }

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        """Tell that the process answers."""
        return {"status": "ok"}

    @app.get("/readyz")
    def readyz() -> dict[str, str]:
        """Tell that the models are loaded."""
        return {"status": "ready", "model_version": cascade.version}

    for path, answer in (("/api/v1/models", models), ("/healthz", healthz), ("/readyz", readyz)):
        app.head(path, include_in_schema=False)(answer)


def _add_refusals(app: FastAPI) -> None:
    """Answer for what is not there, and for other methods, rather than the web app mounted behind."""
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

    def refuse(request: Request) -> None:
        path = request.url.path
        allowed = {
            method
            for route in app.routes
            if isinstance(route, APIRoute) and route.path == path and route.endpoint is not refuse
            for method in route.methods or ()
        }
        if not allowed:
            raise HTTPException(404, f"there is no {path}")
        listed = ", ".join(sorted(allowed))
        raise HTTPException(405, f"{path} takes {listed}, not {request.method}", {"Allow": listed})

    for path in ("/api", "/api/{rest:path}", "/healthz", "/readyz"):
        app.add_api_route(path, refuse, methods=methods, include_in_schema=False)


def _one_of(*given: str | None) -> str:
    """Return the operating point, which may be given in two places; the default where in none."""
    found = {name for name in given if name is not None}
    if len(found) > 1:
        raise UsageError(f"two operating points are given: {' and '.join(sorted(found))}; expected one")
    return found.pop() if found else DEFAULT_OPERATING_POINT


def _check_limits(files: list[UploadFile]) -> None:
    if len(files) > MAX_FILES:
        raise HTTPException(413, f"{len(files)} files were sent; at most {MAX_FILES} are taken at once")
    for file in files:
        if (file.size or 0) > MAX_FILE_BYTES:
            raise HTTPException(
                413,
                f"{file.filename!r} has {file.size} bytes; at most {MAX_FILE_BYTES} are taken for one film",
            )


class BodyLimit:
    """Refuse a request whose body is too large, before it is stored.

    Parameters
    ----------
    app : ASGI application
    limit : int
        In bytes.
    prefix : str
        Paths that it holds for.
    """

    def __init__(self, app: ASGIApp, limit: int, prefix: str) -> None:
        self.app = app
        self.limit = limit
        self.prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the bytes as they come; a declared length is believed only if it is too large."""
        if scope["type"] != "http" or not scope["path"].startswith(self.prefix):
            await self.app(scope, receive, send)
            return
        refusal = problem(413, f"the request is larger than {self.limit} bytes")
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self.limit:
            await refusal(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.limit:
                raise HTTPException(413, f"the request is larger than {self.limit} bytes")
            return message

        await self.app(scope, counted, send)


class _SecurityHeaders:
    """Tell browsers to believe the type of each answer, and to send no address of this server on."""

    HEADERS = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers to the first message of an answer."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *self.HEADERS]}
            await send(message)

        await self.app(scope, receive, with_headers)


def serve(cascade: Cascade, host: str = "127.0.0.1", port: int = 7860) -> None:
    """Serve web app and REST API until interrupted, and print where.

    Parameters
    ----------
    cascade : Cascade
    host : str
        Address to listen on; others than ``127.0.0.1`` can be reached from other machines.
    port : int
        0 for any free one.

    Raises
    ------
    UsageError
        Where the port is taken or the address cannot be listened on.
    """
    with listen(host, port) as listener:
        app = create_app(cascade)
        taken = listener.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        print(f"pneumocascade is at http://{shown}:{taken} (stop with Ctrl-C)", flush=True)
        config = uvicorn.Config(app, log_level="warning")
        uvicorn.Server(config).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address.

    Raises
    ------
    UsageError
        Where that cannot be.
    """
    if not 0 <= port <= 65535:
        raise UsageError(f"cannot listen on port {port}; expected 0 to 65535")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"port {port} of {host} is taken by another program: stop it, or choose another port"
            ) from error
        raise UsageError(f"cannot listen on port {port} of {host}: {error}") from error
