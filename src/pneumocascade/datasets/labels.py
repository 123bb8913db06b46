"""What the words and numbers of labels say: normal, pneumonia, bacterial, viral, or nothing to measure by."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from pneumocascade.datasets.folded import folded

NORMAL, PNEUMONIA, BACTERIAL, VIRAL = "normal", "pneumonia", "bacterial", "viral"

UNCERTAIN = "uncertain"
"""Said of a film that its reader could not decide on; such films are left out."""

OTHER = "other"
"""Something else, such as another disease."""

AETIOLOGIES = frozenset({BACTERIAL, VIRAL})

MEANINGS = (NORMAL, PNEUMONIA, BACTERIAL, VIRAL, UNCERTAIN)
"""What a value can be mapped to."""

_ILL = frozenset({PNEUMONIA, BACTERIAL, VIRAL})

_WORDS = {
    "normal": NORMAL,
    "normals": NORMAL,
    "pneumonia": PNEUMONIA,
    "bacterial": BACTERIAL,
    "bacteria": BACTERIAL,
    "viral": VIRAL,
    "virus": VIRAL,
}

_PHRASES = {"no finding": NORMAL, "no findings": NORMAL, "uncertain": UNCERTAIN, "equivocal": UNCERTAIN}

_ANSWERS = {
    **dict.fromkeys(("1", "yes", "true", "positive"), PNEUMONIA),
    **dict.fromkeys(("0", "no", "false", "negative"), NORMAL),
    "-1": UNCERTAIN,
}
"""Answers to the question whether a film shows pneumonia."""

_BLANK = frozenset({"", "na", "nan", "n/a", "none", "null", "unknown", "?"})

_SEPARATORS = re.compile(r"[|;,]")
"""Between several findings in one cell."""


@dataclass(frozen=True, slots=True)
class Label:
    """The reference standard of a film.

    Attributes
    ----------
    finding : {"normal", "pneumonia"} or None
    aetiology : {"bacterial", "viral"} or None
    reason : str
        Why there is no finding, of :data:`pneumocascade.datasets.left_out.REASONS`; else empty.
    """

    finding: str | None
    aetiology: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FoundFilm:
    """A film with its label, before it is known whose it is.

    Attributes
    ----------
    path : Path
        Absolute.
    name : str
        See :class:`pneumocascade.datasets.labelled.LabelledFilm`.
    label : Label
        With a finding.
    data_set : str
        Name of the folder of the data set.
    patient : str
        As a file of labels has it; else empty.
    """

    path: Path
    name: str
    label: Label
    data_set: str
    patient: str = ""


def label_of(meanings: Collection[str]) -> Label:
    """Return the label that all that is said of a film amounts to.

    A film that is said to be both bacterial and viral is pneumonia of unknown aetiology.
    """
    said = set(meanings)
    if NORMAL in said and said & _ILL:
        return Label(None, reason="contradictory_label")
    if said & _ILL:
        known = said & AETIOLOGIES
        return Label(PNEUMONIA, min(known) if len(known) == 1 else None)
    if UNCERTAIN in said:
        return Label(None, reason="uncertain_label")
    if said == {NORMAL}:
        return Label(NORMAL)
    return Label(None, reason="other_label" if said else "no_label")


def plain(text: str) -> str:
    """Return a value as it is compared: small letters, single spaces, ``1`` for ``1.0``."""
    words = " ".join(re.split(r"[\s_]+", folded(text.strip())))
    try:
        return f"{float(words):g}"
    except ValueError:
        return words


def is_blank(text: str) -> bool:
    """Return whether a cell says nothing: it is empty, ``nan``, ``NA``, ``none``, ``unknown``, ``?`` ..."""
    return plain(text) in _BLANK


def folder_meanings(name: str) -> frozenset[str]:
    """Return what a folder's name says of the films in it; nothing where it is no class.

    ``NORMAL``, ``Pneumonia``, ``bacteria`` and ``VIRAL_PNEUMONIA`` are classes, ``normal films`` is none.
    """
    if plain(name) in ("no finding", "no findings"):
        return frozenset({NORMAL})
    words = re.split(r"[\s_\-]+", name.strip().casefold())
    found = {_WORDS.get(word) for word in words}
    return frozenset(found) if None not in found else frozenset()  # type: ignore[arg-type]


def finding_meanings(text: str, values: Mapping[str, str]) -> set[str]:
    """Return what a cell of a finding column says; nothing where it is blank.

    Parameters
    ----------
    text : str
        One finding, or several with ``|``, ``;`` or ``,`` between them: ``No Finding``,
        ``Pneumonia|Effusion``, ``1``, ``viral``. Capitals do not matter.
    values : mapping of str to str
        Meanings of further values, by :func:`plain` value; they come first.
    """
    whole = plain(text)
    if whole in values:
        return {values[whole]}
    if is_blank(text):
        return set()
    if whole in _ANSWERS:
        return {_ANSWERS[whole]}
    parts = [part for part in _SEPARATORS.split(text) if not is_blank(part)]
    said: set[str] = set()
    for part in parts:
        said |= _part_meanings(part, values)
    return said


def _part_meanings(text: str, values: Mapping[str, str]) -> set[str]:
    part = plain(text)
    if part in values:
        return {values[part]}
    if part in _PHRASES:
        return {_PHRASES[part]}
    return set(folder_meanings(text)) or {OTHER}


def aetiology_meanings(text: str, values: Mapping[str, str]) -> set[str]:
    """Return what a cell of an aetiology column says: bacterial, viral, something else, or nothing."""
    said = finding_meanings(text, values)
    return said & AETIOLOGIES if said & (AETIOLOGIES | {NORMAL, PNEUMONIA, UNCERTAIN}) else said


def indicator_meanings(text: str, meaning: str) -> set[str] | None:
    """Return what a cell says of a column that stands for one finding.

    Parameters
    ----------
    text : str
        1 or 0 (also yes or no, true or false), -1 for uncertain, or blank.
    meaning : str
        What 1 says.

    Returns
    -------
    set of str or None
        Empty for a blank cell, ``None`` for another value than these.
    """
    if is_blank(text):
        return set()
    answer = _ANSWERS.get(plain(text))
    if answer is None:
        return None
    if answer == PNEUMONIA:
        return {meaning}
    return {UNCERTAIN} if answer == UNCERTAIN and meaning != NORMAL else {OTHER}
