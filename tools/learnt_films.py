"""Write beside the bundled models which films they were learnt from, as hashes.

python tools/learnt_films.py docs/data/folds.json kermany224 other-films/nih

The names come from the folds of ``make models``; the films are read for their perceptual hashes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from pneumocascade.datasets.films import LabelledFilm, find_training_films
from pneumocascade.errors import DataSetError, PneumocascadeError
from pneumocascade.evaluation.learnt_films import LEARNT_FILE, write_learnt_films
from pneumocascade.model.store import bundled_models


def films_of(names: set[str], folders: Sequence[Path]) -> list[LabelledFilm]:
    """Return the films of these names, each from the first folder that holds it.

    Raises
    ------
    DataSetError
        Where some are in none of the folders.
    """
    found: dict[str, LabelledFilm] = {}
    for folder in folders:
        for film in find_training_films(folder):
            if film.name in names:
                found.setdefault(film.name, film)
    missing = sorted(names - found.keys())
    if missing:
        raise DataSetError(
            f"{len(missing)} of {len(names)} films are in none of the folders, such as {missing[0]}"
        )
    return [found[name] for name in sorted(found)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the record of films beside models."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folds", type=Path, help="folds.json: the fold of each film by its name")
    parser.add_argument("folders", type=Path, nargs="+", help="with NORMAL/ and PNEUMONIA/")
    parser.add_argument("--models", type=Path, default=bundled_models(), help="by default the bundled ones")
    parser.add_argument(
        "--without-fold", type=int, help="leave out a fold: 1 for the models in held-out of make models"
    )
    given = parser.parse_args(arguments)
    folds = json.loads(given.folds.read_text(encoding="utf-8"))
    names = {name for name, fold in folds.items() if fold != given.without_fold}
    try:
        count = write_learnt_films(given.models, films_of(names, given.folders))
    except PneumocascadeError as error:
        sys.exit(f"learnt_films: {error}")
    size = (given.models / LEARNT_FILE).stat().st_size
    print(f"{given.models / LEARNT_FILE}: {count} films, {size} bytes")


if __name__ == "__main__":
    main()
