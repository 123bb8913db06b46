"""A film gets one answer, whatever it is given as; benchmarks/inputs.py tries the same on more films."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.inputs import FORMS, compare, spread
from pneumocascade import Cascade
from tests.conftest import EXAMPLES


def test_example_films_get_one_answer(cascade: Cascade) -> None:
    films = EXAMPLES[::3]
    assert compare(cascade, films) == dict.fromkeys([*FORMS, "command line"], len(films))


@pytest.mark.data
@pytest.mark.slow
def test_films_of_the_data_set_get_one_answer(data: Path, cascade: Cascade) -> None:
    folders = {"kermany224": 4, "kermany-original": 3, "other-films/nih": 3}
    films = [film for name, count in folders.items() for film in spread(data / name, count)]
    assert len(films) == 10
    assert compare(cascade, films) == dict.fromkeys([*FORMS, "command line"], 10)
