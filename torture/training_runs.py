"""Training runs that are killed or run out of disk, held against one that was left alone."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.training.conftest import write_films
from torture.disks import FULL, NAMESPACE, disk, remount
from torture.killing import killed
from torture.serving import check

_TRAINING = """
from pneumocascade.training import duplicates
duplicates.NEAR_BITS = -1  # phantoms are all alike: none is to be dropped as a near duplicate
from pneumocascade.cli import main
main()
"""

EPOCHS = 8

Epochs = list[tuple[int, float]]
"""Number and training loss of each."""


class Training:
    """The command that trains a stage on phantoms, the same each time.

    Parameters
    ----------
    folder : Path
        For films, weights and runs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        films = write_films(folder / "films" / "train", 6, side=112).parent
        weights = _write_backbone(folder / "backbone.safetensors")
        self._command = [sys.executable, "-c", _TRAINING, "train", str(films)]
        self._command += ["--backbone-weights", str(weights), "--stage", "1", "--schedule", f"64x{EPOCHS}"]
        self._command += ["--patience", str(EPOCHS), "--batch-size", "8", "--workers", "0", "--output"]

    def start(self, run: Path) -> subprocess.Popen[bytes]:
        """Begin a run, or go on with it."""
        with self.log.open("wb") as log:
            return subprocess.Popen([*self._command, str(run)], stdout=log, stderr=log)

    @property
    def log(self) -> Path:
        """What the last run said."""
        return self.folder / "training.log"

    def whole(self, run: Path) -> Epochs:
        """Run to the end."""
        status = self.start(run).wait()
        check(status == 0, self.log.read_text(encoding="utf-8")[-2000:])
        return epochs_of(run)


def epochs_of(run: Path) -> Epochs:
    """Return what a run has written of its epochs."""
    path = run / "stage1" / "metrics.jsonl"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    rows = map(json.loads, text[: text.rfind("\n") + 1].splitlines())
    return [(int(row["epoch"]), float(row["train_loss"])) for row in rows]


def kill_training(folder: Path, kills: int, rng: random.Random) -> dict[str, Any]:
    """Kill training runs and go on with them, each until it ends, and hold it against one left alone."""
    training = Training(folder)
    started = time.perf_counter()
    expected = training.whole(folder / "left-alone")
    epoch = (time.perf_counter() - started) / (2 * EPOCHS)  # starting takes about as long as all of them
    done = finished = 0
    while done < kills:
        run = folder / f"killed-{finished}"
        while not _killed_at_random(training, run, rng, epoch):
            done += 1
        check(epochs_of(run) == expected, f"{epochs_of(run)} after kills, {expected} without")
        shutil.rmtree(run)
        finished += 1
    return {"kills": done, "epochs": EPOCHS, "finished_runs": finished}


def _killed_at_random(training: Training, run: Path, rng: random.Random, epoch: float) -> bool:
    """Go on with a run and kill it; return whether it ended before.

    One in four dies at any moment of its start, the others in the epoch after the first that they end: in a
    step, or while they write a checkpoint.
    """
    before = len(epochs_of(run))
    process = training.start(run)
    if rng.random() >= 0.25:
        while process.poll() is None and len(epochs_of(run)) == before:
            time.sleep(0.02)
        ended = killed(process, rng.uniform(0, 2 * epoch))
    else:
        ended = killed(process, rng.uniform(0, EPOCHS * epoch))
    check(not ended or process.returncode == 0, training.log.read_text(encoding="utf-8")[-2000:])
    return ended


def fill_training(folder: Path, _times: int, _rng: random.Random) -> dict[str, Any]:
    """Run training out of disk, free space, go on, in a namespace of its own."""
    command = (*NAMESPACE, sys.executable, "-m", "torture.training_runs", str(folder))
    done = subprocess.run(command, capture_output=True, text=True)
    check(done.returncode == 0, done.stderr[-3000:])
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _fill_disk(folder: Path) -> dict[str, int]:
    training = Training(folder)
    expected = training.whole(folder / "left-alone")
    with disk(folder / "disk", 600_000) as place:  # a checkpoint takes 375 MB, the best weights 94 MB
        status = training.start(place / "run").wait()
        text = training.log.read_text(encoding="utf-8")
        check(status == 1 and FULL in text and "Traceback" not in text, f"status {status}: {text[-2000:]}")
        done = len(epochs_of(place / "run"))
        remount(place, "size=2g")
        check(training.whole(place / "run") == expected, "the run is another than the one left alone")
    return {"times": 1, "epochs": EPOCHS, "epochs_before_the_disk_was_full": done}


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


if __name__ == "__main__":
    print(json.dumps(_fill_disk(Path(sys.argv[1]))))
