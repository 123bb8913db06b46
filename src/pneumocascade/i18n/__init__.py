"""The web app's languages: whose turn it is, and the catalogues of gettext that hold its words.

English is what stands in the code. Every other language has a catalogue, ``locale/CODE/LC_MESSAGES``; Babel
reads it when its language is first spoken. Outside of :func:`speaking` everything is English: command line,
JSON, reports and logs never change their language.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from gettext import GNUTranslations
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog

ENGLISH = "en"

LANGUAGES = {
    ENGLISH: "English",
    "es": "Español",
    "fr": "Français",
    "de": "Deutsch",
    "zh": "简体中文",
}
"""Code of each language, and its name in itself."""

TAGS = {language: language for language in LANGUAGES} | {"zh": "zh-CN"}
"""Tag (BCP 47) of each language in HTML; Chinese is in simplified characters."""

DOMAIN = "pneumocascade"
"""Name of the catalogues."""

LOCALE = Path(__file__).parent / "locale"
"""Where the catalogues lie."""

_MIN_WORDS = 15
"""Least letters around the placeholders of a message that text is told by."""

_CURRENT = ContextVar("language", default=ENGLISH)

_PLACEHOLDER = re.compile(r"%\((\w+)\)s|(%%)")


def language() -> str:
    """Return the code of the language that is spoken."""
    return _CURRENT.get()


@contextmanager
def speaking(code: str) -> Iterator[None]:
    """Speak a language, a key of ``LANGUAGES``, in this task and in the worker threads that it waits for."""
    before = _CURRENT.set(code)
    try:
        yield
    finally:
        _CURRENT.reset(before)


def gettext(message: str, /, **values: object) -> str:
    """Return a message in the language that is spoken.

    Parameters
    ----------
    message : str
        English. One with values is a format: ``%(name)s`` for a value, ``%%`` for a percent sign.
    **values
        By the names of the placeholders.
    """
    text = message if language() == ENGLISH or not message else _translations(language()).gettext(message)
    return text % values if values else text


def ngettext(one: str, many: str, count: int, /, **values: object) -> str:
    """Return the form of a message that goes with a number, which is also its value ``count``."""
    if language() == ENGLISH:
        text = one if count == 1 else many
    else:
        text = _translations(language()).ngettext(one, many, count)
    return text % {"count": count, **values}


def gettext_noop(message: str, /) -> str:
    """Return a message as it is: marks it for the catalogues where it is not shown yet."""
    return message


def translated(text: str) -> str:
    """Return English text that was made before anyone asked for a language; as it is where no message fits.

    Text made of a message with placeholders is told by the words around them.
    """
    if language() == ENGLISH:
        return text
    found = gettext(text)
    if found != text:
        return found
    for pattern, message in _formats(language()):
        if match := pattern.fullmatch(text):
            return message % {name: decimal(value) for name, value in match.groupdict().items()}
    return text


def decimal(text: str) -> str:
    """Return text with the decimal sign of the language between digits; it has English points."""
    if language() == ENGLISH:
        return text
    from babel.numbers import get_decimal_symbol

    return re.sub(r"(?<=\d)\.(?=\d)", get_decimal_symbol(TAGS[language()].replace("-", "_")), text)


def thousands(number: float) -> str:
    """Return a whole number with the separators of thousands that the language has."""
    if language() == ENGLISH:
        return f"{number:,.0f}"
    from babel.numbers import format_decimal

    return str(format_decimal(round(number), locale=TAGS[language()].replace("-", "_")))


def negotiated(accepted: str) -> str:
    """Return the language that an ``Accept-Language`` header asks for (RFC 9110, section 12.5.4).

    English where the header names none of ``LANGUAGES``. A region does not matter: ``de-AT`` is German.
    """
    asked = []
    for part in accepted[:1000].split(","):
        tag, _, weight = part.replace(" ", "").lower().partition(";q=")
        known = re.fullmatch(r"[01](\.\d{0,3})?", weight or "1")
        asked.append((float(weight or 1) if known else 0.0, tag.split("-")[0]))
    ranked = sorted(asked, key=lambda each: -each[0])
    return next((code for weight, code in ranked if weight > 0 and code in LANGUAGES), ENGLISH)


def script_messages(code: str) -> dict[str, str]:
    """Return the messages of the page's scripts in a language, by the English ones."""
    if code == ENGLISH:
        return {}
    return {
        str(message.id): str(message.string)
        for message in catalogue(code)
        if any(path.endswith(".js") for path, _ in message.locations)
    }


@lru_cache(maxsize=len(LANGUAGES))
def catalogue(code: str) -> Catalog:
    """Return the catalogue of a language other than English."""
    from babel.messages.pofile import read_po

    with (LOCALE / code / "LC_MESSAGES" / f"{DOMAIN}.po").open("rb") as stream:
        return read_po(stream, locale=code)


@lru_cache(maxsize=len(LANGUAGES))
def _translations(code: str) -> GNUTranslations:
    from babel.messages.mofile import write_mo

    compiled = io.BytesIO()
    write_mo(compiled, catalogue(code))
    compiled.seek(0)
    return GNUTranslations(compiled)


@lru_cache(maxsize=len(LANGUAGES))
def _formats(code: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return a pattern of each message with placeholders, and its translation; the most words come first."""
    found = []
    for message in catalogue(code):
        words = len(_PLACEHOLDER.sub("", str(message.id)))
        if isinstance(message.id, str) and "%(" in message.id and words >= _MIN_WORDS:
            found.append((words, message.id, str(message.string)))
    return tuple((_pattern(message), text) for _, message, text in sorted(found, reverse=True))


def _pattern(message: str) -> re.Pattern[str]:
    parts, end, names = [], 0, set()
    for found in _PLACEHOLDER.finditer(message):
        parts.append(re.escape(message[end : found.start()]))
        name = found[1]
        if name is None:
            parts.append("%")
        elif name in names:
            parts.append(f"(?P={name})")
        else:
            parts.append(f"(?P<{name}>.+?)")
            names.add(name)
        end = found.end()
    return re.compile("".join(parts) + re.escape(message[end:]), re.DOTALL)
