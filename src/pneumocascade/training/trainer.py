"""The training loop of one stage, from starting weights to averaged weights."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bar,
)
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from pneumocascade.errors import TrainingError
from pneumocascade.model.engines.processor import instructions
from pneumocascade.model.spec import ModelSpec
from pneumocascade.training.balance import balanced
from pneumocascade.training.checkpoint import (
    RunProgress,
    load_latest,
    replace_text,
    save_checkpoint,
    save_tensors,
)
from pneumocascade.training.config import TrainingConfig
from pneumocascade.training.data import FilmDataset, Item, Sample, loader_of, loader_of_all
from pneumocascade.training.network import LoadReport, freeze, train_mode
from pneumocascade.training.starting_weights import WEIGHTS, metadata_of

METRICS = "metrics.jsonl"

BFLOAT16_INSTRUCTIONS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Flags of /proc/cpuinfo of processors that multiply in bfloat16 (x86-64, ARM64)."""


@dataclass(frozen=True, slots=True)
class Sides:
    """The two sides that a run sees."""

    train: list[Sample]
    validation: list[Sample]


class Trainer:
    """Trains one stage and keeps what it needs to go on after an interruption.

    Parameters
    ----------
    network : nn.Module
        With its starting weights.
    report : LoadReport
        Which of them start afresh (they get the higher learning rate).
    spec : ModelSpec
    config : TrainingConfig
    films : Sides
    folder : Path
        Of the run; exists.
    """

    def __init__(
        self,
        network: nn.Module,
        report: LoadReport,
        spec: ModelSpec,
        config: TrainingConfig,
        films: Sides,
        folder: Path,
    ) -> None:
        self.spec, self.config, self.films, self.folder = spec, config, films, folder
        self.stride_in_1x1 = report.stride_in_1x1
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = network.to(self.device)
        freeze(self.network, config.frozen_stages, spec.backbone)
        averaging = partial(average_weights, config.ema_decay)
        self.average = AveragedModel(self.network, multi_avg_fn=averaging, use_buffers=True)
        self.optimizer = torch.optim.AdamW(self._parameter_groups(set(report.fresh)))
        self.bfloat16 = has_bfloat16(self.device)
        self.steps_per_epoch = len(films.train) // config.batch_size
        self.progress = load_latest(folder, self.network, self.average, self.optimizer) or RunProgress()
        keep_rows(folder / METRICS, self.progress.epoch)

    def _parameter_groups(self, fresh: set[str]) -> list[dict[str, object]]:
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, parameter in self.network.named_parameters():
            if parameter.requires_grad:
                groups.setdefault((name in fresh, parameter.ndim > 1), []).append(parameter)
        config = self.config
        return [
            {
                "params": parameters,
                "peak": config.fresh_learning_rate if is_fresh else config.learning_rate,
                "weight_decay": config.weight_decay if is_matrix else 0.0,
            }
            for (is_fresh, is_matrix), parameters in groups.items()
        ]

    def run(self) -> RunProgress:
        """Train until the schedule ends, then save the averaged weights; return where the run stands.

        Raises
        ------
        TrainingError
            Where the loss is no longer a number.
        """
        while self.progress.epoch < self.config.epochs:
            started = time.perf_counter()
            size = self.config.size_of_epoch(self.progress.epoch)
            loss = self._train_epoch(size)
            if not math.isfinite(loss):
                raise TrainingError(
                    f"the loss of epoch {self.progress.epoch + 1} is {loss}: train with a lower learning rate"
                )
            validation_loss, auroc = self._validate(size)
            # Before the checkpoint: a row too many is dropped on resuming, a missing one stays missing.
            self._log(size, loss, validation_loss, auroc, time.perf_counter() - started)
            self.progress = replace(self.progress, epoch=self.progress.epoch + 1)
            save_checkpoint(self.folder, self.progress, self.network, self.average, self.optimizer)
        if not (self.folder / WEIGHTS).exists():
            self._save_weights()
        return self.progress

    def _train_epoch(self, size: int) -> float:
        config, epoch = self.config, self.progress.epoch
        torch.manual_seed(config.seed + epoch)
        films = self.films.train
        if config.balance:
            films = balanced(films, np.random.default_rng((config.seed, epoch)))
        dataset = FilmDataset(
            films,
            self.spec,
            size=size,
            seed=config.seed,
            epoch=epoch,
            smoothing=config.label_smoothing,
            detail=config.detail,
        )
        train_mode(self.network, config.frozen_stages, self.spec.backbone)
        losses = []
        title = f"epoch {epoch + 1}/{config.epochs} at {size}"
        loader = loader_of(dataset, config.batch_size, config.workers, shuffle=True)
        for batch, targets, log_odds in self._batches(loader, title):
            losses.append(self._step(batch, targets, log_odds))
        return float(np.mean(losses))

    def _step(self, batch: Tensor, targets: Tensor, log_odds: Tensor) -> float:
        factor = learning_rate_factor(
            self.progress.step, self.steps_per_epoch * self.config.epochs, self.config.warm_up
        )
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        loss = loss_of(self._logits(self.network, batch), targets, log_odds)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.update_parameters(self.network)
        self.progress = replace(self.progress, step=self.progress.step + 1)
        return float(loss.detach())

    def _logits(self, network: nn.Module, batch: Tensor) -> Tensor:
        """Return logits (N, 2), float32, of a batch (N, 3, I, I)."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            logits: Tensor = network(batch)
        return logits.float()

    def _batches(self, loader: DataLoader[Item], title: str) -> Iterator[Item]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Bar(*columns, transient=True) as bar:
            task = bar.add_task(title, total=len(loader), rate="")
            started, seen = time.perf_counter(), 0
            for batch, targets, log_odds in loader:
                batch = batch.to(self.device, memory_format=torch.channels_last)
                yield batch, targets.to(self.device), log_odds.to(self.device)
                seen += len(batch)
                bar.update(task, advance=1, rate=f"{seen / (time.perf_counter() - started):.1f} films/s")

    def _validate(self, size: int) -> tuple[float, float]:
        """Return loss and AUROC of the averaged weights on evenly chosen films; NaN where there is none."""
        films = evenly(self.films.validation, self.config.validation_films)
        if not films:
            return math.nan, math.nan
        self.average.eval()
        outputs, labels = [], []
        with torch.inference_mode():
            dataset = FilmDataset(films, self.spec, size=size, seed=None)
            loader = loader_of(dataset, self.config.batch_size, self.config.workers, shuffle=False)
            for batch, targets, _ in self._batches(loader, "validation"):
                outputs.append(self._logits(self.average, batch))
                labels.append(targets)
        logits, targets = torch.cat(outputs), torch.cat(labels)
        auroc = auroc_of(logits.cpu().numpy(), np.array([sample.label for sample in films]))
        return float(loss_of(logits, targets)), auroc

    def _save_weights(self) -> None:
        """Estimate the batch-norm statistics on films as they are, at the model's size, and save.

        Those that training gathered are of augmented films, and of smaller ones in the first epochs.
        """
        films = evenly(self.films.train, self.config.statistics_films)
        dataset = FilmDataset(films, self.spec, size=self.config.input_size, seed=None)
        network = self.average.module
        train_mode(network, self.config.frozen_stages, self.spec.backbone)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d) and module.training:
                module.reset_running_stats()
                module.momentum = None  # the plain mean over all batches, which are as large as each other
        loader = loader_of_all(dataset, self.config.batch_size, self.config.workers)
        with torch.no_grad():
            for batch, *_ in self._batches(loader, "statistics"):
                self._logits(network, batch)
        spec = self.spec
        metadata = metadata_of(spec.backbone, spec.mean, spec.std, stride_in_1x1=self.stride_in_1x1)
        save_tensors(self.folder / WEIGHTS, dict(network.state_dict()), metadata)

    def _log(self, size: int, loss: float, validation_loss: float, auroc: float, seconds: float) -> None:
        row = {
            "epoch": self.progress.epoch + 1,
            "size": size,
            "step": self.progress.step,
            "train_loss": round(loss, 5),
            "validation_loss": round(validation_loss, 5),
            "validation_auroc": round(auroc, 5),
            "seconds": round(seconds, 1),
            "films_per_second": round(self.steps_per_epoch * self.config.batch_size / seconds, 2),
        }
        finite = {name: value if math.isfinite(value) else None for name, value in row.items()}
        with (self.folder / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(finite) + "\n")
        print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)


def evenly(samples: Sequence[Sample], most: int) -> Sequence[Sample]:
    """Return at most so many films, evenly spaced in the order given."""
    return samples if len(samples) <= most else [samples[i * len(samples) // most] for i in range(most)]


def average_weights(decay: float, averaged: Any, current: Any, count: Tensor | int) -> None:
    """Move averaged tensors towards the current ones, in place; early steps move them more.

    An average that starts from the starting weights would hold on to these in a short run.

    Parameters
    ----------
    decay : float
        0..1, after some steps; until then (1 + count) / (10 + count).
    averaged, current : sequence of Tensor
    count : Tensor or int
        Steps averaged so far.
    """
    steps = int(count)
    get_ema_multi_avg_fn(min(decay, (1 + steps) / (10 + steps)))(averaged, current, count)  # type: ignore[no-untyped-call]


def loss_of(logits: Tensor, targets: Tensor, log_odds: Tensor | None = None) -> Tensor:
    """Return the mean cross-entropy of logits (N, 2) against probabilities of the positive class (N,).

    Parameters
    ----------
    logits, targets : Tensor
    log_odds : Tensor, optional
        Shape (N,): of the positive class in the source of each film, which its targets leave out (logit
        adjustment; Menon et al., "Long-tail learning via logit adjustment", ICLR 2021).
    """
    if log_odds is not None:
        logits = logits - torch.stack([torch.zeros_like(log_odds), log_odds], dim=1).to(logits.dtype)
    return cross_entropy(logits, torch.stack([1 - targets, targets], dim=1).to(logits.dtype))


def read_rows(path: Path) -> list[dict[str, float]]:
    """Return the rows of a ``metrics.jsonl``; what is null there is NaN."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [{name: math.nan if value is None else value for name, value in row.items()} for row in rows]


def keep_rows(path: Path, epoch: int) -> None:
    """Drop the rows of a ``metrics.jsonl`` beyond an epoch, and a last one that was not written whole."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = []
    for line in lines:
        with contextlib.suppress(ValueError):
            if json.loads(line)["epoch"] <= epoch:
                kept.append(line + "\n")
    if len(kept) < len(lines):
        replace_text(path, "".join(kept))


def has_bfloat16(device: torch.device) -> bool:
    """Return whether bfloat16 arithmetic is known to be native to the device.

    Where it is emulated, training is slow: on a processor with AVX-512 alone it takes twice as long as in
    float32. PyTorch's own answer for processors includes the emulation.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(BFLOAT16_INSTRUCTIONS & instructions()) and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def learning_rate_factor(step: int, steps: int, warm_up: float) -> float:
    """Return the share of the peak learning rate at a step: linear warm-up, then cosine to zero."""
    rise = max(1, round(warm_up * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def auroc_of(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the AUROC of logits (N, 2) for labels (N,); NaN where one class is missing."""
    if len(set(labels.tolist())) < 2:
        return math.nan
    return float(roc_auc_score(labels, logits[:, 1] - logits[:, 0]))
