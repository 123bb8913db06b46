"""Checkpoints of a run as safetensors files: nothing in them can run code.

The two latest are kept. Each is written beside its final name and renamed, so that a run killed at
any moment leaves the previous one whole. A SHA-256 over what a checkpoint holds is checked on loading.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from pneumocascade.errors import StorageError

KEEP = 2


@dataclass(frozen=True, slots=True)
class RunProgress:
    """Where a run stands.

    Attributes
    ----------
    epoch : int
        Epochs done.
    step : int
        Optimiser steps done.
    """

    epoch: int = 0
    step: int = 0


def replace_text(path: Path, text: str) -> None:
    """Write a text file under a temporary name, flush to disk, and rename.

    Raises
    ------
    StorageError
        Where the disk is full, for instance; what was there before stays.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(
            f"{path} cannot be written: {error.strerror}; make room and start the run again"
        ) from error
    temporary.replace(path)


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors under a temporary name, flush to disk, and rename.

    Raises
    ------
    StorageError
        Where the disk is full, for instance; what was there before stays.
    """
    temporary = path.with_suffix(".tmp")
    try:
        save_file({name: value.contiguous() for name, value in tensors.items()}, temporary, metadata)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
    except (SafetensorError, OSError) as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(f"{path} cannot be written: {error}; make room and start the run again") from error
    temporary.replace(path)


def save_checkpoint(
    folder: Path, progress: RunProgress, network: nn.Module, average: nn.Module, optimizer: Optimizer
) -> None:
    """Write a checkpoint and delete all but the two latest."""
    tensors: dict[str, Tensor] = {}
    tensors.update({f"network.{name}": value for name, value in network.state_dict().items()})
    tensors.update({f"average.{name}": value for name, value in average.state_dict().items()})
    for index, state in optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer.{index}.{name}": value for name, value in state.items()})
    metadata = {"progress": json.dumps(asdict(progress))}
    metadata["sha256"] = _digest(tensors, metadata["progress"])
    save_tensors(folder / f"checkpoint-{progress.epoch:03d}.safetensors", tensors, metadata)
    for old in sorted(folder.glob("checkpoint-*.safetensors"))[:-KEEP]:
        old.unlink()


def load_latest(
    folder: Path, network: nn.Module, average: nn.Module, optimizer: Optimizer
) -> RunProgress | None:
    """Resume from the latest readable checkpoint, or return ``None`` where there is none."""
    for path in sorted(folder.glob("checkpoint-*.safetensors"), reverse=True):
        try:
            progress, tensors = _read(path)
        except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
            print(f"{path.name} is damaged ({error}); trying the one before it")
            continue
        network.load_state_dict(_below(tensors, "network."))
        average.load_state_dict(_below(tensors, "average."))
        _load_optimizer(optimizer, _below(tensors, "optimizer."))
        return progress
    return None


def _read(path: Path) -> tuple[RunProgress, dict[str, Tensor]]:
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    # The first checkpoints had no digest: those are taken as they are.
    if "sha256" in metadata and metadata["sha256"] != _digest(tensors, metadata["progress"]):
        raise ValueError("its SHA-256 is not the one that was saved with it")
    return RunProgress(**json.loads(metadata["progress"])), tensors


def _digest(tensors: dict[str, Tensor], progress: str) -> str:
    digest = hashlib.sha256(progress.encode())
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def _load_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    states: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        index, field = name.split(".", 1)
        states.setdefault(int(index), {})[field] = value
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
