"""Terms that the page explains are those of the glossary, and each button has its explanation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pneumocascade import Cascade
from pneumocascade.i18n import ENGLISH, LANGUAGES, gettext, speaking
from pneumocascade.web.analysis import analyse
from pneumocascade.web.examples import example_films
from pneumocascade.web.fragments import quality
from pneumocascade.web.glossary import TERMS, explanations
from pneumocascade.web.saliency_panel import saliency_view
from pneumocascade.web.verdict_card import verdict_card

GLOSSARY = Path(__file__).parents[2] / "docs" / "glossary.md"


@pytest.mark.parametrize("name", sorted(TERMS))
def test_an_explanation_is_that_of_the_glossary(name: str) -> None:
    title, text = TERMS[name]
    entries = re.sub(r"[*`]", "", GLOSSARY.read_text(encoding="utf-8")).split("\n\n")
    assert f"{title}: {text}" in [" ".join(entry.split()) for entry in entries]


def test_every_button_opens_an_explanation(cascade: Cascade) -> None:
    analysis = analyse(cascade, example_films()[1], "balanced")
    html = verdict_card(analysis) + quality(analysis) + saliency_view(analysis, "single")
    asked = set(re.findall(r'popovertarget="([^"]+)"', html))
    explained = re.findall(r'popover id="([^"]+)"', explanations())
    assert len(explained) == len(set(explained)) == len(TERMS)
    assert asked <= set(explained)
    wanted = {
        *("aetiology", "calibrated_probability", "prediction_set"),
        *("operating_point", "coverage", "michelson_contrast"),
    }
    assert {f"pc-term-{name}" for name in wanted} <= asked
    assert "title=" not in explanations()


@pytest.mark.parametrize("code", LANGUAGES)
def test_terms_inside_a_sentence_are_buttons_in_every_language(cascade: Cascade, code: str) -> None:
    analysis = analyse(cascade, example_films()[1], "balanced")
    with speaking(code):
        html = verdict_card(analysis)
        explained = explanations()
        title = gettext("Calibrated probability")
    assert "[" not in html
    (figures,) = re.findall(r'<div class="pc-figures">(.*?)</div>\n</div>', html, re.DOTALL)
    assert 'popovertarget="pc-term-calibrated_probability">' in figures
    assert title.lower() in re.sub("<[^>]*>", "", figures).lower()
    assert f"<b>{title}</b>" in explained
    assert code == ENGLISH or not any(text in explained for _, text in TERMS.values())
