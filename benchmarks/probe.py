"""How far a linear classifier gets in stage 2 on features that never saw a chest film.

    python -m benchmarks.probe kermany224 --split build/models/fold1/split.json \
        --backbone-weights resnet50-imagenet-conv1-conv4.safetensors --sizes 128 160 224

Mean and deviation over positions of layer2 and layer3 of the ImageNet network, by size of its input, and a
logistic regression whose strength is chosen by cross-validation over patients of the training side. Once
each film weighs the same, once each patient (balanced sampling). Prints the AUROC on the validation films,
over films and over patients. Needs the extra ``[train]``.
"""

from __future__ import annotations

import argparse
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
from pneumocascade.datasets.films import Split, find_films
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
    aurocs = []
    for strength in STRENGTHS:
        score = np.zeros(len(y))
        for learnt, left in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(x, y, patients):
            score[left] = fitted(x[learnt], y[learnt], weights[learnt], strength).decision_function(x[left])
        aurocs.append(roc_auc_score(y, score))
    return STRENGTHS[int(np.argmax(aurocs))]


def main() -> None:
    """Print a table by size of the input."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--backbone-weights", required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 160, 224])
    arguments = parser.parse_args()
    split = Split.load(arguments.split)
    films = [film for film in find_films(arguments.data) if film.aetiology is not None]
    sides = [[film for film in films if film.name in side] for side in (split.train, split.validation)]
    labels = [np.array([film.aetiology == "viral" for film in side], np.int64) for side in sides]
    over_patients = [weights_by_patient(side) for side in sides]
    patients = [film.patient for film in sides[0]]
    print(
        "| input | each weighs the same | AUROC over films | over patients |\n| --- | --- | --- | --- |",
        flush=True,
    )
    for size in arguments.sizes:
        learnt, held_out = (features_of(side, arguments.backbone_weights, size) for side in sides)
        for what, weights in (("film", np.ones(len(learnt))), ("patient", over_patients[0])):
            strength = best_strength(learnt, labels[0], weights, patients)
            score = fitted(learnt, labels[0], weights, strength).decision_function(held_out)
            found = (roc_auc_score(labels[1], score, sample_weight=each) for each in (None, over_patients[1]))
            print(
                f"| {size} x {size} | {what} | " + " | ".join(f"{value:.4f}" for value in found) + " |",
                flush=True,
            )


if __name__ == "__main__":
    main()
