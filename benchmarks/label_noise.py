"""Rank doubtful training labels, and measure what leaving those films out does.

    python benchmarks/label_noise.py kermany224 --split build/models/fold1/split.json \
        --backbone-weights resnet50-imagenet-conv1-conv4.safetensors --output label-noise

Features of the ImageNet network, which never saw these labels, and a logistic regression in five
folds grouped by patient give every training film a probability of its own label that was not learnt
from it. The lowest are the suspects (confident learning: Northcutt et al., JAIR 2021). The suspects
are then left out, and validation AUROC is measured again. Needs the extra ``[train]``.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from pneumocascade.datasets.films import LabelledFilm, Split, find_films
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.model.preprocess import prepare
from pneumocascade.model.spec import for_recipe
from pneumocascade.training.network import build_network, load_weights
from pneumocascade.training.starting_weights import find_weights

BATCH = 32
LEFT_OUT = (0.0, 0.01, 0.02, 0.05, 0.1)


def features_of(films: Sequence[LabelledFilm], weights: str, size: int) -> NDArray[np.float32]:
    """Return mean and deviation over positions of layer2 and layer3, shape (N, 3072)."""
    starting = find_weights(weights)
    network = build_network(stride_in_1x1=starting.stride_in_1x1)
    load_weights(network, starting)
    spec = replace(for_recipe(1, "clahe-hot", input_size=size), mean=starting.mean, std=starting.std)
    network.eval()
    parts: list[torch.Tensor] = []
    for stage in (network.layer2, network.layer3):
        stage.register_forward_hook(  # type: ignore[union-attr]
            lambda _module, _given, maps: parts.extend((maps.mean((2, 3)), maps.std((2, 3))))
        )
    rows = []
    with torch.inference_mode():
        for start in range(0, len(films), BATCH):
            batch = [prepare(read_radiograph(film.path), spec) for film in films[start : start + BATCH]]
            parts.clear()
            network(torch.from_numpy(np.concatenate(batch)).to(memory_format=torch.channels_last))
            rows.append(torch.cat(parts, 1).numpy())
    return np.concatenate(rows)


def classifier() -> Pipeline:
    """Return the regression; its strength was set beforehand, on no validation film."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, class_weight="balanced", max_iter=500))


def main() -> None:
    """Rank the training films of both stages and measure what leaving out suspects does."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--backbone-weights", required=True)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--output", type=Path, default=Path("label-noise"))
    arguments = parser.parse_args()
    split = Split.load(arguments.split)
    names = split.train | split.validation
    films = [film for film in find_films(arguments.data) if film.name in names]
    features = features_of(films, arguments.backbone_weights, arguments.size)
    arguments.output.mkdir(parents=True, exist_ok=True)
    print("| left out of training | " + " | ".join(f"{share:.0%}" for share in LEFT_OUT) + " |")
    print("| --- |" + " --- |" * len(LEFT_OUT))
    for stage, positive in ((1, "pneumonia"), (2, "viral")):
        chosen = [n for n, film in enumerate(films) if stage == 1 or film.aetiology is not None]
        own = [films[n] for n in chosen]
        x = features[chosen]
        y = np.array([positive in (film.finding, film.aetiology) for film in own], int)
        learnt = np.array([film.name in split.train for film in own])
        groups = [film.patient for film, used in zip(own, learnt, strict=True) if used]
        folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
        out_of_fold = cross_val_predict(
            classifier(), x[learnt], y[learnt], groups=groups, cv=folds, method="predict_proba"
        )
        of_own_label = out_of_fold[np.arange(int(learnt.sum())), y[learnt]]
        order = np.argsort(of_own_label)
        rows = [film for film, used in zip(own, learnt, strict=True) if used]
        with (arguments.output / f"stage{stage}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("film", "label", "probability_of_label"))
            writer.writerows(
                (rows[n].name, rows[n].category, round(float(of_own_label[n]), 4)) for n in order[:100]
            )
        aurocs = []
        for share in LEFT_OUT:
            kept = np.sort(order[int(share * len(order)) :])
            model = classifier().fit(x[learnt][kept], y[learnt][kept])
            aurocs.append(roc_auc_score(y[~learnt], model.decision_function(x[~learnt])))
        print(f"| stage {stage}, validation AUROC | " + " | ".join(f"{value:.4f}" for value in aurocs) + " |")


if __name__ == "__main__":
    main()
