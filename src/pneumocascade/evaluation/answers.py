"""What one pair of models said of labelled films: from the models, or from a ``predictions.csv``."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pneumocascade.errors import DataSetError
from pneumocascade.evaluation.judge_films import judge_films
from pneumocascade.model.spec import STAGE1_LABELS, STAGE2_LABELS
from pneumocascade.output.rows import csv_text
from pneumocascade.types import reasons_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pneumocascade.datasets.films import LabelledFilm
    from pneumocascade.evaluation.judge_films import JudgedFilm, ReportProgress
    from pneumocascade.inference.cascade import Cascade

ANSWER_COLUMNS = (
    "source",
    "status",
    "finding",
    "aetiology",
    "probability_pneumonia",
    "stage2_threshold",
    "operating_point",
    "code",
    "model_version",
    "true_finding",
    "true_aetiology",
    "patient",
    "stage2_probability_viral",
)
"""What is read of a ``predictions.csv``."""


@dataclass(frozen=True, slots=True)
class FilmAnswer:
    """The answer to one film, beside its reference standard.

    Attributes
    ----------
    source : str
        Path of the film as ``predictions.csv`` names it.
    patient : str
        As ``predictions.csv`` has it.
    true_finding : {"normal", "pneumonia"}
    true_aetiology : {"bacterial", "viral"} or None
        ``None`` for a normal film and where it is not known.
    status : {"ok", "refused", "error"}
    code : str
        Why there is no answer; empty where there is one.
    pneumonia, viral : float or None
        Calibrated probability, 0..1, by stage 1 and stage 2. That of stage 2 is of a film that is pneumonia
        by the reference standard, whatever stage 1 said.
    finding, aetiology : str or None
        What a reader gets.
    stage2_label : {"bacterial", "viral"} or None
        That of ``viral`` at the operating point; ``None`` where it is not known.
    """

    source: str
    patient: str
    true_finding: str
    true_aetiology: str | None
    status: str
    code: str = ""
    pneumonia: float | None = None
    viral: float | None = None
    finding: str | None = None
    aetiology: str | None = None
    stage2_label: str | None = None

    @property
    def truth(self) -> str:
        """``normal``, ``bacterial``, ``viral``, or ``pneumonia`` of unknown aetiology."""
        return self.true_aetiology or self.true_finding

    @property
    def outcome(self) -> str:
        """The answer in one word: aetiology, else finding, else status."""
        return self.aetiology or self.finding or self.status


@dataclass(frozen=True, slots=True)
class AnswerSet:
    """The answers of one pair of models, at one operating point, to the films of a data set.

    Attributes
    ----------
    name : str
        ``bundled``, the name of a folder of models, or a file with the folder that holds it.
    model_version, operating_point : str
    answers : tuple of FilmAnswer
        Each of another source.
    """

    name: str
    model_version: str
    operating_point: str
    answers: tuple[FilmAnswer, ...]

    def to_dict(self) -> dict[str, str | int]:
        """Return what tells the set, as JSON-ready values."""
        return {
            "name": self.name,
            "model_version": self.model_version,
            "operating_point": self.operating_point,
            "films": len(self.answers),
        }


def answers_of_models(
    films: Sequence[LabelledFilm],
    cascade: Cascade,
    operating_point: str,
    *,
    name: str,
    progress: ReportProgress | None = None,
) -> AnswerSet:
    """Judge films and return the answers.

    Parameters
    ----------
    films : sequence of LabelledFilm
    cascade : Cascade
    operating_point : {"balanced", "sensitive", "specific"}
    name : str
        See :class:`AnswerSet`.
    progress : callable, optional
        Is given the films done and the films there are.

    Raises
    ------
    UsageError
        For an unknown operating point.
    """
    judged = judge_films(films, cascade, operating_point, progress)
    return AnswerSet(name, cascade.version, operating_point, tuple(map(_of_judged, judged)))


def _of_judged(row: JudgedFilm) -> FilmAnswer:
    prediction, stage1, stage2 = row.prediction, row.prediction.stage1, row.stage2
    return FilmAnswer(
        source=csv_text(prediction.source),
        patient=csv_text(row.film.patient),
        true_finding=row.film.finding,
        true_aetiology=row.film.aetiology,
        status=prediction.status,
        code="; ".join(reason.code for reason in reasons_of(prediction)),
        pneumonia=None if stage1 is None else stage1.probabilities[STAGE1_LABELS[1]],
        viral=None if stage2 is None else stage2.probabilities[STAGE2_LABELS[1]],
        finding=prediction.finding,
        aetiology=prediction.aetiology,
        stage2_label=None if stage2 is None else stage2.label,
    )


def read_answers(path: Path) -> AnswerSet:
    """Read a ``predictions.csv`` that ``evaluate`` wrote.

    Raises
    ------
    DataSetError
        Where it cannot be read, lacks a column, has a value that makes no sense, names a film twice, or mixes
        models or operating points.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # Excel begins it with a BOM
            reader = csv.DictReader(file)
            missing = [name for name in ANSWER_COLUMNS if name not in (reader.fieldnames or ())]
            rows = [] if missing else list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataSetError(f"{path} cannot be read as CSV: expected predictions.csv of evaluate") from error
    if missing:
        raise DataSetError(
            f"{path} has no column {', '.join(missing)}: expected predictions.csv as evaluate writes it"
        )
    if not rows:
        raise DataSetError(f"{path} holds no answers: run evaluate again")
    version, point = (_same(path, rows, name) for name in ("model_version", "operating_point"))
    threshold = _share(
        path, 2, {"stage2_threshold": _same(path, rows, "stage2_threshold")}, "stage2_threshold"
    )
    answers = tuple(_of_row(path, line, row, threshold) for line, row in enumerate(rows, 2))
    sources: set[str] = set()
    for answer in answers:
        if answer.source in sources:
            raise DataSetError(f"{path} names {answer.source} twice; expected one row a film")
        sources.add(answer.source)
    return AnswerSet(f"{path.resolve().parent.name}/{path.name}", version, point, answers)


def _same(path: Path, rows: Sequence[Mapping[str, str]], column: str) -> str:
    """Return the one value that a column has where it is not empty; empty where there is none."""
    values = sorted({row[column] for row in rows if row[column]})
    if len(values) > 1:
        raise DataSetError(f"{path} has several values of {column}: {', '.join(values)}; expected one")
    return values[0] if values else ""


def _of_row(path: Path, line: int, row: Mapping[str, str], threshold: float | None) -> FilmAnswer:
    known = row["true_finding"] in STAGE1_LABELS and row["true_aetiology"] in ("", *STAGE2_LABELS)
    if not known or row["status"] not in ("ok", "refused", "error"):
        told = f"{row['true_finding']!r}, {row['true_aetiology']!r} and {row['status']!r}"
        raise DataSetError(
            f"{path}, line {line}: true_finding, true_aetiology and status are {told}; expected normal or "
            "pneumonia; nothing, bacterial or viral; ok, refused or error"
        )
    pneumonia = _share(path, line, row, "probability_pneumonia")
    viral = _share(path, line, row, "stage2_probability_viral")
    label = None
    if viral is not None and threshold is not None:
        label = STAGE2_LABELS[int(viral >= threshold)]
    return FilmAnswer(
        source=row["source"],
        patient=row["patient"],
        true_finding=row["true_finding"],
        true_aetiology=row["true_aetiology"] or None,
        status=row["status"],
        code=row["code"],
        pneumonia=pneumonia,
        viral=viral,
        finding=row["finding"] or None,
        aetiology=row["aetiology"] or None,
        stage2_label=label,
    )


def _share(path: Path, line: int, row: Mapping[str, str], column: str) -> float | None:
    """Return a probability; ``None`` where the cell is empty."""
    text = row[column]
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise DataSetError(f"{path}, line {line}: {column} is {text!r}; expected a number from 0 to 1")
    return value
