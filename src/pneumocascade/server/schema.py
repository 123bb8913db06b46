"""The shapes of answers, those of ``Prediction.to_dict``, for the API's own description (OpenAPI 3.1)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from pneumocascade.model.spec import OPERATING_POINTS
from pneumocascade.server.attachments import ATTACHMENTS

Share = dict[str, float]

# What is left out is not sent at all: the word "null", which a form would hold, is no operating point.
# Messages about wrong values are the cascade's own, so these restrictions stand in the description alone.
_ONE = "|".join(ATTACHMENTS)
_SHARE: dict[str, Any] = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
_BASE64 = "^(data:[^,]*;base64,)?([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
OperatingPoint = Annotated[
    str | None,
    WithJsonSchema(
        {
            "type": "string",
            "enum": list(OPERATING_POINTS),
            "description": "Which threshold; by default balanced. GET /api/v1/models lists them.",
        }
    ),
]
Prior = Annotated[
    float | None,
    Field(gt=0, lt=1),
    WithJsonSchema(
        _SHARE
        | {
            "description": "Share of pneumonia among the films. Probability and threshold of stage 1 move "
            "together: findings stay, but where a threshold is given. By default the share that the models "
            "store (0.5 for the bundled ones).",
        }
    ),
]
Threshold = Annotated[
    float | None,
    Field(gt=0, lt=1),
    WithJsonSchema(
        _SHARE
        | {
            "description": "Probability, as answers show it at the prior, from which on stage 1 says "
            "pneumonia, in place of the operating point's. The answers have the operating point custom. Not "
            "beside an operating point other than balanced.",
        }
    ),
]
Include = Annotated[
    list[str],
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "string", "pattern": f"^({_ONE})(,({_ONE}))*$"},
            "description": f"Any of {', '.join(ATTACHMENTS)}; also several with commas between.",
        }
    ),
]


def _tidied(schema: dict[str, Any]) -> None:
    """Put first what must be given, and leave out defaults that nobody can send."""
    must = schema.get("required", ())
    schema["properties"] = dict(sorted(schema["properties"].items(), key=lambda item: item[0] not in must))
    for one in schema["properties"].values():
        if not one.get("default"):
            one.pop("default", None)


class Options(BaseModel):
    """How films are to be judged and answered; in a body, beside the film."""

    model_config = ConfigDict(json_schema_extra=_tidied)

    operating_point: OperatingPoint = None
    prior: Prior = None
    threshold: Threshold = None
    include: Include = []


class UploadForm(Options):
    """A form with films."""

    files: list[Annotated[bytes, WithJsonSchema({"type": "string", "format": "binary"})]] = Field(
        min_length=1, description="Images, DICOM objects, or zip archives of these."
    )


class FilmBody(Options):
    """One film, or an archive of films, as JSON."""

    model_config = ConfigDict(extra="forbid")

    image: Annotated[
        str,
        WithJsonSchema(
            {
                "type": "string",
                "minLength": 4,
                "pattern": _BASE64,
                "description": "The file (image, DICOM object or zip archive) as base64, or a data: URI.",
            }
        ),
    ]
    source: str = Field(
        "",
        max_length=1024,
        description="What the answer calls the film; films of an archive have its name before their own. By "
        "default file 1.",
    )


class Stage(BaseModel):
    """What one stage says of a film."""

    probabilities: Share = Field(description="Calibrated, 0 to 1, of each label; they sum to 1.")
    label: str
    threshold: float = Field(
        ge=0,
        le=1,
        description="Probability of the positive label (pneumonia, viral) from which on it is the label: "
        "that of the operating point, at the prior, or the one that was given.",
    )
    prediction_set: list[str] = Field(
        description="The labels of the 90 % prediction set; empty where the probability is unusual for both."
    )


class ReasonBody(BaseModel):
    """Why there is no finding."""

    code: str
    message: str


class SaliencyMap(BaseModel):
    """What speaks for the positive label (pneumonia, viral) of a stage, and where; below 0, against it."""

    map: list[list[float]] = Field(
        description="Contribution of each place to the calibrated log-odds of the positive label, whichever "
        "label was given; in rows from the top, a coarse grid over the film inside the margin."
    )
    margin: float = Field(description="Share of height and width on each side that the grid leaves out.")


class PredictionBody(BaseModel):
    """The answer for one film."""

    source: str
    status: Literal["ok", "refused", "error"]
    finding: Literal["normal", "pneumonia"] | None = None
    aetiology: Literal["bacterial", "viral"] | None = None
    stage1: Stage | None = None
    stage2: Stage | None = None
    prior: float = Field(description="Share of pneumonia that stage 1's probabilities hold for.")
    familiarity: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Among the training films of the source that this film resembles most, the share "
        "that are less typical than this one: low where nearly all are more typical. Where the status is ok; "
        "null for models without a gate.",
    )
    reasons: list[ReasonBody] | None = Field(None, description="Where the film was refused.")
    error: ReasonBody | None = Field(None, description="Where it could not be read.")
    operating_point: str
    warnings: list[str]
    model_version: str
    elapsed_ms: float
    saliency: dict[str, SaliencyMap] | None = Field(None, description="By stage, where asked for.")
    pictures: dict[str, str] | None = Field(None, description="PNG as data: URIs, where asked for.")
    pdf: str | None = Field(None, description="Report as base64 of a PDF file, where asked for.")
    sr: str | None = Field(
        None,
        description="Structured report as base64 of a DICOM file, where asked for; null, with a warning, "
        "where the film is no DICOM object, or lacks what results refer to.",
    )
    sc: str | None = Field(None, description="Secondary Capture, the same way.")


class Predictions(BaseModel):
    """The answers for the films of a request, in their order."""

    predictions: list[PredictionBody]
    left_out: int = Field(description="DICOM objects in archives that hold no picture.")


class Problem(BaseModel):
    """Why there is no answer (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
