"""How well a single number of a radiograph, found without a look at the lungs, predicts its class.

    python -m benchmarks.shortcuts kermany224 kermany-original other-films/nih --output shortcuts.json

AUROC of each number for pneumonia: 0.5 predicts nothing; 0 and 1 predict all. Such numbers change with how a
film was acquired, processed and stored, which a network can learn in place of the finding; in part they
change with the finding, too. A second table counts the films of each class by the contrast of their fine
detail. Prints tables in Markdown; ``--output`` keeps them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.tables import Tables
from pneumocascade.datasets.films import find_training_films
from pneumocascade.datasets.perturbations import REFERENCE_SIDE, fine_detail, resize
from pneumocascade.evaluation.metrics import auroc
from pneumocascade.evaluation.subgroups import DETAIL
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.model.preprocess import to_eight_bit

Grey = NDArray[np.uint8]


def _inner(film: Grey) -> Grey:
    """Return the inner three quarters of each side, where no frame or marker is."""
    small = resize(film, REFERENCE_SIDE)
    edge = REFERENCE_SIDE // 8
    return small[edge:-edge, edge:-edge]


NUMBERS: dict[str, Callable[[Grey, int], float]] = {
    "contrast of fine detail": lambda film, _: fine_detail(film),
    "mean grey value": lambda film, _: float(_inner(film).mean()),
    "standard deviation of the grey values": lambda film, _: float(_inner(film).std()),
    "grey value that 5 % are below": lambda film, _: float(np.percentile(_inner(film), 5)),
    "width over height": lambda film, _: film.shape[1] / film.shape[0],
    "pixels": lambda film, _: float(film.size),
    "bytes of the file per pixel": lambda film, size: size / film.size,
}
"""From the pixels and the size of the file, in bytes."""


def numbers_of(folder: Path) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the classes of a folder's films, 1 for pneumonia, and their numbers, shape (films, numbers)."""
    labels, numbers = [], []
    for film in find_training_films(folder):
        pixels = to_eight_bit(read_radiograph(film.path).pixels)
        size = film.path.stat().st_size
        numbers.append([number(pixels, size) for number in NUMBERS.values()])
        labels.append(film.finding == "pneumonia")
    return np.array(labels, np.int64), np.array(numbers, np.float64)


def aurocs_of(labels: NDArray[np.int64], numbers: NDArray[np.float64]) -> list[str]:
    """Return the AUROC of each number."""
    return [f"{auroc(labels, column, np.ones(len(labels))):.3f}" for column in numbers.T]


def ranges(labels: NDArray[np.int64], details: NDArray[np.float64]) -> list[list[str]]:
    """Return for each class what share of its films is in which range of detail."""
    names = np.array([DETAIL.name_of(detail) for detail in details])
    return [[f"{np.mean(names[labels == label] == name):.0%}" for name in DETAIL.names] for label in (0, 1)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+", help="of labelled films")
    parser.add_argument("--output", type=Path, help="JSON file that the tables are kept in")
    given = parser.parse_args()
    found = {folder.name: numbers_of(folder) for folder in given.folders}
    tables = Tables()
    counts = (f"{name} ({len(labels):,} films)" for name, (labels, _) in found.items())
    columns = [aurocs_of(*films) for films in found.values()]
    rows = ([name, *figures] for name, *figures in zip(NUMBERS, *columns, strict=True))
    tables.show("numbers", rows, ["AUROC for pneumonia", *counts])
    at = list(NUMBERS).index("contrast of fine detail")
    shares = (
        [f"{name}, {kind}", *cells]
        for name, (labels, numbers) in found.items()
        for kind, cells in zip(("normal", "pneumonia"), ranges(labels, numbers[:, at]), strict=True)
    )
    tables.show("detail", shares, ["contrast of fine detail", *DETAIL.names])
    if given.output is not None:
        tables.save(given.output)


if __name__ == "__main__":
    main()
