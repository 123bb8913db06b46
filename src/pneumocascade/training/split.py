"""Patient-grouped splits into training and validation films: at random, or by blocks of numbers."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from pneumocascade.datasets.films import LabelledFilm, Split
from pneumocascade.errors import DataSetError


def split_films(
    films: Sequence[LabelledFilm], *, validation_share: float, seed: int, hold_out: Collection[str] = ()
) -> Split:
    """Split films so that classes are balanced and patients stay together.

    Parameters
    ----------
    films : sequence of LabelledFilm
        Without duplicates.
    validation_share : float
        Share of the films, 0..0.5, that goes to validation, hold-out included; met to within the
        size of a fold.
    seed : int
        Same seed, same split.
    hold_out : collection of str
        Patients whose films all go to validation.

    Raises
    ------
    DataSetError
        Where there are too few patients or films, or the hold-out alone exceeds the share.
    """
    held = {film.name for film in films if film.patient in hold_out}
    rest = [film for film in films if film.name not in held]
    wanted = validation_share * len(films) - len(held)
    if wanted < 0:
        raise DataSetError(
            f"{len(held)} of {len(films)} films are of held-out patients, more than the "
            f"validation share of {validation_share:.0%}: hold out fewer or raise the share"
        )
    chosen: set[str] = set()
    folds = round(len(rest) / wanted) if wanted >= 1 else 0
    if folds:
        groups = np.array([film.patient for film in rest])
        strata = np.array([film.category for film in rest])
        if len(set(groups)) < folds:
            raise DataSetError(f"{len(set(groups))} patients are too few for a split into {folds} folds")
        most = max(Counter(strata.tolist()).values())
        if most < folds:
            raise DataSetError(
                f"{most} films of the largest class are too few for a split into {folds} folds"
            )
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        _, indices = next(iter(splitter.split(np.zeros(len(rest)), strata, groups)))
        chosen = {rest[index].name for index in indices}
    validation = frozenset(held | chosen)
    return Split(frozenset(film.name for film in films) - validation, validation)


def block_folds(films: Sequence[LabelledFilm], count: int) -> list[Split]:
    """Split films into folds, each a block of neighbouring patient numbers of every series and category.

    Numbers go along with time, and so with equipment and staff. The films of a hospital's next or last year
    are another block: a fold made of blocks shows what a model does on them, which a random one does not.

    Parameters
    ----------
    films : sequence of LabelledFilm
        Without duplicates.
    count : int
        Number of folds, at least 2.

    Returns
    -------
    list of Split, length ``count``
        Each film is on the validation side of exactly one.

    Raises
    ------
    DataSetError
        Where a series has fewer patients than there are folds.
    """
    for (name, category), patients in _patients_by_series(films).items():
        if len(patients) < count:
            raise DataSetError(
                f"{len(patients)} {category} patients of the series {name!r} are too few for {count} folds"
            )
    block = number_blocks(films, count)
    folds = [frozenset(name for name, number in block.items() if number == fold) for fold in range(count)]
    everything = frozenset(block)
    return [Split(everything - fold, fold) for fold in folds]


def number_blocks(films: Sequence[LabelledFilm], count: int) -> dict[str, int]:
    """Return by film's name its block of neighbouring patient numbers, from 0.

    Parameters
    ----------
    films : sequence of LabelledFilm
    count : int
        Number of blocks. Each series and category is cut into as many, with about as many films each; series
        of fewer patients are cut as one.
    """
    films_of = _films_by_patient(films)
    series: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (name, category), patients in _patients_by_series(films).items():
        series[name if len(patients) >= count else "", category] += patients
    block: dict[str, int] = {}
    for patients in series.values():
        total = sum(len(films_of[patient]) for patient in patients)
        before = 0
        for patient in patients:
            block.update((film.name, before * count // total) for film in films_of[patient])
            before += len(films_of[patient])
    return block


def _patients_by_series(films: Sequence[LabelledFilm]) -> dict[tuple[str, str], list[str]]:
    """Return patients in the order of their numbers, by series and the first category of their films."""
    films_of = _films_by_patient(films)
    series: dict[tuple[str, str], list[str]] = defaultdict(list)
    for patient in sorted(films_of, key=_by_number):
        category = min(film.category for film in films_of[patient])
        series[_by_number(patient)[0], category].append(patient)
    return series


def _films_by_patient(films: Sequence[LabelledFilm]) -> dict[str, list[LabelledFilm]]:
    films_of: dict[str, list[LabelledFilm]] = defaultdict(list)
    for film in films:
        films_of[film.patient].append(film)
    return films_of


def _by_number(patient: str) -> tuple[str, int, str]:
    """Return what orders patients: series, number, name; a name without a number is of no series."""
    match = re.fullmatch(r"(.*?)(\d+)", patient)
    return (match.group(1), int(match.group(2)), patient) if match else ("", 0, patient)
