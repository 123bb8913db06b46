"""Training runs that are killed at random moments, held against one that was left alone."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.training.conftest import write_films
from torture.killing import check, killed

_TRAINING = """
from pneumocascade.training import duplicates
duplicates.NEAR_BITS = -1  # phantoms are all alike: none is to be dropped as a near duplicate
from pneumocascade.cli import main
main()
"""


def kill_training(folder: Path, kills: int, rng: random.Random) -> dict[str, Any]:
    """Kill a training run so often, unless it ends before, and hold it against one that was left alone."""
    films = write_films(folder / "films" / "train", 10, side=112).parent
    weights = _write_backbone(folder / "backbone.safetensors")
    settings = ["--backbone-weights", str(weights), "--stage", "1", "--schedule", "64x12", "--patience", "12"]
    settings += ["--batch-size", "8", "--workers", "0"]

    def train(run: str, after: float | None) -> bool:
        command = (
            sys.executable,
            "-c",
            _TRAINING,
            "train",
            str(films),
            "--output",
            str(folder / run),
            *settings,
        )
        with (folder / f"{run}.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
            ended = killed(process, after)
        check(
            not ended or process.returncode == 0, (folder / f"{run}.log").read_text(encoding="utf-8")[-2000:]
        )
        return ended

    started = time.perf_counter()
    train("left-alone", None)
    whole = time.perf_counter() - started
    done = 0
    while done < kills and not train("killed", rng.uniform(0.2 * whole, 0.6 * whole)):
        done += 1
    train("killed", None)
    expected, found = (_epochs(folder / run) for run in ("left-alone", "killed"))
    check(found == expected, f"{found} after kills, {expected} without")
    return {"epochs": len(found), "kills": done}


def _write_backbone(path: Path) -> Path:
    """Write weights that tell nothing, in the form that training starts from."""
    import torch
    from safetensors.torch import save_file

    from pneumocascade.training.network import build_network

    torch.manual_seed(0)
    state = build_network(stride_in_1x1=True).state_dict()
    kept = {
        name: value.contiguous() for name, value in state.items() if not name.startswith(("layer4", "fc"))
    }
    save_file(kept, path, {"stride": "in the first 1x1 convolution"})
    return path


def _epochs(run: Path) -> list[tuple[int, float]]:
    """Return number and training loss of each epoch."""
    lines = (run / "stage1" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [(int(row["epoch"]), float(row["train_loss"])) for row in map(json.loads, lines)]
