from __future__ import annotations

import json

import pytest

from pneumocascade.errors import UsageError
from pneumocascade.training.config import TrainingConfig, parse_schedule


def test_schedule_is_read() -> None:
    assert parse_schedule("128x4, 160x1,224x2") == ((128, 4), (160, 1), (224, 2))


@pytest.mark.parametrize("text", ["", "128", "128x0", "16x2", "128x2;224x1", "axb", "128x2,"])
def test_bad_schedules_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="SIZExEPOCHS"):
        parse_schedule(text)


def test_sizes_follow_the_schedule() -> None:
    config = TrainingConfig(1, schedule=((64, 2), (96, 1)))
    assert [config.size_of_epoch(epoch) for epoch in range(config.epochs)] == [64, 64, 96]
    assert config.input_size == 96
    assert config.size == 224, "CLAHE works on no less than the films of the data set"


def test_configuration_is_json() -> None:
    assert json.loads(json.dumps(TrainingConfig(1).to_dict()))["stage"] == 1
