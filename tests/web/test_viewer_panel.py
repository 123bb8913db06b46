"""The viewer by mouse, by keyboard and on a narrow page; its scripts come from this server alone."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

from pneumocascade import Cascade
from pneumocascade.web.analysis import analyse
from pneumocascade.web.examples import example_films
from pneumocascade.web.viewer_panel import FOLDER
from tests.conftest import vary_example
from tests.web.conftest import open_app

VIEWER = "#pc-viewer"
STATUS = f"{VIEWER} .pc-viewer-status"
LAYERS = f"{VIEWER} [aria-label='Shown over the film']"


def open_viewer(page: Page, tab: str = "single") -> None:
    page.locator(f"#{tab}-pictures [data-viewer]").click()
    expect(page.locator(VIEWER)).to_have_attribute("data-ready", "true")


def zoom_of(page: Page) -> int:
    found = re.search(r"Zoom (\d+) %", page.locator(STATUS).inner_text())
    assert found is not None
    return int(found.group(1))


def expect_zoom(page: Page, zoom: int) -> None:
    """Wait for a zoom: the viewer draws in frames of its own."""
    expect(page.locator(STATUS)).to_contain_text(f"Zoom {zoom} %")


def expect_more_zoom(page: Page, zoom: int) -> None:
    """Wait for a zoom above another."""
    for _ in range(100):
        if zoom_of(page) > zoom:
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"the zoom is {zoom_of(page)} %, expected more than {zoom} %")


def test_the_film_is_kept_at_the_size_of_its_display_copy(cascade: Cascade) -> None:
    film = example_films()[0]
    shown = analyse(cascade, film, "balanced", record=False)
    with Image.open(film) as original, Image.open(io.BytesIO(shown.full)) as full:
        assert full.size == original.size
        grey = np.asarray(original.convert("L"), np.int16)
        assert np.abs(np.asarray(full, np.int16) - grey).mean() < 2
    assert analyse(cascade, Path(__file__), "balanced", record=False).full == b""


def test_the_library_is_pinned_with_its_licence() -> None:
    (library,) = FOLDER.glob("openseadragon-*.min.js")
    version = re.findall(r"[\d.]+\d", library.name)[0]
    assert f"openseadragon {version}" in library.read_text("utf-8")[:100]
    assert library.name in (FOLDER / "viewer.js").read_text("utf-8")
    assert "Redistribution and use" in (FOLDER / "openseadragon-LICENSE.txt").read_text("utf-8")


@pytest.mark.browser
def test_it_is_loaded_from_this_server_when_it_is_opened(browser: Browser, address: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_app(page, address)
    assert not any("/viewer/" in url for url in asked)
    open_viewer(page)
    mine = [url for url in asked if "/viewer/" in url]
    assert {url.rsplit("/", 1)[1] for url in mine} >= {"viewer.js", "viewer.css"}
    assert all(url.startswith((address, "data:", "blob:")) for url in asked)
    context.close()


@pytest.mark.browser
def test_by_mouse(page: Page) -> None:
    page.locator("#single-examples .pc-example").nth(1).click()  # stage 2 ran on it, too
    expect(page.locator("#single-verdict .pc-source")).to_have_text(example_films()[1].name)
    open_viewer(page)
    expect(page.locator(LAYERS).locator("option")).to_have_text(
        ["Film alone", "CLAHE", "CLAHE + hot", "Saliency map, stage 1", "Saliency map, stage 2"]
    )
    stage = page.locator(f"{VIEWER} .pc-viewer-stage")
    before = zoom_of(page)
    stage.hover()
    page.mouse.wheel(0, -400)
    expect_more_zoom(page, before)
    page.get_by_role("button", name="Dragging changes window").click()
    box = stage.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    expect(page.locator(STATUS)).to_contain_text(re.compile(r"width (7\d|8[0-5]) %"))
    slope = page.locator(f"{VIEWER} feFuncR").get_attribute("slope")
    assert float(slope or 0) > 1.1
    page.locator(f"{VIEWER} [aria-label='Window preset']").select_option(label="Dark parts (lungs)")
    expect(page.locator(STATUS)).to_contain_text("centre 30 %, width 50 %")
    page.get_by_role("button", name="Whole film").click()
    expect(page.locator(STATUS)).to_contain_text("centre 50 %, width 100 %")
    page.get_by_role("button", name="Close the viewer").click()
    expect(page.locator(VIEWER)).to_have_count(0)


@pytest.mark.browser
def test_layers_are_those_of_the_page_and_are_cut_where_the_slider_says(page: Page) -> None:
    open_viewer(page)
    page.locator(LAYERS).select_option(label="CLAHE + hot")
    layer = page.locator(f"{VIEWER} .pc-viewer-overlay img")
    shown = page.locator("#single-steps figure").nth(2).locator("img")
    assert layer.get_attribute("src") == shown.get_attribute("src")
    film = page.locator(f"{VIEWER} .openseadragon-canvas canvas").first.bounding_box()
    placed = layer.bounding_box()
    assert film is not None
    assert placed is not None
    page.locator(f"{VIEWER} [data-name=split]").fill("25")
    expect(layer).to_have_css("clip-path", re.compile(r"inset\(0px 0px 0px 25%\)"))
    page.locator(LAYERS).select_option(label="Saliency map, stage 1")
    expect(layer).to_have_css("opacity", "0.35")
    page.locator(LAYERS).select_option(label="Film alone")
    expect(layer).to_have_count(0)
    expect(page.locator(f"{VIEWER} [data-name=opacity]")).to_be_disabled()


@pytest.mark.browser
def test_the_film_fits_though_the_style_sheet_comes_late(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800}, reduced_motion="reduce")
    page = context.new_page()

    def late(route: Route) -> None:
        page.wait_for_timeout(700)
        route.continue_()

    page.route("**/viewer.css", late)
    open_app(page, address)
    page.locator("#single-pictures [data-viewer]").click()
    expect(page.locator(VIEWER)).to_have_attribute("data-ready", "true")
    fitted = zoom_of(page)
    page.wait_for_timeout(1000)
    page.get_by_role("button", name="Whole film").click()
    page.wait_for_timeout(300)
    assert zoom_of(page) == fitted
    context.close()


@pytest.mark.browser
def test_by_keyboard_on_a_narrow_page(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800}, reduced_motion="reduce")
    page = context.new_page()
    open_app(page, address)
    page.locator("#single-pictures [data-viewer]").focus()
    page.keyboard.press("Enter")
    expect(page.locator(VIEWER)).to_have_attribute("data-ready", "true")
    before = zoom_of(page)
    page.keyboard.press("+")
    expect_more_zoom(page, before)
    page.keyboard.press("i")
    expect(page.locator(STATUS)).to_contain_text("inverted")
    page.keyboard.press("0")
    expect(page.locator(STATUS)).not_to_contain_text("inverted")
    expect_zoom(page, before)
    page.keyboard.press("f")  # OpenSeadragon's own key mirrors the picture
    assert page.evaluate("document.querySelector('#pc-viewer').osd.viewport.flipped") is False
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.keyboard.press("Escape")
    expect(page.locator(VIEWER)).to_have_count(0)
    expect(page.locator("#single-pictures [data-viewer]")).to_be_focused()
    context.close()


@pytest.mark.browser
def test_an_upload_is_shown_as_it_was_read(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "mine.png"
    Image.fromarray(vary_example(1, 300, 260)).save(path)
    page.locator("#single-upload input[type=file]").set_input_files(str(path))
    expect(page.locator("#single-preview")).to_contain_text(path.name)
    page.get_by_role("button", name="Analyze Image", exact=True).click()
    expect(page.locator("#single-verdict .pc-source")).to_have_text(path.name)
    open_viewer(page)
    source = page.evaluate("document.querySelector('#pc-viewer').osd.world.getItemAt(0).source.url")
    with Image.open(io.BytesIO(base64.b64decode(source.split(",", 1)[1]))) as picture:
        assert picture.size == (260, 300)
