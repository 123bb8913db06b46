"""From the answers to a data set's films to the figures of the stages and of the cascade."""

from __future__ import annotations

from dataclasses import dataclass
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
    """

    stage: int
    categories: tuple[str, str]
    labels: NDArray[np.int64]
    probability: NDArray[np.float64]
    threshold: float
    matrix: NDArray[np.float64]
    figures: Mapping[str, Estimate]

    def to_dict(self) -> dict[str, Any]:
        """Return the stage's part of ``metrics.json``."""
        return {
            **{name: figure.to_dict() for name, figure in self.figures.items()},
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
    threshold = spec.operating_points[operating_point].threshold
    films = [film for _, _, film in rows]
    figures = stage_figures(
        labels,
        probability,
        threshold,
        [film.patient for film in films],
        film_weights=weights_by_patient(films) if by_patient else None,
        resamples=bootstrap[0],
        seed=bootstrap[1],
    )
    matrix = confusion_matrix(labels, answer, np.ones(len(rows)), 2)
    return MeasuredStage(spec.stage, spec.labels, labels, probability, threshold, matrix, figures)


def measure_cascade(
    judged: Sequence[JudgedFilm], *, by_patient: bool = False, resamples: int = RESAMPLES, seed: int = 0
) -> MeasuredCascade:
    """Measure the three-way answer on all answered films but pneumonia of unknown aetiology.

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
    return MeasuredCascade(confusion_matrix(truth, answer, np.ones(len(rows)), len(CATEGORIES)), figures)
