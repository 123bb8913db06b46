"""The catalogues are whole, and a request gets its language."""

from __future__ import annotations

import re
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from pneumocascade import Radiograph, i18n
from pneumocascade.explain.reasons import READ_ERRORS, reason_text
from pneumocascade.explain.verdict import OBSTACLES, OUTCOMES, percent
from pneumocascade.i18n import ENGLISH, LANGUAGES, gettext, negotiated, ngettext, speaking, translated
from pneumocascade.imaging.dicom.suitability import OTHER_AGE
from pneumocascade.inference.cascade import neither_fits
from pneumocascade.inference.repair import REPAIRS
from pneumocascade.model.gate import CHILDREN_ONLY, UNCHECKED, UNFAMILIAR, check_pixels
from pneumocascade.model.gate.reasons import REASONS
from pneumocascade.types import DISCLAIMER, Reason

pofile = pytest.importorskip("babel.messages.pofile", reason="Babel is not installed")
frontend = pytest.importorskip("babel.messages.frontend", reason="Babel is not installed")

REPOSITORY = Path(__file__).parents[2]
OTHERS = [code for code in LANGUAGES if code != ENGLISH]
PLACEHOLDER = re.compile(r"%\(\w+\)s|%%|[\[\]]")
"""What a translation must keep: values, percent signs, and the brackets around a term that is explained."""

DISCLAIMERS = {
    "es": "Demostración solo para investigación. No destinada al diagnóstico médico.",
    "fr": "Démonstration destinée à la recherche uniquement. Non destinée au diagnostic médical.",
    "de": "Nur zur Demonstration für Forschungszwecke. Nicht für die medizinische Diagnose bestimmt.",
    "zh": "仅供研究演示。不用于医学诊断。",
}

MEDICAL_DEVICE = {
    "es": "producto sanitario",
    "fr": "dispositif médical",
    "de": "Medizinprodukt",
    "zh": "医疗器械",
}
"""The terms of Regulation (EU) 2017/745 and, for Chinese, of the State Council's Order 739."""


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> set[object]:
    """Every message that the source marks, found as ``make messages`` finds them."""
    template = tmp_path_factory.mktemp("messages") / "pneumocascade.pot"
    command = ["pybabel", "-q", "extract", "-F", str(REPOSITORY / "pyproject.toml"), "-o", str(template)]
    keywords = ["-k", "gettext_noop Reason:2"]
    frontend.CommandLineInterface().run([*command, *keywords, str(REPOSITORY / "src" / "pneumocascade")])
    with template.open("rb") as stream:
        return {message.id for message in pofile.read_po(stream) if message.id}


@pytest.mark.parametrize("code", OTHERS)
def test_no_message_is_missing_or_left_over(code: str, marked: set[object]) -> None:
    assert {message.id for message in i18n.catalogue(code) if message.id} == marked
    assert len(marked) > 300


@pytest.mark.parametrize("code", OTHERS)
def test_every_message_is_translated_with_its_placeholders(code: str) -> None:
    for message in i18n.catalogue(code):
        if not message.id:
            continue
        assert not message.fuzzy, message.id
        several = isinstance(message.id, tuple)
        english = str(message.id[1] if several else message.id)
        forms = [str(form) for form in (message.string or () if several else [message.string])]
        assert len(forms) == (i18n.catalogue(code).num_plurals if several else 1)
        for text in forms:
            assert text.strip(), message.id
            assert sorted(PLACEHOLDER.findall(text)) == sorted(PLACEHOLDER.findall(english)), text


def test_french_keeps_its_punctuation_on_the_line() -> None:
    """No line break before ``:``, ``;``, ``?``, ``!``, ``%`` and within quotation marks."""
    breakable = re.compile(r"\S (?:[:;?!»](?:\s|$)|%%|%(?![(\d]))|« ")
    forms = [message.string for message in i18n.catalogue("fr")]
    texts = [text for form in forms for text in ([form] if isinstance(form, str) else form or ())]
    assert [text for text in texts if breakable.search(text)] == []


@pytest.mark.parametrize("code", OTHERS)
def test_the_disclaimer_says_the_same(code: str) -> None:
    with speaking(code):
        assert gettext(DISCLAIMER) == DISCLAIMERS[code]
    texts = [str(message.string) for message in i18n.catalogue(code)]
    (intended,) = [text for text in texts if MEDICAL_DEVICE[code] in text]
    assert f"**{DISCLAIMERS[code]}**" in intended


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("zh-TW, en;q=0.1", "zh"),
        ("it-IT, it;q=0.9, fr;q=0.5, en;q=0.4", "fr"),
        ("en;q=0.2, es-MX;q=0.9", "es"),
        ("de;q=0, fr", "fr"),
        ("it", ENGLISH),
        ("*", ENGLISH),
        ("", ENGLISH),
        ("de;q=nonsense,;;=,\x00", ENGLISH),
    ],
)
def test_the_browser_is_heard(header: str, code: str) -> None:
    assert negotiated(header) == code


def test_english_is_spoken_unless_asked_otherwise() -> None:
    heard = []
    with speaking("fr"):
        thread = Thread(target=lambda: heard.append(gettext("Pneumonia")))
        thread.start()
        thread.join()
        assert gettext("Pneumonia") == "Pneumonie"
        with speaking(ENGLISH):
            assert gettext("Pneumonia") == "Pneumonia"
    assert [*heard, gettext("Pneumonia")] == ["Pneumonia", "Pneumonia"]


def test_numbers_are_written_as_the_language_writes_them() -> None:
    written = {}
    for code in LANGUAGES:
        with speaking(code):
            written[code] = (percent(0.1234), percent(0.00001), i18n.thousands(12345))
    assert written["en"] == ("12.3\u00a0%", "<\u00a00.1\u00a0%", "12,345")
    assert written["de"] == ("12,3\u00a0%", "<\u00a00,1\u00a0%", "12.345")
    assert written["zh"] == ("12.3%", "<\u00a00.1%", "12,345")
    assert written["es"][0] == written["fr"][0] == written["de"][0]


def test_plural_forms() -> None:
    one, many = "%(count)s film", "%(count)s films"
    assert [ngettext(one, many, count) for count in (1, 2)] == ["1 film", "2 films"]
    with speaking("de"):
        assert [ngettext(one, many, count) for count in (1, 2)] == ["1 Aufnahme", "2 Aufnahmen"]
    with speaking("zh"):
        assert ngettext(one, many, 1) == "1 张X线片"


@pytest.mark.parametrize("code", OTHERS)
def test_what_the_gate_says_is_translated_after_it_was_said(code: str) -> None:
    small = check_pixels(Radiograph(np.zeros((64, 200), np.uint8), "a.png")).reasons
    fixed = (UNCHECKED, UNFAMILIAR, CHILDREN_ONLY, OTHER_AGE, neither_fits(2))
    said = [*(reason.message for reason in (*small, *REASONS.values())), *fixed]
    said += [warning for warnings in REPAIRS.values() for warning in warnings]
    with speaking(code):
        for text in said:
            assert translated(text) not in ("", text)
        assert "64" in translated(small[0].message)
        assert all(gettext(text) != text for text in (*OBSTACLES.values(), *READ_ERRORS.values()))
        assert gettext(OUTCOMES["refused"]) != OUTCOMES["refused"]
        assert translated("Something nobody has translated.") == "Something nobody has translated."


def test_why_a_file_was_not_read_is_said_in_detail_or_in_the_language() -> None:
    reason = Reason("unreadable_image", "the JPEG XL file is damaged")
    assert reason_text(reason) == reason.message
    with speaking("de"):
        assert reason_text(reason).startswith("Die Datei ist beschädigt")
        assert reason_text(Reason("unheard_of", "No such code.")) == "No such code."


def test_scripts_are_given_their_messages_alone() -> None:
    messages = i18n.script_messages("de")
    assert messages["Add films"] == "Aufnahmen hinzufügen"
    assert "Zoom in (+)" in messages
    assert "Pneumonia" not in messages
    assert i18n.script_messages(ENGLISH) == {}
