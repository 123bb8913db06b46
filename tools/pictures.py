"""Make the pictures in docs/pictures that show answers: the app, a PDF report and both DICOM objects.

    python tools/pictures.py

It runs commands of docs/clinic.md; it needs DCMTK, Chromium and the extras ``web``, ``report``, ``dev``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pypdfium2
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
PORT = 7869
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")


def _commands() -> list[str]:
    """Return the commands of docs/clinic.md that make a film, its answer and the report as a page."""
    text = (ROOT / "docs" / "clinic.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\$ (.*)$", text, re.MULTILINE)
    wanted = ("examples=", "img2dcm", "pneumocascade predict film.dcm --dicom-output", "sr=", "dsr2html")
    return [next(line for line in lines if line.startswith(start)) for start in wanted]


def _save(picture: Image.Image, name: str, width: int) -> None:
    height = round(picture.height * width / picture.width)
    small = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    small.save(PICTURES / f"{name}.png", optimize=True)


def _reports(browser: Browser, folder: Path) -> None:
    script = "\n".join(("set -eu", f"export PATH={Path(sys.executable).parent}:$PATH", *_commands()))
    subprocess.run(["/bin/bash", "-c", script], cwd=folder, check=True)  # noqa: S603  commands of ours
    with pypdfium2.PdfDocument(folder / "report.pdf") as document:
        _save(document[0].render(scale=2).to_pil(), "report-film", 678)
    for path in (folder / "results").glob("*.dcm"):
        found = pydicom.dcmread(path)
        if "PixelData" in found:
            _save(Image.fromarray(found.pixel_array), "secondary-capture", 1200)
    page = browser.new_page(viewport={"width": 900, "height": 1500})
    page.goto((folder / "report.html").as_uri())
    page.screenshot(path=folder / "report.png")
    _save(Image.open(folder / "report.png"), "structured-report", 900)


@contextmanager
def _server() -> Iterator[str]:
    address = f"http://127.0.0.1:{PORT}"
    command = [sys.executable, "-m", "pneumocascade", "serve", "--port", str(PORT)]
    with subprocess.Popen(command) as process:  # noqa: S603  a command of ours
        try:
            for _ in range(240):
                try:
                    urllib.request.urlopen(f"{address}/readyz", timeout=1).close()  # noqa: S310  our own server
                    break
                except OSError:
                    time.sleep(0.5)
            yield address
        finally:
            process.terminate()


def _app(browser: Browser, folder: Path) -> None:
    with _server() as address:
        page = browser.new_page(viewport={"width": 1440, "height": 1100})
        page.goto(address)
        page.locator("#single-verdict .pc-verdict").wait_for()
        page.wait_for_timeout(3000)
        page.screenshot(path=folder / "app.png")
    _save(Image.open(folder / "app.png"), "app", 1440)


def main() -> None:
    """Make all pictures anew."""
    chromium = shutil.which("chromium")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        _reports(browser, Path(name))
        _app(browser, Path(name))


if __name__ == "__main__":
    main()
