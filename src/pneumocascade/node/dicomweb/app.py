"""The application: routes of DICOMweb below ``/dicomweb``, within the server's own middlewares.

Errors are problem details (RFC 9457), ``application/problem+json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pneumocascade.node.dicomweb.accept import DICOM_JSON, json_is_accepted
from pneumocascade.node.dicomweb.catalogue import Catalogue
from pneumocascade.node.dicomweb.multipart import MultipartReader, media_type_of
from pneumocascade.node.dicomweb.query import ResultQuery, Searcher
from pneumocascade.node.dicomweb.retrieve import PIXELS, bulk_data, found_by_path, metadata, objects
from pneumocascade.node.dicomweb.store import APPLICATION_DICOM, StoreRequest
from pneumocascade.node.uids import is_uid
from pneumocascade.server.metrics import Meter
from pneumocascade.server.middleware.headers import SecurityHeaders
from pneumocascade.server.middleware.stack import add_limits
from pneumocascade.server.problems import STORAGE_SECONDS, add_problem_handlers

if TYPE_CHECKING:
    from collections.abc import Callable

    from pneumocascade.node.dicomweb.catalogue import Level
    from pneumocascade.node.intake import Intake
    from pneumocascade.node.limits import Limits
    from pneumocascade.node.metrics import NodeMetrics
    from pneumocascade.server.middleware.stack import Access

ROOT = "/dicomweb"
"""Path below which all routes are."""

_FEED_BYTES = 1 << 20
"""Bytes of a body that are read before they are written."""

_USUAL_PORTS = {"http": 80, "https": 443}
_STUDY, _SERIES, _INSTANCE = "/studies/{study}", "/series/{series}", "/instances/{instance}"
_KEYWORDS = {"study": "StudyInstanceUID", "series": "SeriesInstanceUID", "instance": "SOPInstanceUID"}


def dicomweb_app(
    intake: Intake, limits: Limits, metrics: NodeMetrics, access: Access, token: str | None = None
) -> Starlette:
    """Return the application.

    Parameters
    ----------
    intake : Intake
        Takes what comes in; results are those in its spool.
    limits : Limits
    metrics : NodeMetrics
    access : Access
        Who may come in.
    token : str, optional
        Asked of every request.

    Raises
    ------
    UsageError
        Where the token is too easily guessed, or a host is none.
    """
    app = Starlette(routes=_Routes(intake, limits, metrics).routes())
    app.router.redirect_slashes = False
    add_problem_handlers(app)
    # From the inside to the outside: what is added last sees a request first.
    add_limits(app, access, uploads=f"{ROOT}/", max_body=limits.in_flight_bytes, token=token)
    app.add_middleware(Meter, metrics=metrics)
    app.add_middleware(SecurityHeaders)
    return app


class _Routes:
    """What each path answers."""

    def __init__(self, intake: Intake, limits: Limits, metrics: NodeMetrics) -> None:
        self._intake = intake
        self._limits = limits
        self._metrics = metrics
        self._catalogue = Catalogue(intake.spool)

    def routes(self) -> list[Route]:
        series, instances = f"{_STUDY}{_SERIES}", f"{_STUDY}{_SERIES}{_INSTANCE}"
        found: list[tuple[str, Callable[..., Any]]] = [
            ("/studies", self._search("study")),
            ("/series", self._search("series")),
            ("/instances", self._search("instance")),
            (f"{_STUDY}/series", self._search("series")),
            (f"{_STUDY}/instances", self._search("instance")),
            (f"{series}/instances", self._search("instance")),
            (f"{instances}/bulkdata/{{tag}}", self._bulk_data),
            (f"{instances}/frames/{{frames}}", self._frames),
        ]
        for path in (_STUDY, series, instances):
            found += [(path, self._retrieve), (f"{path}/metadata", self._metadata)]
        stores = [Route(f"{ROOT}{path}", self._store, methods=["POST"]) for path in ("/studies", _STUDY)]
        return [*(Route(f"{ROOT}{path}", answer, methods=["GET"]) for path, answer in found), *stores]

    def _search(self, level: Level) -> Callable[[Request], Response]:
        def search(request: Request) -> Response:
            json_is_accepted(request)
            path = _uids(request)
            query = ResultQuery.parse(request.query_params.multi_items(), path)
            answer = Searcher(self._catalogue, _root(request)).search(level, query, len(path))
            headers = {"Warning": ", ".join(f'299 {_root(request)}: "{text}"' for text in answer.warnings)}
            if not answer.matches:
                return Response(status_code=204, headers=headers if answer.warnings else None)
            return _json(answer.matches, headers=headers if answer.warnings else None)

        return search

    def _retrieve(self, request: Request) -> Response:
        return objects(request, found_by_path(self._catalogue, _uids(request)))

    def _metadata(self, request: Request) -> Response:
        json_is_accepted(request)
        return _json(metadata(found_by_path(self._catalogue, _uids(request)), _root(request)))

    def _bulk_data(self, request: Request) -> Response:
        (found,) = found_by_path(self._catalogue, _uids(request))
        return bulk_data(request, found, request.path_params["tag"])

    def _frames(self, request: Request) -> Response:
        (found,) = found_by_path(self._catalogue, _uids(request))
        if request.path_params["frames"] != "1":
            raise HTTPException(404, "each result has one frame: expected frames/1")
        return bulk_data(request, found, PIXELS)

    async def _store(self, request: Request) -> Response:
        # Accept is not looked at (RFC 9110, 12.5.1): clients that would rather have XML store films, too.
        study = request.path_params.get("study", "")
        if study and not is_uid(study):
            raise HTTPException(400, "the path names no UID: expected digits and dots, at most 64")
        stored = StoreRequest(self._intake, self._limits.object_bytes, self._metrics, study)
        try:
            await _read_body(request, stored)
        except ClientDisconnect:
            return Response(status_code=400)  # which nobody gets
        finally:
            stored.close()
        root = _root(request)
        answer = stored.answer(lambda uid: f"{root}/studies/{uid}")
        headers = {"Retry-After": str(STORAGE_SECONDS)} if answer.status == 503 else None
        return _json(answer.dataset.to_json_dict(), answer.status, headers)


async def _read_body(request: Request, stored: StoreRequest) -> None:
    """Give the parts of a body to the spool, as they come.

    Raises
    ------
    HTTPException
        400 where the body is not as its type says, 415 where the type is another one.
    """
    kind, parameters = media_type_of(request.headers.get("content-type", ""))
    inner = parameters.get("type", APPLICATION_DICOM).lower()
    if kind == APPLICATION_DICOM:
        stored.begin(kind)
        async for piece in request.stream():
            await run_in_threadpool(stored.data, memoryview(piece))
        await run_in_threadpool(stored.end)
        return
    if kind != "multipart/related" or inner != APPLICATION_DICOM:
        raise HTTPException(
            415, f'this takes multipart/related; type="{APPLICATION_DICOM}", or one object as it is'
        )
    reader = MultipartReader(parameters.get("boundary", ""), stored)
    waiting = bytearray()
    async for piece in request.stream():
        waiting += piece
        if len(waiting) >= _FEED_BYTES:
            await run_in_threadpool(reader.feed, bytes(waiting))
            waiting.clear()
    await run_in_threadpool(reader.feed, bytes(waiting))
    reader.close()


def _uids(request: Request) -> dict[str, str]:
    return {_KEYWORDS[name]: value for name, value in request.path_params.items() if name in _KEYWORDS}


def _root(request: Request) -> str:
    """Return the URL of ``ROOT`` as the client knows it."""
    url = request.base_url
    try:
        port = url.port
    except ValueError:
        raise HTTPException(400, "the Host header names no port: expected a number up to 65535") from None
    proxied = "x-forwarded-for" in request.headers or "forwarded" in request.headers
    if port is None and not proxied:
        # dicomweb-client leaves the port out of Host: one who came without a proxy came to this port.
        server = request.scope.get("server")
        if server and server[1] not in (None, _USUAL_PORTS.get(url.scheme)):
            url = url.replace(port=server[1])
    return f"{str(url).rstrip('/')}{ROOT}"


def _json(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse(body, status, headers, media_type=DICOM_JSON)
