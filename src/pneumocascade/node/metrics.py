"""What a Prometheus server may ask a node: objects in, answers, objects out, and what waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

if TYPE_CHECKING:
    from pneumocascade.node.spool import Spool

CONTENT_TYPE_TEXT = "text/plain; version=0.0.4; charset=utf-8"

_METHODS = frozenset({"GET", "HEAD", "POST"})
_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class NodeMetrics:
    """The figures of one node; none tells anything of a film but its outcome.

    Parameters
    ----------
    model_version : str
    """

    def __init__(self, model_version: str) -> None:
        self._registry = CollectorRegistry()
        self._stored = self._counter("objects_received", "Objects that came, by status.", "status")
        self._repeated = self._counter("objects_repeated", "Objects that were received before.")
        self._rejected = self._counter("associations_rejected", "Associations that were rejected.")
        self._requests = self._counter(
            "http_requests", "Requests of DICOMweb answered.", "method", "route", "status"
        )
        self._request_seconds = Histogram(
            "pneumocascade_node_http_request_seconds",
            "Time from a request of DICOMweb to the end of its answer.",
            ("route",),
            registry=self._registry,
            buckets=_SECONDS,
        )
        self._films = self._counter("films", "Films that were judged, by outcome.", "outcome")
        self._sent = self._counter(
            "results", "Attempts to send a result, by how they ended.", "destination", "state"
        )
        self._commitments = self._counter(
            "commitments", "Results by what became of storage commitment.", "destination", "state"
        )
        self._film_seconds = Histogram(
            "pneumocascade_node_film_seconds",
            "Time from a film's turn to its results in the spool.",
            registry=self._registry,
            buckets=_SECONDS,
        )
        info = self._gauge("models", "Version of the models.", "version")
        info.labels(model_version).set(1)

    def watch(self, connections: Callable[[], int], in_flight: Callable[[], int]) -> None:
        """Tell how many connections are open, and how many bytes of objects are in flight."""
        self._gauge("connections", "Open connections.").set_function(connections)
        self._gauge("bytes_in_flight", "Bytes of objects that are being received.").set_function(in_flight)

    def watch_spool(self, spool: Spool) -> None:
        """Tell what waits in a spool."""
        self._gauge("films_waiting", "Films that are not judged yet.").set_function(
            lambda: spool.counts().received
        )
        self._gauge("results_waiting", "Results that a destination is to get.").set_function(
            lambda: spool.counts().waiting
        )
        self._gauge("results_failed", "Results that were given up.").set_function(
            lambda: spool.counts().failed
        )
        self._gauge("commitments_open", "Results that a destination has yet to commit to.").set_function(
            lambda: spool.commitments.counts().commitments_open
        )
        self._gauge("commitments_failed", "Results that a destination did not commit to.").set_function(
            lambda: spool.commitments.counts().commitments_failed
        )
        self._gauge("spool_bytes", "Bytes in the spool.").set_function(lambda: spool.stored_bytes)

    def stored(self, status: int) -> None:
        """Count an object that came by C-STORE or STOW-RS, by its status or failure reason."""
        self._stored.labels(f"{status:04X}").inc()

    def repeated(self) -> None:
        """Count an object that was received before."""
        self._repeated.inc()

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request of DICOMweb."""
        self._requests.labels(method if method in _METHODS else "other", route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def rejected(self) -> None:
        """Count an association that was rejected."""
        self._rejected.inc()

    def judged(self, outcome: str, seconds: float) -> None:
        """Count a film."""
        self._films.labels(outcome).inc()
        self._film_seconds.observe(seconds)

    def delivered(self, destination: str, state: str) -> None:
        """Count an attempt to send a result."""
        self._sent.labels(destination, state).inc()

    def committed(self, destination: str, state: str, results: int) -> None:
        """Count results that were asked for, committed to, or not."""
        if results:
            self._commitments.labels(destination, state).inc(results)

    def text(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        return generate_latest(self._registry)

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"pneumocascade_node_{name}", help_text, labels, registry=self._registry)

    def _gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        return Gauge(f"pneumocascade_node_{name}", help_text, labels, registry=self._registry)
