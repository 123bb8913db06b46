"""From the answers to a data set's films to the figures of the stages and of the cascade."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pneumocascade.evaluation.bootstrap import RESAMPLES, Estimate
from pneumocascade.evaluation.metrics import cascade_figures, confusion_matrix, group_weights, stage_figures
from pneumocascade.model.spec import STAGE1_LABELS, STAGE2_LABELS, ModelSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pneumocascade.datasets.films import LabelledFilm
    from pneumocascade.evaluation.judge_films import JudgedFilm
    from pneumocascade.evaluation.utility import MeasuredUtility
    from pneumocascade.types import StageResult

CATEGORIES = (STAGE1_LABELS[0], *STAGE2_LABELS)
"""Answers of the cascade: normal, bacterial, viral."""


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredStage:
    """One stage on the films that it is measured on.

    Attributes
    ----------
    stage : int
        1 or 2.
    categories : tuple of str
        Negative class first.
    labels : ndarray of int, shape (N,)
        1 where a film is of the positive class by the reference standard, else 0.
    probability : ndarray of float, shape (N,)
        Calibrated, of the positive class.
    threshold : float
        Of the operating point.
    matrix : ndarray of float, shape (2, 2)
        Films by reference standard (rows) and answer (columns), in the order of ``categories``.
    figures : mapping of str to Estimate
    patients : tuple of str, length N
    utility : MeasuredUtility or None
        ``None`` where it was not asked for.
    """

    stage: int
    categories: tuple[str, str]
    labels: NDArray[np.int64]
    probability: NDArray[np.float64]
    threshold: float
    matrix: NDArray[np.float64]
    figures: Mapping[str, Estimate]
    patients: tuple[str, ...] = ()
    utility: MeasuredUtility | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the stage's part of ``metrics.json``."""
        return {
            **{name: figure.to_dict() for name, figure in self.figures.items()},
            **({} if self.utility is None else self.utility.to_dict()),
            "threshold": self.threshold,
            "labels": list(self.categories),
            "confusion_matrix": self.matrix.astype(int).tolist(),
        }


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredCascade:
    """Both stages together on the films whose category is known.

    Attributes
    ----------
    matrix : ndarray of float, shape (3, 3)
        Films by reference standard (rows) and answer (columns), in the order of ``CATEGORIES``.
    figures : mapping of str to Estimate
    """

    matrix: NDArray[np.float64]
    figures: Mapping[str, Estimate]

    def to_dict(self) -> dict[str, Any]:
        """Return the cascade's part of ``metrics.json``."""
        return {
            **{name: figure.to_dict() for name, figure in self.figures.items()},
            "labels": list(CATEGORIES),
            "confusion_matrix": self.matrix.astype(int).tolist(),
        }


def weights_by_patient(films: Sequence[LabelledFilm]) -> NDArray[np.float64]:
    """Return weights of films with which each patient counts once in each category.

    A patient with many films otherwise weighs many times as much as one with a single film.

    Films of one number of the bacterial and the viral series are grouped as one patient, since they may
    be of the same child; there each category counts once.

    Returns
    -------
    ndarray of float, shape (N,)
        1 over the given films of that patient and category.
    """
    return group_weights([(film.patient, film.category) for film in films])


def measure_stage1(
    judged: Sequence[JudgedFilm],
    spec: ModelSpec,
    operating_point: str,
    *,
    by_patient: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> MeasuredStage:
    """Measure stage 1 on all films that were answered.

    Parameters
    ----------
    judged : sequence of JudgedFilm
    spec : ModelSpec
        Of stage 1.
    operating_point : str
        The one that ``judged`` was judged at.
    by_patient : bool
        Figures in which patients weigh the same, not films: see :func:`weights_by_patient`. The
        confusion matrix counts films all the same.
    resamples, seed : int
        See :func:`~pneumocascade.evaluation.bootstrap.bootstrap`.
    """
    rows = [
        (row.film.finding, row.prediction.stage1, row.film)
        for row in judged
        if row.prediction.stage1 is not None
    ]
    return _measure_stage(rows, spec, operating_point, by_patient, (resamples, seed))


def measure_stage2(
    judged: Sequence[JudgedFilm],
    spec: ModelSpec,
    operating_point: str,
    *,
    by_patient: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> MeasuredStage:
    """Measure stage 2 on all true pneumonia films of known aetiology, whatever stage 1 said.

    Parameters as for :func:`measure_stage1`; ``spec`` is that of stage 2.
    """
    rows = [
        (row.film.aetiology, row.stage2, row.film)
        for row in judged
        if row.stage2 is not None and row.film.aetiology is not None
    ]
    return _measure_stage(rows, spec, operating_point, by_patient, (resamples, seed))


def _measure_stage(
    rows: Sequence[tuple[str, StageResult, LabelledFilm]],
    spec: ModelSpec,
    operating_point: str,
    by_patient: bool,
    bootstrap: tuple[int, int],
) -> MeasuredStage:
    """Measure a stage on rows of true label, answer and film; ``bootstrap``: resamples and seed."""
    positive = spec.labels[1]
    labels = np.array([truth == positive for truth, _, _ in rows], np.int64)
    probability = np.array([result.probabilities[positive] for _, result, _ in rows], np.float64)
    answer = np.array([result.label == positive for _, result, _ in rows], np.int64)
    # Every answer carries this very threshold; it is also known where there is no answer.
    threshold = spec.point(operating_point).threshold
    films = [film for _, _, film in rows]
    patients = tuple(film.patient for film in films)
    figures = stage_figures(
        labels,
        probability,
        threshold,
        patients,
        film_weights=weights_by_patient(films) if by_patient else None,
        resamples=bootstrap[0],
        seed=bootstrap[1],
    )
    figures = _with_reasons(figures, _why_not(spec, labels))
    matrix = confusion_matrix(labels, answer, np.ones(len(rows)), 2)
    return MeasuredStage(spec.stage, spec.labels, labels, probability, threshold, matrix, figures, patients)


def _why_not(spec: ModelSpec, labels: NDArray[np.int64]) -> str:
    """Say what films are missing for figures that are not defined."""
    if not len(labels):
        wanted = "pneumonia film of known aetiology" if spec.stage == 2 else "film"
        return f"no {wanted} was answered"
    absent = [label for index, label in enumerate(spec.labels) if not np.any(labels == index)]
    return f"there is no {' or '.join(absent)} film"


def _with_reasons(figures: Mapping[str, Estimate], reason: str) -> dict[str, Estimate]:
    """Give a reason to the figures that are not defined and have none."""
    return {
        name: figure if figure.value is not None or figure.reason else replace(figure, reason=reason)
        for name, figure in figures.items()
    }


def measure_cascade(
    judged: Sequence[JudgedFilm], *, by_patient: bool = False, resamples: int = RESAMPLES, seed: int = 0
) -> MeasuredCascade:
    """Measure the three-way answer on all answered films but pneumonia of unknown aetiology.

    Where these outnumber the pneumonia films of known aetiology, accuracy and macro F1 are left out: the
    films that remain would be normal ones for the most part.

    Parameters as for :func:`measure_stage1`.
    """
    rows = [row for row in judged if row.prediction.status == "ok" and row.film.category in CATEGORIES]
    truth = np.array([CATEGORIES.index(row.film.category) for row in rows], np.int64)
    answer = np.array([CATEGORIES.index(row.prediction.outcome) for row in rows], np.int64)
    films = [row.film for row in rows]
    figures = cascade_figures(
        truth,
        answer,
        CATEGORIES,
        [film.patient for film in films],
        film_weights=weights_by_patient(films) if by_patient else None,
        resamples=resamples,
        seed=seed,
    )
    unknown = sum(row.prediction.status == "ok" and row.film.category not in CATEGORIES for row in judged)
    known = int(np.sum(truth > 0))
    if unknown > known:
        known_of = f"the aetiology of only {known} of {known + unknown} pneumonia films is known"
        for name in ("accuracy", "macro_f1"):
            figures[name] = replace(figures[name], value=None, ci95=None, reason=known_of)
    absent = [name for index, name in enumerate(CATEGORIES) if not np.any(truth == index)]
    figures = _with_reasons(figures, f"there is no {' or '.join(absent)} film that was answered")
    return MeasuredCascade(confusion_matrix(truth, answer, np.ones(len(rows)), len(CATEGORIES)), figures)
