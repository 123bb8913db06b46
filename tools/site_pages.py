"""A hook of MkDocs: pages that are not kept in ``docs``, and links that lead out of it.

README, model card, changelog and security policy become pages as they are, and so does every other file
of the tree that a page links to, such as ``../benchmarks/speed.py``: the site leads nowhere but into
itself. The help of the commands comes from :mod:`command_help`. Links are rewritten while the site is
built; the documents keep those that work in the source tree.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from command_help import command_page
from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]

PAGES = {
    "index.md": "README.md",
    "model-card.md": "MODEL_CARD.md",
    "changelog.md": "CHANGELOG.md",
    "security.md": "SECURITY.md",
    "contributing.md": "CONTRIBUTING.md",
}
"""Where on the site each document from outside ``docs`` is."""

FAVICON = ("assets/favicon.png", "src/pneumocascade/web/content/favicon.png")

_LANGUAGES = {".py": "python", ".toml": "toml", ".cff": "yaml", ".yml": "yaml", ".service": "ini"}
_ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod):(?=<code>)")
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#|/)([^)\s#]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is not in ``docs``."""
    for uri, origin in (*PAGES.items(), FAVICON):
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / origin)))
    linked = {
        target
        for page in files.documentation_pages()
        for target in _linked_files(page.content_string, origin_of(page.src_uri))
    }
    for target in sorted(linked):
        files.append(File.generated(config, uri_of(target), content=_source_page(target)))
    files.append(File.generated(config, "cli.md", content=command_page()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Rewrite links that work in the source tree to those that work in the site."""
    uri = page.file.src_uri
    if uri.startswith("source/"):
        return markdown
    origin = origin_of(uri)

    def rewritten(match: re.Match[str]) -> str:
        target = _resolved(match[1], origin)
        if not (ROOT / target).is_file():
            return match[1]  # MkDocs warns of it
        return posixpath.relpath(uri_of(target), posixpath.dirname(uri))

    return _LINK.sub(rewritten, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Leave out the roles before names in docstrings, such as ``:class:``, which Markdown does not know."""
    return _ROLE.sub("", html)


def origin_of(uri: str) -> str:
    """Return where in the tree a page comes from, for instance ``docs/gate.md``."""
    return PAGES.get(uri, f"docs/{uri}")


def uri_of(path: str) -> str:
    """Return where on the site a file of the tree is, for instance ``source/benchmarks/speed.py.md``."""
    for uri, origin in PAGES.items():
        if origin == path:
            return uri
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"source/{path}.md"


def _linked_files(markdown: str, origin: str) -> set[str]:
    """Return the files outside ``docs`` that a document links to and that are no page yet."""
    targets = {_resolved(target, origin) for target in _LINK.findall(markdown)}
    return {
        target for target in targets if uri_of(target).startswith("source/") and (ROOT / target).is_file()
    }


def _resolved(target: str, origin: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))


def _source_page(path: str) -> str:
    """Return a page that shows a file; one in Markdown is shown as such."""
    text = (ROOT / path).read_text(encoding="utf-8")
    head = "---\nsearch:\n  exclude: true\n---\n"
    if path.endswith(".md"):
        return head + text
    language = _LANGUAGES.get(Path(path).suffix, "text")
    return f"{head}# `{path}`\n\n``````{language}\n{text}\n``````\n"
