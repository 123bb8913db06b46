"""The page speaks one language at a time: that of its address, else that of the browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, expect
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from pneumocascade import Cascade
from pneumocascade.i18n import ENGLISH, language, speaking
from pneumocascade.web.analysis import analyse
from pneumocascade.web.examples import example_films
from pneumocascade.web.files import make_file
from pneumocascade.web.language import PageLanguage
from tests.i18n.test_i18n import DISCLAIMERS
from tests.web.conftest import open_app

PAGE = '<!doctype html><html lang="en"><head><title>x</title></head><body>%s</body></html>'


@pytest.fixture(scope="module")
def client() -> TestClient:
    async def page(_: object) -> HTMLResponse:
        return HTMLResponse(PAGE % language())

    return TestClient(PageLanguage(Starlette(routes=[Route("/", page), Route("/other", page)])))


@pytest.mark.parametrize(
    ("query", "header", "code", "tag"),
    [
        ("", "de-AT,de;q=0.9", "de", "de"),
        ("?lang=zh", "de", "zh", "zh-CN"),
        ("?lang=xx", "fr", "fr", "fr"),
        ("?lang=en", "fr", "en", "en"),
        ("", "it", "en", "en"),
    ],
)
def test_the_address_goes_before_the_browser(
    client: TestClient, query: str, header: str, code: str, tag: str
) -> None:
    answer = client.get(f"/{query}", headers={"Accept-Language": header})
    assert f'<html lang="{tag}"><head><script>' in answer.text
    assert f"<body>{code}</body>" in answer.text
    assert answer.headers["Content-Language"] == tag
    assert "Accept-Language" in answer.headers["Vary"]
    assert int(answer.headers["Content-Length"]) == len(answer.content)


def test_other_answers_are_left_as_they_are(client: TestClient) -> None:
    assert client.get("/other", headers={"Accept-Language": "de"}).text == PAGE % "de"


def test_files_are_english_whatever_the_page_speaks(cascade: Cascade) -> None:
    analysis = analyse(cascade, example_films()[1], "balanced")
    with speaking("de"):
        german = make_file(cascade, analysis, "png")
    assert german.content == make_file(cascade, analysis, "png").content
    assert language() == ENGLISH


SEEN = {
    "es-MX": ("es", "Una imagen", "Coloque el archivo aquí", "Normal"),
    "fr-CA": ("fr", "Une image", "Déposez le fichier ici", "Normale"),
    "de-AT": ("de", "Einzelbild", "Datei hier ablegen", "Normal"),
    "zh-TW": ("zh-CN", "单张图像", "将文件拖放到此处", "正常"),
    "ja-JP": ("en", "Single Image", "Drop File Here", "Normal"),
}
"""Locale of a browser; language of the page, name of the first tab, Gradio's words, headline."""


@pytest.mark.browser
@pytest.mark.parametrize("locale", SEEN)
def test_our_words_and_gradios_are_of_one_language(browser: Browser, address: str, locale: str) -> None:
    tag, tab, upload, headline = SEEN[locale]
    context = browser.new_context(locale=locale, viewport={"width": 390, "height": 844})
    page = context.new_page()
    open_app(page, address)
    expect(page.locator("html")).to_have_attribute("lang", tag)
    expect(page.get_by_role("tab").first).to_have_text(tab)
    expect(page.locator("#single-upload")).to_contain_text(upload)
    expect(page.locator("#single-verdict .pc-verdict")).to_have_text(headline)
    if tag[:2] in DISCLAIMERS:
        expect(page.locator(".pc-disclaimer")).to_have_text(DISCLAIMERS[tag[:2]])
    hidden = "element => element.scrollWidth - element.clientWidth"
    assert page.locator("#single-quality .pc-scroll").evaluate(hidden) <= 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


@pytest.mark.browser
def test_the_switch_is_remembered_and_loses_no_film(browser: Browser, address: str, tmp_path: Path) -> None:
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    open_app(page, f"{address}/?point=sensitive")
    page.locator("[data-language]").select_option("de")
    expect(page.locator(".pc-disclaimer")).to_have_text(DISCLAIMERS["de"])
    expect(page.locator("html")).to_have_attribute("lang", "de")
    assert "lang=de" in page.url
    assert "point=sensitive" in page.url
    open_app(page, address)
    expect(page.locator("[data-language]")).to_have_value("de")
    # What events answer is German, too; and a film that was given is not lost without a question.
    small = tmp_path / "small.png"
    small.write_bytes(example_films()[0].read_bytes()[:200])
    page.locator("#single-upload input[type=file]").set_input_files(str(small))
    expect(page.locator("#single-preview")).to_contain_text(small.name)
    page.get_by_role("button", name="Bild auswerten").click()
    expect(page.locator("#single-verdict .pc-verdict")).to_have_text("Diese Datei ist nicht lesbar")
    asked: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", dismiss)
    page.locator("[data-language]").select_option("fr")
    expect(page.locator("[data-language]")).to_have_value("de")
    assert asked[0].startswith("Die Seite wird in der anderen Sprache neu geladen.")
    expect(page.locator("#single-preview")).to_contain_text(small.name)
    context.close()
