"""The thresholds on their axes are those that the models used, and the film lies where its probability is."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from pneumocascade import Cascade, Prediction, Reason
from pneumocascade.explain.verdict import NO_BREAK, percent
from pneumocascade.i18n import speaking
from pneumocascade.web.examples import example_films
from pneumocascade.web.threshold_diagram import EVERY_POINT, threshold_diagram


def places(html: str, mark: str) -> list[float]:
    return [float(each) for each in re.findall(rf'class="{mark}"[^>]*?[xc]+1?="([\d.]+)%"', html)]


@pytest.mark.parametrize(("point", "prior"), [("balanced", 0.5), ("sensitive", 0.2), ("specific", 0.9)])
def test_threshold_and_film_lie_where_the_answer_says(cascade: Cascade, point: str, prior: float) -> None:
    prediction = cascade.predict(example_films()[1], operating_point=point, prior=prior)
    html = threshold_diagram(prediction, cascade.specs)
    first, *second = html.split('<div class="pc-axis')[1:]
    assert prediction.stage1 is not None
    assert places(first, "pc-threshold pc-now") == [round(100 * prediction.stage1.threshold, 2)]
    assert places(first, "pc-film") == [round(100 * prediction.stage1.probabilities["pneumonia"], 2)]
    assert f"{point} {percent(prediction.stage1.threshold)}" in first
    assert len(places(first, "pc-threshold")) == 2
    if prediction.stage2 is not None:
        assert places(second[0], "pc-film") == [round(100 * prediction.stage2.probabilities["viral"], 2)]
        assert f"{EVERY_POINT} {percent(prediction.stage2.threshold)}" in second[0]


def test_the_text_says_what_the_diagram_shows(cascade: Cascade) -> None:
    prediction = cascade.predict(example_films()[0], prior=0.3)
    html = threshold_diagram(prediction, cascade.specs)
    text = html.split('class="pc-hidden">')[1].split("</p>")[0].replace(NO_BREAK, " ")
    assert prediction.stage1 is not None
    shown = percent(prediction.stage1.probabilities["pneumonia"]).replace("<", "&lt;").replace(NO_BREAK, " ")
    assert f"this film has {shown}." in text
    assert f"{percent(prediction.stage1.threshold).replace(NO_BREAK, ' ')} (balanced)" in text
    assert "aria-hidden" in html.split("pc-hidden")[1]


def test_the_diagram_speaks_the_language_of_the_page(cascade: Cascade) -> None:
    prediction = cascade.predict(example_films()[1])
    with speaking("de"):
        html = threshold_diagram(prediction, cascade.specs)
    assert "Stufe 1: Wahrscheinlichkeit für „Pneumonie“" in html
    assert ">diese Aufnahme " in html
    assert ">ausgewogen " in html
    assert ">Arbeitspunkte</button>" in html
    assert "threshold 5" not in html


def test_a_refused_film_has_no_place_and_models_without_stage_2_one_axis(cascade: Cascade) -> None:
    refused = Prediction("a.png", "refused", "balanced", "1", reasons=(Reason("blank", "Nothing."),))
    html = threshold_diagram(refused, cascade.specs[:1])
    assert "pc-film" not in html
    assert html.count('<div class="pc-axis') == 1
    assert threshold_diagram(replace(refused, prior=0.1), ()) == ""
