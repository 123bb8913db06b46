"""Kill processes at random moments and see that nothing is lost, repeated or left behind.

    python -m torture.faults --kills 100 --training-kills 10 --output docs/data/torture-faults.json

Each kind of run is killed (SIGKILL) again and again, and what it left is looked at after every kill:

- ``batch``: ``predict --resume`` into JSONL, CSV and Parquet in turn; the answers are always those of the
  first films, in order, each once, and the run comes to its end.
- ``history``: a process that enters answers; each that it says it entered is there, in order.
- ``server``: ``serve --history`` under clients; each answer that a client was given is in the history, the
  file is sound, the port is free again, and no process that decodes is left.
- ``training``: ``train`` on phantoms; the run goes on from its last checkpoint and ends.

The models are the tests' tiny ones. Moments come from a seed. Needs Linux.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.timing import machine
from torture.killing import kill_batch, kill_history, kill_server
from torture.training_runs import kill_training

Kind = Callable[[Path, int, random.Random], dict[str, Any]]

KINDS: dict[str, Kind] = {
    "batch": kill_batch,
    "history": kill_history,
    "server": kill_server,
    "training": kill_training,
}


def main() -> None:
    """Kill, look, and write how often."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--training-kills", type=int, default=10, help="a start of PyTorch takes seconds")
    parser.add_argument("--only", choices=tuple(KINDS), nargs="+", default=tuple(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    report: dict[str, Any] = {"machine": machine(), "seed": arguments.seed}
    for name in arguments.only:
        kills = arguments.training_kills if name == "training" else arguments.kills
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            found = KINDS[name](Path(folder), kills, random.Random(arguments.seed))
        report[name] = {"kills": kills, **found, "seconds": round(time.perf_counter() - started)}
        print(name, report[name], flush=True)
    arguments.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
