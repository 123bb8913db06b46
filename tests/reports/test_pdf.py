from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from pneumocascade import Cascade, MissingExtraError, Prediction, UsageError
from pneumocascade.explain.verdict import percent, verdict_of
from pneumocascade.reports.pdf import report_pdf, to_pdf, weasyprint_module, write_report
from pneumocascade.types import DISCLAIMER, Reason
from tests.imaging.film_files import code_of, encode
from tests.reports.films import HOSTILE, MADE, Items, every_outcome

pypdfium2 = pytest.importorskip("pypdfium2")

MILLIMETRE = 72 / 25.4


@pytest.fixture(scope="module")
def items(cascade: Cascade) -> Items:
    return every_outcome(cascade)


@pytest.fixture(scope="module")
def pdf(items: Items, cascade: Cascade) -> bytes:
    return report_pdf(items, cascade, made=MADE)


def texts(pdf: bytes) -> list[str]:
    """Return the text of each page, lines joined and soft hyphens of the extraction taken out."""
    with pypdfium2.PdfDocument(pdf) as document:
        return [" ".join(page.get_textpage().get_text_bounded().split()) for page in document]


def words(text: str) -> str:
    return " ".join(text.split())


def images(pdf: bytes) -> int:
    """Return how many pictures are drawn on all pages."""
    raw = pypdfium2.raw.FPDF_PAGEOBJ_IMAGE
    with pypdfium2.PdfDocument(pdf) as document:
        return sum(len(list(page.get_objects(filter=[raw], max_depth=8))) for page in document)


def heights_of(page: Any, text: str) -> list[float]:
    """Return how far above the lower end of a page a text lies, in points, wherever it stands."""
    letters = page.get_textpage()
    search = letters.search(text)
    return [letters.get_charbox(index)[1] for index, _ in iter(search.get_next, None)]


def language(document: Any) -> str:
    buffer = (ctypes.c_ushort * 16)()
    pypdfium2.raw.FPDFCatalog_GetLanguage(document, buffer, len(buffer))
    return "".join(map(chr, buffer)).rstrip("\x00")


def bottom_of(pdf: bytes, text: str) -> float:
    """Return how far above the lower end of the first page a text lies, in points."""
    with pypdfium2.PdfDocument(pdf) as document:
        (height,) = heights_of(document[0], text)
        return height


def test_every_film_has_one_page_after_the_summary(pdf: bytes, items: Items) -> None:
    summary, *films = texts(pdf)
    assert len(films) == len(items)
    for number, (text, (prediction, _)) in enumerate(zip(films, items, strict=True), start=1):
        assert f"Film {number} of {len(items)}" in text
        assert prediction.source in text
        assert verdict_of(prediction).title in text
        for result in (prediction.stage1, prediction.stage2):
            for value in result.probabilities.values() if result else ():
                assert words(percent(value)) in text
        assert f"{prediction.source} {verdict_of(prediction).title}" in summary


def test_disclaimer_and_number_stand_on_every_page(pdf: bytes) -> None:
    pages = texts(pdf)
    for number, text in enumerate(pages, start=1):
        assert text.count(DISCLAIMER) == 2
        assert f"Page {number} of {len(pages)}" in text
    with pypdfium2.PdfDocument(pdf) as document:
        for page in document:
            heights = heights_of(page, DISCLAIMER)
            assert min(heights) < 12 * MILLIMETRE
            assert max(heights) > (297 - 24) * MILLIMETRE


def test_the_summary_tells_the_page_of_each_film(cascade: Cascade) -> None:
    broken = Prediction("x", "error", "balanced", cascade.version, error=Reason("empty_file", "it is empty"))
    count = 45
    items: Items = [(replace(broken, source=f"film-{i:03d}-of-many.png"), None) for i in range(count)]
    pages = texts(report_pdf(items, cascade, made=MADE))
    summaries = len(pages) - count
    assert summaries >= 2
    found = " ".join(pages[:summaries])
    assert [page.count(DISCLAIMER) for page in pages] == [2] * len(pages)
    for i, text in enumerate(pages[summaries:]):
        assert f"film-{i:03d}-of-many.png" in text
        assert f"film-{i:03d}-of-many.png Cannot read this file — — — 0 {summaries + 1 + i} " in found


def test_all_pictures_are_in_it(pdf: bytes) -> None:
    # Film and processed picture of four films; a map of stage 1 for three of them, of stage 2 for two.
    assert images(pdf) == 2 * 4 + 3 + 2


def test_metadata_tells_what_it_is(pdf: bytes) -> None:
    with pypdfium2.PdfDocument(pdf) as document:
        found = document.get_metadata_dict()
        assert pypdfium2.raw.FPDFCatalog_IsTagged(document)
        assert language(document) == "en"
        assert document.get_page_size(0) == pytest.approx((210 * MILLIMETRE, 297 * MILLIMETRE), abs=1)
    assert "research use only" in found["Title"]
    assert "research use only" in found["Keywords"]
    assert found["Author"]
    assert found["Subject"] == DISCLAIMER
    assert found["CreationDate"].startswith("D:20261123093000")


def test_the_same_films_at_the_same_time_give_the_same_bytes(
    items: Items, cascade: Cascade, pdf: bytes
) -> None:
    assert report_pdf(items, cascade, made=MADE) == pdf


@pytest.mark.parametrize("letters", ["w", "W", "胸", "word and "])
def test_every_warning_is_printed_on_further_pages_where_it_must(
    items: Items, cascade: Cascade, letters: str
) -> None:
    prediction, film = items[2]
    warnings = tuple(f"{i}: {letters * 200}"[:150] for i in range(20))
    full = replace(prediction, source=f"folder/{letters * 300}.png", warnings=warnings)
    pages = texts(report_pdf([(full, film)], cascade, made=MADE))
    assert len(pages) == 2
    assert all(f" {i}: " in " ".join(pages) for i in range(20))
    assert all(DISCLAIMER in page for page in pages)


def test_hostile_names_are_text(items: Items, cascade: Cascade, caplog: pytest.LogCaptureFixture) -> None:
    prediction, film = items[1]
    hostile = replace(prediction, source=HOSTILE, warnings=(HOSTILE,))
    made = report_pdf([(hostile, film)], cascade, made=MADE)
    (text,) = texts(made)
    assert "<script>alert(1)</script>" in text
    assert images(made) == 4
    assert b"/JavaScript" not in made
    assert b"/URI" not in made
    assert caplog.text == ""


class Counter(BaseHTTPRequestHandler):
    """Notes what is asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    handler = type("Handler", (Counter,), {"asked": asked})
    with HTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()
        thread.join()


def test_nothing_but_data_is_opened(
    server: tuple[str, list[str]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address, asked = server
    secret = tmp_path / "secret.png"
    secret.write_bytes(encode(np.arange(256, dtype=np.uint8).reshape(16, 16), "PNG"))
    page = (
        f'<link rel="stylesheet" href="{address}/a.css"><style>@import url({address}/b.css);'
        f"p {{ background: url({address}/c.png); list-style: url({secret.as_uri()}) }}</style>"
        f'<p><img src="{address}/d.png"><img src="{secret.as_uri()}"><object data="{address}/e.svg"></object>'
        f'<link rel="attachment" href="{secret.as_uri()}">text'
    )
    made = to_pdf(page)
    assert texts(made) == ["text"]
    assert images(made) == 0
    assert b"/EmbeddedFile" not in made
    assert asked == []
    assert "disallowed" in caplog.text


def test_weasyprint_has_nothing_to_complain_of(
    items: Items, cascade: Cascade, caplog: pytest.LogCaptureFixture
) -> None:
    report_pdf(items[3:], cascade, made=MADE)
    assert [record for record in caplog.records if record.name.startswith("weasyprint")] == []


def test_films_are_read_as_strictly_as_before() -> None:
    weasyprint_module()
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    whole = encode(Image.effect_noise((200, 200), 60), "JPEG")
    assert code_of(whole[: len(whole) // 2]) == "truncated_image"
    code = (
        "from PIL import ImageFile; from pneumocascade.reports.pdf import weasyprint_module; "
        "weasyprint_module(); import sys; assert 'weasyprint' in sys.modules; "
        "print(ImageFile.LOAD_TRUNCATED_IMAGES)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_suffix_chooses(items: Items, cascade: Cascade, tmp_path: Path, pdf: bytes) -> None:
    for name, start in (("a.pdf", b"%PDF-"), ("b.HTML", b"<!doctype html>"), ("c.htm", b"<!doctype html>")):
        output = tmp_path / "new folder" / name
        write_report(iter(items), cascade, output, made=MADE)
        assert output.read_bytes().startswith(start)
    assert (tmp_path / "new folder" / "a.pdf").read_bytes() == pdf
    with pytest.raises(UsageError, match=r"'\.docx', expected \.pdf, \.html, \.htm"):
        write_report(items, cascade, tmp_path / "d.docx")


@pytest.mark.parametrize("suffix", ["pdf", "html"])
def test_a_file_that_cannot_be_written_is_named(
    items: Items, cascade: Cascade, tmp_path: Path, suffix: str
) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UsageError, match="cannot be written"):
        write_report(items[4:], cascade, tmp_path / "file" / f"report.{suffix}")


def test_without_weasyprint_the_extra_is_named(
    items: Items, cascade: Cascade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(MissingExtraError, match=r"pneumocascade\[report\]"):
        write_report(items, cascade, tmp_path / "report.pdf")
    write_report(items[4:], cascade, tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_without_pango_the_debian_packages_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = "print('advice')\nraise OSError(\"cannot load library 'libpango-1.0-0'\")\n"
    (tmp_path / "weasyprint.py").write_text(broken)
    monkeypatch.delitem(sys.modules, "weasyprint", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="apt-get install libpango-1"):
        weasyprint_module()
    assert capsys.readouterr().out == ""
