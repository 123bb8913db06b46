"""``POST /api/v1/predictions``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import FastAPI, File, Form, HTTPException, Query, Request, Response, UploadFile
from fastapi.concurrency import run_in_threadpool

from pneumocascade.errors import UsageError
from pneumocascade.inference.cascade import DEFAULT_OPERATING_POINT
from pneumocascade.model.spec import OPERATING_POINTS
from pneumocascade.server.attachments import ATTACHMENTS, attachments_of
from pneumocascade.server.fhir import check_fhir, fhir_asked_for, fhir_response
from pneumocascade.server.problems import RESPONSES
from pneumocascade.server.schema import Predictions
from pneumocascade.server.uploads import films_of

if TYPE_CHECKING:
    from pneumocascade.audit.counter import Counter
    from pneumocascade.server.batcher import Batcher
    from pneumocascade.server.metrics import Metrics
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

# What is left out is not sent at all: the word "null", which a form would hold, is no operating point.
_POINTS: dict[str, Any] = {"anyOf": [{"type": "string", "enum": list(OPERATING_POINTS)}]}
_PRIOR: dict[str, Any] = {
    "description": "Share of pneumonia among the films. Probability and threshold of stage 1 move together; "
    "findings stay. By default the share that the models store, 0.5.",
    "anyOf": [{"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}],
}
_THRESHOLD: dict[str, Any] = {
    "description": "Probability from which on stage 1 says pneumonia, in place of the operating point's. The "
    "answers have the operating point custom. Not beside an operating point.",
    "anyOf": [{"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}],
}
_ONE = "|".join(ATTACHMENTS)
_INCLUDES: dict[str, Any] = {
    "description": f"Any of {', '.join(ATTACHMENTS)}; also several with commas between.",
    "anyOf": [{"type": "array", "items": {"type": "string", "pattern": f"^({_ONE})(,({_ONE}))*$"}}],
}
# The message about other values is the code's own message, so these stand in the description alone.


def add_predictions(app: FastAPI, batcher: Batcher, counter: Counter, metrics: Metrics) -> None:
    """Add the route that judges films."""

    # A coroutine: hundreds of requests may wait for the batcher, and the server has few threads.
    @app.post(
        "/api/v1/predictions",
        response_model=Predictions,
        response_model_exclude_unset=True,
        responses={code: RESPONSES[code] for code in (413, 422, 503, 504)},
    )
    async def predictions(
        files: Annotated[list[UploadFile], File(min_length=1)],
        request: Request,
        operating_point: Annotated[str | None, Query(json_schema_extra=_POINTS)] = None,
        in_form: Annotated[str | None, Form(alias="operating_point", json_schema_extra=_POINTS)] = None,
        prior: Annotated[float | None, Query(gt=0, lt=1, json_schema_extra=_PRIOR)] = None,
        prior_in_form: Annotated[
            float | None, Form(alias="prior", gt=0, lt=1, json_schema_extra=_PRIOR)
        ] = None,
        threshold: Annotated[float | None, Query(gt=0, lt=1, json_schema_extra=_THRESHOLD)] = None,
        threshold_in_form: Annotated[
            float | None, Form(alias="threshold", gt=0, lt=1, json_schema_extra=_THRESHOLD)
        ] = None,
        include: Annotated[list[str] | None, Query(json_schema_extra=_INCLUDES)] = None,
    ) -> dict[str, Any] | Response:
        """Judge one or many films: images, DICOM objects, or zip archives of these.

        With `Accept: application/fhir+json` the answer for one film is a FHIR R4 Bundle, with
        `application/fhir+ndjson` that for many films is one Bundle a line.
        """
        every = request.query_params.getlist("operating_point")  # FastAPI takes the last one only
        wanted = _wanted(include or [])
        most = MAX_WITH_PICTURES if "pictures" in wanted else MAX_FILES
        _check_sizes(files)
        films, left_out = await run_in_threadpool(films_of, files, most)
        if len(films) > most:
            raise HTTPException(413, f"there are more than {most} films; at most {most} are taken at once")
        if (fhir := fhir_asked_for(request.headers.get("accept"))) is not None:
            check_fhir(fhir, len(films))
        point = _one_of("operating points", operating_point, *every, in_form) or DEFAULT_OPERATING_POINT
        answers = batcher.submit(
            films,
            point,
            _one_of("priors", prior, prior_in_form),
            display="pictures" in wanted,
            threshold=_one_of("thresholds", threshold, threshold_in_form),
        )
        try:
            found = await asyncio.wait_for(asyncio.wrap_future(answers), MAX_SECONDS)
        except asyncio.TimeoutError as error:
            raise HTTPException(504, f"there was no answer within {MAX_SECONDS:g} seconds") from error
        metrics.count(found)
        await run_in_threadpool(counter.add, sum(one.status == "ok" for one in found))
        if fhir is not None:
            return fhir_response(found, batcher.cascade.specs, fhir)
        return {"predictions": await run_in_threadpool(_bodies, found, wanted), "left_out": left_out}


def _bodies(found: list[Prediction], wanted: frozenset[str]) -> list[dict[str, Any]]:
    return [prediction.to_dict() | attachments_of(prediction, wanted) for prediction in found]


def _wanted(include: list[str]) -> frozenset[str]:
    wanted = frozenset(name.strip() for names in include for name in names.split(","))
    if odd := sorted(wanted - set(ATTACHMENTS)):
        raise UsageError(f"include is {', '.join(map(repr, odd))}; expected any of {', '.join(ATTACHMENTS)}")
    return wanted


def _one_of(what: str, *given: Given | None) -> Given | None:
    """Return what may be given in two places, in query and form; ``None`` where in none."""
    found = {value for value in given if value is not None}
    if len(found) > 1:
        raise UsageError(f"two {what} are given: {' and '.join(sorted(map(str, found)))}; expected one")
    return found.pop() if found else None


def _check_sizes(files: list[UploadFile]) -> None:
    for file in files:
        if (file.size or 0) > MAX_FILE_BYTES:
            raise HTTPException(
                413,
                f"{file.filename!r} has {file.size} bytes; at most {MAX_FILE_BYTES} are taken for one file",
            )
