"""Short forms of the torture of a node; ``make torture`` runs the long ones."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from torture.callers import KINDS_OF_CALLERS, harass
from torture.disks import has_namespaces
from torture.node import kill, sustain
from torture.outages import fail_destination
from torture.spool_disks import OUT_OF_RESOURCES, fill_spool

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc and kills processes"),
]


def test_a_node_that_is_killed_answers_each_film_once(tmp_path: Path) -> None:
    assert kill(tmp_path, 2, random.Random(0))["results"] == 12


def test_hostile_callers_cost_nobody_an_answer(tmp_path: Path) -> None:
    counts = harass(tmp_path, 20, random.Random(0), 8)
    assert counts["films"] == 8
    assert len(counts["calls"]) >= len(KINDS_OF_CALLERS)


def test_films_without_end_are_all_answered(tmp_path: Path) -> None:
    assert sustain(tmp_path, 12, random.Random(0))["results"] == 24


def test_an_hour_without_the_destination_loses_and_repeats_nothing(tmp_path: Path) -> None:
    counts = fail_destination(tmp_path, 5, random.Random(0), factor=1200)
    assert counts["results"] == 10
    assert 0 < counts["attempts"] <= counts["attempts_at_most"]
    assert counts["given_up"]["sent_when_asked_for"] == counts["given_up"]["results"] == 10


def test_a_full_disk_under_the_spool_loses_no_film_that_was_taken(tmp_path: Path) -> None:
    if not has_namespaces():
        pytest.skip("disks cannot be mounted here: the system allows no user namespaces")
    counts = fill_spool(tmp_path, 3, random.Random(0))
    assert counts["results"] == 2 * counts["films"] > 0
    assert counts["statuses"][OUT_OF_RESOURCES] >= 3
