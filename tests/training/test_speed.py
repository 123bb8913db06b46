from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from pneumocascade.training import speed
from pneumocascade.training.config import TrainingConfig
from pneumocascade.training.trainer import loss_of
from tests.training.conftest import SMALL

CONFIG = TrainingConfig(1, SMALL, schedule=((32, 1),), batch_size=8)


@pytest.mark.usefixtures("few_of_everything")
@pytest.mark.parametrize(("steps", "batch_size"), [(3, 8), (2, 2)])
def test_the_steps_after_the_first_are_timed(
    steps: int, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[int] = []  # films of a step; -1 for a look at the clock

    def clock() -> float:
        events.append(-1)
        return 10.0 + 4.0 * (len(events) > 2)

    def counted(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        events.append(len(logits))
        return loss_of(logits, targets)

    monkeypatch.setattr(speed, "time", SimpleNamespace(perf_counter=clock))
    monkeypatch.setattr(speed, "loss_of", counted)
    rate = speed.films_per_second(replace(CONFIG, batch_size=batch_size), steps)
    assert events == [batch_size, -1, *[batch_size] * steps, -1]
    assert rate == steps * batch_size / 4.0 * (32 / 224) ** 2
