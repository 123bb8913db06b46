"""Whose film it is: from a file of labels or patients, a pattern, a DICOM object, or the film's name."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pneumocascade.datasets.labels import is_blank
from pneumocascade.errors import FilmError, UsageError
from pneumocascade.imaging.dicom.detect import DICOM_HEAD, is_dicom

_PERSON = re.compile(r"^(person\d+)_")
_NORMAL = re.compile(r"^((?:NORMAL\d*-)?IM-\d+)")
_NIH = re.compile(r"^(\d{8})_\d{3}$")

GUESSED = ("name", "film")
"""Sources of patients that are guesses: a pattern in the name, and each film for itself."""


def patient_of(name: str) -> str:
    """Return the patient that a film's name tells, or the name where it tells none.

    ``person12_bacteria_3`` and ``person12_virus_7`` may or may not be the same child: they count
    as one. ``IM-0115-0001-0002`` is of ``IM-0115``, ``00001281_000`` (NIH ChestX-ray14) of ``00001281``.
    """
    return _in_name(name) or name


def guess_patient(name: str) -> tuple[str, str]:
    """Return the patient by :func:`patient_of` and where it is from, of ``GUESSED``."""
    found = _in_name(name)
    return (found, "name") if found else (name, "film")


def _in_name(name: str) -> str | None:
    last = name.rpartition("/")[2]
    match = _PERSON.match(last) or _NORMAL.match(last) or _NIH.match(last)
    return match.group(1) if match else None


@dataclass(frozen=True, slots=True)
class Patients:
    """Says whose films are, by what is given and by the films themselves.

    Attributes
    ----------
    pattern : re.Pattern or None
        Its first group is the patient.
    of_film : mapping of Path to str
        Patients by the films' absolute paths.
    """

    pattern: re.Pattern[str] | None = None
    of_film: Mapping[Path, str] = field(default_factory=dict)

    def of(self, path: Path, below: str, name: str, by_labels: str) -> tuple[str, str]:
        """Return the patient of a film, and where it is from.

        Parameters
        ----------
        path : Path
            Absolute.
        below : str
            Path below the folder of the films, for the pattern.
        name : str
        by_labels : str
            What a file of labels says; empty where it says nothing.
        """
        if path in self.of_film:
            return self.of_film[path], "file"
        if self.pattern is not None and (match := self.pattern.search(below)) and match.group(1):
            return match.group(1), "pattern"
        if by_labels:
            return by_labels, "labels"
        if (pseudonym := dicom_patient(path)) is not None:
            return pseudonym, "dicom"
        return guess_patient(name)


def patient_pattern(text: str) -> re.Pattern[str]:
    """Return a regular expression whose first group is the patient.

    Raises
    ------
    UsageError
        Where it is none, or has no group.
    """
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise UsageError(
            f"the pattern for patients {text!r} is no regular expression (at character {error.pos}); "
            "expected one such as 'patient(\\d+)', or a .csv file with the columns path and patient"
        ) from error
    if pattern.groups < 1:
        raise UsageError(
            f"the pattern for patients {text!r} has no group; put the part that is the patient in brackets, "
            "as in 'patient(\\d+)'"
        )
    return pattern


def dicom_patient(path: Path) -> str | None:
    """Return a pseudonym for the PatientID of a DICOM object, ``None`` where there is no such ID.

    ``UNKNOWN``, ``NA`` and the like are no ID.

    The pseudonym is ``pid-`` and 16 digits of a SHA-256 of Issuer of Patient ID (0010,0021) and Patient ID
    (0010,0020): the same for all films of a patient, and the ID itself is written nowhere. Who has a list of
    IDs can find out whose it is: it is not anonymous.
    """
    try:
        with path.open("rb") as stream:
            if not is_dicom(stream.read(DICOM_HEAD)):
                return None
            stream.seek(0)
            # pydicom takes a while to load
            from pneumocascade.imaging.dicom.objects import read_object
            from pneumocascade.imaging.dicom.values import text_of

            dataset = read_object(stream, header_only=True)
    except (OSError, FilmError):  # reading the film says what is wrong with it
        return None
    patient = text_of(dataset, "PatientID").strip()
    if is_blank(patient):
        return None
    issuer = text_of(dataset, "IssuerOfPatientID").strip()
    digest = hashlib.sha256("\0".join((issuer, patient)).encode()).hexdigest()
    return f"pid-{digest[:16]}"
