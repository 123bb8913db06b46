"""Ways to train stage 1, compared across blocks of patient numbers and under shifts.

    python -m benchmarks.stage1_variants DATA --runs /var/tmp/variants --folds 3 2 --seeds 1 2

Each variant learns from all folds but one of :func:`~pneumocascade.training.split.block_folds`, as
``make models`` does, but for a shorter schedule of smaller films, and is judged in float32 on the fold left
out: the children's films and NIH's as they are, and a sample of both under each shift at its greatest
strength. The children's films whose fine detail has the contrast of the other class are judged apart: normal
films of little contrast, pneumonia of much (:func:`~pneumocascade.datasets.perturbations.fine_detail`). All
variants of a fold and seed start from the same weights. A run that was cut goes on; what is measured is kept
in ``results.json`` in the folder of the runs. Prints a table.

``DATA`` is laid out as for ``make models`` (docs/training.md). Needs the extra ``[train]``.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from pneumocascade.datasets.films import Split
from pneumocascade.datasets.perturbations import fine_detail
from pneumocascade.evaluation.metrics import auroc
from pneumocascade.evaluation.subgroups import DETAIL
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.model.preprocess import to_eight_bit
from pneumocascade.model.spec import for_recipe
from pneumocascade.training.calibrate import CLEAN, StageOutputs
from pneumocascade.training.config import TrainingConfig, parse_schedule
from pneumocascade.training.cross_fitting import cross_judge, run_clean, run_shifted
from pneumocascade.training.data import samples_of
from pneumocascade.training.network import build_network, load_weights
from pneumocascade.training.onnx_export import to_onnx
from pneumocascade.training.pipeline import TEACHERS
from pneumocascade.training.run import repeated, untrained_spec
from pneumocascade.training.sources import Sources, TrainingFilms, find_films_to_train
from pneumocascade.training.split import block_folds
from pneumocascade.training.starting_weights import WEIGHTS, find_weights
from pneumocascade.training.trainer import METRICS, Sides, Trainer, read_rows

ATYPICAL = "children, atypical detail"
MUCH_DETAIL = DETAIL.limits[-1]

RENDERINGS = ("kermany-512", "kermany-original")


VARIANTS: dict[str, dict[str, Any]] = {
    "as models 2.0": {},
    "balanced": {"balance": True},
    "adults x 4": {"repeats": 4},
    "balanced, detail": {"balance": True, "detail": True},
    "detail": {"detail": True},
}
"""What each changes of the settings."""


def run(
    name: str, found: TrainingFilms, split: Split, weights: str, config: TrainingConfig, folder: Path
) -> StageOutputs:
    """Train a variant and return what it says of the films left out."""
    config = replace(config, **VARIANTS[name])
    start = find_weights(weights, config.backbone, config.stage)
    spec = untrained_spec(config, start)
    learnt = repeated(samples_of(found.films, split.train, spec, found.renderings), config.repeats)
    held_out = samples_of(found.films, split.validation, spec, {})
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    network = build_network(config.backbone, stride_in_1x1=start.stride_in_1x1)
    report = load_weights(network, start, config.backbone)
    Trainer(network, report, spec, config, Sides(learnt, []), folder).run()
    network.load_state_dict(load_file(folder / WEIGHTS))
    model = folder / "float32.onnx"
    to_onnx(network, spec, model)
    return run_clean(model, held_out).and_also(run_shifted(model, held_out))


def details_of(found: TrainingFilms) -> dict[str, float]:
    """Return the contrast of fine detail by the name of each film."""
    return {film.name: fine_detail(to_eight_bit(read_radiograph(film.path).pixels)) for film in found.films}


def best_threshold(margin: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the log-odds, before calibration, with the highest balanced accuracy; the median of several."""
    thresholds = np.unique(margin)
    negative, positive = np.sort(margin[labels == 0]), np.sort(margin[labels == 1])
    specificity = np.searchsorted(negative, thresholds) / len(negative)
    sensitivity = 1 - np.searchsorted(positive, thresholds) / len(positive)
    balanced = specificity + sensitivity
    return float(np.median(thresholds[balanced >= balanced.max() - 0.005]))


def measured(outputs: StageOutputs, config: TrainingConfig, details: Mapping[str, float]) -> dict[str, float]:
    """Return AUROC and balanced accuracy of each source: clean, mean of the shifts, and the worst of them."""
    spec = for_recipe(1, config.recipe)
    judged = cross_judge(spec, outputs, config.seed)
    margin = outputs.logits[:, 1].astype(np.float64) - outputs.logits[:, 0]
    right = (judged.probability >= 0.5) == (outputs.labels == 1)
    figures: dict[str, float] = {}
    much = np.array([details[name] >= MUCH_DETAIL for name in outputs.films])
    rows = outputs.clean & (outputs.domains == "") & (much == (outputs.labels == 1))
    labels = outputs.labels[rows]
    figures[f"{ATYPICAL}: AUROC"] = auroc(labels, margin[rows], np.ones(len(labels)))
    for label, name in ((1, "sensitivity"), (0, "specificity")):
        figures[f"{ATYPICAL}: {name}"] = float(right[rows][labels == label].mean())
    for domain, name in (("", "children"), ("nih", "NIH")):
        rows = outputs.clean & (outputs.domains == domain)
        figures[f"{name}: best threshold"] = best_threshold(margin[rows], outputs.labels[rows])
        ranking, accuracy = {}, {}
        for condition in np.unique(outputs.conditions).tolist():
            rows = (outputs.domains == domain) & (outputs.conditions == condition)
            labels = outputs.labels[rows]
            ranking[condition] = auroc(labels, margin[rows], np.ones(len(labels)))
            accuracy[condition] = float(np.mean([right[rows][labels == label].mean() for label in (0, 1)]))
        for kind, values in (("AUROC", ranking), ("balanced accuracy", accuracy)):
            figures[f"{name}: {kind}"] = values.pop(CLEAN)
            figures[f"{name}: {kind}, mean of the shifts"] = float(np.mean(list(values.values())))
            figures[f"{name}: {kind}, worst shift"] = min(values.values())
    return {key: round(value, 5) for key, value in figures.items()}


def teacher(
    path: Path, split: Split, config: TrainingConfig, details: Mapping[str, float]
) -> dict[str, float]:
    """Return the figures of a fold's teacher, INT8, on the same files."""
    outputs = StageOutputs.load(path)
    of_fold = np.isin(outputs.films, sorted(split.validation))
    return measured(outputs.where(of_fold & ~np.isin(outputs.renderings, RENDERINGS)), config, details)


def main() -> None:
    """Train what the results do not have yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--runs", type=Path, required=True, help="folder of runs and results")
    parser.add_argument("--folds", type=int, nargs="+", default=[3, 2], help="numbered from 1")
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), help=", ".join(VARIANTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="numbered from 1")
    parser.add_argument(
        "--teachers", type=Path, help="out-of-fold-stage1.csv of make models, to compare with"
    )
    parser.add_argument("--schedule", type=parse_schedule, default=parse_schedule("160x2"))
    arguments = parser.parse_args()
    if unknown := set(arguments.variants) - set(VARIANTS):
        parser.error(f"no such variant: {', '.join(sorted(unknown))}")
    weights = next(map(str, (arguments.data / "weights").glob("*.safetensors")), "imagenet")
    sources = Sources(
        arguments.data / "kermany224",
        weights,
        tuple(arguments.data / name for name in RENDERINGS),
        elsewhere=(arguments.data / "other-films" / "nih",),
    )
    found = find_films_to_train(sources)
    details = details_of(found)
    splits = block_folds(found.films, 3)
    arguments.runs.mkdir(parents=True, exist_ok=True)
    record = arguments.runs / "results.json"
    results: dict[str, Any] = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    for seed, fold, name in itertools.product(arguments.seeds, arguments.folds, arguments.variants):
        schedule = " ".join(f"{size}x{epochs}" for size, epochs in arguments.schedule)
        key = f"{name}, fold {fold}, seed {seed}, {schedule}"
        if key in results:
            continue
        print(key, flush=True)
        config = replace(TEACHERS["stage1"], schedule=arguments.schedule, seed=2000 + 100 * seed + fold)
        folder = arguments.runs / key.replace(", ", "-").replace(" ", "-")
        outputs = run(name, found, splits[fold - 1], weights, config, folder)
        outputs.save(folder / "outputs.csv")
        seconds = sum(row["seconds"] for row in read_rows(folder / METRICS))
        results[key] = measured(outputs, config, details) | {"minutes": round(seconds / 60, 1)}
        print(results[key], flush=True)
        record.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if arguments.teachers is not None:
        for fold in arguments.folds:
            results[f"teacher of make models, fold {fold}"] = teacher(
                arguments.teachers, splits[fold - 1], TEACHERS["stage1"], details
            )
        record.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print_table(results)


def print_table(results: dict[str, dict[str, float]]) -> None:
    """Print a row for each run."""
    names = [name for name in next(iter(results.values())) if name not in ("minutes", "commit")]
    print(f"| | {' | '.join(names)} |\n|{' --- |' * (len(names) + 1)}")
    for key, figures in results.items():
        print(f"| {key} | {' | '.join(f'{figures[name]:.3f}' for name in names)} |")


if __name__ == "__main__":
    main()
