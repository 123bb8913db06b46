"""The shapes of answers, those of ``Prediction.to_dict``, for the API's own description (OpenAPI 3.1)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

Share = dict[str, float]


class Stage(BaseModel):
    """What one stage says of a film."""

    probabilities: Share = Field(description="Calibrated, 0 to 1, of each label; they sum to 1.")
    label: str
    threshold: float = Field(ge=0, le=1, description="Of the operating point.")
    prediction_set: list[str] = Field(description="Labels that cannot be ruled out at 90 % coverage.")


class ReasonBody(BaseModel):
    """Why there is no finding."""

    code: str
    message: str


class SaliencyMap(BaseModel):
    """Where a stage found what speaks for the label it gave."""

    map: list[list[float]] = Field(
        description="Contribution of each place to the calibrated log-odds of the positive label, in rows "
        "from the top; a coarse grid over the film."
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
        description="Share of the films learnt from that are less typical than this one; low where it is "
        "unlike all of them.",
    )
    reasons: list[ReasonBody] | None = Field(None, description="Where the film was refused.")
    error: ReasonBody | None = Field(None, description="Where it could not be read.")
    operating_point: str
    warnings: list[str]
    model_version: str
    elapsed_ms: float
    saliency: dict[str, SaliencyMap] | None = Field(None, description="By stage, where asked for.")
    pictures: dict[str, str] | None = Field(None, description="PNG as data: URIs, where asked for.")


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
