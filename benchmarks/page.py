"""First useful paint and bytes of the web app's page, with and without compression, in a real browser.

    python -m benchmarks.page --output docs/data/page.json

Two servers with the bundled models, in processes of their own, on free ports of the loopback interface: one
as ``serve`` starts it, one without this project's compression (Gradio's own, of its scripts, stays). Chromium
loads the page of each in turn, with an empty cache and then once more with what it kept, over a network that
the browser slows down to a line's rate and delay. Useful is the page when the verdict of the example film
stands in it and has been painted. Bytes are those of all answers as they came over the network, with heads.
Stops with an error where the first load asks for the viewer. Needs the ``dev`` extra, Chromium (``CHROMIUM``
names another one) and a machine with nothing else to do for the times; bytes do not depend on that.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.timing import machine

if TYPE_CHECKING:
    from playwright.sync_api import Browser, CDPSession, Page

SERVERS = {
    "without": "from pneumocascade.server.middleware import stack; stack.Compression = lambda app: app; ",
    "with": "",
}
"""What each server runs before it starts, by the name of its rows."""

LINES: dict[str, dict[str, float]] = {"10 Mbit/s, 40 ms": {"throughput": 10e6 / 8, "latency": 40}}
"""Networks: bytes a second and milliseconds of delay that the browser keeps to."""

SETTLED_MS = 2000
"""Wait after the page's last event, in milliseconds: scripts that are fetched ahead count as well."""

VISITS = ("first", "again")

_START = "import sys; from pneumocascade import Cascade; from pneumocascade.server import serve; "
_SERVE = "serve(Cascade.load(None), port=0)"

_USEFUL = """
new MutationObserver((_, observer) => {
  if (!document.querySelector('#single-verdict .pc-verdict')) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => { window.usefulAt = performance.now(); }));
}).observe(document, {childList: true, subtree: true});
"""
"""Notes when the verdict was painted, in milliseconds since the page was asked for."""

_PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


@dataclass
class Traffic:
    """What the answers to one load of the page weighed."""

    transferred: int = 0
    requests: int = 0
    addresses: list[str] = field(default_factory=list)

    def watch(self, session: CDPSession) -> None:
        """Count from now on what a page's session reports."""
        session.on("Network.requestWillBeSent", self._asked)
        session.on("Network.loadingFinished", self._came)

    def _asked(self, event: dict[str, Any]) -> None:
        self.addresses.append(event["request"]["url"])

    def _came(self, event: dict[str, Any]) -> None:
        size = int(event["encodedDataLength"])
        self.transferred += size
        self.requests += size > 0  # the browser's cache answers with nothing from the network


@contextmanager
def serving(before: str) -> Iterator[str]:
    """Run a server in a process of its own and give its address."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PNEUMOCASCADE_STATE": folder, "GRADIO_TEMP_DIR": f"{folder}/uploads"}
        command = [sys.executable, "-c", _START + before + _SERVE]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            try:
                yield server.stdout.readline().split()[3]
            finally:
                server.kill()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium."""
    from playwright.sync_api import sync_playwright

    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


def visit(page: Page, address: str, line: dict[str, float]) -> dict[str, float]:
    """Load the page and return milliseconds to the paints, bytes and requests.

    Raises
    ------
    RuntimeError
        Where the page loaded the viewer, which nobody asked for.
    """
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    rate, delay = line["throughput"], line["latency"]
    session.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": delay, "downloadThroughput": rate, "uploadThroughput": rate},
    )
    traffic = Traffic()
    traffic.watch(session)
    page.goto(address, wait_until="commit")
    page.wait_for_function("window.usefulAt")
    page.wait_for_selector("#films-analysed[data-fetched=true]", state="attached")
    page.wait_for_timeout(SETTLED_MS)
    if viewer := [url for url in traffic.addresses if "/viewer/" in url]:
        raise RuntimeError(
            f"the first load asked for {viewer[0]}; the viewer is to be loaded when it is opened"
        )
    return {
        "contentful_ms": page.evaluate(_PAINTED),
        "useful_ms": page.evaluate("window.usefulAt"),
        "bytes": traffic.transferred,
        "requests": traffic.requests,
    }


def both_visits(browser: Browser, address: str, line: dict[str, float]) -> dict[str, dict[str, float]]:
    """Return the figures of a first visit and of one with the browser's cache of it."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(120_000)
    found = {}
    for name in VISITS:
        page = context.new_page()
        page.add_init_script(_USEFUL)
        found[name] = visit(page, address, line)
        page.close()
    context.close()
    return found


def measured(rounds: int) -> list[dict[str, Any]]:
    """Return the median, least and most of each figure for each network, visit and server."""
    with ExitStack() as stack:
        browser = stack.enter_context(chromium())
        addresses = {name: stack.enter_context(serving(before)) for name, before in SERVERS.items()}
        for address in addresses.values():
            both_visits(browser, address, next(iter(LINES.values())))  # does not count
        rows = []
        for line_name, line in LINES.items():
            turns: dict[tuple[str, str], list[dict[str, float]]] = {}
            for _ in range(rounds):
                for name, address in addresses.items():
                    for which, figures in both_visits(browser, address, line).items():
                        turns.setdefault((which, name), []).append(figures)
            for (which, name), those in sorted(turns.items(), key=lambda turn: VISITS.index(turn[0][0])):
                row = {key: _spread([each[key] for each in those]) for key in those[0]}
                rows.append({"line": line_name, "visit": which, "compression": name, **row})
    return rows


def _spread(values: Sequence[float]) -> list[float]:
    return [round(value, 1) for value in (statistics.median(values), min(values), max(values))]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the rows and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="loads of each page that count (default: 3)")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    report = {"machine": machine(), "rounds": options.rounds, "rows": measured(options.rounds)}
    for row in report["rows"]:
        print(json.dumps(row))
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
