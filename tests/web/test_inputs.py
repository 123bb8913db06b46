"""What the choice of the operating point is said to do is what it does in the models."""

from __future__ import annotations

from dataclasses import replace

from pneumocascade import Cascade, ModelSpec, OperatingPoint
from pneumocascade.explain.verdict import NO_BREAK, percent
from pneumocascade.model.spec import OPERATING_POINTS, for_recipe
from pneumocascade.web.inputs import NO_CHOICE, points_explained, points_in_short


def spec_with(stage: int, *thresholds: float) -> ModelSpec:
    points = {
        name: OperatingPoint(value, 0.9, 0.9, "phantoms")
        for name, value in zip(OPERATING_POINTS, thresholds, strict=True)
    }
    return replace(for_recipe(stage, "baseline"), operating_points=points)


def test_operating_points_are_explained_by_their_thresholds() -> None:
    text = points_explained(spec_with(1, 0.5, 0.3, 0.7), spec_with(2, 0.6, 0.1, 0.9))
    assert text.replace(NO_BREAK, " ") == (
        "Stage 1: pneumonia from 50.0 % (balanced), 30.0 % (sensitive: fewer pneumonias missed) or "
        "70.0 % (specific: fewer false alarms). "
        "Stage 2: viral from 60.0 % (balanced), 10.0 % (sensitive: fewer viral films missed) or "
        "90.0 % (specific: fewer bacterial films called viral)."
    )


def test_an_operating_point_that_changes_nothing_promises_nothing() -> None:
    text = points_explained(spec_with(1, 0.2, 0.2, 0.2), spec_with(2, 0.6, 0.6, 0.9))
    assert f"pneumonia from {percent(0.2)} at every point." in text
    assert f"{percent(0.6)} (balanced), {percent(0.6)} (sensitive) or" in text
    assert "missed" not in text


def test_thresholds_explained_are_those_of_the_models(cascade: Cascade) -> None:
    text = points_explained(*cascade.specs)
    for spec in cascade.specs:
        assert all(percent(point.threshold) in text for point in spec.operating_points.values())


def test_the_choice_says_in_short_what_it_changes() -> None:
    text = points_in_short(spec_with(1, 0.5, 0.3, 0.7))
    assert text.startswith("sensitive: fewer pneumonias missed; specific: fewer false alarms.")
    assert points_in_short(spec_with(1, 0.2, 0.2, 0.2)) == NO_CHOICE
