"""The checks on features: kind of picture, view, familiarity, domain."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pneumocascade.errors import ModelError
from pneumocascade.model.gate import (
    CHILDREN_ONLY,
    LATERAL,
    REASONS,
    STRANGE,
    UNFAMILIAR,
    UPRIGHT,
    Assessment,
    FeatureGate,
    pooled,
)
from pneumocascade.model.gate.feature_gate import OTHER_DOMAIN
from pneumocascade.model.spec import UNCERTAIN_DOMAIN
from pneumocascade.types import Acquisition

KINDS = (UPRIGHT, "inverted", "turned", "turned", "part")


def a_gate(seed: int = 0, **values: Any) -> FeatureGate:
    """Return a gate of 12 features, 5 kinds and 2 domains with random weights, and with the given values."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> NDArray[np.float32]:
        return rng.standard_normal(shape, np.float32)

    directions = np.linalg.qr(draw(12, 3))[0]
    gate = FeatureGate(
        "a" * 64, KINDS, ("", "adults"), draw(12), draw(12, 4), draw(4, 5), draw(5), draw(4), draw(1),
        draw(4, 2), draw(2), draw(12), directions, np.sort(np.abs(draw(2, 9)), axis=1),
        np.zeros(2, np.float32),
    )  # fmt: skip
    return replace(gate, **values)


def maps_of(pooled_features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return feature maps (N, C, 5, 5) whose pooled features are the given ones, not negative."""
    noise = np.random.default_rng(1).uniform(0, 2, (*pooled_features.shape, 5, 5))
    noise /= noise.mean(axis=(2, 3), keepdims=True)
    return np.asarray(noise * np.square(pooled_features)[..., None, None], np.float32)


def assessed(
    gate: FeatureGate, features: NDArray[np.float32], acquisition: Acquisition | None = None
) -> list[Assessment]:
    return gate.assess(maps_of(features), [acquisition] * len(features))


def codes_by(
    gate: FeatureGate, features: NDArray[np.float32], acquisition: Acquisition | None = None
) -> list[Sequence[str]]:
    return [[reason.code for reason in film.reasons] for film in assessed(gate, features, acquisition)]


@pytest.fixture
def features() -> NDArray[np.float32]:
    return np.random.default_rng(2).uniform(0, 2, (8, 12)).astype(np.float32)


def test_every_kind_has_a_code_and_a_sentence() -> None:
    found = {reason.code for reason in (*REASONS.values(), STRANGE)}
    assert found == {
        "not_a_radiograph",
        "not_a_chest_radiograph",
        "not_frontal",
        "inverted",
        "rotated",
        "cropped",
    }
    assert all(reason.message.endswith(".") for reason in (*REASONS.values(), STRANGE))


def test_pooling_undoes_what_the_maps_were_made_of(features: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(pooled(maps_of(features)), features, rtol=1e-5)
    assert (pooled(-maps_of(features)) == 0).all()


def test_open_limits_let_everything_through(features: NDArray[np.float32]) -> None:
    assert codes_by(a_gate(), features) == [[]] * 8


def test_the_head_names_the_likeliest_other_kind(features: NDArray[np.float32]) -> None:
    gate = a_gate(minimum_upright=1.0)
    kinds = gate.judge(features).kinds
    np.testing.assert_allclose(kinds.sum(axis=1), 1, rtol=1e-5)
    expected = [[REASONS[KINDS[1 + int(row[1:].argmax())]].code] for row in kinds]
    assert codes_by(gate, features) == expected
    assert len({code for (code,) in expected}) > 1


def test_each_limit_parts_the_films_at_its_value(features: NDArray[np.float32]) -> None:
    scores = a_gate().judge(features)
    for limit, code, values, below in (
        ("minimum_upright", None, scores.kinds[:, 0], True),
        ("maximum_lateral", "not_frontal", scores.lateral, False),
        ("maximum_distance", "not_a_chest_radiograph", scores.distances, False),
    ):
        middle = float(np.sort(values)[3:5].mean())
        found = codes_by(replace(a_gate(), **{limit: middle}), features)  # type: ignore[arg-type]
        refused = values < middle if below else values > middle
        assert [bool(codes) for codes in found] == refused.tolist()
        assert code is None or {each for codes in found for each in codes} == {code}


def test_the_distance_is_what_chests_do_not_span() -> None:
    gate, rng = a_gate(), np.random.default_rng(3)
    along = rng.standard_normal((6, 3)).astype(np.float32) @ gate.chest_directions.T
    across = rng.standard_normal((6, 12)).astype(np.float32)
    across -= across @ gate.chest_directions @ gate.chest_directions.T
    inside, outside = (gate.judge(gate.chest_mean + moved).distances for moved in (along, along + across))
    np.testing.assert_allclose(inside, 0, atol=2e-3)
    np.testing.assert_allclose(outside, np.linalg.norm(across, axis=1), rtol=1e-3)


def test_a_view_that_the_object_says_is_believed(features: NDArray[np.float32]) -> None:
    side = a_gate(maximum_lateral=-1e9)
    by_head = a_gate(kinds=(UPRIGHT, *[LATERAL] * 4), minimum_upright=1.0)
    for gate in (side, by_head):
        assert codes_by(gate, features) == [["not_frontal"]] * 8
        for view in ("PA", "AP"):
            assert codes_by(gate, features, Acquisition(view_position=view)) == [[]] * 8
        assert codes_by(gate, features, Acquisition(view_position="")) == [["not_frontal"]] * 8
    other = a_gate(minimum_upright=1.0)
    assert codes_by(other, features, Acquisition(view_position="PA")) == codes_by(other, features)


def test_the_familiarity_is_the_share_of_films_that_lie_farther_out() -> None:
    gate = a_gate(distances=np.array([[0, 1, 2, 3, 4], [10, 20, 30, 40, 50]], np.float32))
    assert [gate.familiarity(distance, 0) for distance in (0, 1, 2.5, 4, 9)] == [1, 0.75, 0.375, 0, 0]
    assert [gate.familiarity(distance, 1) for distance in (9, 25, 60)] == [1, 0.625, 0]


def test_domain_and_familiarity_are_told_and_what_is_unlike_all_is_warned_of(
    features: NDArray[np.float32],
) -> None:
    gate = a_gate()
    scores = gate.judge(features)
    limit = 0.4
    films = assessed(replace(gate, minimum_familiarity=limit), features)
    assert [film.domain for film in films] == [gate.domains[index] for index in scores.domains]
    assert len({film.domain for film in films}) == 2
    for film, distance, domain in zip(films, scores.distances, scores.domains, strict=True):
        assert film.familiarity == gate.familiarity(float(distance), int(domain))
        assert film.warnings == ((UNFAMILIAR,) if film.familiarity < limit else ())
        assert film.stage2_domain == film.domain
        assert film.stage2_warnings == ((CHILDREN_ONLY,) if film.domain else ())


@pytest.mark.parametrize(("age", "known"), [(None, True), (3.0, True), (0.5, False), (68.0, False)])
def test_stage_two_knows_children_alone(
    age: float | None, known: bool, features: NDArray[np.float32]
) -> None:
    gate = a_gate(domain_weights=np.zeros((4, 2), np.float32), domain_bias=np.array([1, 0], np.float32))
    for film in assessed(gate, features, Acquisition(age_years=age)):
        assert film.domain == ""
        assert film.stage2_domain == ("" if known else OTHER_DOMAIN)
        assert film.stage2_warnings == (() if known else (CHILDREN_ONLY,))


@pytest.mark.parametrize(("age", "known"), [(None, False), (3.0, True), (68.0, False)])
def test_where_the_domain_is_uncertain_stage_two_goes_by_the_age_alone(
    age: float | None, known: bool, features: NDArray[np.float32]
) -> None:
    lead = a_gate().judge(features).leads
    limit = float(np.sort(lead)[3:5].mean())
    gate = a_gate(minimum_leads=np.full(2, limit, np.float32))
    films = assessed(gate, features, Acquisition(age_years=age))
    assert [film.domain == UNCERTAIN_DOMAIN for film in films] == (lead < limit).tolist()
    for film in films:
        if film.domain == UNCERTAIN_DOMAIN:
            assert film.stage2_domain == ("" if known else OTHER_DOMAIN)
            assert film.stage2_warnings == (() if known else (CHILDREN_ONLY,))


def test_the_lead_is_the_log_odds_of_the_likeliest_domain_against_the_next(
    features: NDArray[np.float32],
) -> None:
    gate = a_gate()
    logits = (features - gate.mean) @ gate.projection @ gate.domain_weights + gate.domain_bias
    scores = gate.judge(features)
    np.testing.assert_allclose(scores.leads, np.abs(logits[:, 0] - logits[:, 1]), rtol=1e-4)
    single: dict[str, Any] = {
        "domain_weights": gate.domain_weights[:, :1],
        "domain_bias": gate.domain_bias[:1],
    }
    one = a_gate(domains=("",), distances=gate.distances[:1], minimum_leads=np.zeros(1, np.float32), **single)
    assert (one.judge(features).leads == np.inf).all()
    assert {film.domain for film in assessed(one, features)} == {""}


def test_other_features_are_an_error() -> None:
    with pytest.raises(ModelError, match="stage 1 gives 3 features, the gate takes 12"):
        a_gate().assess(np.zeros((1, 3, 5, 5), np.float32), [None])


# The gate on disk


def test_a_gate_survives_being_written_and_read(features: NDArray[np.float32]) -> None:
    gate = a_gate(minimum_upright=0.3, maximum_lateral=1.5, maximum_distance=2.5, minimum_familiarity=0.01)
    again = FeatureGate.from_bytes(gate.to_bytes())
    for field in fields(FeatureGate):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(gate, field.name))
    assert codes_by(again, features) == codes_by(gate, features)


def test_a_gate_of_models_up_to_2_0_0_finds_no_domain_uncertain() -> None:
    stream = io.BytesIO()
    values = {field.name: getattr(a_gate(), field.name) for field in fields(FeatureGate)}
    del values["minimum_leads"]
    np.savez(stream, **values)
    assert (FeatureGate.from_bytes(stream.getvalue()).minimum_leads == 0).all()


def test_nothing_is_pickled() -> None:
    stream = io.BytesIO()
    values = {field.name: getattr(a_gate(), field.name) for field in fields(FeatureGate)}
    np.savez(stream, **{**values, "kinds": np.array(KINDS, object)})
    with pytest.raises(ModelError, match=r"a gate that can be read.*allow_pickle"):
        FeatureGate.from_bytes(stream.getvalue())


@pytest.mark.parametrize("content", [b"", b"PK", b"no gate", a_gate().to_bytes()[:900]])
def test_damaged_bytes_are_a_model_error(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"my\.npz is not a gate that can be read"):
        FeatureGate.from_bytes(content, "my.npz")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mean": np.zeros(11, np.float32)}, "expected finite float32"),
        ({"bias": np.zeros(5)}, "bias is float64"),
        ({"projection": np.full((12, 4), np.nan, np.float32)}, "projection is float32"),
        ({"view_weights": np.zeros(9, np.float32)}, "view_weights is"),
        ({"domain_bias": np.zeros(3, np.float32)}, "domain_bias is"),
        ({"minimum_leads": np.zeros(3, np.float32)}, "minimum_leads is"),
        ({"domains": ("adults", "")}, "it tells the domains"),
        ({"domains": ("", "")}, "it tells the domains"),
        ({"distances": np.array([[0, 2, 1]] * 2, np.float32)}, "ascend"),
        ({"kinds": ("part", *KINDS[1:])}, "it tells the kinds part"),
        ({"kinds": (*KINDS[:4], "banana")}, "banana"),
        ({"minimum_upright": 1.5}, "its limits are"),
        ({"minimum_familiarity": -0.1}, "its limits are"),
        ({"maximum_lateral": float("nan")}, "its limits are"),
        ({"maximum_distance": -1.0}, "its limits are"),
    ],
)
def test_a_gate_that_makes_no_sense_is_a_model_error(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        a_gate(**values)


@pytest.mark.parametrize("missing", [False, True])
def test_a_broken_gate_is_reported_under_its_own_name(missing: bool) -> None:
    values = {field.name: getattr(a_gate(), field.name) for field in fields(FeatureGate)}
    if missing:
        del values["stage1_sha256"]
    stream = io.BytesIO()
    np.savez(stream, **{**values, "bias": np.zeros(5)})
    with pytest.raises(ModelError, match=r"^my\.npz"):
        FeatureGate.from_bytes(stream.getvalue(), "my.npz")
