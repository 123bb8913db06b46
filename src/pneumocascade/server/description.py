"""The API's own description (OpenAPI 3.1), complete enough to generate clients from."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from pneumocascade.server.bodies import FORM, RAW
from pneumocascade.server.middleware.authentication import NO_TOKEN_PATHS
from pneumocascade.server.middleware.limits import UNLIMITED_PATHS
from pneumocascade.server.problems import MEANINGS, PROBLEM_JSON
from pneumocascade.server.representations import JSON, REPRESENTATIONS
from pneumocascade.server.schema import FilmBody, Problem, UploadForm

_BINARY = {"type": "string", "format": "binary"}
_REFERENCE = "#/components/schemas/{model}"
_TINY = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
"""A PNG of one pixel."""

_ANSWER = {
    "source": "film.jpeg",
    "status": "ok",
    "finding": "pneumonia",
    "aetiology": "viral",
    "stage1": {
        "probabilities": {"normal": 0.031, "pneumonia": 0.969},
        "label": "pneumonia",
        "threshold": 0.62,
        "prediction_set": ["pneumonia"],
    },
    "stage2": {
        "probabilities": {"bacterial": 0.22, "viral": 0.78},
        "label": "viral",
        "threshold": 0.5,
        "prediction_set": ["bacterial", "viral"],
    },
    "familiarity": 0.41,
    "operating_point": "balanced",
    "prior": 0.5,
    "warnings": [],
    "model_version": "1.0.0",
    "elapsed_ms": 31.4,
}

PREDICT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            FORM: {"schema": {"$ref": _REFERENCE.format(model=UploadForm.__name__)}},
            JSON: {
                "schema": {"$ref": _REFERENCE.format(model=FilmBody.__name__)},
                "example": {"image": _TINY, "source": "film.png", "operating_point": "sensitive"},
            },
            **{kind: {"schema": _BINARY} for kind in RAW},
        },
    },
}
"""What FastAPI cannot know of the route that judges films."""

PREDICTED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answers, in the media type that the Accept header prefers: "
        + " ".join(f"`{kind}`: {one.description}" for kind, one in REPRESENTATIONS.items()),
        "content": {
            JSON: {"example": {"predictions": [_ANSWER], "left_out": 0}},
            **{kind: {"schema": _BINARY} for kind in REPRESENTATIONS if kind != JSON},
        },
    },
    422: {},  # else FastAPI says that it answers by a shape of its own
}


class DescribedApi(FastAPI):
    """An application whose description holds what stands around its routes, too: token, limits, problems.

    Parameters
    ----------
    needs_token : bool
        Whether the server asks for a token.
    **settings
        Those of FastAPI.
    """

    def __init__(self, *, needs_token: bool, **settings: Any) -> None:
        super().__init__(**settings)
        self.needs_token = needs_token

    def openapi(self) -> dict[str, Any]:
        """Return the description; it is made once."""
        if self.openapi_schema is None:
            made = super().openapi()
            self._complete(made)
            self.openapi_schema = made
        return self.openapi_schema

    def _complete(self, made: dict[str, Any]) -> None:
        models = [(model, "validation") for model in (FilmBody, Problem, UploadForm)]
        _, definitions = models_json_schema(models, ref_template=_REFERENCE)  # type: ignore[arg-type]
        parts = made.setdefault("components", {})
        parts.setdefault("schemas", {}).update(definitions["$defs"])
        parts["securitySchemes"] = {
            "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "The token of serve --token-file. "
                + ("This server asks for it." if self.needs_token else "This server asks for none."),
            }
        }
        for path, methods in made["paths"].items():
            for method, operation in methods.items():
                if self.needs_token and path not in NO_TOKEN_PATHS:
                    operation["security"] = [{"token": []}]
                for parameter in operation.get("parameters", ()):
                    parameter["description"] = parameter["schema"].pop("description")
                operation["responses"] |= {str(code): _problem(code) for code in self._codes(path, method)}

    def _codes(self, path: str, method: str) -> list[int]:
        """Return the status of each problem that there can be."""
        if method == "post":
            return [code for code in MEANINGS if code != 401 or self.needs_token]
        codes = [421] if path in UNLIMITED_PATHS else [421, 503]
        return [401, *codes] if self.needs_token and path not in NO_TOKEN_PATHS else codes


def _problem(code: int) -> dict[str, Any]:
    schema = {"$ref": _REFERENCE.format(model=Problem.__name__)}
    return {"description": MEANINGS[code], "content": {PROBLEM_JSON: {"schema": schema}}}
