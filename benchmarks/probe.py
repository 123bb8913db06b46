"""How far a linear classifier gets in stage 2 on features that never saw a chest film.

    python -m benchmarks.probe kermany224 --split build/models/fold1/split.json \
        --backbone-weights resnet50-imagenet-conv1-conv4.safetensors --sizes 128 160 224
    python -m benchmarks.probe kermany224 --split docs/data/folds.json \
        --backbone-weights resnet50-imagenet-conv1-conv4.safetensors --sizes 224

Mean and deviation over positions of layer2 and layer3 of the ImageNet network, by size of its input, and a
logistic regression whose strength is chosen by cross-validation over patients of the training side. Once
each film weighs the same, once each patient (balanced sampling). Prints the AUROC on the validation films,
over films and over patients, and over films where the regression learnt from other patients of the validation
side alone. Needs the extra ``[train]``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.label_noise import features_of
from pneumocascade.datasets.films import LabelledFilm, Split, find_films
from pneumocascade.evaluation.results import weights_by_patient

Floats: TypeAlias = NDArray[np.float64]
STRENGTHS = (1e-4, 3e-4, 1e-3)
FOLDS = 3


def fitted(x: NDArray[np.float32], y: NDArray[np.int64], weights: Floats, strength: float) -> Pipeline:
    """Return a logistic regression on standardised features."""
    regression = LogisticRegression(C=strength, class_weight="balanced", max_iter=400)
    return make_pipeline(StandardScaler(), regression).fit(x, y, logisticregression__sample_weight=weights)


def best_strength(
    x: NDArray[np.float32], y: NDArray[np.int64], weights: Floats, patients: Sequence[str]
) -> float:
    """Return the strength with the highest out-of-fold AUROC."""
    aurocs = [out_of_fold(x, y, weights, patients, strength) for strength in STRENGTHS]
    return STRENGTHS[int(np.argmax(aurocs))]


def out_of_fold(
    x: NDArray[np.float32], y: NDArray[np.int64], weights: Floats, patients: Sequence[str], strength: float
) -> float:
    """Return the AUROC over films, each judged by what learnt from other patients."""
    score = np.zeros(len(y))
    for learnt, left in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(x, y, patients):
        score[left] = fitted(x[learnt], y[learnt], weights[learnt], strength).decision_function(x[left])
    return float(roc_auc_score(y, score))


def splits_in(path: Path) -> dict[str, Split]:
    """Return the split of a run, or those of all folds of a record such as docs/data/folds.json, by name."""
    numbers = json.loads(path.read_text(encoding="utf-8"))
    if "validation" in numbers:
        return {path.parent.name: Split.load(path)}
    folds = {number: {name for name, own in numbers.items() if own == number} for number in numbers.values()}
    return {
        f"fold {number}": Split(frozenset(numbers.keys() - fold), frozenset(fold))
        for number, fold in sorted(folds.items())
    }


def main() -> None:
    """Print a table by size of the input and split."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", type=Path, required=True, help="of a run, or a record of folds")
    parser.add_argument("--backbone-weights", required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 160, 224])
    arguments = parser.parse_args()
    films = [film for film in find_films(arguments.data) if film.aetiology is not None]
    labels = np.array([film.aetiology == "viral" for film in films], np.int64)
    columns = "AUROC over films", "over patients", "learnt from the side held out"
    print(f"| input | held out | each weighs the same | {' | '.join(columns)} |\n|{' --- |' * 6}")
    for size in arguments.sizes:
        features = features_of(films, arguments.backbone_weights, size)
        for name, split in splits_in(arguments.split).items():
            learnt, held_out = (
                np.array([film.name in side for film in films]) for side in (split.train, split.validation)
            )
            for what, values in judged(films, features, labels, learnt, held_out).items():
                row = (f"{size} x {size}", name, what, *(f"{value:.4f}" for value in values))
                print(f"| {' | '.join(row)} |", flush=True)


def judged(
    films: Sequence[LabelledFilm],
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    learnt: NDArray[np.bool_],
    held_out: NDArray[np.bool_],
) -> dict[str, tuple[float, float, float]]:
    """Return the three AUROC of the films held out, by what weighs the same in fitting."""
    sides = [[film for film, own in zip(films, side, strict=True) if own] for side in (learnt, held_out)]
    fitting, judging = (weights_by_patient(side) for side in sides)
    patients, others = ([film.patient for film in side] for side in sides)
    found = {}
    for what, weights, own in (
        ("film", np.ones(len(fitting)), np.ones(len(judging))),
        ("patient", fitting, judging),
    ):
        strength = best_strength(features[learnt], labels[learnt], weights, patients)
        probe = fitted(features[learnt], labels[learnt], weights, strength)
        score = probe.decision_function(features[held_out])
        over_films, over_patients = (
            float(roc_auc_score(labels[held_out], score, sample_weight=each)) for each in (None, judging)
        )
        within = out_of_fold(features[held_out], labels[held_out], own, others, strength)
        found[what] = over_films, over_patients, within
    return found


if __name__ == "__main__":
    main()
