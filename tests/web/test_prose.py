"""Longer texts keep their shape in another language."""

from __future__ import annotations

import pytest

from pneumocascade.i18n import LANGUAGES, speaking
from pneumocascade.web.inputs import CONTENT
from pneumocascade.web.prose import translated_markdown, translated_svg


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("name", ["data", "intended_use", "licence", "pipeline", "references", "steps"])
def test_markdown_keeps_headings_lists_tables_and_code(name: str, code: str) -> None:
    english = (CONTENT / f"{name}.md").read_text(encoding="utf-8")
    with speaking(code):
        text = translated_markdown(english)
    for mark in ("\n\n", "\n- ", "\n| ", "## ", "```", "doi:"):
        assert text.count(mark) == english.strip().count(mark), mark
    rows = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert set(rows) <= {4}


def test_english_markdown_says_what_it_said() -> None:
    english = (CONTENT / "steps.md").read_text(encoding="utf-8")
    assert translated_markdown(english).split() == english.split()


@pytest.mark.parametrize("name", ["pipeline", "pipeline-narrow"])
def test_texts_of_the_drawing_are_translated(name: str) -> None:
    english = (CONTENT / f"{name}.svg").read_text(encoding="utf-8")
    assert translated_svg(english) == english
    with speaking("de"):
        german = translated_svg(english)
    assert german.count("<text") == english.count("<text")
    assert ">Abgelehnt</text>" in german
    assert ">Refused<" not in german
