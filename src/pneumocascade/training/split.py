"""Patient-grouped, stratified split into training and validation films."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from pneumocascade.dataset import Film
from pneumocascade.errors import DataSetError


@dataclass(frozen=True, slots=True)
class Split:
    """Names of the films on either side; no patient stands on both.

    Attributes
    ----------
    train, validation : frozenset of str
        Film names (without suffix); renderings of one film share its name, and so its side.
    """

    train: frozenset[str]
    validation: frozenset[str]

    def save(self, path: Path) -> None:
        """Write the split as JSON."""
        sides = {"train": sorted(self.train), "validation": sorted(self.validation)}
        path.write_text(json.dumps(sides, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Split:
        """Read a split written by :meth:`save`.

        Raises
        ------
        DataSetError
            Where the file is not such a split.
        """
        try:
            sides = json.loads(path.read_text(encoding="utf-8"))
            return cls(frozenset(sides["train"]), frozenset(sides["validation"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataSetError(f"{path} is not a saved split: {error!r}") from error


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
        Where there are too few patients, or the hold-out alone exceeds the share.
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
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        _, indices = next(iter(splitter.split(np.zeros(len(rest)), strata, groups)))
        chosen = {rest[index].name for index in indices}
    validation = frozenset(held | chosen)
    return Split(frozenset(film.name for film in films) - validation, validation)
