"""How well films that the models were learnt from are found again, by name and by picture.

python -m benchmarks.learnt_films kermany-original kermany-512 other-films/frontal-adult

For each folder: films, how many are known by name and by picture, and in how many bits of 256 their
perceptual hashes differ from the nearest one that was learnt from.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pneumocascade.datasets.perceptual_hash import bits_apart, perceptual_hash
from pneumocascade.evaluation.learnt_films import BY_NAME, BY_PICTURE, read_learnt_films
from pneumocascade.imaging.read import SUFFIXES, read_radiograph
from pneumocascade.model.store import bundled_models


def main() -> None:
    """Print one line for each folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="searched at any depth")
    given = parser.parse_args()
    record = read_learnt_films(bundled_models())
    if record is None:
        parser.error("the bundled models hold no record of films: run tools/learnt_films.py")
    for folder in given.folders:
        paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES]
        known, nearest = [], []
        for path in paths:
            radiograph = read_radiograph(path)
            known.append(record.known(path.stem, radiograph))
            nearest.append(int(bits_apart(perceptual_hash(radiograph.pixels), record.pictures).min()))
        by_name, by_picture = (sum(way in how for how in known) for way in (BY_NAME, BY_PICTURE))
        apart = f"{min(nearest)} to {max(nearest)} bits from the nearest" if nearest else "no film"
        print(f"{folder.name}: {len(paths)} films, {by_name} by name, {by_picture} by picture, {apart}")


if __name__ == "__main__":
    main()
