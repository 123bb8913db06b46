"""Simulated runs of many actors: exact where all times are alike."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.actors import Times, simulate

ALIKE = Times(load=[2.0], film=[0.01])


@pytest.mark.parametrize(
    ("films", "actors", "size", "seconds"),
    [
        (1000, 1, 100, 2 + 10),
        (1000, 10, 100, 2 + 1),
        (1000, 3, 100, 2 + 4),  # one of them has a fourth block
        (50, 8, 100, 2 + 0.5),  # one block, and seven actors with nothing to do
        (150, 2, 100, 2 + 1),
    ],
)
def test_a_run_takes_as_long_as_its_busiest_actor(films: int, actors: int, size: int, seconds: float) -> None:
    found = simulate(films, actors, ALIKE, size, np.random.default_rng(0))
    assert found == pytest.approx(seconds)


def test_a_slow_start_or_block_delays_the_end() -> None:
    rng = np.random.default_rng(0)
    uneven = Times(load=[1.0, 9.0], film=[0.005, 0.015])
    found = [simulate(10_000, 4, uneven, 100, rng) for _ in range(50)]
    assert 2 + 25 < np.median(found) < 9 + 35
    assert len(set(found)) > 1
