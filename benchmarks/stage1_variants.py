"""Ways to train stage 1, compared across blocks of patient numbers and under shifts.

    python -m benchmarks.stage1_variants DATA --runs /var/tmp/variants --folds 3 2

Each variant learns from all folds but one of :func:`~pneumocascade.training.split.block_folds`, as
``make models`` does, but for a shorter schedule of smaller films, and is judged in float32 on the fold left
out: the children's films and NIH's as they are, and a sample of both under each shift at its greatest
strength. Variants of one fold start from the same weights and the same seed. A run that was cut goes on;
what is measured is kept in ``results.json`` in the folder of the runs. Prints a table.

``DATA`` is laid out as for ``make models`` (docs/training.md). Needs the extra ``[train]``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from pneumocascade.datasets.films import LabelledFilm, Split
from pneumocascade.datasets.perturbations import Grey
from pneumocascade.evaluation.metrics import auroc
from pneumocascade.model.spec import for_recipe
from pneumocascade.training.augment import PLAN, augment, crop_sides, move
from pneumocascade.training.calibrate import CLEAN, StageOutputs
from pneumocascade.training.config import TrainingConfig, parse_schedule
from pneumocascade.training.cross_fitting import cross_judge, run_clean, run_shifted
from pneumocascade.training.data import Augmentation, Sample, samples_of
from pneumocascade.training.network import build_network, load_weights
from pneumocascade.training.onnx_export import to_onnx
from pneumocascade.training.pipeline import TEACHERS
from pneumocascade.training.run import Sources, TrainingFilms, find_films_to_train
from pneumocascade.training.split import block_folds
from pneumocascade.training.starting_weights import WEIGHTS, find_weights
from pneumocascade.training.trainer import Sides, Trainer

BLOCKS = 9
"""Of patient numbers, for groups that weigh alike."""

PLAN_BEFORE = tuple(
    (probability, partial(move, stretch=0.0) if change is move else change)
    for probability, change in PLAN
    if change is not crop_sides
)


def augment_as_before(film: Grey, rng: np.random.Generator, _donor: Callable[[], Grey]) -> Grey:
    """Change a film without stretching its axes, cropping its sides or mixing its low frequencies."""
    return augment(film, rng, None, PLAN_BEFORE)


Sampling = Callable[[Sequence[Sample], dict[str, int]], list[Any]]
"""From films and the block of each name to the group of each film."""


def by_class(samples: Sequence[Sample], _blocks: dict[str, int]) -> list[Any]:
    """Return source and class of each film."""
    return [(sample.film.domain, sample.label) for sample in samples]


def by_block(samples: Sequence[Sample], blocks: dict[str, int]) -> list[Any]:
    """Return source, class and, of children, block of patient numbers of each film."""
    return [
        (sample.film.domain, sample.label, 0 if sample.film.domain else blocks[sample.film.name])
        for sample in samples
    ]


@dataclass(frozen=True, slots=True)
class Variant:
    """What is changed.

    Attributes
    ----------
    groups : callable, optional
        Groups of films that are shown equally often.
    augmentation : callable
    changes : dict
        To the settings.
    """

    groups: Sampling | None = None
    augmentation: Augmentation = augment
    changes: dict[str, Any] = field(default_factory=dict)


VARIANTS = {
    "as stage 1 is trained": Variant(),
    "groups weigh alike": Variant(groups=by_block),
    "without stretch, crop, mixing": Variant(augmentation=augment_as_before),
    "classes weigh alike": Variant(groups=by_class),
    "labels not smoothed": Variant(changes={"label_smoothing": 0.0}),
}


def shown(samples: Sequence[Sample], groups: Sequence[Any], rng: np.random.Generator) -> list[Sample]:
    """Return as many films as given, in which the groups of a source are equally frequent.

    A source keeps its share.

    Parameters
    ----------
    samples : sequence of Sample, length N
    groups : sequence of tuple, length N
        The first entry is the source.
    rng : numpy.random.Generator
        Decides which films of a group are shown once more than others.
    """
    films_of: dict[Any, list[int]] = {}
    for index, group in enumerate(groups):
        films_of.setdefault(group, []).append(index)
    chosen: list[Sample] = []
    for source in sorted({group[0] for group in groups}):
        own = sorted(group for group in films_of if group[0] == source)
        total = sum(len(films_of[group]) for group in own)
        for number, group in enumerate(own):
            wanted = total * (number + 1) // len(own) - total * number // len(own)
            films = rng.permutation(films_of[group])
            chosen += [samples[films[index % len(films)]] for index in range(wanted)]
    return chosen


def run(
    name: str, found: TrainingFilms, split: Split, weights: str, config: TrainingConfig, folder: Path
) -> tuple[StageOutputs, float]:
    """Train a variant and return what it says of the films left out, and its minutes of training."""
    variant = VARIANTS[name]
    config = replace(config, **variant.changes)
    start = find_weights(weights, config.backbone, config.stage)
    spec = replace(
        for_recipe(
            1,
            config.recipe,
            size=config.size,
            input_size=config.input_size,
            smoothing_sigma=config.smoothing_sigma,
        ),
        mean=start.mean,
        std=start.std,
    )
    learnt = samples_of(found.films, split.train, spec, found.renderings)
    held_out = samples_of(found.films, split.validation, spec, {})
    learnt += [sample for sample in learnt if sample.film.domain for _ in range(config.repeats - 1)]
    if variant.groups is not None:
        groups = variant.groups(learnt, blocks_of(found.films))
        learnt = shown(learnt, groups, np.random.default_rng(config.seed))
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    network = build_network(config.backbone, stride_in_1x1=start.stride_in_1x1)
    report = load_weights(network, start, config.backbone)
    started = time.perf_counter()
    Trainer(network, report, spec, config, Sides(learnt, []), folder, variant.augmentation).run()
    minutes = (time.perf_counter() - started) / 60
    network.load_state_dict(load_file(folder / WEIGHTS))
    model = folder / "float32.onnx"
    to_onnx(network, spec, model)
    return run_clean(model, held_out).and_also(run_shifted(model, held_out)), minutes


def blocks_of(films: Sequence[LabelledFilm]) -> dict[str, int]:
    """Return the block of patient numbers of each film of the data set itself."""
    own = [film for film in films if not film.domain]
    return {
        name: number for number, split in enumerate(block_folds(own, BLOCKS)) for name in split.validation
    }


def measured(outputs: StageOutputs, config: TrainingConfig) -> dict[str, float]:
    """Return AUROC and balanced accuracy of each source: clean, mean of the shifts, and the worst of them."""
    spec = for_recipe(1, config.recipe)
    judged = cross_judge(spec, outputs, config.seed)
    margin = outputs.logits[:, 1].astype(np.float64) - outputs.logits[:, 0]
    right = (judged.probability >= 0.5) == (outputs.labels == 1)
    figures: dict[str, float] = {}
    for domain, name in (("", "children"), ("nih", "NIH")):
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


def main() -> None:
    """Train what the results do not have yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--runs", type=Path, required=True, help="folder of runs and results")
    parser.add_argument("--folds", type=int, nargs="+", default=[3, 2], help="numbered from 1")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--schedule", type=parse_schedule, default=parse_schedule("160x2"))
    arguments = parser.parse_args()
    weights = str(next((arguments.data / "weights").glob("*.safetensors")))
    sources = Sources(
        arguments.data / "kermany224",
        weights,
        (arguments.data / "kermany-512", arguments.data / "kermany-original"),
        elsewhere=(arguments.data / "other-films" / "nih",),
    )
    found = find_films_to_train(sources)
    splits = block_folds(found.films, 3)
    record = arguments.runs / "results.json"
    results: dict[str, Any] = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    for fold in arguments.folds:
        config = replace(TEACHERS["stage1"], schedule=arguments.schedule, seed=2100 + fold)
        for name in arguments.variants:
            key = f"{name}, fold {fold}"
            if key in results:
                continue
            print(key, flush=True)
            folder = arguments.runs / key.replace(", ", "-").replace(" ", "-")
            outputs, minutes = run(name, found, splits[fold - 1], weights, config, folder)
            outputs.save(folder / "outputs.csv")
            results[key] = measured(outputs, config) | {"minutes": round(minutes, 1)}
            print(results[key], flush=True)
            record.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print_table(results)


def print_table(results: dict[str, dict[str, float]]) -> None:
    """Print a row for each run."""
    names = next(iter(results.values()))
    print(f"| | {' | '.join(names)} |\n|{' --- |' * (len(names) + 1)}")
    for key, figures in results.items():
        print(f"| {key} | {' | '.join(f'{value:.3f}' for value in figures.values())} |")


if __name__ == "__main__":
    main()
