"""Figures of parts of the films: by reference standard, resolution, marker, detail and others.

A figure over all films hides where the models do badly, and tells nothing of films of another mixture.
What is compared here was not drawn by chance: subgroups differ in more than their name, such as in how
many of their films are normal. Sensitivity, specificity and AUROC do not hang on that share, accuracies
do.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pneumocascade.datasets.films import count_by_category
from pneumocascade.evaluation.bootstrap import RESAMPLES, bootstrap
from pneumocascade.evaluation.metrics import share
from pneumocascade.evaluation.results import CATEGORIES, measure_cascade, measure_stage1, measure_stage2

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from pneumocascade.evaluation.bootstrap import Estimate
    from pneumocascade.evaluation.judge_films import JudgedFilm, Traits
    from pneumocascade.model.spec import ModelSpec

    Specs: TypeAlias = tuple[ModelSpec, ...]

STAGE1_FIGURES = ("auroc", "sensitivity", "specificity")
STAGE2_FIGURES = ("auroc", "accuracy")

UNKNOWN = "pneumonia"
"""Category of pneumonia of unknown aetiology."""


@dataclass(frozen=True, slots=True)
class Bins:
    """Ranges of a number and their names.

    Attributes
    ----------
    names : tuple of str
    limits : tuple of float
        Ascending, one fewer than names; a number at a limit is in the range above it.
    """

    names: tuple[str, ...]
    limits: tuple[float, ...]

    def name_of(self, number: float) -> str:
        """Return the name of the range that holds a number."""
        return self.names[int(np.searchsorted(self.limits, number, side="right"))]


RESOLUTION = Bins(("below 256", "256 to 511", "512 to 999", "1000 or more"), (256, 512, 1000))
"""Of a film's shorter side, in pixels."""

ASPECT = Bins(("below 1.2", "1.2 to 1.39", "1.4 to 1.59", "1.6 or more"), (1.2, 1.4, 1.6))
"""Of width over height: 1 where films were stretched to a square, whatever they were before."""

DETAIL = Bins(("below 4", "4 to 4.9", "5 or more"), (4, 5))
"""Of the contrast of a film's fine detail, in grey values.

Equipment and image processing decide it, more than the patient does. In *Chest X-Ray Images (Pneumonia)* it
goes along with the class: 2 % of the normal films and 66 % of the others are in the lowest range.
"""

FILMS = Bins(("1", "2 or 3", "4 or more"), (2, 4))
"""Of the films that a patient has in the data set."""

MARKERS = {"top": "at the top", "side": "at the side", None: "not found"}
"""Places of the side marker; see :mod:`pneumocascade.evaluation.markers`."""

GROUPS: Mapping[str, tuple[str, ...]] = {
    "aetiology": (*CATEGORIES, UNKNOWN),
    "resolution": RESOLUTION.names,
    "aspect": ASPECT.names,
    "marker": tuple(MARKERS.values()),
    "detail": DETAIL.names,
    "films_per_patient": FILMS.names,
}
"""The subgroups of each grouping, in order."""

TITLES: Mapping[str, str] = {
    "aetiology": "Reference standard",
    "resolution": "Shorter side in pixels",
    "aspect": "Width over height",
    "marker": "Side marker R",
    "detail": "Contrast of fine detail",
    "films_per_patient": "Films of the patient",
}
"""What each grouping is by."""


def measure_subgroups(
    judged: Sequence[JudgedFilm],
    specs: Specs,
    operating_point: str,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Measure both stages and the cascade on parts of the films.

    Parameters
    ----------
    judged : sequence of JudgedFilm
    specs : tuple of ModelSpec
        Of stage 1 and, where there is one, stage 2; without it that part and the cascade's are left out.
    operating_point : str
        The one that ``judged`` was judged at.
    resamples, seed : int
        See :func:`~pneumocascade.evaluation.bootstrap.bootstrap`.

    Returns
    -------
    dict
        By grouping and subgroup (of ``GROUPS``, but for those without an answered film):
        ``films``: ``n``, ``patients`` and ``by_category``; ``stage1``: ``called_pneumonia`` (the share of
        the films), ``auroc``, ``sensitivity``, ``specificity``; ``stage2``: ``auroc``, ``accuracy``;
        ``cascade``: ``accuracy`` of the three-way answer. Each figure as in ``metrics.json``; its ``value``
        is ``None`` where it is not defined, as an AUROC where there is one class alone.
    """
    members = Counter(row.film.patient for row in judged)
    parts: dict[str, dict[str, list[JudgedFilm]]] = {
        grouping: {name: [] for name in names} for grouping, names in GROUPS.items()
    }
    for row in judged:
        if row.traits is not None:
            groups = groups_of(row, row.traits, members[row.film.patient])
            for grouping, name in groups.items():
                parts[grouping][name].append(row)
    return {
        grouping: {
            name: _measure(rows, specs, operating_point, resamples, seed)
            for name, rows in subgroups.items()
            if rows
        }
        for grouping, subgroups in parts.items()
    }


def groups_of(row: JudgedFilm, traits: Traits, films_of_patient: int) -> dict[str, str]:
    """Return the subgroup of each grouping that a film is of.

    Parameters
    ----------
    row : JudgedFilm
    traits : Traits
        Of this film.
    films_of_patient : int
        All that the data set has of its patient, 1 or more.
    """
    return {
        "aetiology": row.film.category,
        "resolution": RESOLUTION.name_of(min(traits.height, traits.width)),
        "aspect": ASPECT.name_of(traits.width / traits.height),
        "marker": MARKERS[traits.marker],
        "detail": DETAIL.name_of(traits.detail),
        "films_per_patient": FILMS.name_of(films_of_patient),
    }


def _measure(
    rows: Sequence[JudgedFilm], specs: Specs, operating_point: str, resamples: int, seed: int
) -> dict[str, Any]:
    """Measure one subgroup, all of its films answered."""
    stage1 = measure_stage1(rows, specs[0], operating_point, resamples=resamples, seed=seed)
    films = [row.film for row in rows]
    patients = [film.patient for film in films]
    called = np.array([row.prediction.finding == specs[0].labels[1] for row in rows], np.float64)
    pneumonia = bootstrap(
        lambda weights: {"called_pneumonia": share(called, weights)},
        patients,
        {},
        shares={"called_pneumonia": len(set(patients))},
        resamples=resamples,
        seed=seed,
    )
    measured: dict[str, Any] = {
        "films": {
            "n": len(films),
            "patients": len(set(patients)),
            "by_category": count_by_category(films),
        },
        "stage1": _as_dicts(pneumonia) | _as_dicts(stage1.figures, STAGE1_FIGURES),
    }
    if len(specs) > 1:
        stage2 = measure_stage2(rows, specs[1], operating_point, resamples=resamples, seed=seed)
        both = measure_cascade(rows, resamples=resamples, seed=seed)
        measured["stage2"] = _as_dicts(stage2.figures, STAGE2_FIGURES)
        measured["cascade"] = _as_dicts(both.figures, ("accuracy",))
    return measured


def measure_by_patient(
    judged: Sequence[JudgedFilm],
    specs: Specs,
    operating_point: str,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure both stages and the cascade with patients of one weight, not films.

    Figures over films and over patients differ where some patients have many films and these are not like
    the others. In *Chest X-Ray Images (Pneumonia)* most have one, but a few of those with bacterial
    pneumonia have many: they weigh heavily in a figure over all films, and no more than others in one with
    one film a patient, as in the shift suite. A reader has to know which is meant before figures are
    compared. The weights are those of :func:`~pneumocascade.evaluation.results.weights_by_patient`, so that
    no film is left out and nothing is left to chance.

    Parameters as for :func:`measure_subgroups`.

    Returns
    -------
    dict
        ``stage1``, ``stage2`` and ``cascade``, each with the figures that it has in ``metrics.json``; ``n``
        still counts films.
    """
    stages: tuple[Callable[..., Any], ...] = (measure_stage1, measure_stage2)
    measured = {
        f"stage{spec.stage}": measure(
            judged, spec, operating_point, by_patient=True, resamples=resamples, seed=seed
        )
        for measure, spec in zip(stages, specs, strict=False)
    }
    if len(specs) > 1:
        measured["cascade"] = measure_cascade(judged, by_patient=True, resamples=resamples, seed=seed)
    return {name: _as_dicts(part.figures) for name, part in measured.items()}


def _as_dicts(figures: Mapping[str, Estimate], names: Sequence[str] | None = None) -> dict[str, Any]:
    return {name: figures[name].to_dict() for name in (figures if names is None else names)}
