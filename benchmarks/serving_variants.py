r"""Measure what could be changed at serving time, without training again.

    python benchmarks/serving_variants.py kermany224 --models build/models/held-out \
        --split build/models/fold1/split.json

On the held-out films: the mean of a film and its mirror image (test-time
flip), the inner part of the film (a crop of each side, as a crude lung field), and a correction of the
prior where pneumonia is rarer than in the validation films (Saerens, Latinne and Decaestecker, "Adjusting
the outputs of a classifier to new a priori probabilities", Neural Computation 2002). Calibration and
thresholds are the stored ones, which were fitted on films as they are: look at the AUROC first.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pneumocascade import Cascade
from pneumocascade.datasets.films import LabelledFilm, Split, find_films
from pneumocascade.evaluation.metrics import stage_figures
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.model.calibration import positive_probability
from pneumocascade.model.onnx_classifier import OnnxClassifier
from pneumocascade.model.preprocess import inner, prepare, to_eight_bit
from pneumocascade.types import Radiograph

Views: TypeAlias = Callable[[Radiograph], list[Radiograph]]
Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

BATCH = 16
PRIORS = (0.5, 0.2, 0.1)
"""Shares of pneumonia that the correction is tried at."""

ROUNDS = 200
"""Of expectation and maximisation; it stands still long before."""


def flipped(film: Radiograph) -> Radiograph:
    """Return the mirror image."""
    return replace(film, pixels=np.ascontiguousarray(to_eight_bit(film.pixels)[:, ::-1]))


def inside(film: Radiograph, margin: float) -> Radiograph:
    """Return a film without a share of its height and width on each side."""
    return replace(film, pixels=np.ascontiguousarray(inner(to_eight_bit(film.pixels), margin)))


VARIANTS: dict[str, Views] = {
    "as it is": lambda film: [film],
    "mean of film and mirror image": lambda film: [film, flipped(film)],
    "inner 92 %": lambda film: [inside(film, 0.04)],
    "inner 84 %": lambda film: [inside(film, 0.08)],
}


def probabilities(model: OnnxClassifier, films: Sequence[Radiograph], views: Views) -> Floats:
    """Return the calibrated probability of the positive class of the mean logits of each film's views."""
    rows = []
    for start in range(0, len(films), BATCH):
        batch = [views(film) for film in films[start : start + BATCH]]
        inputs = np.concatenate([prepare(view, model.spec) for each in batch for view in each])
        logits = model.run(inputs).logits.reshape(len(batch), -1, 2).mean(axis=1)  # (N, 2)
        rows.append(positive_probability(logits, model.spec.temperature, model.spec.bias))
    return np.concatenate(rows)


def with_prior(probability: Floats, learnt: float, share: float) -> Floats:
    """Return probabilities moved from the prior that they were fitted on to another one."""
    positive = probability * share / learnt
    negative = (1 - probability) * (1 - share) / (1 - learnt)
    return positive / (positive + negative)


def estimated_prior(probability: Floats, stored: float) -> float:
    """Return the share of positives that explains unlabelled films best (expectation-maximisation).

    Parameters
    ----------
    probability : ndarray of float
    stored : float
        Share of positives that the probabilities suppose.
    """
    share = stored
    for _ in range(ROUNDS):
        share = float(with_prior(probability, stored, share).mean())
    return share


def row_of(title: str, labels: Ints, probability: Floats, threshold: float, patients: Sequence[str]) -> str:
    """Return a row of the table: AUROC, accuracy, ECE, Brier score."""
    figures = stage_figures(labels, probability, threshold, patients)
    names = ("auroc", "accuracy", "ece", "brier")
    cells = []
    for figure in (figures[name] for name in names):
        low, high = figure.ci95 or (np.nan, np.nan)
        cells.append(f"{figure.value:.4f} ({low:.4f} to {high:.4f})")
    return "| " + " | ".join((title, *cells)) + " |"


def print_prior_table(
    labels: Ints, probability: Floats, stored: float, threshold: float, patients: Sequence[str]
) -> None:
    """Print figures where pneumonia is rarer, by drawing fewer of its films, before and after correction."""
    normal = np.flatnonzero(labels == 0)
    order = np.random.default_rng(0).permutation(np.flatnonzero(labels == 1))
    for share in PRIORS:
        rows = np.concatenate([normal, order[: round(len(normal) * share / (1 - share))]])
        own = [patients[row] for row in rows]
        found = estimated_prior(probability[rows], stored)
        corrected = with_prior(probability[rows], stored, found)
        # The same films are called pneumonia: the threshold is moved along with the probabilities.
        moved = float(with_prior(np.array([threshold]), stored, found)[0])
        print(row_of(f"{share:.0%} pneumonia, as stored", labels[rows], probability[rows], threshold, own))
        print(row_of(f"{share:.0%}, corrected to {found:.1%}", labels[rows], corrected, moved, own))


def main() -> None:
    """Print a table for each stage, and one for other priors."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--models", type=Path, help="by default the bundled ones")
    parser.add_argument("--threads", type=int, default=0, help="of one run of a model; 0: all cores")
    arguments = parser.parse_args()
    names = Split.load(arguments.split).validation
    films = [film for film in find_films(arguments.data) if film.name in names]
    cascade = Cascade.load(arguments.models, threads=arguments.threads)
    for model, own, answer in (
        (cascade.stage1, films, _finding),
        (cascade.model_of(2), [film for film in films if film.aetiology], _aetiology),
    ):
        labels = np.array([answer(film) == model.spec.labels[1] for film in own], np.int64)
        patients = [film.patient for film in own]
        threshold = model.spec.operating_points["balanced"].threshold
        radiographs = [read_radiograph(film.path) for film in own]
        print(f"\n| stage {model.spec.stage} | AUROC | accuracy | ECE | Brier score |\n" + "| --- " * 5 + "|")
        found = {title: probabilities(model, radiographs, views) for title, views in VARIANTS.items()}
        for title, probability in found.items():
            print(row_of(title, labels, probability, threshold, patients))
        if model.spec.stage == 1:
            print_prior_table(labels, found["as it is"], model.spec.prior, threshold, patients)


def _finding(film: LabelledFilm) -> str:
    return film.finding


def _aetiology(film: LabelledFilm) -> str | None:
    return film.aetiology


if __name__ == "__main__":
    main()
