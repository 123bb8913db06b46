"""Short forms of the torture of a node; ``make torture`` runs the long ones."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from torture.node import harass, kill, sustain

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc and kills processes"),
]


def test_a_node_that_is_killed_answers_each_film_once(tmp_path: Path) -> None:
    assert kill(tmp_path, 2, random.Random(0))["results"] == 12


def test_hostile_callers_cost_nobody_an_answer(tmp_path: Path) -> None:
    assert harass(tmp_path, 10, random.Random(0))["films"] == 50


def test_films_without_end_are_all_answered(tmp_path: Path) -> None:
    assert sustain(tmp_path, 30, random.Random(0))["objects"] == 30
