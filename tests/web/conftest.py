"""A server of the web app in a process of its own, and a browser to look at it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.tiny_models import write_tiny_models

# A process of its own: the warnings of other packages' threads are not those of the tests.
_SERVER = """
import sys
from pneumocascade import Cascade
from pneumocascade.server import serve
serve(Cascade.load(sys.argv[1] or None, threads=1), port=0)
"""


@contextmanager
def running(folder: Path, models: str = "", code: str = _SERVER) -> Iterator[str]:
    """Run a server with a fresh count of films and no uploads, and give its address.

    ``folder`` gets its uploads; ``models`` is a folder of models, by default the bundled ones; ``code`` is
    what the server runs, with the models' folder as its argument.
    """
    environment = {
        **os.environ,
        "PNEUMOCASCADE_STATE": str(folder / "state"),
        "GRADIO_TEMP_DIR": str(folder / "uploads"),
    }
    command = [sys.executable, "-c", code, models]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        try:
            assert "http://127.0.0.1:" in line, f"the server said {line!r}"
            yield line.split()[3]
        finally:
            # A page that a failed test left open would keep it waiting if it were asked to end.
            server.kill()


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a running server."""
    with running(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture(scope="module")
def tiny_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server with the tiny models: bright films are viral, and they give maps."""
    models = write_tiny_models(tmp_path_factory.mktemp("models"))
    with running(tmp_path_factory.mktemp("server"), str(models)) as address:
        yield address


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The app's page, loaded."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    open_app(page, address)
    yield page
    context.close()


def open_app(page: Page, address: str) -> None:
    """Load the app and wait for the film that is analysed already."""
    expect.set_options(timeout=60_000)
    page.goto(address)
    expect(page.locator("#single-verdict .pc-verdict")).to_be_attached()
    # The count is fetched last: from then on the page's events are wired.
    expect(page.locator("#films-analysed")).to_have_attribute("data-fetched", "true")
