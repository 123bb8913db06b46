"""``ModelSpec``: complete, checked, and the same after a trip through JSON."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumocascade.errors import ModelSpecError
from pneumocascade.model.spec import (
    IMAGENET_RGB_MEAN,
    OPERATING_POINTS,
    PREPARATION,
    STAGE1_LABELS,
    STAGE2_LABELS,
    ModelSpec,
    OperatingPoint,
    for_recipe,
)

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
positive = st.floats(min_value=1e-3, max_value=1e3)
triple = st.tuples(finite, finite, finite)
point = st.builds(
    OperatingPoint,
    st.floats(min_value=0, max_value=1),
    st.floats(min_value=0, max_value=1),
    st.floats(min_value=0, max_value=1),
    st.text(),
)
specs = st.builds(
    ModelSpec,
    stage=st.sampled_from([1, 2]),
    labels=st.tuples(st.text(), st.text()).filter(lambda pair: pair[0] != pair[1]),
    version=st.text(),
    size=st.integers(224, 2048),
    input_size=st.integers(32, 224),
    smoothing_sigma=st.floats(min_value=0, max_value=10),
    clahe_clip_limit=st.none() | positive,
    clahe_tiles=st.tuples(st.integers(1, 16), st.integers(1, 16)),
    colour_map=st.sampled_from([None, "hot"]),
    mean=triple,
    std=st.tuples(positive, positive, positive),
    temperature=positive,
    operating_points=st.dictionaries(st.sampled_from(OPERATING_POINTS), point),
    prior=st.floats(min_value=0.01, max_value=0.99),
    prediction_set_minimum=st.dictionaries(st.text(), st.dictionaries(st.text(), finite)),
    metrics=st.dictionaries(st.text(), finite),
    training_data=st.text(),
)


@given(specs)
def test_json_brings_back_an_equal_specification(spec: ModelSpec) -> None:
    again = ModelSpec.from_json(spec.to_json())
    assert again == spec
    assert again.to_json() == spec.to_json()


def test_json_names_every_field() -> None:
    content = json.loads(for_recipe(1, "clahe-hot").to_json())
    assert set(content) == {field.name for field in dataclasses.fields(ModelSpec)}


@given(
    st.text() | st.recursive(st.none() | finite | st.text(), lambda inner: st.lists(inner)).map(json.dumps)
)
def test_text_that_is_no_specification_is_a_specification_error(text: str) -> None:
    with pytest.raises(ModelSpecError):
        ModelSpec.from_json(text)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("stage", 3, "stage is 3, expected 1 or 2"),
        ("stage", "1", "stage is '1', expected 1 or 2"),
        ("labels", ["normal"], "expected two"),
        ("labels", ["a", "b", "c"], "expected two"),
        ("size", 31, "size is 31, expected at least 32 pixels"),
        ("size", None, "cannot be read"),
        ("input_size", 31, "input_size is 31, expected 32 to 224"),
        ("input_size", 225, "input_size is 225, expected 32 to 224"),
        ("margin", -0.01, "margin is -0.01, expected 0 to 0.25"),
        ("margin", 0.3, "margin is 0.3, expected 0 to 0.25"),
        ("smoothing_sigma", -0.1, "expected >= 0"),
        ("colour_map", "jet", "'jet', expected 'hot' or None"),
        ("prior", 0.0, "prior is 0.0, expected a share"),
        ("prior", 1, "prior is 1, expected a share"),
        ("temperature", 0, "temperature is 0, expected > 0"),
        ("temperature", float("nan"), "temperature is nan"),
        ("std", [1, 0, 1], "expected three values > 0"),
        ("std", [1, 1], "expected three values > 0"),
        ("mean", [1.0, 2.0], "expected three finite values"),
        ("mean", [1.0, 2.0, float("nan")], "expected three finite values"),
        ("clahe_tiles", [8, 0], "expected two numbers of at least 1"),
        ("clahe_clip_limit", 0.0, "expected > 0 or None"),
        ("labels", ["normal", "normal"], "expected two"),
        (
            "operating_points",
            {"balanced": {"threshold": 1.5, "sensitivity": 1, "specificity": 0, "data": ""}},
            "threshold is not in 0..1",
        ),
        ("no_such_field", 1, "no_such_field"),
        ("operating_points", {"balanced": {"threshold": 0.5}}, "cannot be read"),
        ("operating_points", [], "cannot be read"),
    ],
)
def test_a_value_that_makes_no_sense_is_named(field: str, value: Any, message: str) -> None:
    content = json.loads(for_recipe(1, "clahe-hot").to_json())
    content[field] = value
    with pytest.raises(ModelSpecError, match=message.replace("(", r"\(")):
        ModelSpec.from_json(json.dumps(content))


def test_sets_of_models_with_one_domain_are_still_read() -> None:
    content = json.loads(for_recipe(1, "clahe-hot").to_json())
    content["prediction_set_minimum"] = {"normal": 0.2, "pneumonia": 0.3}
    spec = ModelSpec.from_json(json.dumps(content))
    assert spec.prediction_set_minimum == {"": {"normal": 0.2, "pneumonia": 0.3}}


def test_a_missing_field_without_default_is_an_error() -> None:
    content = json.loads(for_recipe(1, "clahe-hot").to_json())
    del content["labels"]
    with pytest.raises(ModelSpecError, match="labels"):
        ModelSpec.from_json(json.dumps(content))


def test_the_recipes_are_those_of_the_issue() -> None:
    hot = for_recipe(1, "clahe-hot")
    assert (hot.size, hot.clahe_clip_limit, hot.clahe_tiles, hot.colour_map) == (224, 2.0, (8, 8), "hot")
    assert (hot.mean, hot.std, hot.labels) == (IMAGENET_RGB_MEAN, (1.0, 1.0, 1.0), STAGE1_LABELS)
    baseline = for_recipe(2, "baseline", size=128, smoothing_sigma=0)
    assert (baseline.clahe_clip_limit, baseline.colour_map, baseline.labels) == (None, None, STAGE2_LABELS)
    assert (baseline.size, baseline.smoothing_sigma, baseline.recipe) == (128, 0, "baseline")
    assert (hot.input_size, baseline.input_size) == (224, 128)
    clahe = for_recipe(1, "clahe")
    assert (clahe.clahe_clip_limit, clahe.colour_map, clahe.recipe) == (2.0, None, "clahe")


@pytest.mark.parametrize(("stage", "recipe"), [(0, "baseline"), (3, "clahe-hot"), (1, "jet"), (2, "")])
def test_an_unknown_stage_or_recipe_is_an_error(stage: int, recipe: str) -> None:
    with pytest.raises(ModelSpecError, match="expected"):
        for_recipe(stage, recipe)


OTHERWISE: dict[str, Any] = {
    "margin": 0.1,
    "size": 256,
    "input_size": 128,
    "smoothing_sigma": 0.0,
    "clahe_clip_limit": None,
    "clahe_tiles": (4, 4),
    "colour_map": None,
    "mean": (1.0, 2.0, 3.0),
    "std": (2.0, 2.0, 2.0),
}


@pytest.mark.parametrize("name", PREPARATION)
def test_one_input_serves_both_stages_only_where_all_of_the_preparation_agrees(name: str) -> None:
    spec = for_recipe(1, "clahe-hot", input_size=160)
    assert not spec.prepares_like(replace(spec, **{name: OTHERWISE[name]}))
    assert spec.prepares_like(replace(spec, stage=2, temperature=2.0, bias=1.0, version="x"))


def test_a_specification_cannot_be_changed() -> None:
    spec = for_recipe(1, "clahe-hot")
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.temperature = 2.0  # type: ignore[misc]
