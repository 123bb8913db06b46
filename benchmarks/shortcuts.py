"""What a single number of a radiograph, that is no finding, tells of its class.

    python -m benchmarks.shortcuts kermany224 kermany-original other-films/nih --output shortcuts.json

AUROC of each number for pneumonia: 0.5 tells nothing; 0 and 1 tell all. What separates the classes here is
how the films were acquired, processed and stored, which a network can learn in place of the finding. Prints
a table in Markdown; ``--output`` keeps it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.tables import Tables
from pneumocascade.datasets.films import find_training_films
from pneumocascade.datasets.perturbations import REFERENCE_SIDE, fine_detail, resize
from pneumocascade.evaluation.metrics import auroc
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


def told_by(folder: Path) -> list[str]:
    """Return the AUROC of each number for the films of a folder."""
    labels, numbers = [], []
    for film in find_training_films(folder):
        pixels = to_eight_bit(read_radiograph(film.path).pixels)
        size = film.path.stat().st_size
        numbers.append([number(pixels, size) for number in NUMBERS.values()])
        labels.append(film.finding == "pneumonia")
    columns = np.array(numbers, np.float64).T
    weights = np.ones(len(labels))
    return [f"{auroc(np.array(labels, np.int64), column, weights):.3f}" for column in columns]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+", help="of labelled films")
    parser.add_argument("--output", type=Path, help="JSON file that the table is kept in")
    given = parser.parse_args()
    columns = [told_by(folder) for folder in given.folders]

    def rows() -> Iterator[list[str]]:
        for name, *figures in zip(NUMBERS, *columns, strict=True):
            yield [name, *figures]

    tables = Tables()
    tables.show("numbers", rows(), ["AUROC for pneumonia", *(folder.name for folder in given.folders)])
    if given.output is not None:
        tables.save(given.output)


if __name__ == "__main__":
    main()
