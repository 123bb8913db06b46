"""Answers of the REST API as FHIR, where a client accepts it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastapi import Response

from pneumocascade.errors import UsageError
from pneumocascade.output.fhir.bundle import FHIR_JSON, FHIR_LINES, to_fhir_json

if TYPE_CHECKING:
    from pneumocascade.model.spec import ModelSpec
    from pneumocascade.types import Prediction


def fhir_asked_for(accept: str | None) -> str | None:
    """Return which of the media types of FHIR an ``Accept`` header names first; ``None`` for none."""
    named = [part.partition(";")[0].strip().lower() for part in (accept or "").split(",")]
    return next((name for name in named if name in (FHIR_JSON, FHIR_LINES)), None)


def check_fhir(media_type: str, films: int) -> None:
    """Refuse more films than the media type holds.

    Raises
    ------
    UsageError
    """
    if media_type == FHIR_JSON and films != 1:
        raise UsageError(
            f"{FHIR_JSON} is the Bundle of one film, and {films} were sent; send one, or accept {FHIR_LINES}"
        )


def fhir_response(found: Sequence[Prediction], specs: Sequence[ModelSpec], media_type: str) -> Response:
    """Return the answers as a Bundle, or as one a line.

    Parameters
    ----------
    found : sequence of Prediction
    specs : sequence of ModelSpec
        Of the models that answered.
    media_type : str
        ``FHIR_JSON`` or ``FHIR_LINES``.
    """
    text = "".join(f"{to_fhir_json(prediction, specs)}\n" for prediction in found)
    return Response(text, media_type=f"{media_type}; fhirVersion=4.0")
