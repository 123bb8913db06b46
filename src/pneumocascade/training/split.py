"""Patient-grouped, stratified split into training and validation films."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from pneumocascade.dataset import Film, Split
from pneumocascade.errors import DataSetError


def split_films(
    films: Sequence[Film], *, validation_share: float, seed: int, hold_out: Collection[str] = ()
) -> Split:
    """Split films so that classes are balanced and patients stay together.

    Parameters
    ----------
    films : sequence of Film
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
