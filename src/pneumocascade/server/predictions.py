"""``POST /api/v1/predictions``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, TypeVar

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from pneumocascade.errors import UsageError
from pneumocascade.inference.cascade import DEFAULT_OPERATING_POINT, Terms
from pneumocascade.server.attachments import ATTACHMENTS, Judged
from pneumocascade.server.bodies import asked_in
from pneumocascade.server.description import PREDICT, PREDICTED
from pneumocascade.server.representations import (
    REPRESENTATIONS,
    Answered,
    Made,
    check_films,
    check_makeable,
    media_type_for,
)
from pneumocascade.server.schema import Include, OperatingPoint, Predictions, Prior, Threshold
from pneumocascade.server.uploads import films_of

if TYPE_CHECKING:
    from pneumocascade.audit.counter import Counter
    from pneumocascade.server.batcher import Batcher
    from pneumocascade.server.metrics import Metrics
    from pneumocascade.server.queue import QueuedFilm
    from pneumocascade.types import Prediction

Given = TypeVar("Given", str, float)

MAX_FILES = 100
"""Films of one request."""

MAX_WITH_PICTURES = 10
"""Films of one request for pictures."""

MAX_FILE_BYTES = 64 * 1024 * 1024
"""Largest file, in bytes."""

MAX_SECONDS = 300.0
"""Longest wait for an answer."""


def add_predictions(app: FastAPI, batcher: Batcher, counter: Counter, metrics: Metrics) -> None:
    """Add the route that judges films."""

    # A coroutine: hundreds of requests may wait for the batcher, and the server has few threads.
    @app.post(
        "/api/v1/predictions",
        operation_id="predict",
        summary="Judge films",
        tags=["predictions"],
        response_model=Predictions,
        responses=PREDICTED,
        openapi_extra=PREDICT,
    )
    async def predictions(
        request: Request,
        operating_point: Annotated[OperatingPoint, Query()] = None,
        prior: Annotated[Prior, Query()] = None,
        threshold: Annotated[Threshold, Query()] = None,
        include: Annotated[Include, Query()] = [],  # noqa: B006  FastAPI copies it
    ) -> Response:
        """Judge one or many films: images, DICOM objects, or zip archives of these."""
        kind = media_type_for(", ".join(request.headers.getlist("accept")))
        every = request.query_params.getlist("operating_point")  # FastAPI takes the last one only
        async with asked_in(request, MAX_FILE_BYTES) as (files, options):
            wanted = _wanted([*include, *options.include])
            display = await run_in_threadpool(check_makeable, kind, wanted)
            most = MAX_WITH_PICTURES if display else MAX_FILES
            films, left_out = await run_in_threadpool(films_of, files, most)
            check_films(kind, len(films), most)
            point = _one_of("operating points", operating_point, *every, options.operating_point)
            terms = Terms(
                point or DEFAULT_OPERATING_POINT,
                gate=True,
                prior=_one_of("priors", prior, options.prior),
                threshold=_one_of("thresholds", threshold, options.threshold),
            )
            found = await _answers(batcher, films, terms, display=display)
            metrics.count(found)
            await run_in_threadpool(counter.add, sum(one.status == "ok" for one in found))
            judged = [Judged(one, film, batcher.cascade) for one, film in zip(found, films, strict=True)]
            made = await run_in_threadpool(REPRESENTATIONS[kind].make, Answered(judged, left_out, wanted))
        content, media_type = made if isinstance(made, Made) else (made, kind)
        return Response(content, media_type=media_type, headers={"Vary": "Accept"})


async def _answers(
    batcher: Batcher, films: list[QueuedFilm], terms: Terms, *, display: bool
) -> list[Prediction]:
    answers = batcher.submit(
        films, terms.operating_point, terms.prior, display=display, threshold=terms.threshold
    )
    try:
        return await asyncio.wait_for(asyncio.wrap_future(answers), MAX_SECONDS)
    except asyncio.TimeoutError as error:
        raise HTTPException(504, f"there was no answer within {MAX_SECONDS:g} seconds") from error


def _wanted(include: list[str]) -> frozenset[str]:
    wanted = frozenset(name.strip() for names in include if names for name in names.split(","))
    if odd := sorted(wanted - set(ATTACHMENTS)):
        raise UsageError(f"include is {', '.join(map(repr, odd))}; expected any of {', '.join(ATTACHMENTS)}")
    return wanted


def _one_of(what: str, *given: Given | None) -> Given | None:
    """Return what may be given in two places, in query and form; ``None`` where in none."""
    found = {value for value in given if value is not None}
    if len(found) > 1:
        raise UsageError(f"two {what} are given: {' and '.join(sorted(map(str, found)))}; expected one")
    return found.pop() if found else None
