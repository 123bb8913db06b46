"""A former answer judged again equals the answer at the new settings."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pneumocascade import Cascade
from pneumocascade.audit.history import History
from pneumocascade.errors import UsageError
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.model.spec import OPERATING_POINTS
from pneumocascade.types import Acquisition, Prediction
from tests.conftest import draw_chest, vary_example

EXAMPLES = sorted((Path(__file__).parents[2] / "src" / "pneumocascade" / "examples").glob("*.jpeg"))
PRIORS = (None, 0.2, 0.5, 0.9)


def comparable(prediction: Prediction) -> dict[str, Any]:
    """Every field but the time, the flag, and the display copy, which is compared by itself."""
    left_out = ("elapsed_ms", "rejudged", "display")
    return {
        each.name: getattr(prediction, each.name) for each in fields(prediction) if each.name not in left_out
    }


def assert_the_same(found: Prediction, expected: Prediction) -> None:
    assert comparable(found) == comparable(expected)
    for number, result in expected.stages.items():
        again = found.stages[number]
        assert again.logits == result.logits
        assert again.domain == result.domain
        assert again.margin == result.margin
        assert (again.activation_map is None) == (result.activation_map is None)
        if result.activation_map is not None:
            assert again.activation_map is not None
            np.testing.assert_array_equal(again.activation_map, result.activation_map)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_judged_again_is_as_if_judged_there(cascade: Cascade, path: Path) -> None:
    settings = list(product(OPERATING_POINTS, PRIORS))
    direct = {
        (point, prior): cascade.predict(path, operating_point=point, prior=prior, display=True)
        for point, prior in settings
    }
    for (start, goal), prior in product(product(OPERATING_POINTS, OPERATING_POINTS), PRIORS):
        assert_the_same(
            cascade.rejudge(direct[start, None], operating_point=goal, prior=prior), direct[goal, prior]
        )
        # The prior stays where none is given.
        assert_the_same(cascade.rejudge(direct[start, prior], operating_point=goal), direct[goal, prior])


def test_stage_2_runs_where_stage_1_now_says_pneumonia_and_goes_where_it_says_normal(
    cascade: Cascade,
) -> None:
    """Of films around the thresholds some are pneumonia at one operating point alone."""
    seen = set()
    for opacity in np.linspace(0, 1, 8):
        film = read_radiograph(draw_chest(2, opacity=float(opacity)), "film")
        film = replace(film, acquisition=Acquisition("CR", age_years=60.0))
        each = {
            point: cascade.predict(film, operating_point=point, display=True, gate=False)
            for point in OPERATING_POINTS
        }
        for start, goal in product(OPERATING_POINTS, OPERATING_POINTS):
            found = cascade.rejudge(each[start], operating_point=goal)
            assert_the_same(found, each[goal])
            seen.add((each[start].finding, found.finding))
    assert {("normal", "pneumonia"), ("pneumonia", "normal")} <= seen


def test_refused_and_unread_films_stay_so(cascade: Cascade, tmp_path: Path) -> None:
    small, broken = vary_example(0, 64, 64), tmp_path / "notes.png"
    broken.write_text("these are notes")
    for source in (small, broken):
        found = cascade.rejudge(cascade.predict(source), operating_point="sensitive", prior=0.1)
        assert_the_same(found, cascade.predict(source, operating_point="sensitive", prior=0.1))


def test_what_cannot_be_judged_again_is_said(cascade: Cascade) -> None:
    answer = cascade.predict(EXAMPLES[0])
    with pytest.raises(UsageError, match="the models store balanced"):
        cascade.rejudge(answer, operating_point="careful")
    with pytest.raises(UsageError, match="prior is 1"):
        cascade.rejudge(answer, prior=1.5)
    with pytest.raises(UsageError, match="judge the film itself"):
        cascade.rejudge(replace(answer, model_version="0"))
    assert answer.stage1 is not None
    with pytest.raises(UsageError, match="no logits of stage 1"):
        cascade.rejudge(replace(answer, stage1=replace(answer.stage1, logits=None)))
    normal = cascade.predict(draw_chest(2), operating_point="specific", gate=False)
    assert normal.stage1 is not None
    assert normal.stage2 is None
    likely = replace(normal, stage1=replace(normal.stage1, logits=(0.0, 9.0)))
    with pytest.raises(UsageError, match="display=True"):
        cascade.rejudge(likely)


def test_history_enters_it_as_judged_again(cascade: Cascade, tmp_path: Path) -> None:
    history = History(tmp_path / "history.sqlite3")
    recording = Cascade(cascade.stage1, cascade.stage2, cascade.version, cascade.gate, recorder=history.add)
    answer = recording.predict(EXAMPLES[0])
    recording.rejudge(answer, operating_point="specific", prior=0.2)
    recording.rejudge(answer, operating_point="sensitive", record=False)
    first, second = history.entries()
    history.close()
    assert (first.codes, first.operating_point) == ("", "balanced")
    assert (second.codes, second.operating_point) == ("rejudged", "specific")
    assert second.pixels_sha256 == first.pixels_sha256
