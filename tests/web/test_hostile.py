"""Names of files and DICOM tags that are mark-up, in a real browser: nothing in them comes to life."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Download, Page, expect

from pneumocascade import Cascade, read_radiograph
from pneumocascade.evaluation.evaluate import evaluate
from pneumocascade.reports.html import report_html
from tests.conftest import film_png, vary_example
from tests.evaluation.conftest import lay_out_films, make_cascade
from tests.imaging.dicom.objects import dataset, to_bytes
from tests.reports.films import Items
from tests.tiny_models import write_tiny_models
from tests.web.conftest import open_app, running

pytestmark = pytest.mark.browser

BATCH = "Multiple Images (Batch)"

NAMES = [
    "<script>window.planted=1</script>.png",
    '"><script>window.planted=1</script>.png',
    "<img src=x onerror=window.planted=1>.png",
    "'\"><img src=x onerror='window.planted=1'>.png",
    "</textarea></title></style></svg><img src=x onerror=window.planted=1>.png",
    "<svg onload=window.planted=1>.png",
    "<iframe srcdoc='<script>parent.planted=1</script>'>.png",
    "<details open ontoggle=window.planted=1>.png",
    '" autofocus onfocus="window.planted=1" x=".png',
    "<style>@import 'http://elsewhere.example/x.css'</style>.png",
    "<link rel=stylesheet href=http://elsewhere.example/x.css>.png",
    "<base href=http://elsewhere.example><meta http-equiv=refresh content=0;url=http://elsewhere.example>.png",
    "<a href=javascript:window.planted=1>film</a>.png",
    "javascript:window.planted=1.png",
    "[film](javascript:window.planted=1).png",
    "![film](http://elsewhere.example/x.png).png",
    "${window.planted=1}`${window.planted=1}`.png",
    "{{constructor.constructor('window.planted=1')()}}{% raw %}{{7*7}}<%= 7*7 %>#{7*7}.png",
    "{@html '<img src=x onerror=window.planted=1>'}.png",
    "&lt;img src=x onerror=window.planted=1&gt;&#60;script&#62;.png",
    "$$\\href{javascript:window.planted=1}{x}$$<!--.png",
    "film\u202egnp.exe\u2066\u200b\ufeff.png",
    "film\tfilm\x07\x1b[31m\x7f.png",
    "film\r\nSet-Cookie: planted=1\r\n\r\n<script>window.planted=1</script>.png",
    "../../<img src=x onerror=window.planted=1>/..%2f.png",
    "a" * 3000 + ".png",
    "<b>" * 80 + ".png",
]
"""Names that would set ``window.planted``, make elements or ask another host, wherever they were mark-up."""

TAG = "<script>window.planted=1</script><img src=x onerror=window.planted=1>"
PATIENT = "Nemo<script>window.planted=1</script>^Nobody"
TAGS = {
    "PatientName": PATIENT,
    "PatientID": f"NEMO-ID{TAG}",
    "PatientComments": f"NEMO-COMMENT{TAG}",
    "SeriesDescription": TAG,
    "StudyDescription": TAG,
    "BodyPartExamined": "<IMG SRC=X>",
    "ViewPosition": "<IMG SRC=X>",
    "ImageLaterality": "<S>",
    "Manufacturer": TAG,
    "ManufacturerModelName": TAG,
    "InstitutionName": TAG,
    "ProtocolName": TAG,
    "ImageComments": TAG,
}
"""Text and mark-up in tags; what is in those of the patient may be shown nowhere."""

# The elements that there would be if a name or a tag had become mark-up.
_COUNT = """
() => [...document.querySelectorAll('*')].filter((one) => {
  const addresses = ['href', 'src', 'srcset', 'action', 'formaction', 'xlink:href', 'data']
    .map((name) => (one.getAttribute(name) || '').trim());
  return one.matches('img[src="x"], iframe, base, meta[http-equiv=refresh], object, embed')
    || [...one.attributes].some((its) => its.name.startsWith('on'))
    || addresses.some((its) => /^javascript:|^(https?:)?\\/\\/elsewhere/i.test(its))
    || (one.localName === 'script' && /planted/.test(one.textContent))
    || (one.localName === 'style' && /elsewhere/.test(one.textContent));
}).map((one) => one.outerHTML.slice(0, 200))
"""


@dataclass
class Seen:
    """What happened on a page that should not have, and whom it asked."""

    page: Page
    dialogs: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("dialog", self._dialog)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("download", self._download)
        self.page.on("popup", lambda page: self.failed.append(f"a window was opened: {page.url}"))
        self.page.on("pageerror", lambda error: self.failed.append(f"a script failed: {error}"))

    def open_app(self, address: str) -> None:
        """Load the web app, and note what its page has of such elements before it knows any name."""
        open_app(self.page, address)
        self.own = self.page.evaluate(_COUNT)
        assert len(self.own) < 5, self.own
        expect.set_options(timeout=20_000)

    def _dialog(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _download(self, download: Download) -> None:
        self.failed.append(f"a download was begun: {download.url}")

    def assert_nothing(self, *own: str) -> None:
        """Check that no script ran, no element came to be, and nobody but ``own`` was asked."""
        self.page.wait_for_timeout(300)  # for what an event of an element would do
        assert self.page.evaluate("window.planted") is None
        assert self.dialogs == []
        assert self.failed == []
        assert [one for one in self.page.evaluate(_COUNT) if one not in self.own] == []
        assert [url for url in self.asked if not url.startswith((*own, "data:", "blob:"))] == []


@pytest.fixture
def seen(browser: Browser) -> Iterator[Seen]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield Seen(page)
    context.close()


def dicom(seed: int = 0) -> bytes:
    """Return a film whose tags are mark-up."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom says that such values are none, which is the point
        return to_bytes(dataset(vary_example(seed, 160, 160), 8, **TAGS))


def upload(page: Page, tab: str, films: list[tuple[str, bytes]]) -> None:
    """Give films to the upload of a tab under names that no file system has."""
    files: list[Any] = [
        {"name": name, "mimeType": "application/octet-stream", "buffer": content} for name, content in films
    ]
    page.locator(f"#{tab}-upload input[type=file]").set_input_files(files)
    expect(page.locator(f"#{tab}-upload tr.file")).to_have_count(len(films))


def shown(page: Page, where: str) -> str:
    return page.locator(where).inner_text()


# As if Gradio kept names as they are: those that it writes to the disk have neither brackets nor quotes.
_UNCHANGED = """
import sys
from gradio_client import utils
utils.strip_invalid_filename_characters = lambda name, max_bytes=200: name.replace("/", "_")[:200]
from pneumocascade import Cascade
from pneumocascade.server import serve
serve(Cascade.load(sys.argv[1], threads=1), port=0)
"""


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server to whose functions names come as they were sent."""
    folder = tmp_path_factory.mktemp("server")
    models = write_tiny_models(tmp_path_factory.mktemp("models"))
    with running(folder, str(models), code=_UNCHANGED) as address:
        yield address


def parts(names: list[str], size: int = 10) -> list[list[str]]:
    return [names[start : start + size] for start in range(0, len(names), size)]


@pytest.mark.parametrize(
    ("server", "names"),
    [("tiny_address", NAMES[:10]), *(("unchanged", some) for some in parts(NAMES))],
    ids=["as Gradio writes them", "1 to 10", "11 to 20", "21 to 27"],
)
def test_names_of_a_batch(seen: Seen, server: str, names: list[str], request: pytest.FixtureRequest) -> None:
    address = request.getfixturevalue(server)
    page = seen.page
    seen.open_app(address)
    page.get_by_role("tab", name=BATCH).click()
    upload(page, "batch", [(name, film_png(number)) for number, name in enumerate(names)])
    seen.assert_nothing(address)
    page.get_by_role("button", name="Analyze Images", exact=True).click()
    expect(page.locator("#batch-gallery .pc-tile")).to_have_count(len(names))
    expect(page.locator("#batch-table tbody tr")).to_have_count(len(names))
    for number in (1, len(names) - 1):
        tile = page.locator("#batch-gallery .pc-tile").nth(number)
        tile.click()
        name = tile.locator("span").first.inner_text()
        expect(page.locator("#batch-verdict .pc-source")).to_have_text(name)
        seen.assert_nothing(address)
    if server == "unchanged" and names[0] == NAMES[0]:
        assert NAMES[2] in shown(page, "#batch-table")


@pytest.mark.parametrize(
    ("server", "names"), [("tiny_address", NAMES[:2]), ("unchanged", NAMES[::4])], ids=["some", "a quarter"]
)
def test_names_of_single_films(
    seen: Seen, server: str, names: list[str], request: pytest.FixtureRequest
) -> None:
    address = request.getfixturevalue(server)
    page = seen.page
    seen.open_app(address)
    title, preview = page.locator("#single-verdict .pc-verdict"), page.locator("#single-preview b")
    example = preview.inner_text()
    for number, name in enumerate(names):
        upload(page, "single", [(name, film_png() if number % 2 else b"no film")])
        expect(preview).not_to_have_text(example)
        shown = preview.inner_text()
        if server == "unchanged" and name.isprintable() and "/" not in name and len(name) < 200:
            assert shown == name.replace('"', "%22")  # browsers write quotes so
        page.get_by_role("button", name="Analyze Image", exact=True).click()
        expect(page.locator("#single-verdict .pc-source")).to_have_text(shown)
        told_apart = expect(title).not_to_have_text if number % 2 else expect(title).to_have_text
        told_apart("Cannot read this file")
        seen.assert_nothing(address)
        page.locator("#single-upload").get_by_label("Clear").click()
        expect(preview).to_have_text(example)


def test_what_is_left_out_of_a_batch_is_text(seen: Seen, unchanged: str) -> None:
    page = seen.page
    seen.open_app(unchanged)
    page.get_by_role("tab", name=BATCH).click()
    upload(page, "batch", [(name, b"no film") for name in NAMES[:20]])
    page.get_by_role("button", name="Analyze Images", exact=True).click()
    expect(page.locator("#batch-message")).to_contain_text("left out: ")
    assert NAMES[16] in shown(page, "#batch-message")
    seen.assert_nothing(unchanged)


@pytest.mark.parametrize("server", ["tiny_address", "unchanged"])
def test_tags_of_a_film(seen: Seen, server: str, request: pytest.FixtureRequest) -> None:
    address = request.getfixturevalue(server)
    page = seen.page
    seen.open_app(address)
    upload(page, "single", [("film.dcm", dicom())])
    page.get_by_role("button", name="Analyze Image", exact=True).click()
    expect(page.locator("#single-verdict .pc-source")).to_have_text("film.dcm")
    assert "Cannot read this file" not in shown(page, "#single-verdict")
    page.get_by_role("tab", name=BATCH).click()
    upload(page, "batch", [("a.dcm", dicom(1)), (NAMES[2], dicom(2))])
    page.get_by_role("button", name="Analyze Images", exact=True).click()
    expect(page.locator("#batch-table tbody tr")).to_have_count(2)
    seen.assert_nothing(address)
    assert "NEMO" not in page.content().upper()


def test_a_planted_script_would_be_seen(seen: Seen, tmp_path: Path) -> None:
    """What the other tests search for would be found: the same names on a page that does not escape them."""
    for number, name in enumerate(NAMES[:8]):
        path = tmp_path / f"{number}.html"
        path.write_text(f'<!doctype html><title>x</title><p>{name}</p><input value="{name}">')
        seen.page.goto(path.as_uri())
        with pytest.raises(AssertionError):
            seen.assert_nothing(path.as_uri())
        seen.dialogs.clear()
        seen.failed.clear()
        seen.asked.clear()


def looked_at(seen: Seen, path: Path) -> str:
    """Open a report in the browser, check that it does nothing, and return its text."""
    seen.page.goto(path.as_uri())
    assert seen.page.evaluate("document.scripts.length") == 0
    seen.assert_nothing(path.as_uri())
    assert [url for url in seen.asked if url.startswith("file:")] == [path.as_uri()]
    return seen.page.locator("body").inner_text()


def test_the_report_of_one_film_and_of_many(seen: Seen, cascade: Cascade, tmp_path: Path) -> None:
    items: Items = []
    for number, name in enumerate(NAMES):
        film = read_radiograph(dicom(number) if number % 2 else film_png(number), name)
        items.append((cascade.predict(film), film))
    items.append((cascade.predict(b"no film", name=NAMES[2]), None))
    for count in (1, 2, len(items)):
        path = tmp_path / f"report of {count}.html"
        path.write_text(report_html(items[:count], cascade), encoding="utf-8")
        seen.asked.clear()
        text = looked_at(seen, path)
        assert NAMES[0] in text
        assert "<IMG SRC=X>" in text or count == 1
        assert "NEMO" not in text.upper()


@pytest.mark.parametrize(
    "name", ["<img src=x onerror=window.planted=1>.dcm", "${window.planted=1}{{7*7}}'\".png"]
)
def test_the_command_lines_report(seen: Seen, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "films <img src=x onerror=window.planted=1>"
    folder.mkdir()
    (folder / name).write_bytes(dicom() if name.endswith(".dcm") else film_png())
    (folder / f"second {name}").write_bytes(b"no film")
    (tmp_path / "models").mkdir()
    models = write_tiny_models(tmp_path / "models")
    for what, report in ((folder / name, "one.html"), (folder, "many.html")):
        command = [sys.executable, "-m", "pneumocascade", "predict", str(what), "--models", str(models)]
        subprocess.run([*command, "--report", str(tmp_path / report)], capture_output=True, check=False)
        seen.asked.clear()
        text = looked_at(seen, tmp_path / report)
        assert name in text
        assert "NEMO" not in text.upper()


def test_the_report_of_an_evaluation(seen: Seen, tmp_path: Path) -> None:
    folder = tmp_path / "films <img src=x onerror=window.planted=1>${window.planted=1}{{7*7}}"
    films = lay_out_films(folder)
    for number, film in enumerate(sorted(films.rglob("*.png")), start=1):
        if number % 2:
            film.rename(film.with_name(f"{film.stem}<img src=x onerror=window.planted=1>.png"))
    evaluate(films, make_cascade(), tmp_path / "report", resamples=20)
    text = looked_at(seen, tmp_path / "report" / "report.html")
    assert "<img src=x onerror=window.planted=1>${window.planted=1}{{7*7}}" in text
