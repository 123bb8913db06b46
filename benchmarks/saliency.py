r"""Are the activation maps more than decoration? Deletion, insertion, and the share inside the lungs.

    python -m benchmarks.saliency kermany224 --models build/models/held-out \
        --split build/models/fold1/split.json --films 60 --output docs/data/saliency.json

Deletion blurs the film away place by place, insertion brings it back out of the blur, both in the order
of the evidence for the given label; a random map of the same coarseness is the yardstick (Petsiuk et
al., "RISE", BMVC 2018). The lung fields are those of the mean of many normal
films, stretched to the square. Prints tables in Markdown; ``--output`` keeps them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.tables import Tables
from pneumocascade.datasets.films import LabelledFilm, Split, find_films
from pneumocascade.datasets.perturbations import resize
from pneumocascade.evaluation.shift_suite import choose_films
from pneumocascade.explain.saliency import evidence_for
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.inference.cascade import Cascade
from pneumocascade.model.preprocess import to_eight_bit
from pneumocascade.types import Radiograph, StageResult

SIDE = 224
STEPS = 10
BLUR = 20.0
"""Sigma, in pixels at 224, of the Gaussian that takes a place's structure away."""

ATLAS_FILMS = 200

Floats = NDArray[np.float64]


def log_odds_of_label(results: Sequence[StageResult], label: str) -> Floats:
    """Return the log-odds of a label."""
    probability = np.clip([result.probabilities[label] for result in results], 1e-6, 1 - 1e-6)
    odds: Floats = np.log(probability / (1 - probability))
    return odds


def curves(cascade: Cascade, stage: int, film: Radiograph, rng: np.random.Generator) -> dict[str, Floats]:
    """Return log-odds of the label along deletion and insertion, by the map and by a random one."""
    result = cascade.stage_results(stage, [film])[0]
    assert result.activation_map is not None
    random = replace(result, activation_map=rng.normal(size=result.activation_map.shape).astype(np.float32))
    pixels = film.pixels.astype(np.float32)
    blurred = cv2.GaussianBlur(pixels, (0, 0), BLUR)
    measured = {}
    for name, guide in (("map", result), ("random", random)):
        evidence = evidence_for(guide, SIDE, SIDE)
        rank = np.argsort(np.argsort(-evidence, axis=None)).reshape(evidence.shape) / evidence.size
        for way, start, end in (("deletion", pixels, blurred), ("insertion", blurred, pixels)):
            changed = [np.where(rank < step / STEPS, end, start) for step in range(STEPS + 1)]
            films = [replace(film, pixels=np.round(each).astype(np.uint8)) for each in changed]
            measured[f"{way} {name}"] = log_odds_of_label(cascade.stage_results(stage, films), result.label)
    return measured


def lung_atlas(films: Sequence[LabelledFilm]) -> NDArray[np.bool_]:
    """Return the lung fields of the mean of many normal films, shape (SIDE, SIDE).

    Their darkest parts are islands; grown by seven pixels as far as the mean film is dark, they reach
    the rib cage and the diaphragm, but not the air around the body.
    """
    clahe = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8))
    mean = np.mean([clahe.apply(square(film).pixels) for film in films], axis=0)
    mean = np.round((mean - mean.min()) / np.ptp(mean) * 255).astype(np.uint8)
    level, _ = cv2.threshold(mean[30:-30, 30:-30], 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    _, areas = cv2.connectedComponents((mean < 0.8 * level).astype(np.uint8))
    border = set(np.concatenate([areas[0], areas[-1], areas[:, 0], areas[:, -1]]).tolist())
    islands = ~np.isin(areas, list(border))
    grown = cv2.dilate(islands.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (15, 15)))
    atlas: NDArray[np.bool_] = (grown > 0) & (mean < level)
    return atlas


def square(film: LabelledFilm) -> Radiograph:
    """Read a film and stretch it to the square."""
    radiograph = read_radiograph(film.path)
    return replace(radiograph, pixels=resize(to_eight_bit(radiograph.pixels), SIDE))


def along_curves(cascade: Cascade, films: Sequence[LabelledFilm]) -> Iterator[list[str]]:
    """Yield for each stage and way the mean log-odds of the label, by the map and by a random one."""
    for stage in (1, 2):
        rows = [
            curves(cascade, stage, square(film), np.random.default_rng(n)) for n, film in enumerate(films)
        ]
        for way, sign in (("deletion", -1), ("insertion", 1)):
            by_map, by_chance = (
                np.array([row[f"{way} {name}"].mean() for row in rows]) for name in ("map", "random")
            )
            better = float(np.mean(sign * by_map > sign * by_chance))
            wanted = "lower" if sign < 0 else "higher"
            figures = [f"{by_map.mean():.2f}", f"{by_chance.mean():.2f}", f"{better:.0%}"]
            yield [f"stage {stage}, {way} ({wanted} is better)", *figures]


def inside(cascade: Cascade, films: Sequence[LabelledFilm], atlas: NDArray[np.bool_]) -> Iterator[list[str]]:
    """Yield for each stage the mean share of the positive evidence inside the atlas, and the atlas's area."""
    for stage in (1, 2):
        shares = []
        for film in films:
            result = cascade.stage_results(stage, [square(film)])[0]
            evidence = np.clip(evidence_for(result, SIDE, SIDE), 0, None)
            if evidence.sum() > 0:
                shares.append(float(evidence[atlas].sum() / evidence.sum()))
        yield [f"stage {stage}", f"{np.mean(shares):.2f}", f"{atlas.mean():.2f}"]


def main() -> None:
    """Measure both stages and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--films", type=int, default=80)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--output", type=Path, help="JSON file that the tables are kept in")
    arguments = parser.parse_args()
    split, films = Split.load(arguments.split), find_films(arguments.data)
    cascade = Cascade.load(arguments.models)
    normal = [film for film in films if film.name in split.train and film.finding == "normal"]
    held_out = [film for film in films if film.name in split.validation and film.finding == "pneumonia"]
    chosen = choose_films(held_out, arguments.films)
    print(f"{len(chosen)} held-out films of pneumonia, models {cascade.version}")
    tables = Tables(cascade.version)
    curve = ("mean log-odds of the label along the curve", "by the map", "at random", "map better")
    tables.show("curves", along_curves(cascade, chosen), curve)
    atlas = lung_atlas(choose_films(normal, ATLAS_FILMS))
    share = ("share of the positive evidence inside the atlas", "mean", "by chance")
    tables.show("lungs", inside(cascade, chosen, atlas), share)
    if arguments.output is not None:
        tables.save(arguments.output)


if __name__ == "__main__":
    main()
