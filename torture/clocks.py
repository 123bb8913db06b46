"""A server whose clock jumps by years under it: part of ``python -m torture.faults``.

The library libfaketime (Debian's package of that name) tells the server's processes another time of day. The
clock that only counts on, by which time limits are kept, is left alone, as it is where somebody sets a clock.
"""

from __future__ import annotations

import json
import random
import threading
from contextlib import closing
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from pneumocascade.audit.history import History
from tests.tiny_models import write_tiny_models
from torture.killing import film_in
from torture.serving import check, post, running

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)

DAYS = 4000
"""Largest jump from the right time."""

FILMS = 5
"""Between two jumps, of each of two clients."""


def jump_clock(folder: Path, jumps: int, rng: random.Random) -> dict[str, Any]:
    """Set a server's clock again and again while films are posted; each is answered and entered once."""
    check(LIBRARY is not None, "libfaketime is not installed (apt-get install libfaketime)")
    models = write_tiny_models(folder)
    film = film_in(folder).read_bytes()
    clock, path = folder / "clock", folder / "history.sqlite3"
    clock.write_text("+0\n", encoding="ascii")
    variables = {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PNEUMOCASCADE_STATE": str(folder),
        "TMPDIR": str(folder),
    }
    options = ("--models", str(models), "--history", str(path))
    elapsed: list[float] = []
    with running(options, variables, folder / "server.log") as server:
        for _ in range(jumps):
            threads = [threading.Thread(target=_post, args=(server.port, film, elapsed)) for _ in range(2)]
            for thread in threads:
                thread.start()
            clock.write_text(f"{rng.uniform(-DAYS, DAYS):+.6f}d\n", encoding="ascii")
            for thread in threads:
                thread.join()
    check(len(elapsed) == 2 * FILMS * jumps, f"{len(elapsed)} answers to {2 * FILMS * jumps} films")
    check(all(0 < one < 60_000 for one in elapsed), "a film took no time, or years")
    with closing(History(path)) as history:
        times = [datetime.fromisoformat(entry.time.replace("Z", "+00:00")) for entry in history.entries()]
    check(len(times) == len(elapsed), f"{len(times)} entries of {len(elapsed)} answers")
    check(max(times) - min(times) > timedelta(days=DAYS / 10), "the clock has not jumped")
    backwards = sum(after < before for before, after in pairwise(times))
    return {"jumps": jumps, "answers": len(elapsed), "entries_before_the_one_ahead_of_them": backwards}


def _post(port: int, film: bytes, elapsed: list[float]) -> None:
    for _ in range(FILMS):
        answer = post(port, film)
        if answer.status == 200:
            elapsed.append(json.loads(answer.text)["predictions"][0]["elapsed_ms"])
