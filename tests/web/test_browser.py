"""The web app as a person uses it, in a real browser."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from pneumocascade import Cascade
from pneumocascade.explain.verdict import verdict_of
from pneumocascade.types import DISCLAIMER
from pneumocascade.web.examples import example_films
from tests.conftest import vary_example
from tests.web.conftest import open_app

pytestmark = pytest.mark.browser

BATCH = "Multiple Images (Batch)"
TABS = ("Single Image", BATCH, "About")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twelve films, the third of them too small."""
    folder = tmp_path_factory.mktemp("films")
    paths = [folder / f"chest {number}.png" for number in range(12)]
    for number, path in enumerate(paths):
        side = 64 if number == 2 else 256
        Image.fromarray(vary_example(number, side, side)).save(path)
    return paths


def upload(page: Page, tab: str, paths: list[Path]) -> None:
    """Give films to the upload of a tab and wait until it shows the first of them."""
    page.locator(f"#{tab}-upload input[type=file]").set_input_files([str(path) for path in paths])
    where = "#single-preview" if tab == "single" else "#batch-upload"
    expect(page.locator(where)).to_contain_text(paths[0].stem[:7])
    expect(page.locator(f"#{tab}-upload")).not_to_contain_text("Uploading")


def analyse_single(page: Page, path: Path) -> None:
    upload(page, "single", [path])
    expect(page.locator("#single-preview")).to_contain_text(path.name)
    page.get_by_role("button", name="Analyze Image", exact=True).click()
    expect(page.locator("#single-verdict .pc-source")).to_have_text(path.name)


def analyse_batch(page: Page, paths: list[Path]) -> None:
    page.get_by_role("tab", name=BATCH).click()
    upload(page, "batch", paths)
    page.get_by_role("button", name="Analyze Images", exact=True).click()
    expect(page.locator("#batch-gallery .pc-tile")).to_have_count(min(10, len(paths)))


def test_first_page_shows_an_example_analysed(page: Page, cascade: Cascade) -> None:
    film = example_films()[0]
    expect(page.locator("#single-verdict .pc-source")).to_have_text(film.name)
    expect(page.locator("#single-verdict .pc-verdict")).to_contain_text(
        verdict_of(cascade.predict(film)).title
    )
    expect(page.locator("#single-steps img")).to_have_count(3)
    expect(page.locator("#single-pictures img")).to_have_count(2)
    expect(page.locator("#single-plots svg")).to_have_count(3)
    expect(page.locator("#single-quality")).to_contain_text("Michelson contrast")


def test_upload_analyse_and_read_the_verdict(page: Page, films: list[Path], cascade: Cascade) -> None:
    before = int(page.locator("#films-analysed").inner_text())
    analyse_single(page, films[0])
    expected = cascade.predict(films[0])
    expect(page.locator("#single-verdict .pc-verdict")).to_contain_text(verdict_of(expected).title)
    stages = page.locator("#single-verdict .pc-stage")
    assert expected.stage1 is not None
    expect(stages.nth(0)).to_contain_text(f"{100 * expected.stage1.probabilities['pneumonia']:.1f} %")
    text = "Did not run: the probability of pneumonia" if expected.stage2 is None else "Prediction set: "
    expect(stages.nth(1)).to_contain_text(text)
    expect(page.locator("#single-pictures")).to_contain_text("256 x 256 pixels")
    expect(page.locator("#films-analysed")).to_have_text(str(before + 1))


def test_example_is_analysed_by_a_click(page: Page, cascade: Cascade) -> None:
    film = example_films()[1]
    page.locator("#single-examples .pc-example").nth(1).click()
    expect(page.locator("#single-verdict .pc-source")).to_have_text(film.name)
    expect(page.locator("#single-preview")).to_contain_text(film.name)
    expect(page.locator("#single-verdict .pc-verdict")).to_contain_text(
        verdict_of(cascade.predict(film)).title
    )


def test_settings_are_followed_at_once(page: Page, cascade: Cascade) -> None:
    before = page.locator("#films-analysed").inner_text()
    card = page.locator("#single-verdict")
    for film, analysed in ((example_films()[0], False), (example_films()[1], True)):
        if analysed:
            page.locator("#single-examples .pc-example").nth(1).click()
            expect(card.locator(".pc-source")).to_have_text(film.name)
            before = page.locator("#films-analysed").inner_text()
        page.locator("#single-point").get_by_text("sensitive", exact=True).click()
        expect(card).to_contain_text("Operating point sensitive")
        page.locator("#single-prior input[type=number]").fill("20")
        expected = cascade.predict(film, operating_point="sensitive", prior=0.2)
        expect(card.locator(".pc-sentence")).to_have_text(verdict_of(expected).sentence)
        expect(card.locator(".pc-verdict")).to_have_text(verdict_of(expected).title)
        expect(card).to_contain_text("judged again from stored probabilities")
        page.locator("#single-point").get_by_text("specific", exact=True).click()
        expect(card).to_contain_text("Operating point specific")
        expect(page.locator(".pc-stale")).to_have_count(0)
    assert page.locator("#films-analysed").inner_text() == before


def test_a_turned_film_is_put_right_by_a_click(page: Page, tmp_path: Path, cascade: Cascade) -> None:
    path = tmp_path / "turned.png"
    with Image.open(example_films()[1]) as film:
        film.convert("L").rotate(180).save(path)
    analyse_single(page, path)
    card = page.locator("#single-verdict")
    expect(card.locator("[data-code=rotated]")).to_be_visible()
    page.get_by_role("button", name="Turn upright and analyse").click()
    expect(card.locator(".pc-banner")).to_contain_text("turned by 180 degrees")
    expected = verdict_of(cascade.predict(example_films()[1]))
    expect(card.locator(".pc-verdict")).to_have_text(expected.title)
    page.get_by_role("button", name="Analyze Image", exact=True).click()
    page.get_by_role("button", name="Analyse anyway").click()
    expect(card.locator(".pc-banner").first).to_contain_text("The gate was switched off")


def test_a_refusal_is_shown_with_its_reason(page: Page, films: list[Path]) -> None:
    analyse_single(page, films[2])
    card = page.locator("#single-verdict")
    expect(card.locator(".pc-verdict")).to_have_text("Cannot judge: too few pixels")
    expect(card.locator("[data-code=too_small]")).to_be_visible()
    expect(card).to_contain_text("The shorter side has 64 pixels; at least 100 are needed.")
    expect(card.locator(".pc-not-run")).to_have_count(2)


def test_a_file_that_is_no_film_is_explained(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("these are notes")
    analyse_single(page, path)
    card = page.locator("#single-verdict")
    expect(card.locator(".pc-verdict")).to_have_text("Cannot read this file")
    expect(card.locator("[data-code=unreadable_image]")).to_be_visible()


def test_measure_of_the_plots_is_switched(page: Page) -> None:
    plots = page.locator("#single-plots .pc-plots")
    expect(plots).to_have_attribute("data-measure", "intensity")
    for title, name in (("Local entropy", "entropy"), ("Cumulative", "cumulative")):
        page.locator("#single-measure").get_by_text(title, exact=True).click()
        expect(page.locator(f"#single-plots [data-measure={name}] svg")).to_have_count(3)
    expect(page.locator("#single-plots svg").first).to_have_attribute("aria-label", "Cumulative of step Grey")


def test_batch_of_three(page: Page, films: list[Path], cascade: Cascade) -> None:
    analyse_batch(page, films[:3])
    expect(page.locator("#batch-message")).to_contain_text("3 films: 2 answered, 1 refused.")
    rows = page.locator("#batch-table tbody tr")
    expect(rows).to_have_count(3)
    for row, path in zip(rows.all(), films, strict=False):
        expect(row).to_contain_text(path.name)
        expect(row).to_contain_text(verdict_of(cascade.predict(path)).title)
    page.locator("#batch-gallery .pc-tile").nth(2).click()
    expect(page.locator("#batch-verdict .pc-source")).to_have_text(films[2].name)
    page.locator("#batch-gallery .pc-tile").nth(1).click()
    expect(page.locator("#batch-verdict .pc-source")).to_have_text(films[1].name)
    expect(page.locator("#batch-steps img")).to_have_count(3)
    page.locator("#batch-measure").get_by_text("Local contrast", exact=True).click()
    expect(page.locator("#batch-plots [data-measure=contrast] svg")).to_have_count(3)


def test_of_quick_clicks_on_examples_the_last_counts(page: Page) -> None:
    tiles = page.locator("#single-examples [data-index]")
    for number in (2, 0, 3):
        tiles.nth(number).click()
    expect(page.locator("#single-verdict .pc-source")).to_have_text(example_films()[3].name)
    expect(page.locator("#single-preview b")).to_have_text(example_films()[3].name)


def test_of_quick_clicks_the_last_counts(page: Page, films: list[Path]) -> None:
    analyse_batch(page, films[:3])
    for number in (2, 0, 1):
        page.locator("#batch-gallery .pc-tile").nth(number).click()
    expect(page.locator("#batch-verdict .pc-source")).to_have_text(films[1].name)
    for title in ("Local entropy", "Cumulative"):
        page.locator("#batch-measure").get_by_text(title, exact=True).click()
    expect(page.locator("#batch-plots [data-measure=cumulative] svg")).to_have_count(3)


def test_batch_is_saved_as_csv_and_as_one_archive(page: Page, films: list[Path], tmp_path: Path) -> None:
    analyse_batch(page, films[:3])
    with page.expect_download() as download:
        page.get_by_role("button", name="Table (CSV)").click()
    download.value.save_as(tmp_path / "predictions.csv")
    lines = (tmp_path / "predictions.csv").read_text().splitlines()
    assert lines[0].startswith("source,status,finding,aetiology")
    assert [line.split(",")[0] for line in lines[1:]] == [path.name for path in films[:3]]
    with page.expect_download() as download:
        page.get_by_role("button", name="Everything (ZIP)").click()
    assert zipfile.is_zipfile(download.value.path())


def test_an_answer_is_saved_as_json(page: Page) -> None:
    with page.expect_download() as download:
        page.locator("#single-verdict").get_by_role("button", name="JSON").click()
    answer = json.loads(Path(download.value.path()).read_text())
    assert (answer["source"], answer["status"]) == (example_films()[0].name, "ok")


def test_more_than_ten_films_are_said_at_once(page: Page, films: list[Path]) -> None:
    page.get_by_role("tab", name=BATCH).click()
    upload(page, "batch", films[:11])
    message = page.locator("#batch-message")
    expect(message).to_contain_text("11 films chosen")
    expect(message).to_contain_text(f"left out: {films[10].name}")
    expect(message).to_contain_text("pneumocascade predict FOLDER")
    page.get_by_role("button", name="Analyze Images", exact=True).click()
    expect(page.locator("#batch-table tbody tr")).to_have_count(10)
    expect(message).to_contain_text(f"left out: {films[10].name}")


def test_batch_starts_when_films_are_chosen_and_is_cleared_with_them(page: Page, films: list[Path]) -> None:
    page.get_by_role("tab", name=BATCH).click()
    button = page.get_by_role("button", name="Analyze Images", exact=True)
    expect(button).to_be_disabled()
    analyse_batch(page, films[:2])
    expect(button).to_be_enabled()
    page.locator("#batch-upload").get_by_role("button", name="Clear").click()
    expect(page.locator("#batch-results")).to_be_hidden()
    expect(button).to_be_disabled()
    expect(page.locator("#batch-message")).to_contain_text("No films chosen yet.")


def test_films_are_stepped_through_sorted_and_judged_again(page: Page, cascade: Cascade) -> None:
    page.get_by_role("tab", name=BATCH).click()
    page.get_by_role("button", name="Try a sample batch").click()
    tiles, source = page.locator("#batch-gallery .pc-tile"), page.locator("#batch-verdict .pc-source")
    names = [film.name for film in example_films()]
    expect(tiles).to_have_count(len(names))
    page.get_by_role("button", name="Next film").click()
    expect(source).to_have_text(names[1])
    tiles.nth(1).focus()
    page.keyboard.press("ArrowRight")
    expect(source).to_have_text(names[2])
    expect(tiles.nth(2)).to_be_focused()
    expect(page.locator("#batch-gallery [data-place]")).to_have_text(f"3 of {len(names)}")
    expect(page.locator("#batch-table tr.pc-current")).to_contain_text(names[2])
    page.locator("#batch-table").get_by_role("button", name="Pneumonia", exact=True).click()
    answers = {name: cascade.predict(film) for name, film in zip(names, example_films(), strict=True)}
    shares = {
        name: answer.stage1.probabilities["pneumonia"] if answer.stage1 else -1.0
        for name, answer in answers.items()
    }
    in_order = sorted(names, key=lambda name: shares[name])
    expect(page.locator("#batch-table tbody th")).to_have_text([*in_order])
    page.locator("#batch-table tbody tr").last.locator("td").first.click()
    expect(source).to_have_text(in_order[-1])
    page.locator("#batch-point").get_by_text("specific", exact=True).click()
    expect(page.locator("#batch-verdict")).to_contain_text("Operating point specific")
    expect(source).to_have_text(in_order[-1])


def test_after_a_second_run_the_first_film_is_chosen_and_equal_names_are_told_apart(
    page: Page, films: list[Path], tmp_path: Path
) -> None:
    twin = tmp_path / films[0].name
    twin.write_bytes(films[1].read_bytes())
    analyse_batch(page, [films[0], twin])
    tiles = page.locator("#batch-gallery .pc-tile")
    expect(tiles.nth(1)).to_contain_text(f"{films[0].name} (2)")
    tiles.nth(1).click()
    expect(page.locator("#batch-verdict .pc-source")).to_have_text(f"{films[0].name} (2)")
    page.get_by_role("button", name="Analyze Images", exact=True).click()
    expect(tiles.nth(0)).to_have_attribute("aria-pressed", "true")
    expect(tiles.nth(1)).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#batch-verdict .pc-source")).to_have_text(films[0].name)


def test_a_double_click_counts_once(page: Page) -> None:
    before = int(page.locator("#films-analysed").inner_text())
    page.locator("#single-examples .pc-example").nth(1).dblclick()
    expect(page.locator("#single-verdict .pc-source")).to_have_text(example_films()[1].name)
    page.locator("#single-examples .pc-example").nth(0).click()
    expect(page.locator("#single-verdict .pc-source")).to_have_text(example_films()[0].name)
    expect(page.locator("#films-analysed")).to_have_text(str(before + 2))


def test_a_link_opens_tab_and_settings_and_names_no_film(page: Page, address: str) -> None:
    page.locator("#single-examples .pc-example").nth(1).click()
    page.locator("#single-point").get_by_text("sensitive", exact=True).click()
    expect(page).to_have_url(re.compile("tab=single&point=sensitive&prior=50$"))
    open_app(page, f"{address}?tab=batch&point=specific&prior=20")
    expect(page.get_by_role("tab", name=BATCH)).to_have_attribute("aria-selected", "true")
    expect(page.locator("#batch-point input:checked")).to_have_attribute("value", "specific")
    expect(page.locator("#batch-prior input[type=number]")).to_have_value("20")
    page.get_by_role("tab", name=BATCH).focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#single-verdict")).to_contain_text("Operating point specific")


def test_a_picture_is_pasted(page: Page) -> None:
    page.evaluate(
        """async () => {
          const canvas = document.createElement('canvas');
          const blob = await new Promise((done) => canvas.toBlob(done));
          const data = new DataTransfer();
          data.items.add(new File([blob], 'pasted.png', {type: 'image/png'}));
          document.body.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true}));
        }"""
    )
    expect(page.locator("#single-preview")).to_contain_text("pasted.png")


def test_about_tells_figures_and_limits(page: Page, cascade: Cascade) -> None:
    page.get_by_role("tab", name="About").click()
    expect(page.locator("svg.pc-pipeline")).to_be_visible()
    expect(page.locator("#about-figures")).to_contain_text(f"version {cascade.version}")
    for title in ("Data", "Intended use and limits", "References", "Licence and citation"):
        expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()


def test_disclaimer_stands_on_every_tab(page: Page) -> None:
    for tab in TABS:
        page.get_by_role("tab", name=tab).click()
        expect(page.get_by_role("note").filter(has_text=DISCLAIMER)).to_be_visible()


def test_nothing_is_loaded_from_elsewhere(browser: Browser, address: str, films: list[Path]) -> None:
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_app(page, address)
    analyse_single(page, films[0])
    for tab in TABS:
        page.get_by_role("tab", name=tab).click()
    context.close()
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


_CONTRAST = """
element => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = (rgb) => rgb.slice(0, 3)
    .map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  let behind = element, paper = [];
  for (; behind; behind = behind.parentElement) {
    paper = parse(getComputedStyle(behind).backgroundColor);
    if (paper.length && paper[3] !== 0) break;
  }
  const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind ? paper : [255, 255, 255])];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}
"""
"""Contrast of an element's text with what is behind it (WCAG 2.2)."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(browser: Browser, address: str, scheme: Literal["light", "dark"]) -> None:
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    open_app(page, address)
    parts = {
        "button": page.locator("#single-analyze"),
        "tab": page.locator("#tabs button.selected"),
        "help": page.locator("#single-point").get_by_text("fewer pneumonias missed").last,
        "small print": page.locator("#single-verdict .pc-stage .pc-small").first,
        "formats": page.locator(".pc-formats").first,
    }
    found = {name: part.evaluate(_CONTRAST) for name, part in parts.items()}
    assert min(found.values()) >= 4.5, found
    context.close()


def test_focus_is_seen(page: Page) -> None:
    page.locator("#single-point input").first.focus()
    outline = "element => getComputedStyle(element.closest('label')).outlineStyle"
    assert page.locator("#single-point input").first.evaluate(outline) == "solid"


def test_plots_follow_the_film_that_was_analysed(page: Page, films: list[Path]) -> None:
    plots = page.locator("#single-plots")
    of_the_example = plots.inner_html()
    analyse_single(page, films[0])
    expect(plots.locator("[data-measure=intensity]")).to_be_visible()
    page.locator("#single-measure").get_by_text("Cumulative", exact=True).click()
    expect(plots.locator("[data-measure=cumulative] svg")).to_have_count(3)
    page.locator("#single-measure").get_by_text("Intensity histogram", exact=True).click()
    expect(plots.locator("[data-measure=intensity] svg")).to_have_count(3)
    assert plots.inner_html() != of_the_example


def test_example_is_marked_unless_a_film_is_uploaded(page: Page, films: list[Path]) -> None:
    pressed = page.locator("#single-examples [aria-pressed=true]")
    expect(pressed).to_have_count(1)
    upload(page, "single", [films[0]])
    expect(pressed).to_have_count(0)
    page.locator("#single-examples .pc-example").nth(3).click()
    expect(page.locator("#single-verdict .pc-source")).to_have_text(example_films()[3].name)
    expect(pressed).to_have_count(1)
    expect(page.locator("#single-examples .pc-example").nth(3)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#single-verdict .pc-reference")).to_contain_text("Reference standard: normal")


def test_verdicts_are_announced(page: Page) -> None:
    for tab, part in ((TABS[0], "#single-verdict"), (BATCH, "#batch-message")):
        page.get_by_role("tab", name=tab).click()
        expect(page.locator(f"{part} [aria-live=polite]")).to_have_count(1)


@pytest.mark.parametrize("width", [320, 768, 1024])
def test_quality_table_is_not_cut_off(browser: Browser, address: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    open_app(page, address)
    hidden = "element => element.scrollWidth - element.clientWidth"
    assert page.locator("#single-quality .pc-scroll").evaluate(hidden) <= 0
    context.close()


def test_map_is_laid_over_the_film_without_asking_the_server(
    browser: Browser, tiny_address: str, tmp_path: Path
) -> None:
    bright = tmp_path / "bright.png"
    Image.fromarray(vary_example(0, 300, 400) // 4 + np.uint8(180)).save(bright)
    context = browser.new_context()
    page = context.new_page()
    open_app(page, tiny_address)
    analyse_single(page, bright)
    expect(page.locator("#single-verdict .pc-verdict")).to_contain_text("Pneumonia")
    first, second = (page.locator(f"#single-saliency [data-stage='{stage}']") for stage in (1, 2))
    expect(first).to_be_visible()
    expect(second).to_be_hidden()
    # Both at one moment: the page may still be scrolling.
    places = page.evaluate(
        """() => ["[data-stage='1']", ".pc-under img"].map((part) => {
          const box = document.querySelector(`#single-saliency ${part}`).getBoundingClientRect();
          return [box.x, box.y, box.width, box.height];
        })"""
    )
    assert places[0] == places[1]
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator("#single-saliency").get_by_text("Stage 2: viral").click()
    expect(second).to_be_visible()
    expect(first).to_be_hidden()
    page.get_by_label("Opacity of the map").first.fill("25")
    expect(page.locator("#single-saliency output")).to_have_text("25 %")
    expect(second).to_have_css("opacity", "0.25")
    assert [url for url in asked if url.startswith("http")] == []
    page.locator("#single-examples .pc-example").first.click()
    expect(page.locator("#single-verdict .pc-source")).to_have_text(example_films()[0].name)
    expect(page.locator("#single-saliency output")).to_have_text("25 %")
    context.close()


def test_result_comes_into_view_on_a_phone(browser: Browser, address: str, films: list[Path]) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, reduced_motion="reduce")
    page = context.new_page()
    open_app(page, address)
    expect(page.locator("#single-verdict .pc-verdict")).not_to_be_in_viewport()
    analyse_single(page, films[0])
    expect(page.locator("#single-verdict .pc-verdict")).to_be_in_viewport()
    analyse_batch(page, films[:2])
    expect(page.locator("#batch-message")).to_be_in_viewport()
    page.locator("#batch-gallery .pc-tile").nth(1).click()
    expect(page.locator("#batch-verdict .pc-source")).to_have_text(films[1].name)
    expect(page.locator("#batch-verdict .pc-verdict")).to_be_in_viewport()
    # Each row of the table is a stack of named values, none of them beside the page.
    cell = page.locator("#batch-table td").nth(3).bounding_box()
    assert cell is not None
    assert cell["x"] + cell["width"] <= 390
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_needs_no_sideways_scroll(
    browser: Browser, address: str, films: list[Path], scheme: str
) -> None:
    dark = scheme == "dark"
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, color_scheme="dark" if dark else "light"
    )
    page = context.new_page()
    open_app(page, address)
    assert page.evaluate("document.body.classList.contains('dark')") == dark
    for tab in TABS:
        page.get_by_role("tab", name=tab).click()
        if tab == BATCH:
            analyse_batch(page, films[:3])
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()
