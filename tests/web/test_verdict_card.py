"""The verdict's card: plain about what did not run, what decided, and what remains undetermined."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import pytest

from pneumocascade import Prediction, Reason, StageResult
from pneumocascade.explain.verdict import verdict_of
from pneumocascade.reports.stages import stage_cards
from pneumocascade.types import DISCLAIMER
from pneumocascade.web.analysis import Analysis
from pneumocascade.web.verdict_card import verdict_card

STAGE1 = StageResult({"normal": 0.1, "pneumonia": 0.9}, "pneumonia", 0.62, ("pneumonia",))
STAGE2 = StageResult({"bacterial": 0.75, "viral": 0.25}, "bacterial", 0.5, ("bacterial",))
PNEUMONIA = Prediction("a.png", "ok", "balanced", "1.0.0", "pneumonia", "bacterial", STAGE1, STAGE2)
NORMAL = replace(
    PNEUMONIA,
    finding="normal",
    aetiology=None,
    stage1=StageResult({"normal": 0.9, "pneumonia": 0.1}, "normal", 0.62, ("normal",)),
    stage2=None,
)
REFUSED = Prediction(
    "b.png", "refused", "balanced", "1.0.0", reasons=(Reason("blank", "Hardly <any> tone."),)
)


def text_of(html: str) -> str:
    """Return the words of a piece of HTML, with ordinary spaces."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def headline(prediction: Prediction) -> list[str]:
    """Return the large figures of the card."""
    return [
        text_of(part).strip()
        for part in re.findall(r"<div><strong>.*?</div>", verdict_card(Analysis(prediction)))
    ]


def test_card_says_why_stage_2_did_not_run() -> None:
    text = text_of(verdict_card(Analysis(NORMAL)))
    assert "Normal" in text
    assert "90.0 %" in text
    assert DISCLAIMER in text
    assert "Did not run: the probability of pneumonia (10.0 %) is below the threshold" in text


def test_card_of_pneumonia_shows_both_stages() -> None:
    text = text_of(verdict_card(Analysis(PNEUMONIA)))
    assert "Pneumonia, probably bacterial" in text
    assert "Did not run" not in text
    assert headline(PNEUMONIA) == [
        "90.0 % calibrated probability of pneumonia, assuming that 50 % of such films show it",
        "75.0 % calibrated probability of bacterial, if it is pneumonia",
    ]


def test_no_type_stands_out_where_it_may_not_be_pneumonia() -> None:
    unsure = StageResult({"normal": 0.4, "pneumonia": 0.6}, "pneumonia", 0.5, ())
    borderline = replace(PNEUMONIA, stage1=unsure)
    assert PNEUMONIA.stage2 is not None
    assert PNEUMONIA.stage2.prediction_set == ("bacterial",)
    assert headline(borderline) == [
        "60.0 % calibrated probability of pneumonia, assuming that 50 % of such films show it"
    ]
    for prediction, chosen in ((PNEUMONIA, ["pneumonia", "bacterial"]), (borderline, [])):
        bars = [bar for card in stage_cards(prediction) for bar in card.bars]
        assert [bar.label for bar in bars if bar.chosen] == chosen


def test_the_headline_is_that_of_every_surface() -> None:
    both = replace(PNEUMONIA, stage2=replace(STAGE2, prediction_set=("bacterial", "viral")))
    unsure = StageResult({"normal": 0.6, "pneumonia": 0.4}, "normal", 0.5, ())
    doubtful = replace(NORMAL, stage1=unsure)
    for prediction in (PNEUMONIA, NORMAL, both, doubtful, REFUSED):
        html = verdict_card(Analysis(prediction))
        (title,) = re.findall(r"<h2.*?</h2>", html)
        expected = verdict_of(prediction)
        assert text_of(title).strip() == expected.title
        assert f"pc-tone-{expected.tone}" in html
        assert text_of(expected.sentence) in text_of(html)


@pytest.mark.parametrize(
    ("reference", "expected"), [("bacterial", "the answer agrees"), ("normal", "the answer differs")]
)
def test_card_of_an_example_does_not_hide_a_wrong_answer(reference: str, expected: str) -> None:
    text = text_of(verdict_card(Analysis(PNEUMONIA, reference=reference)))
    assert f"Reference standard: {reference} ({expected})" in text
    assert "Reference standard" not in verdict_card(Analysis(PNEUMONIA))


def test_a_reference_is_held_against_what_the_headline_says() -> None:
    both = replace(PNEUMONIA, stage2=replace(STAGE2, prediction_set=("bacterial", "viral")))
    unsure = replace(NORMAL, stage1=StageResult({"normal": 0.6, "pneumonia": 0.4}, "normal", 0.5, ()))
    for prediction, reference, words in (
        (both, "bacterial", "the finding agrees; the type is undetermined"),
        (both, "normal", "the answer differs"),
        (PNEUMONIA, "pneumonia", "the answer agrees"),
        (unsure, "normal", "the answer is borderline"),
        (NORMAL, "normal", "the answer agrees"),
        (REFUSED, "normal", "no answer"),
    ):
        text = text_of(verdict_card(Analysis(prediction, reference=reference)))
        assert f"Reference standard: {reference} ({words})" in text


def test_card_of_a_refusal_has_the_sentence() -> None:
    html = verdict_card(Analysis(REFUSED))
    assert '<li data-code="blank">' in html
    assert "Hardly <any> tone." in unescape(re.sub(r"<[^>]+>", "", html))
    text = text_of(html)
    assert "No answer: the film was refused." in text
    assert "Did not run: the film was refused." in text
