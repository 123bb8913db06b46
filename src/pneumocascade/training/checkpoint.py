"""Checkpoints of a run as safetensors files: nothing in them can run code.

The two latest are kept. Each is written beside its final name and renamed, so that a run killed at
any moment leaves the previous one whole.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

KEEP = 2


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands.

    Attributes
    ----------
    epoch : int
        Epochs done.
    step : int
        Optimiser steps done.
    best_auroc : float
        Best validation AUROC at the model's size; -1 before the first.
    best_epoch : int
        Epoch (from 1) of the best; 0 before the first.
    stale_epochs : int
        Epochs since any validation AUROC improved.
    """

    epoch: int = 0
    step: int = 0
    best_auroc: float = -1.0
    best_epoch: int = 0
    stale_epochs: int = 0


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors under a temporary name, flush to disk, and rename."""
    temporary = path.with_suffix(".tmp")
    save_file({name: value.contiguous() for name, value in tensors.items()}, temporary, metadata)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def save_checkpoint(
    folder: Path, progress: Progress, network: nn.Module, average: nn.Module, optimizer: Optimizer
) -> None:
    """Write a checkpoint and delete all but the two latest."""
    tensors: dict[str, Tensor] = {}
    tensors.update({f"network.{name}": value for name, value in network.state_dict().items()})
    tensors.update({f"average.{name}": value for name, value in average.state_dict().items()})
    for index, state in optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer.{index}.{name}": value for name, value in state.items()})
    metadata = {"progress": json.dumps({name: getattr(progress, name) for name in Progress.__slots__})}
    save_tensors(folder / f"checkpoint-{progress.epoch:03d}.safetensors", tensors, metadata)
    for old in sorted(folder.glob("checkpoint-*.safetensors"))[:-KEEP]:
        old.unlink()


def load_latest(
    folder: Path, network: nn.Module, average: nn.Module, optimizer: Optimizer
) -> Progress | None:
    """Resume from the latest readable checkpoint, or return ``None`` where there is none."""
    for path in sorted(folder.glob("checkpoint-*.safetensors"), reverse=True):
        try:
            with safe_open(path, "pt") as file:
                progress = Progress(**json.loads((file.metadata() or {})["progress"]))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            print(f"{path.name} is damaged ({error}); trying the one before it")
            continue
        network.load_state_dict(_below(tensors, "network."))
        average.load_state_dict(_below(tensors, "average."))
        _load_optimizer(optimizer, _below(tensors, "optimizer."))
        return progress
    return None


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def _load_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    states: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        index, field = name.split(".", 1)
        states.setdefault(int(index), {})[field] = value
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
