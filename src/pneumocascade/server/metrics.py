"""What a Prometheus server may ask: how many requests and films, how long they took, how many wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from pneumocascade.server.middleware.base import HttpMiddleware

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from pneumocascade.types import Prediction

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


OWN_ROUTES = ("/api/v1/", "/dicomweb/", "/healthz", "/readyz", "/metrics")
"""Beginnings of the routes that are counted each by itself."""


class RequestCounter(Protocol):
    """What counts requests."""

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""


class Metrics:
    """The figures of one server; none tells anything of a film but its outcome.

    Parameters
    ----------
    model_version : str
    waiting : callable
        Returns how many films wait.
    """

    def __init__(self, model_version: str, waiting: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "pneumocascade_http_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "pneumocascade_http_request_seconds",
            "Time from a request to the end of its answer.",
            ("route",),
            registry=self._registry,
            buckets=_SECONDS,
        )
        self._films = Counter(
            "pneumocascade_films", "Films of the REST API by outcome.", ("outcome",), registry=self._registry
        )
        self._film_seconds = Histogram(
            "pneumocascade_film_seconds",
            "Time spent on a film of the REST API, its wait left out.",
            registry=self._registry,
            buckets=_SECONDS,
        )
        queue = Gauge("pneumocascade_films_waiting", "Films not taken up yet.", registry=self._registry)
        queue.set_function(waiting)
        info = Gauge("pneumocascade_models", "Version of the models.", ("version",), registry=self._registry)
        info.labels(model_version).set(1)

    def count(self, predictions: Iterable[Prediction]) -> None:
        """Count films by their outcome."""
        for prediction in predictions:
            self._films.labels(prediction.outcome).inc()
            self._film_seconds.observe(prediction.elapsed_ms / 1000)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(method if method in _METHODS else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        return generate_latest(self._registry)


class Meter(HttpMiddleware):
    """Count every request and how long it took.

    Parameters
    ----------
    app : ASGI application
    metrics : RequestCounter
    """

    def __init__(self, app: ASGIApp, metrics: RequestCounter) -> None:
        super().__init__(app)
        self.metrics = metrics

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note the status that is sent; a request without one was given up by the client."""
        started = time.perf_counter()
        status = 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            seconds = time.perf_counter() - started
            self.metrics.observe(scope["method"], _route_of(scope), status, seconds)


def _route_of(scope: Scope) -> str:
    """Return the template of a route of ours, of which there are a few; paths could be without number."""
    path = getattr(scope.get("route"), "path", "")
    return path if path.startswith(OWN_ROUTES) else "other"
