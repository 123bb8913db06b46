"""The words of an answer claim no more than its numbers, over the whole range of both stages."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumocascade import Prediction, Reason, StageResult
from pneumocascade.explain.verdict import (
    NO_BREAK,
    OUTCOMES,
    TONES,
    mapped_label,
    named_aetiology,
    percent,
    verdict_of,
)

SETS = st.sets(st.integers(0, 1))
SHARES = st.floats(0, 1).map(lambda value: round(value, 6))


def result_of(labels: tuple[str, str], positive: float, threshold: float, members: set[int]) -> StageResult:
    """Return what a stage says; where its prediction set holds any label, it holds the answer."""
    label = labels[positive >= threshold]
    probabilities = dict(zip(labels, (round(1 - positive, 6), positive), strict=True))
    held = {labels[member] for member in members} | ({label} if members else set())
    return StageResult(probabilities, label, threshold, tuple(name for name in labels if name in held))


def stage1_of(positive: float, threshold: float = 0.5, members: set[int] | None = None) -> StageResult:
    """Return a result of stage 1; its prediction set is its label alone unless members are given."""
    alone = {int(positive >= threshold)} if members is None else members
    return result_of(("normal", "pneumonia"), positive, threshold, alone)


def stage2_of(positive: float, members: set[int] | None = None) -> StageResult:
    """Return a result of stage 2, likewise."""
    alone = {int(positive >= 0.5)} if members is None else members
    return result_of(("bacterial", "viral"), positive, 0.5, alone)


def answer(stage1: StageResult, stage2: StageResult | None = None) -> Prediction:
    """Return an answer as a cascade gives it: stage 2 only where stage 1 says pneumonia."""
    second = stage2 if stage1.label == "pneumonia" else None
    return Prediction(
        "a.png",
        "ok",
        "balanced",
        "1.0.0",
        finding=stage1.label,
        aetiology=second.label if second else None,
        stage1=stage1,
        stage2=second,
    )


@given(p1=SHARES, threshold1=SHARES, set1=SETS, p2=SHARES, threshold2=SHARES, set2=SETS)
def test_no_headline_says_more_than_the_numbers(
    p1: float, threshold1: float, set1: set[int], p2: float, threshold2: float, set2: set[int]
) -> None:
    stage1 = result_of(("normal", "pneumonia"), p1, threshold1, set1)
    stage2 = result_of(("bacterial", "viral"), p2, threshold2, set2)
    prediction = answer(stage1, stage2)
    verdict = verdict_of(prediction)
    assert verdict.tone in TONES
    assert named_aetiology(prediction) == (verdict.tone if verdict.tone in ("bacterial", "viral") else None)
    assert verdict.sentence
    assert verdict.lines[0] == verdict.sentence
    assert len(verdict.lines) == 1 + len(prediction.stages)
    sure = stage1.prediction_set == (stage1.label,) and stage1.probabilities[stage1.label] >= 0.5
    if not sure:
        side = "above" if stage1.label == "pneumonia" else "below"
        assert (verdict.tone, verdict.title) == ("borderline", f"Borderline, {side} the threshold")
        return
    if stage1.label == "normal":
        assert (verdict.tone, verdict.title) == ("normal", "Normal")
        assert p1 <= 0.5
        return
    assert verdict.title.startswith("Pneumonia")
    assert p1 >= 0.5
    for label in ("bacterial", "viral"):
        named = label in verdict.title
        assert named == (verdict.tone == label)
        assert named == (stage2.prediction_set == (label,) and stage2.probabilities[label] >= 0.5)
    assert ("type undetermined" in verdict.title) == (verdict.tone == "pneumonia")


def test_every_tone_has_a_colour_and_words_for_counts() -> None:
    assert set(TONES) == set(OUTCOMES)


@pytest.mark.parametrize(
    ("prediction", "tone", "title", "sentence"),
    [
        (
            answer(stage1_of(0.031)),
            "normal",
            "Normal",
            "The calibrated probability of pneumonia is 3.1 %, below the threshold of 50.0 %. "
            "The models look for no other disease.",
        ),
        (
            answer(stage1_of(0.45, members={0, 1})),
            "borderline",
            "Borderline, below the threshold",
            "The calibrated probability of pneumonia is 45.0 %, below the threshold of 50.0 %, but neither "
            "normal nor pneumonia can be ruled out. The models look for no other disease.",
        ),
        (
            answer(stage1_of(0.66, threshold=0.685)),
            "borderline",
            "Borderline, below the threshold",
            "The calibrated probability of pneumonia is 66.0 %, below the threshold of 68.5 %, although "
            "pneumonia is likelier. The models look for no other disease.",
        ),
        (
            answer(stage1_of(0.55, members=set()), stage2_of(0.9)),
            "borderline",
            "Borderline, above the threshold",
            "The calibrated probability of pneumonia is 55.0 %, above the threshold of 50.0 %, a value "
            "that is unusual for both normal and pneumonia. The models look for no other disease.",
        ),
        (
            answer(stage1_of(0.969), stage2_of(0.62, members={0, 1})),
            "pneumonia",
            "Pneumonia, type undetermined",
            "The calibrated probability of pneumonia is 96.9 %, above the threshold of 50.0 %. Neither "
            "bacterial nor viral can be ruled out. The models look for no other disease.",
        ),
        (
            answer(stage1_of(0.969), stage2_of(0.93)),
            "viral",
            "Pneumonia, probably viral",
            "The calibrated probability of pneumonia is 96.9 %, above the threshold of 50.0 %. If it is "
            "pneumonia, the probability that it is viral is 93.0 %. The models look for no other disease.",
        ),
        (
            answer(stage1_of(0.969)),
            "pneumonia",
            "Pneumonia",
            "The calibrated probability of pneumonia is 96.9 %, above the threshold of 50.0 %. "
            "The models look for no other disease.",
        ),
    ],
)
def test_words(prediction: Prediction, tone: str, title: str, sentence: str) -> None:
    verdict = verdict_of(prediction)
    assert (verdict.tone, verdict.title) == (tone, title)
    assert verdict.sentence.replace(NO_BREAK, " ") == sentence


@pytest.mark.parametrize(
    ("stage1", "stage2", "labels"),
    [
        (stage1_of(0.9), stage2_of(0.9), ["pneumonia", "viral"]),
        (stage1_of(0.9), stage2_of(0.6, {0, 1}), ["pneumonia", "viral (undetermined)"]),
        (stage1_of(0.6, members={0, 1}), stage2_of(0.9), ["pneumonia (borderline)", "viral (undetermined)"]),
        (stage1_of(0.4, members=set()), None, ["normal (borderline)"]),
        (stage1_of(0.1), None, ["normal"]),
    ],
)
def test_a_map_says_where_its_stage_cannot_tell(
    stage1: StageResult, stage2: StageResult | None, labels: list[str]
) -> None:
    prediction = answer(stage1, stage2)
    assert [mapped_label(prediction, stage) for stage in prediction.stages] == labels


def test_the_probabilities_stand_below_the_sentence() -> None:
    lines = verdict_of(answer(stage1_of(0.969), stage2_of(0.78))).lines
    assert tuple(line.replace(NO_BREAK, " ") for line in lines[1:]) == (
        "Calibrated probability: normal 3.1 %, pneumonia 96.9 % (pneumonia from 50.0 %)",
        "Calibrated probability: bacterial 22.0 %, viral 78.0 % (viral from 50.0 %)",
    )


@pytest.mark.parametrize(
    ("code", "title"),
    [
        ("rotated", "Cannot judge: looks rotated"),
        ("not_frontal", "Cannot judge: not a frontal view that the models know"),
        ("a code of a later version", "Cannot judge"),
    ],
)
def test_a_refusal_names_its_obstacle(code: str, title: str) -> None:
    refused = Prediction("c.png", "refused", "balanced", "1.0.0", reasons=(Reason(code, "So it is."),))
    verdict = verdict_of(refused)
    assert (verdict.tone, verdict.title, verdict.sentence) == ("refused", title, "")
    assert verdict.lines == (f"{code}: So it is.",)
    both = replace(refused, reasons=(Reason("of no name", "x"), *refused.reasons))
    assert verdict_of(both).title == title


def test_what_cannot_be_read_says_so() -> None:
    unread = Prediction("d.png", "error", "balanced", "1.0.0", error=Reason("empty_file", "It is empty."))
    verdict = verdict_of(unread)
    assert (verdict.tone, verdict.title) == ("error", "Cannot read this file")
    assert verdict.lines == ("empty_file: It is empty.",)


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.0, "0.0~%"),
        (0.0004, "<~0.1~%"),
        (0.0312, "3.1~%"),
        (0.9996, ">~99.9~%"),
        (1.0, "100.0~%"),
    ],
)
def test_percent_never_rounds_to_certainty(probability: float, text: str) -> None:
    assert percent(probability) == text.replace("~", NO_BREAK)
