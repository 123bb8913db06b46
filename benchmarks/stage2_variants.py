"""Ways to train stage 2, compared across blocks of patient numbers.

    python -m benchmarks.stage2_variants kermany224 --folds docs/data/folds.json --cache /var/tmp/maps

The bundled stage 1, INT8, computes feature maps once: of each film as it is, and of an augmented copy for
each epoch. What lies behind the maps (``--trained``: ``layer4``, its last block, or the classifier alone)
is trained on them in float32, from the weights of stage 1 with a new classifier. This costs a fifth of a
whole network or less, and all variants see the same copies. Each variant learns, for each fold and seed,
from the other folds and is judged on the fold. Prints the AUROC over the films of each fold: the mean over
seeds and, in brackets, how far the seeds lie apart. The folds are blocks of patient numbers or, with
``--random``, random by patient.

Stage 1 was trained on all of these films, without their types. Needs the extra ``[train]``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx.numpy_helper import to_array
from rich.progress import track
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel

from pneumocascade.datasets.films import LabelledFilm, find_films
from pneumocascade.model.store import bundled_models, load_classifier, read_manifest
from pneumocascade.training.data import FilmDataset, Sample
from pneumocascade.training.network import build_network, load_weights, unfold_batch_norm
from pneumocascade.training.split import block_folds
from pneumocascade.training.starting_weights import find_weights
from pneumocascade.training.trainer import average_weights, learning_rate_factor

TRAINED = {"layer4": "network.layer4.0.conv1.weight", "layer4.2": "network.layer4.2.conv1.weight", "fc": None}
"""What is trained, and how the name of its first weight begins; the classifier takes the last maps."""

BATCH = 32
PEAK, FRESH_PEAK, DECAY, SMOOTHING, EMA, WARM_UP = 1e-4, 4e-4, 0.02, 0.1, 0.995, 0.15
"""As stage 2 is trained."""

SEED = 2018
BLOCKS = 9
Bytes: TypeAlias = NDArray[np.uint8]
Labels: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Maps:
    """Feature maps, uint8, of shape (copies, films, C, H, W); copy 0 is of the films as they are."""

    values: Bytes
    scale: float
    zero: int

    def batch(self, copy: int, films: Sequence[int] | NDArray[np.int64]) -> Tensor:
        """Return the maps of some films, float32, shape (N, C, H, W)."""
        chosen = torch.from_numpy(self.values[copy, films]).to(memory_format=torch.channels_last)
        return (chosen.float() - self.zero) * self.scale


def shared_part(folder: Path, weight: str | None) -> tuple[onnxruntime.InferenceSession, float, int]:
    """Return stage 1 up to the input of a weight, and scale and zero point of what it returns."""
    model = onnx.load(folder / read_manifest(folder).files["stage1"])
    maker = {output: node for node in model.graph.node for output in node.output}
    constants = {each.name: to_array(each) for each in model.graph.initializer}
    wanted = "features"
    if weight is not None:
        convolutions = (node for node in model.graph.node if node.op_type == "Conv")
        wanted = next(node.input[0] for node in convolutions if node.input[1].startswith(weight))
    name, scale, zero = maker[wanted].input
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, None))
    part = onnx.utils.Extractor(model).extract_model(["input"], [name])
    session = onnxruntime.InferenceSession(part.SerializeToString())
    return session, float(constants[scale]), int(constants[zero])


def maps_of(films: Sequence[LabelledFilm], labels: Labels, copies: int, trained: str, cache: Path) -> Maps:
    """Return the feature maps of all films, kept as files in a folder."""
    folder = bundled_models()
    session, scale, zero = shared_part(folder, TRAINED[trained])
    spec = load_classifier(folder, read_manifest(folder), "stage1").spec
    samples = [Sample(film, int(label), (film.path,)) for film, label in zip(films, labels, strict=True)]
    cache.mkdir(parents=True, exist_ok=True)
    parts = []
    for copy in range(copies + 1):
        path = cache / f"copy{copy}.npy"
        if not path.exists():
            seed = None if copy == 0 else SEED
            data = FilmDataset(samples, spec, size=spec.input_size, seed=seed, epoch=copy)
            part = [
                session.run(None, {"input": data[index][0].numpy()[np.newaxis]})[0][0]
                for index in track(range(len(films)), f"copy {copy}")
            ]
            np.save(path.with_suffix(".part.npy"), np.stack(part))
            path.with_suffix(".part.npy").replace(path)
        parts.append(np.load(path))
    return Maps(np.stack(parts), scale, zero)


class LastPart(nn.Module):
    """The last blocks and the classifier of a ResNet-50."""

    def __init__(self, blocks: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.blocks, self.fc = blocks, classifier

    def forward(self, maps: Tensor) -> Tensor:
        """Return logits (N, 2) of feature maps (N, C, H, W)."""
        logits: Tensor = self.fc(self.blocks(maps).mean((2, 3)))
        return logits


def starting_network(trained: str, maps: Maps, films: Labels, seed: int) -> LastPart:
    """Return the part of the bundled stage 1 that is trained, with a new classifier."""
    weights = find_weights("bundled", stage=1)
    network = build_network(stride_in_1x1=weights.stride_in_1x1)
    load_weights(network, weights)
    blocks = network.get_submodule("layer4")
    assert isinstance(blocks, nn.Sequential)
    torch.manual_seed(seed)
    part = LastPart(blocks[{"layer4": 0, "layer4.2": 2, "fc": 3}[trained] :], nn.Linear(2048, 2))
    part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if trained != "fc":
        unfold_batch_norm(part, (maps.batch(0, some) for some in np.array_split(films, len(films) // BATCH)))
    return part


Losses: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""From losses (N,) and groups (N,) to the loss to be minimised."""


def alike(losses: Tensor, _groups: Tensor) -> Tensor:
    """Return the mean: films weigh alike."""
    return losses.mean()


class Balanced:
    """Groups (block and type) weigh alike."""

    def __init__(self, groups: Labels) -> None:
        counts = np.bincount(groups)
        self.weights = torch.from_numpy(
            len(groups) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        ).float()

    def __call__(self, losses: Tensor, groups: Tensor) -> Tensor:
        """Return the loss to be minimised."""
        return (losses * self.weights[groups]).mean()


class GroupDro:
    """Groups weigh more, the worse they are (Sagawa et al. 2020)."""

    def __init__(self, groups: Labels, step: float = 0.02) -> None:
        present = np.bincount(groups) > 0
        self.weights = torch.from_numpy(present / present.sum()).float()
        self.step = step

    def __call__(self, losses: Tensor, groups: Tensor) -> Tensor:
        """Return the loss to be minimised."""
        seen = torch.unique(groups)
        means = torch.stack([losses[groups == group].mean() for group in seen])
        with torch.no_grad():
            self.weights[seen] *= torch.exp(self.step * means.detach())
            self.weights /= self.weights.sum()
        share = self.weights[seen]
        return (share * means).sum() / share.sum()


def mixed_up(maps: Tensor, targets: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Mix feature maps and targets of pairs (manifold mixup, Verma et al. 2019)."""
    other = torch.from_numpy(rng.permutation(len(maps)))
    share = float(rng.beta(0.4, 0.4))
    return share * maps + (1 - share) * maps[other], share * targets + (1 - share) * targets[other]


def mixed_styles(maps: Tensor, targets: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Mix mean and deviation of channels between pairs, in half the batches (MixStyle, Zhou et al. 2021)."""
    if rng.random() < 0.5:
        return maps, targets
    other = torch.from_numpy(rng.permutation(len(maps)))
    share = torch.from_numpy(rng.beta(0.1, 0.1, (len(maps), 1, 1, 1))).float()
    mean, deviation = maps.mean((2, 3), keepdim=True), maps.std((2, 3), keepdim=True) + 1e-5
    new_mean = share * mean + (1 - share) * mean[other]
    new_deviation = share * deviation + (1 - share) * deviation[other]
    return (maps - mean) / deviation * new_deviation + new_mean, targets


def unchanged(maps: Tensor, targets: Tensor, _rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return what is given."""
    return maps, targets


VARIANTS: dict[str, tuple[Callable[[Labels], Losses], Callable[..., tuple[Tensor, Tensor]]]] = {
    "as stage 2 is trained": (lambda _groups: alike, unchanged),
    "blocks and types weigh alike": (Balanced, unchanged),
    "GroupDRO over blocks and types": (GroupDro, unchanged),
    "mixup": (lambda _groups: alike, mixed_up),
    "MixStyle": (lambda _groups: alike, mixed_styles),
}


def trained(
    part: str,
    maps: Maps,
    labels: Labels,
    groups: Labels,
    learnt: Labels,
    variant: str,
    epochs: int,
    seed: int,
) -> nn.Module:
    """Return the averaged network after training on some films."""
    make_loss, mix = VARIANTS[variant]
    total = make_loss(groups[learnt])
    network = starting_network(part, maps, learnt[:: len(learnt) // 512], seed)
    average = AveragedModel(network, multi_avg_fn=partial(average_weights, EMA), use_buffers=True)
    optimizer = torch.optim.AdamW(
        [
            {"params": list(network.blocks.parameters()), "peak": PEAK},
            {"params": list(network.fc.parameters()), "peak": FRESH_PEAK},
        ],
        weight_decay=DECAY,
    )
    rng = np.random.default_rng(seed)
    steps, step = epochs * (len(learnt) // BATCH), 0
    network.train()
    for epoch in range(epochs):
        order = rng.permutation(learnt)
        for start in range(0, len(order) - BATCH + 1, BATCH):
            films = order[start : start + BATCH]
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * learning_rate_factor(step, steps, WARM_UP)
            targets = torch.from_numpy(labels[films]).float() * (1 - SMOOTHING) + SMOOTHING / 2
            given, targets = mix(maps.batch(1 + epoch, films), targets, rng)
            losses = cross_entropy(network(given), torch.stack([1 - targets, targets], 1), reduction="none")
            total(losses, torch.from_numpy(groups[films])).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            average.update_parameters(network)
            step += 1
    return with_statistics(average.module, maps, learnt)


def with_statistics(network: nn.Module, maps: Maps, learnt: Labels) -> nn.Module:
    """Return the network with batch norm estimated on films as they are."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the plain mean over all batches
    network.train()
    with torch.no_grad():
        for part in np.array_split(learnt[:: max(1, len(learnt) // 1000)], 1000 // BATCH):
            network(maps.batch(0, part))
    return network


def judged(network: nn.Module, maps: Maps, films: Labels) -> NDArray[np.float32]:
    """Return how much higher the second logit is than the first, on films as they are."""
    network.eval()
    with torch.inference_mode():
        logits = torch.cat(
            [network(maps.batch(0, part)) for part in np.array_split(films, len(films) // BATCH)]
        )
    return (logits[:, 1] - logits[:, 0]).numpy()


def main() -> None:
    """Train what the results do not have yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--folds", type=Path, required=True, help="record of films and their folds")
    parser.add_argument("--random", action="store_true", help="folds random by patient, not those recorded")
    parser.add_argument("--cache", type=Path, required=True, help="folder of feature maps and results")
    parser.add_argument("--trained", choices=TRAINED, default="layer4.2")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    fold_of = json.loads(arguments.folds.read_text(encoding="utf-8"))
    films = [film for film in find_films(arguments.data) if film.aetiology and film.name in fold_of]
    labels = np.array([film.aetiology == "viral" for film in films], np.int64)
    folds = np.array([fold_of[film.name] for film in films])
    if arguments.random:
        splitter = StratifiedGroupKFold(3, shuffle=True, random_state=SEED)
        parts = splitter.split(folds, labels, [film.patient for film in films])
        for number, (_, held_out) in enumerate(parts, 1):
            folds[held_out] = number
    groups = groups_of(films, labels)
    cache = arguments.cache / arguments.trained
    maps = maps_of(films, labels, arguments.epochs, arguments.trained, cache)
    kind = "patients" if arguments.random else "blocks"
    record = cache / f"results-{kind}-{arguments.epochs}.json"
    results: dict[str, list[float]] = (
        json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    )
    for seed in range(arguments.seeds):
        for variant in arguments.variants:
            for fold in sorted(set(folds.tolist())):
                key = f"{variant}, fold {fold}"
                if len(results.get(key, [])) > seed:
                    continue
                learnt, held_out = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
                network = trained(
                    arguments.trained, maps, labels, groups, learnt, variant, arguments.epochs, seed
                )
                score = judged(network, maps, held_out)
                results.setdefault(key, []).append(float(roc_auc_score(labels[held_out], score)))
                record.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print("| variant | fold 1 | fold 2 | fold 3 |\n| --- | --- | --- | --- |")
    for variant in arguments.variants:
        of_folds = [results[f"{variant}, fold {fold}"] for fold in sorted(set(folds.tolist()))]
        cells = (f"{np.mean(values):.3f} ({np.ptp(values):.3f})" for values in of_folds)
        print(f"| {variant} | {' | '.join(cells)} |")


def groups_of(films: Sequence[LabelledFilm], labels: Labels) -> Labels:
    """Return the group of each film, by block of patient numbers and type."""
    block = np.zeros(len(films), np.int64)
    for number, split in enumerate(block_folds(films, BLOCKS)):
        block[[film.name in split.validation for film in films]] = number
    return 2 * block + labels


if __name__ == "__main__":
    main()
