from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser

import pytest

from pneumocascade import Cascade, MissingExtraError, UsageError
from pneumocascade.explain.html import environment
from pneumocascade.explain.verdict import OUTCOMES, percent, verdict_of
from pneumocascade.reports.html import report_html
from pneumocascade.types import DISCLAIMER, UNDETERMINED
from tests.reports.films import HOSTILE, MADE, Items, every_outcome

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """What a browser would make of a page: elements with their attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.films: list[str] = []
        self.styles = ""
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "section" and str(dict(attrs).get("id", "")).startswith("film-"):
            self.films.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            self.styles += data
            return
        self.text += data
        if self.films and self.open and "section" in self.open:
            self.films[-1] += data


@pytest.fixture(scope="module")
def items(cascade: Cascade) -> Items:
    return every_outcome(cascade)


@pytest.fixture(scope="module")
def text(items: Items, cascade: Cascade) -> str:
    return report_html(items, cascade, made=MADE)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_every_outcome_has_its_page(page: Page, items: Items) -> None:
    assert len(page.films) == len(items)
    for film, (prediction, _) in zip(page.films, items, strict=True):
        assert prediction.source in film
        assert verdict_of(prediction).title in film
        assert (UNDETERMINED in film) == prediction.undetermined
        assert DISCLAIMER in film[:200]
        assert DISCLAIMER in film[-200:]
        assert prediction.model_version in film
        assert "2026-11-23 09:30 UTC" in film
        for result in (prediction.stage1, prediction.stage2):
            for value in result.probabilities.values() if result else ():
                assert percent(value) in film
        for reason in (*prediction.reasons, *filter(None, [prediction.error])):
            assert reason.code in film
            assert reason.message in film


def test_the_summary_counts_and_links_every_film(page: Page, items: Items) -> None:
    counts = re.findall(rf"(\d)\s+({'|'.join(OUTCOMES.values())})\n", page.text)
    tones = Counter(verdict_of(prediction).tone for prediction, _ in items)
    assert tones == {"normal": 1, "pneumonia": 1, "viral": 1, "refused": 1, "error": 1}
    assert counts[: len(OUTCOMES)] == [(str(tones[tone]), words) for tone, words in OUTCOMES.items()]
    links = {attributes["href"] for tag, attributes in page.elements if tag == "a"}
    ids = {f"#{attributes['id']}" for _, attributes in page.elements if "id" in attributes}
    assert links == ids
    assert len(ids) == len(items)


def test_one_film_needs_no_summary(items: Items, cascade: Cascade) -> None:
    page = Page(report_html(items[:1], cascade, made=MADE))
    assert "summary" not in {attributes.get("class") for _, attributes in page.elements}
    assert [tag for tag, _ in page.elements].count("h1") == 1
    assert len(page.films) == 1


def test_the_page_needs_nothing_else_and_runs_nothing(page: Page) -> None:
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "form"}
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href"):
            address = attributes.get(name)
            assert address is None or str(address).startswith(("data:image/", "#film-")), (tag, address)
    assert "url(" not in page.styles
    assert "@import" not in page.styles


def test_the_page_is_for_readers_of_all_kinds(page: Page) -> None:
    elements = dict(page.elements)
    assert elements["html"]["lang"] == "en"
    assert all(attributes["alt"] for tag, attributes in page.elements if tag == "img")
    assert "prefers-color-scheme: dark" in page.styles
    assert "max-width: 640px" in page.styles
    assert "@page" in page.styles
    assert any(attributes.get("name") == "viewport" for tag, attributes in page.elements)


def test_bars_mark_the_threshold(page: Page, items: Items) -> None:
    marks = [str(found["style"]) for _, found in page.elements if found.get("class") == "mark"]
    expected = [
        f"left:{round(100 * result.threshold, 2)}%"
        for prediction, _ in items
        for result in (prediction.stage1, prediction.stage2)
        if result is not None
    ]
    assert marks == expected


def test_hostile_text_is_shown_and_never_obeyed(items: Items, cascade: Cascade, page: Page) -> None:
    (prediction, film), other = items[1], items[4]
    hostile = replace(prediction, source=HOSTILE, warnings=(HOSTILE, "</section></style><style>*{}"))
    written = Page(report_html([(hostile, film), other], cascade, made=MADE))
    plain = Page(report_html([(replace(prediction, warnings=("a", "b")), film), other], cascade, made=MADE))
    ours = [(tag, sorted(attributes)) for tag, attributes in plain.elements]
    theirs = [(tag, sorted(attributes)) for tag, attributes in written.elements]
    # A name that looks like a path is shown in whole, too: one more element, which the template writes.
    assert [element for element in theirs if element != ("span", ["class"])] == [
        element for element in ours if element != ("span", ["class"])
    ]
    assert written.styles == plain.styles
    assert "<script>alert(1)</script>" in written.text
    assert "{{ 7 * 7 }}" in written.text
    assert "\u202e" not in written.text
    assert "\x00" not in written.text


def test_the_same_films_at_the_same_time_give_the_same_text(
    items: Items, cascade: Cascade, text: str
) -> None:
    assert report_html(items, cascade, made=MADE) == text
    elsewhere = MADE.astimezone(timezone(timedelta(hours=5)))
    assert report_html(items, cascade, made=elsewhere) == text
    assert report_html(items, cascade, made=MADE + timedelta(days=1)) != text


def test_by_default_a_report_is_made_now(items: Items, cascade: Cascade) -> None:
    page = Page(report_html(items[4:], cascade))
    made = next(str(found["content"]) for _, found in page.elements if found.get("name") == "dcterms.created")
    assert abs(datetime.now(timezone.utc) - datetime.fromisoformat(made)) < timedelta(minutes=5)


def test_all_warnings_are_in_the_page(items: Items, cascade: Cascade) -> None:
    warnings = tuple(f"warning number {i}: {'long ' * 40}" for i in range(40))
    prediction, film = items[0]
    page = Page(report_html([(replace(prediction, warnings=warnings), film)], cascade, made=MADE))
    assert all(f"warning number {i}:" in page.text for i in range(40))


def test_a_report_without_films_is_refused(cascade: Cascade) -> None:
    with pytest.raises(UsageError, match="at least one film"):
        report_html([], cascade)


def test_without_jinja2_the_extra_is_named(
    items: Items, cascade: Cascade, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    environment.cache_clear()
    with pytest.raises(MissingExtraError, match=r"pneumocascade\[report\]"):
        report_html(items[4:], cascade)
