"""The records: frozen, and with the fields that callers rely on."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from pneumocascade.errors import UsageError
from pneumocascade.types import Prediction, Radiograph, Reason, StageResult

RADIOGRAPH = Radiograph(np.zeros((20, 30), np.uint8), "film.png")
STAGE = StageResult({"normal": 0.25, "pneumonia": 0.75}, "pneumonia", 0.5, ("pneumonia",))
PREDICTION = Prediction("film.png", "ok", "balanced", "1.0.0", "pneumonia", "viral", STAGE, STAGE)


@pytest.mark.parametrize("record", [RADIOGRAPH, Reason("code", "message"), STAGE, PREDICTION])
def test_a_record_is_frozen_and_takes_no_other_field(record: Any) -> None:
    first = dataclasses.fields(record)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, first, None)
    # A frozen class with slots raises one or the other, by Python version.
    with pytest.raises((AttributeError, TypeError)):
        record.no_such_field = 1


@pytest.mark.parametrize("kind", [Radiograph, Reason, StageResult, Prediction])
def test_every_field_is_documented(kind: type) -> None:
    assert kind.__doc__ is not None
    for field in dataclasses.fields(kind):
        assert field.name in kind.__doc__


def test_a_radiograph_tells_its_size() -> None:
    assert (RADIOGRAPH.height, RADIOGRAPH.width) == (20, 30)
    assert (RADIOGRAPH.colourfulness, RADIOGRAPH.warnings) == (0.0, ())


@pytest.mark.parametrize("pixels", [np.zeros((0, 5), np.uint8), np.zeros((5, 5)), np.zeros(5, np.uint8)])
def test_other_pixels_are_no_radiograph(pixels: Any) -> None:
    with pytest.raises(UsageError, match="uint8 or uint16 of shape"):
        Radiograph(pixels, "film.png")


def test_radiographs_compare_by_identity_and_can_be_hashed() -> None:
    twin = Radiograph(RADIOGRAPH.pixels, RADIOGRAPH.source)
    assert twin != RADIOGRAPH
    assert len({twin, RADIOGRAPH}) == 2


def test_the_threshold_is_for_the_second_label() -> None:
    assert STAGE.positive == "pneumonia"
    assert dataclasses.replace(STAGE, label="normal", threshold=0.8).positive == "pneumonia"


def test_what_did_not_happen_is_none_or_empty() -> None:
    bare = Prediction("film.png", "error", "balanced", "1.0.0")
    assert (bare.finding, bare.aetiology, bare.stage1, bare.stage2, bare.error) == (None,) * 5
    assert (bare.warnings, bare.reasons, bare.elapsed_ms) == ((), (), 0.0)
