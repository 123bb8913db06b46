"""Explanations, the camera and what the page loads, in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from pneumocascade.web.glossary import TERMS
from tests.web.conftest import open_app

pytestmark = pytest.mark.browser


def test_a_term_is_explained_by_keyboard_and_escape_closes_it(page: Page) -> None:
    title, text = TERMS["calibrated_probability"]
    button = page.locator("#single-verdict .pc-term").first
    shown = page.locator(".pc-explained:popover-open")
    expect(shown).to_have_count(0)
    button.focus()
    page.keyboard.press("Enter")
    expect(shown).to_have_text(f"{title}: {text}")
    expect(shown).to_be_focused()
    page.keyboard.press("Escape")
    expect(shown).to_have_count(0)
    expect(button).to_be_focused()


def test_a_picture_of_the_camera_is_uploaded_and_the_camera_goes_off(page: Page) -> None:
    page.get_by_role("button", name="Take a picture").click()
    take = page.get_by_role("button", name="Use this picture")
    expect(take).to_be_enabled()
    take.click()
    expect(page.locator("#single-preview")).to_contain_text("camera.png")
    expect(page.locator("#single-upload")).not_to_contain_text("Uploading")
    expect(take).to_be_hidden()
    assert page.locator("#single-camera video").evaluate("video => video.srcObject") is None
    page.get_by_role("button", name="Analyze Image", exact=True).click()
    expect(page.locator("#single-verdict .pc-source")).to_have_text("camera.png")
    expect(page.locator("#single-verdict [data-code=not_a_radiograph]")).to_be_visible()


def test_the_viewer_is_loaded_when_it_is_asked_for(browser: Browser, address: str) -> None:
    asked: list[str] = []
    context = browser.new_context(viewport={"width": 390, "height": 800})
    page = context.new_page()

    def note(request: Request) -> None:
        asked.append(request.url)

    page.on("request", note)
    open_app(page, address)
    assert not [url for url in asked if "/viewer/" in url]
    page.get_by_role("button", name="View at full resolution").click()
    expect(page.locator("dialog[open]")).to_be_visible()
    assert [url for url in asked if "/viewer/viewer.js" in url]
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    context.close()


def test_an_explanation_opens_at_its_term(page: Page) -> None:
    term = page.locator("#single-verdict .pc-term").first
    term.click()
    opened, asked = page.locator(".pc-explained:popover-open").bounding_box(), term.bounding_box()
    assert opened is not None
    assert asked is not None
    assert 0 <= opened["y"] - (asked["y"] + asked["height"]) < 12


def test_what_is_chosen_is_seen_in_forced_colours(browser: Browser, address: str) -> None:
    """The browser draws the controls: Gradio shows what is chosen by backgrounds, which are left out then."""
    context = browser.new_context(forced_colors="active")
    page = context.new_page()
    open_app(page, address)
    for control in page.locator("input[type=radio], input[type=range]").all():
        expect(control).to_have_css("appearance", "auto")
    expect(page.get_by_role("tab", selected=True).first).to_have_css("border-bottom-width", "3px")
    context.close()
