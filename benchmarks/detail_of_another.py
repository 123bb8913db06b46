"""How much models go by the contrast of fine detail: films of each class are given that of the other class.

    python -m benchmarks.detail_of_another kermany224 --folds docs/data/folds.json --fold 3 \
        --output detail.json NAME=stage1.onnx ...

``NAME=FILE`` are models of stage 1 that have not learnt from the fold. A film of one class takes the contrast
that fine detail has in a film of the other (``match_detail``), to a weight: 0 leaves it, 1 takes it over, 1.5
goes beyond. A model that ignores this contrast has the same AUROC at each weight. Prints a table in Markdown;
``--output`` keeps it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.tables import Tables
from pneumocascade.datasets.films import LabelledFilm, find_training_films
from pneumocascade.datasets.perturbations import match_detail
from pneumocascade.evaluation.metrics import auroc
from pneumocascade.model.onnx_classifier import OnnxClassifier
from pneumocascade.model.preprocess import prepare
from pneumocascade.training.data import grey_pixels
from pneumocascade.types import Radiograph

WEIGHTS = (0.0, 0.5, 1.0, 1.5)
SEED = 2018


def chosen(films: Sequence[LabelledFilm], most: int) -> tuple[list[LabelledFilm], list[LabelledFilm]]:
    """Return as many normal films as films of pneumonia, at most so many of each, drawn at random."""
    order = [films[index] for index in np.random.default_rng(SEED).permutation(len(films))]
    normal = [film for film in order if film.finding == "normal"]
    pneumonia = [film for film in order if film.finding == "pneumonia"]
    count = min(most, len(normal), len(pneumonia))
    return normal[:count], pneumonia[:count]


def margins(
    models: Sequence[OnnxClassifier], films: Sequence[LabelledFilm], donors: Sequence[LabelledFilm]
) -> NDArray[np.float64]:
    """Return the log-odds before calibration of films that take detail of donors.

    Returns
    -------
    ndarray of float, shape (models, weights, films)
    """
    found = np.empty((len(models), len(WEIGHTS), len(films)))
    for column, (film, donor) in enumerate(zip(films, donors, strict=True)):
        own, other = grey_pixels(film.path), grey_pixels(donor.path)
        for row, weight in enumerate(WEIGHTS):
            changed = Radiograph(match_detail(own, other, weight) if weight else own, film.name)
            for index, model in enumerate(models):
                logits = model.run(prepare(changed, model.spec)).logits[0]
                found[index, row, column] = logits[1] - logits[0]
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="labelled films")
    parser.add_argument("models", nargs="+", metavar="NAME=FILE", help="models of stage 1, ONNX")
    parser.add_argument("--folds", type=Path, required=True, help="fold of each film (JSON)")
    parser.add_argument("--fold", type=int, required=True, help="judge the films of this fold")
    parser.add_argument("--films", type=int, default=200, help="most of each class")
    parser.add_argument("--output", type=Path, help="JSON file that the table is kept in")
    given = parser.parse_args()
    files = dict(each.split("=", 1) for each in given.models)
    models = [OnnxClassifier(Path(file).read_bytes(), name) for name, file in files.items()]
    fold = json.loads(given.folds.read_text(encoding="utf-8"))
    films = [film for film in find_training_films(given.data) if fold.get(film.name) == given.fold]
    normal, pneumonia = chosen(films, given.films)
    negative, positive = margins(models, normal, pneumonia), margins(models, pneumonia, normal)
    labels = np.repeat([0, 1], len(normal))
    rows = []
    for name, low, high in zip(files, negative, positive, strict=True):
        values = [
            auroc(labels, np.concatenate(each), np.ones(len(labels))) for each in zip(low, high, strict=True)
        ]
        moved = [f"{np.median(each[0]):.1f} to {np.median(each[-1]):.1f}" for each in (low, high)]
        rows.append([name, *(f"{value:.3f}" for value in values), *moved])
    tables = Tables()
    head = (
        f"AUROC of {len(labels)} films of fold {given.fold}, detail of the other class to a weight of",
        *(f"{weight:g}" for weight in WEIGHTS),
        "normal: median log-odds from 0 to 1.5",
        "pneumonia",
    )
    tables.show("of another", rows, head)
    if given.output:
        tables.save(given.output)


if __name__ == "__main__":
    main()
