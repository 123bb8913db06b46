"""Short forms of the torture by kills and load; ``make torture`` runs the long ones."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from torture.clocks import LIBRARY, jump_clock
from torture.disks import fill_disks, has_namespaces
from torture.killing import kill_batch, kill_history, kill_server
from torture.load import same

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc and kills processes")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kill", "kills"),
    [(kill_batch, 1), (kill_history, 3), (kill_server, 1)],
    ids=["batch", "history", "server"],
)
def test_a_kill_loses_repeats_and_leaves_nothing(
    tmp_path: Path, kill: Callable[[Path, int, random.Random], dict[str, Any]], kills: int
) -> None:
    assert kill(tmp_path, kills, random.Random(0))


@pytest.mark.slow
def test_a_full_disk_loses_and_repeats_nothing(tmp_path: Path) -> None:
    if not has_namespaces():
        pytest.skip("disks cannot be mounted here: the system allows no user namespaces")
    counts = fill_disks(tmp_path, 1, random.Random(0))
    assert counts["full_disks_under_answers"] == 1
    assert counts["answers_before_the_history_was_full"] > 0


@pytest.mark.slow
def test_a_clock_that_jumps_disturbs_no_answer(tmp_path: Path) -> None:
    if LIBRARY is None:
        pytest.skip("clocks cannot be set here: libfaketime is not installed (apt-get install libfaketime)")
    assert jump_clock(tmp_path, 2, random.Random(0))["answers"] == 20


@pytest.mark.parametrize(
    ("answer", "is_same"),
    [
        ({"label": "viral", "p": [0.5, 0.5004], "elapsed_ms": 9}, True),
        ({"label": "viral", "p": [0.5, 0.52], "elapsed_ms": 1}, False),
        ({"label": "bacterial", "p": [0.5, 0.5], "elapsed_ms": 1}, False),
        ({"label": "viral", "p": [0.5], "elapsed_ms": 1}, False),
        ({"label": "viral", "elapsed_ms": 1}, False),
        ({"label": "viral", "p": [0.5, 0.5], "more": 1, "elapsed_ms": 1}, False),
    ],
)
def test_a_wrong_answer_under_load_would_be_seen(answer: dict[str, Any], is_same: bool) -> None:
    assert same(answer, {"label": "viral", "p": [0.5, 0.5], "elapsed_ms": 1}) is is_same
