"""The documentation's site: whole, self-contained, with help that is the commands' own."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import pneumocascade
from pneumocascade.types import DISCLAIMER
from tests.test_packaging import COMMANDS, ROOT, options_of, read

GENERATED = {"index.md", "cli.md", "model-card.md", "changelog.md", "security.md", "contributing.md"}
"""Pages that ``tools/site_pages.py`` adds to those in ``docs``."""


def nav() -> list[str]:
    return re.findall(r"^ +- .+: (\S+\.md)$", read("mkdocs.yml"), re.MULTILINE)


def test_every_page_has_its_place_in_the_site() -> None:
    pages = nav()
    assert len(pages) == len(set(pages))
    assert set(pages) == {path.name for path in (ROOT / "docs").glob("*.md")} | GENERATED


def test_every_page_of_the_site_says_what_it_is_for() -> None:
    assert f"copyright: {DISCLAIMER}" in read("mkdocs.yml")


def test_the_python_page_has_every_public_name() -> None:
    shown = re.findall(r"^::: pneumocascade\.(\w+)$", read("docs/python.md"), re.MULTILINE)
    assert sorted(shown) == sorted(pneumocascade.__all__)


@pytest.fixture(scope="module")
def help_page() -> str:
    from command_help import command_page

    return command_page()


def test_the_help_page_has_every_option_of_every_command(help_page: str) -> None:
    parts = re.split(r"^#+ (.+)$", help_page, flags=re.MULTILINE)[1:]
    sections = {title.strip("`"): text for title, text in zip(parts[::2], parts[1::2], strict=True)}
    sections["pneumocascade"] = sections.pop("Command line")
    assert sections.keys() == COMMANDS.keys()
    for name, command in COMMANDS.items():
        shown = set(re.findall(r"--[a-z][\w-]*", " ".join(re.findall(r"^\* `(.+?)`", sections[name], re.M))))
        long = {option for option in options_of(command) if option.startswith("--")}
        assert shown == long | {"--help"}, name
    assert DISCLAIMER in sections["pneumocascade"]


def test_the_help_page_leads_to_every_command(help_page: str) -> None:
    links = set(re.findall(r"\]\(#(.+?)\)", help_page))
    assert links == {name.replace(" ", "-") for name in COMMANDS} - {"pneumocascade"}


class Links(HTMLParser):
    """Collects where a page leads to, what it loads, and its anchors."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors.update(values[name] for name in ("id", "name") if name in values)
        if tag == "a":
            self.links.append(values.get("href", ""))
        else:
            self.loaded.extend(values[name] for name in ("href", "src", "srcset") if name in values)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with every warning an error."""
    missing = [
        name for name in ("mkdocs", "material", "mkdocstrings_handlers") if not importlib.util.find_spec(name)
    ]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (extra [docs])")
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=250
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(nav())
    foreign = {url for page in pages for url in Links(page).loaded if urlsplit(url).netloc}
    assert foreign == set()


@pytest.mark.slow
def test_every_link_of_the_site_leads_somewhere(site: Path) -> None:
    pages = {page.resolve(): Links(page) for page in site.rglob("*.html") if page.name != "404.html"}
    dead = [
        f"{page.relative_to(site.resolve())}: {url}"
        for page, found in pages.items()
        for url in (*found.links, *found.loaded)
        if not urlsplit(url).scheme and not leads_somewhere(url, page, pages)
    ]
    assert dead == []


def leads_somewhere(url: str, page: Path, pages: dict[Path, Links]) -> bool:
    path, fragment = unquote(urlsplit(url).path), urlsplit(url).fragment
    target = (page.parent / path).resolve() if path else page
    if target in pages:
        return fragment in ("", "__skip") or fragment in pages[target].anchors
    return target.is_file()


@pytest.mark.slow
def test_the_site_shows_what_is_kept_elsewhere(site: Path) -> None:
    assert "Model card" in (site / "model-card.html").read_text(encoding="utf-8")
    assert "--operating-point" in (site / "cli.html").read_text(encoding="utf-8")
    for kept in ("Dockerfile", "packaging/pneumocascade.service", "benchmarks/speed.py"):
        assert (site / "source" / f"{kept}.html").is_file(), kept
