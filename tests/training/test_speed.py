from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace

import pytest

from pneumocascade.training import speed
from pneumocascade.training.config import TrainingConfig
from tests.training.conftest import SMALL

CONFIG = TrainingConfig(1, SMALL, schedule=((32, 1),), batch_size=8)


@pytest.mark.usefixtures("few_of_everything")
def test_films_are_counted_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = itertools.count(0.0, 4.0)
    monkeypatch.setattr(speed, "time", SimpleNamespace(perf_counter=lambda: next(seconds)))
    assert speed.films_per_second(CONFIG, steps=3) == 3 * 8 / 4.0
    assert speed.films_per_second(replace(CONFIG, batch_size=2)) == 2 * 2 / 4.0
