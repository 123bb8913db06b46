"""Labelled films as they are handed on: one, and all that a loader found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pneumocascade.datasets.left_out import LeftOut
from pneumocascade.datasets.patients import GUESSED


@dataclass(frozen=True, slots=True)
class LabelledFilm:
    """A film on disk and what is known of it.

    Attributes
    ----------
    path : Path
    name : str
        File name without suffix; the same film in another rendering has the same name. Of films in folders
        below a class folder, these folders are part of it.
    finding : {"normal", "pneumonia"}
    aetiology : {"bacterial", "viral"} or None
        ``None`` for a normal film, and where nothing tells.
    patient : str
        Films of one patient never stand on both sides of a split.
    domain : str
        Whose films these are, where several sources are used together; else empty.
    patient_source : str
        Where the patient is from: ``labels``, ``pattern``, ``file`` (of patients), ``dicom`` (Patient ID),
        ``name`` (a guess) or ``film`` (the film counts as a patient of its own).
    data_set : str
        Name of the folder of the data set; empty where it is not known.
    """

    path: Path
    name: str
    finding: str
    aetiology: str | None
    patient: str
    domain: str = ""
    patient_source: str = "name"
    data_set: str = ""

    @property
    def category(self) -> str:
        """``normal``, ``bacterial``, ``viral``, or ``pneumonia`` of unknown aetiology."""
        return self.aetiology or self.finding


@dataclass(frozen=True, slots=True)
class LabelledFilms:
    """What a loader found.

    Attributes
    ----------
    root : Path
        The folder of the films.
    films : list of LabelledFilm
    left_out : LeftOut
        What is not among them, by reason.
    remarks : list of str
        What else is to be known of how they were found, a sentence each.
    """

    root: Path
    films: list[LabelledFilm]
    left_out: LeftOut = field(default_factory=LeftOut)
    remarks: list[str] = field(default_factory=list)

    @property
    def patients(self) -> dict[str, str]:
        """Patients by the films' names."""
        return {film.name: film.patient for film in self.films}

    @property
    def patient_sources(self) -> dict[str, int]:
        """How many films have their patient from where; see :class:`LabelledFilm`."""
        return dict(sorted(Counter(film.patient_source for film in self.films).items()))

    def only(self, names: Collection[str]) -> LabelledFilms:
        """Return these with some of the films alone, by their names."""
        return replace(self, films=[film for film in self.films if film.name in names])

    def to_dict(self) -> dict[str, Any]:
        """Return where patients are from and what was left out, as JSON-ready values."""
        return {"patients_from": self.patient_sources, "left_out": self.left_out.to_dict()}

    def lines(self) -> list[str]:
        """Return for people, a line each, what was left out and which patients are guesses."""
        found = self.patient_sources
        by_name, alone = (found.get(source, 0) for source in GUESSED)
        lines = self.left_out.lines() + self.remarks
        if by_name or alone:
            parts = [f"{by_name} from their names"] * bool(by_name)
            parts += [f"{alone} as a patient each"] * bool(alone)
            lines.append(
                f"the patients of {by_name + alone} of {len(self.films)} films are guessed "
                f"({', '.join(parts)}); --patients says whose they are"
            )
        return lines
