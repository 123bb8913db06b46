"""The application: the routes of the REST API, and the web app mounted at ``/``.

Errors are problem details (RFC 9457), ``application/problem+json``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, PlainTextResponse
from fastapi.routing import APIRoute
from starlette.staticfiles import StaticFiles

from pneumocascade import __version__
from pneumocascade.audit.counter import Counter
from pneumocascade.server.batcher import Batcher
from pneumocascade.server.description import DescribedApi
from pneumocascade.server.metrics import CONTENT_TYPE, Metrics
from pneumocascade.server.middleware.headers import DOCS
from pneumocascade.server.middleware.stack import Access, add_middleware
from pneumocascade.server.predictions import add_predictions
from pneumocascade.server.problems import add_problem_handlers
from pneumocascade.types import DISCLAIMER

if TYPE_CHECKING:
    from pneumocascade.inference.cascade import Cascade

MAX_BODY_BYTES = 512 * 1024 * 1024
"""Largest request, in bytes."""

DOCS_FOLDER = Path(__file__).parent / "docs"
"""Page, scripts and styles of the interactive documentation."""


def create_app(
    cascade: Cascade,
    *,
    with_web: bool = True,
    batcher: Batcher | None = None,
    token: str | None = None,
    access: Access | None = None,
) -> FastAPI:
    """Return the application; its lifespan starts and stops the batcher.

    Parameters
    ----------
    cascade : Cascade
        Gives every answer.
    with_web : bool
        Mount the web app at ``/``.
    batcher : Batcher, optional
        Answers the requests for predictions; by default one around the cascade.
    token : str, optional
        Asked of every request but those for the server's health; see
        :class:`pneumocascade.server.middleware.authentication.TokenCheck`.
    access : Access, optional
        Who may come in; by default requests for any host, and no page of another site.

    Raises
    ------
    UsageError
        Where the token is too easily guessed, or a host or an origin is none.
    """
    shared = batcher or Batcher(cascade)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        shared.start()
        try:
            yield
        finally:
            await run_in_threadpool(shared.stop)

    # FastAPI's own interactive documentation would load its scripts from another host.
    app = DescribedApi(
        needs_token=token is not None,
        title="pneumocascade",
        version=__version__,
        description=DISCLAIMER,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    counter = Counter()
    metrics = Metrics(cascade.version, lambda: shared.waiting)
    add_predictions(app, shared, counter, metrics)
    _add_descriptions(app, cascade, metrics)
    _add_docs(app)
    _add_refusals(app)
    add_problem_handlers(app)
    add_middleware(app, metrics, access or Access(), max_body=MAX_BODY_BYTES, token=token)
    if with_web:
        from pneumocascade.web import mount_app

        mount_app(app, cascade, counter)
    return app


def _add_descriptions(app: FastAPI, cascade: Cascade, metrics: Metrics) -> None:
    @app.get("/api/v1/models", operation_id="get_models", summary="Describe the models", tags=["predictions"])
    def models() -> dict[str, Any]:
        """Describe the models; stage 2 is null where there is none."""
        return {
            "version": cascade.version,
            "stage1": dataclasses.asdict(cascade.stage1.spec),
            "stage2": dataclasses.asdict(cascade.stage2.spec) if cascade.stage2 else None,
        }

    @app.get("/healthz", operation_id="get_health", summary="Health", tags=["server"])
    def healthz() -> dict[str, str]:
        """Tell that the process answers."""
        return {"status": "ok"}

    @app.get("/readyz", operation_id="get_readiness", summary="Readiness", tags=["server"])
    def readyz() -> dict[str, str]:
        """Tell that the models are loaded."""
        return {"status": "ready", "model_version": cascade.version}

    @app.get(
        "/metrics",
        operation_id="get_metrics",
        summary="Metrics for Prometheus",
        tags=["server"],
        response_class=PlainTextResponse,
    )
    def prometheus() -> Response:
        """Tell Prometheus how many requests and films there were, and how long they took."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    answers = {"/api/v1/models": models, "/healthz": healthz, "/readyz": readyz, "/metrics": prometheus}
    for path, answer in answers.items():
        app.head(path, include_in_schema=False)(answer)


def _add_docs(app: FastAPI) -> None:
    """Add the interactive documentation: Swagger UI, which comes with the package."""

    @app.api_route(DOCS, methods=["GET", "HEAD"], include_in_schema=False)
    def docs() -> FileResponse:
        return FileResponse(DOCS_FOLDER / "docs.html", media_type="text/html; charset=utf-8")

    app.mount(DOCS, StaticFiles(directory=DOCS_FOLDER))


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

    for path in ("/api", "/api/{rest:path}", "/healthz", "/readyz", "/metrics"):
        app.add_api_route(path, refuse, methods=methods, include_in_schema=False)
