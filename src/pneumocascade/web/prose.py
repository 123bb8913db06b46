"""The longer texts of the page, Markdown and SVG, as messages of the catalogues.

A paragraph, an item of a list, a row of a table and a text of a drawing are a message each. Fenced code and
numbered items, which are references, are the same in every language.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from html import escape, unescape
from typing import IO

from pneumocascade.i18n import gettext

Found = tuple[int, str, str, list[str]]
"""What Babel asks of an extractor: line, function, message, comments."""

_FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
_BETWEEN = re.compile(r"(\n\n+|\n(?=- |\d+\. |\|))")
_UNCHANGED = re.compile(r"\d+\. |\| -|```|\s*$")
_SVG_TEXT = re.compile(r"(<(?:text|title|desc)\b[^>]*>)([^<]+)(?=<)")


def translated_markdown(text: str) -> str:
    """Return a text of Markdown in the language that is spoken."""
    return "".join(
        part if _UNCHANGED.match(part) or _BETWEEN.fullmatch(part) else gettext(_joined(part))
        for part in _parts(text)
    )


def translated_svg(text: str) -> str:
    """Return a drawing whose texts are in the language that is spoken."""
    return _SVG_TEXT.sub(lambda found: found[1] + escape(gettext(unescape(found[2])), quote=False), text)


def extract_markdown(
    stream: IO[bytes],
    _keywords: Collection[str],
    _tags: Collection[str],
    *,
    options: Mapping[str, str],  # noqa: ARG001
) -> Iterator[Found]:
    """Yield the messages of a file of Markdown, as ``pybabel extract`` asks for them."""
    line = 1
    for part in _parts(stream.read().decode()):
        if not (_UNCHANGED.match(part) or _BETWEEN.fullmatch(part)):
            yield line, "", _joined(part), []
        line += part.count("\n")


def extract_svg(
    stream: IO[bytes],
    _keywords: Collection[str],
    _tags: Collection[str],
    *,
    options: Mapping[str, str],  # noqa: ARG001
) -> Iterator[Found]:
    """Yield the messages of a drawing, as ``pybabel extract`` asks for them."""
    text = stream.read().decode()
    for found in _SVG_TEXT.finditer(text):
        yield text.count("\n", 0, found.start()) + 1, "", unescape(found[2]), []


def _parts(text: str) -> Iterator[str]:
    for part in _FENCED.split(text.strip()):
        yield from [part] if part.startswith("```") else _BETWEEN.split(part)


def _joined(part: str) -> str:
    """Return a message on one line: where lines are broken in the English text is of no matter."""
    return " ".join(part.split())
