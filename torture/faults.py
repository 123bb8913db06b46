"""Kill processes at random moments, fill their disks, set their clocks: nothing is lost, repeated or left.

    python -m torture.faults --times 100 --output docs/data/torture-faults.json

Each kind of run is killed (SIGKILL) again and again, and what it left is checked after every kill:

- ``batch``: ``predict --resume`` into JSONL, CSV and Parquet in turn; the answers are always those of the
  first films, in order, each once, and the run comes to its end.
- ``history``: a process that enters answers; each that it says it entered is there, in order.
- ``server``: ``serve --history`` under clients; each answer that a client was given is in the history, the
  file is sound, the port is free again, and no process that decodes is left.
- ``training``: ``train`` on phantoms; each run goes on from its last checkpoint until it ends, with the very
  losses of one that was left alone.

And besides:

- ``disks``: answers, histories, pictures, reports and a server's uploads on disks that fill up and are freed
  again; everything that writes, on one that is read-only (:mod:`torture.disks`).
- ``training-disk``: ``train`` on a disk too full for a second checkpoint.
- ``clock``: a server's clock jumps by years (:mod:`torture.clocks`).

The models are the tests' tiny ones. Moments, sizes and jumps come from a seed. What ``--only`` leaves out
stays in the output as it was. Needs Linux.
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
from torture.clocks import jump_clock
from torture.disks import fill_disks
from torture.killing import kill_batch, kill_history, kill_server
from torture.training_runs import fill_training, kill_training

Kind = Callable[[Path, int, random.Random], dict[str, Any]]

KINDS: dict[str, Kind] = {
    "batch": kill_batch,
    "history": kill_history,
    "server": kill_server,
    "training": kill_training,
    "disks": fill_disks,
    "training-disk": fill_training,
    "clock": jump_clock,
}


def main() -> None:
    """Do harm, look, and write how often."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=100, help="kills, disks or jumps, of each kind")
    parser.add_argument("--only", choices=tuple(KINDS), nargs="+", default=tuple(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    report: dict[str, Any] = {"machine": machine(), "seed": arguments.seed}
    if arguments.output.exists():
        before = json.loads(arguments.output.read_text(encoding="utf-8"))
        report |= {name: before[name] for name in KINDS if name in before}
    for name in arguments.only:
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            found = KINDS[name](Path(folder), arguments.times, random.Random(arguments.seed))
        report[name] = {"times": arguments.times, **found, "seconds": round(time.perf_counter() - started)}
        print(name, report[name], flush=True)
        arguments.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
