"""What may go with an answer of the REST API: saliency maps and pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pneumocascade.explain.html import data_uri
from pneumocascade.explain.pictures import film_picture, with_banner
from pneumocascade.explain.saliency import overlay
from pneumocascade.types import Radiograph

if TYPE_CHECKING:
    from pneumocascade.types import Prediction, StageResult

ATTACHMENTS = ("saliency", "pictures")

MAX_HEIGHT = 1024
"""Of the pictures, in pixels."""


def attachments_of(prediction: Prediction, wanted: frozenset[str]) -> dict[str, Any]:
    """Return what was asked for besides the answer, by name; nothing for a film that could not be read.

    Parameters
    ----------
    prediction : Prediction
        With a display copy where pictures are wanted.
    wanted : frozenset of str
        Any of ``ATTACHMENTS``.
    """
    found: dict[str, Any] = {}
    if prediction.status == "error":
        return found
    maps = {
        f"stage{number}": stage
        for number, stage in prediction.stages.items()
        if stage.activation_map is not None
    }
    if "saliency" in wanted:
        found["saliency"] = {name: _saliency(stage) for name, stage in maps.items()}
    if "pictures" in wanted and (radiograph := prediction.display) is not None:
        picture = film_picture(radiograph, min(MAX_HEIGHT, radiograph.height))
        small = Radiograph(np.ascontiguousarray(picture[..., 0]), radiograph.source)
        pictures = {"film": picture[..., 0], "verdict": with_banner(picture, prediction)}
        pictures |= {name: overlay(small, stage) for name, stage in maps.items()}
        found["pictures"] = {name: data_uri(picture) for name, picture in pictures.items()}
    return found


def _saliency(stage: StageResult) -> dict[str, Any]:
    assert stage.activation_map is not None, "checked by the caller"
    return {"map": np.round(stage.activation_map.astype(float), 4).tolist(), "margin": stage.margin}
