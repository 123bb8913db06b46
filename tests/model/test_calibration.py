"""Logits, temperature, operating point, prediction set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pneumocascade.errors import UsageError
from pneumocascade.model.calibration import DECIMALS, at_prior, judge, positive_probability
from pneumocascade.model.spec import OPERATING_POINTS, UNCERTAIN_DOMAIN
from tests.tiny_models import tiny_spec

logit = st.floats(min_value=-1e4, max_value=1e4, width=32)
temperatures = st.floats(min_value=0.05, max_value=20)


@given(logit, logit, temperatures)
def test_the_probability_is_the_softmax_of_the_tempered_logits(
    first: float, second: float, temperature: float
) -> None:
    found = positive_probability(np.array([[first, second]], np.float32), temperature)[0]
    tempered = np.array([first, second]) / temperature
    softmax = np.exp(tempered - tempered.max()) / np.exp(tempered - tempered.max()).sum()
    assert 0 <= found <= 1
    assert found == pytest.approx(softmax[1], abs=1e-12)


def test_golden_probabilities() -> None:
    logits = np.array([[0, 0], [0, 1], [0, -1], [3, 5], [0, 1e30], [1e30, 0]], np.float32)
    expected = [0.5, 0.7310585786, 0.2689414214, 0.8807970780, 1.0, 0.0]
    assert positive_probability(logits, 1.0) == pytest.approx(expected, abs=1e-9)
    assert positive_probability(logits[:4], 2.0) == pytest.approx(
        [0.5, 0.6224593312, 0.3775406688, 0.7310585786]
    )


@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(min_value=0.5, max_value=20))
def test_the_bias_is_added_to_the_log_odds(margin: float, bias: float, temperature: float) -> None:
    found = positive_probability(np.array([[0.0, margin]]), temperature, bias)[0]
    assert np.log(found / (1 - found)) == pytest.approx(margin / temperature + bias, abs=1e-6)


@given(logit, logit, temperatures, st.floats(min_value=0, max_value=1), st.sampled_from([1, 2]))
def test_the_label_follows_from_the_shown_probability(
    first: float, second: float, temperature: float, threshold: float, stage: int
) -> None:
    spec = tiny_spec(stage)
    point = replace(spec.operating_points["balanced"], threshold=threshold)
    spec = replace(spec, temperature=temperature, operating_points={"balanced": point})
    result = judge(np.array([first, second], np.float32), spec, "balanced")
    negative, positive = (result.probabilities[label] for label in spec.labels)
    assert tuple(result.probabilities) == spec.labels
    assert negative + positive == pytest.approx(1, abs=1e-9)
    assert positive == round(positive, DECIMALS)
    assert result.label == (spec.labels[1] if positive >= threshold else spec.labels[0])
    assert result.threshold == threshold
    assert result.label in result.prediction_set or not result.prediction_set


@pytest.mark.parametrize("point", OPERATING_POINTS)
def test_a_probability_at_the_threshold_is_positive(point: str) -> None:
    spec = tiny_spec(1)
    threshold = spec.operating_points[point].threshold
    odds = np.log(threshold / (1 - threshold))
    assert judge(np.array([0, odds]), spec, point).label == "pneumonia"
    assert judge(np.array([0, odds - 1e-4]), spec, point).label == "normal"


@pytest.mark.parametrize(
    ("minimum", "expected"),
    [
        ({}, ("normal", "pneumonia")),
        ({"normal": 0.2, "pneumonia": 0.2}, ("normal", "pneumonia")),
        ({"normal": 0.4, "pneumonia": 0.2}, ("pneumonia",)),
        ({"normal": 0.2, "pneumonia": 0.8}, ("normal", "pneumonia")),  # the answer is with the others
        ({"normal": 0.4, "pneumonia": 0.8}, ()),  # neither reaches it
    ],
)
def test_the_prediction_set_is_what_cannot_be_ruled_out(
    minimum: dict[str, float], expected: tuple[str, ...]
) -> None:
    spec = replace(tiny_spec(1), prediction_set_minimum={"": minimum})
    # Probability of pneumonia: .731.
    assert judge(np.array([0.0, 1.0]), spec, "balanced").prediction_set == expected


def test_the_prediction_set_is_that_of_the_domain() -> None:
    minima = {"": {"normal": 0.4, "pneumonia": 0.5}, "adults": {"normal": 0.2, "pneumonia": 0.8}}
    spec = replace(tiny_spec(1), prediction_set_minimum=minima)

    def found(domain: str | None) -> tuple[str, ...]:
        return judge(np.array([0.0, 1.0]), spec, "balanced", domain=domain).prediction_set

    assert found("") == ("pneumonia",)
    assert found("adults") == ("normal", "pneumonia")
    assert found(None) == ("normal", "pneumonia"), "what is in any domain's set"
    assert found("dogs") == ("normal", "pneumonia"), "of films never learnt from nothing is ruled out"


def test_where_the_domain_is_uncertain_a_label_is_left_out_that_every_domain_leaves_out() -> None:
    minima = {"": {"normal": 0.4, "pneumonia": 0.5}, "adults": {"normal": 0.3, "pneumonia": 0.8}}
    spec = replace(tiny_spec(1), prediction_set_minimum=minima)
    for logits, expected in (([0.0, 1.0], ("pneumonia",)), ([0.0, 0.5], ("normal", "pneumonia"))):
        found = judge(np.array(logits), spec, "balanced", domain=UNCERTAIN_DOMAIN)
        assert found.prediction_set == expected


@given(st.floats(-8, 8), st.floats(0.01, 0.99), st.sampled_from(OPERATING_POINTS))
def test_a_prior_moves_probability_and_threshold_but_not_the_finding(
    margin: float, prior: float, point: str
) -> None:
    spec = replace(tiny_spec(1), prediction_set_minimum={"": {"normal": 0.3, "pneumonia": 0.6}})
    logits = np.array([0.0, margin])
    stored, moved = judge(logits, spec, point), judge(logits, spec, point, prior=prior)
    threshold = spec.operating_points[point].threshold
    assert moved.label == stored.label
    assert moved.prediction_set == stored.prediction_set
    for found, before in (
        (moved.threshold, threshold),
        (moved.probabilities["pneumonia"], stored.probabilities["pneumonia"]),
    ):
        odds = before / (1 - before) * prior / (1 - prior)
        assert found == pytest.approx(odds / (1 + odds), abs=2e-4)


priors = st.one_of(
    st.floats(0, 1, exclude_min=True, exclude_max=True),
    st.sampled_from([5e-324, 1e-300, 1e-12, 1e-7, 1e-5, 0.2, 0.999, 0.99999, 1 - 1e-9, 1 - 2**-53]),
)


@given(st.floats(-30, 30), priors, st.floats(0, 1), st.sampled_from([0.5, 0.62, 0.74]))
@example(np.log(0.05 / 0.95), 1e-7, 0.1, 0.5)
@example(np.log(0.05 / 0.95), 1 - 2**-53, 0.1, 0.5)
def test_a_prior_never_changes_the_label(
    log_odds: float, prior: float, threshold: float, stored_prior: float
) -> None:
    spec = replace(tiny_spec(1), prior=stored_prior, temperature=1.0, bias=0.0)
    point = replace(spec.operating_points["balanced"], threshold=threshold)
    spec = replace(spec, operating_points={"balanced": point})
    at_threshold = np.log(threshold / (1 - threshold)) if 0 < threshold < 1 else 0.0
    for value in (log_odds, at_threshold, *(at_threshold + step for step in (-1e-6, -1e-9, 1e-9, 1e-6))):
        logits = np.array([0.0, value])
        stored, moved = judge(logits, spec, "balanced"), judge(logits, spec, "balanced", prior=prior)
        assert moved.label == stored.label
        shown = moved.probabilities["pneumonia"]
        assert moved.label == ("pneumonia" if shown >= moved.threshold else "normal")
        assert 0 <= shown <= 1
        assert 0 <= moved.threshold <= 1
        assert sum(moved.probabilities.values()) == pytest.approx(1, abs=1e-9)
    probability = float(positive_probability(np.array([[0.0, log_odds]]), 1.0)[0])
    if abs(probability - threshold) > 1e-6:
        shown = judge(np.array([0.0, log_odds]), spec, "balanced", prior=prior).probabilities["pneumonia"]
        assert shown == pytest.approx(at_prior(probability, stored_prior, prior), abs=2e-6)


@pytest.mark.parametrize("prior", [1e-9, 0.2, 1 - 1e-9])
def test_films_at_one_prior_have_one_threshold(prior: float) -> None:
    margins = np.linspace(-8, 8, 33)
    found = {judge(np.array([0.0, one]), tiny_spec(1), "balanced", prior=prior).threshold for one in margins}
    assert len(found) == 1


def test_a_threshold_of_ones_own_is_for_the_probability_shown() -> None:
    spec = tiny_spec(1)
    shown = judge(np.array([0.0, 1.0]), spec, "balanced", prior=0.1)
    for threshold, label in ((0.1, "pneumonia"), (0.9, "normal")):
        found = judge(np.array([0.0, 1.0]), spec, "balanced", prior=0.1, threshold=threshold)
        assert (found.label, found.threshold) == (label, threshold)
        assert found.probabilities == shown.probabilities


def test_the_stored_prior_changes_nothing() -> None:
    spec = replace(tiny_spec(1), prior=0.7)
    logits = np.array([0.0, 1.3])
    assert judge(logits, spec, "balanced", prior=0.7) == judge(logits, spec, "balanced")


@pytest.mark.parametrize("prior", [0.0, 1.0, -0.1, 2.0, float("nan")])
def test_a_prior_that_is_no_share_is_refused(prior: float) -> None:
    with pytest.raises(UsageError, match="above 0 and below 1"):
        judge(np.zeros(2), tiny_spec(1), "balanced", prior=prior)


def test_an_unknown_operating_point_names_those_that_exist() -> None:
    with pytest.raises(UsageError, match="'best'; stage 2 stores balanced, sensitive, specific"):
        judge(np.zeros(2), tiny_spec(2), "best")


def test_the_operating_point_is_that_of_stage_1() -> None:
    second = tiny_spec(2)
    logits = np.log(np.array([0.6, 0.4]))
    answers = [judge(logits, second, name) for name in second.operating_points]
    assert {(answer.label, answer.threshold) for answer in answers} == {("bacterial", 0.5)}
    first = tiny_spec(1)
    labels = [judge(logits, first, name).label for name in first.operating_points]
    assert labels == ["normal", "pneumonia", "normal"]
