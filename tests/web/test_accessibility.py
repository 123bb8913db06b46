"""Rules of WCAG 2.1 A and AA that a program can check (axe-core), on each tab, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from pneumocascade.web.examples import EXAMPLE_FILMS
from tests.web.conftest import open_app
from tests.web.test_browser import BATCH, upload

AXE = Path(__file__).parent / "axe" / "axe-4.11.4.min.js"
"""axe-core (Deque Systems, MPL-2.0) as npm has it."""

pytestmark = pytest.mark.browser


def serious(page: Page, *rules: str) -> list[tuple[str, list[str]]]:
    """Return the rules that are broken, of all or of those named, with the elements that break them."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    options: dict[str, Any] = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
    found: dict[str, Any] = page.evaluate("(options) => axe.run(options)", options)
    return [
        (rule["id"], [node["html"][:200] for node in rule["nodes"]])
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical") or rule["id"] == "heading-order"
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_tab_breaks_a_rule_seriously(
    browser: Browser, address: str, scheme: Literal["light", "dark"], tmp_path: Path
) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    open_app(page, address)
    rules = () if scheme == "light" else ("color-contrast",)  # all else is the same in the dark
    named = page.locator("button.upload-container").first
    expect(named).to_have_attribute("aria-label", "Drop File Here - or - Click to Upload")
    assert serious(page, *rules) == []
    page.locator("#single-verdict .pc-term").first.click()
    expect(page.locator(".pc-explained:popover-open")).to_be_visible()
    assert serious(page, *rules) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Take a picture").click()
    expect(page.get_by_role("button", name="Use this picture")).to_have_css("opacity", "1")  # no longer faded
    assert serious(page, *rules) == []
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("tab", name=BATCH).click()
    upload(page, "batch", [EXAMPLE_FILMS[0].path, EXAMPLE_FILMS[-1].path])
    page.get_by_role("button", name="Analyze Images", exact=True).click()
    expect(page.locator("#batch-gallery .pc-tile")).to_have_count(2)
    expect(page.locator(".pc-stale")).to_have_count(0)
    page.locator("#batch-gallery .pc-tile").nth(1).click()
    expect(page.locator("#batch-verdict [data-action=repair]")).to_be_visible()
    expect(page.get_by_label("Add films").first).to_be_attached()
    assert serious(page, *rules) == []
    page.get_by_role("tab", name="About").click()
    expect(page.locator("svg.pc-pipeline")).to_be_visible()
    assert serious(page, *rules) == []
    context.close()


def test_an_answer_is_printed_on_one_page(page: Page, tmp_path: Path) -> None:
    pdfium = pytest.importorskip("pypdfium2")
    page.pdf(path=tmp_path / "page.pdf")
    assert len(pdfium.PdfDocument(tmp_path / "page.pdf")) == 1
