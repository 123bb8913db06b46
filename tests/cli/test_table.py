"""The table of the terminal marks the labels that the headline of an answer does not tell."""

from __future__ import annotations

import io

import pytest

from pneumocascade import Prediction
from pneumocascade.cli.table import ResultsTable
from tests.explain.test_verdict import answer, stage1_of, stage2_of


@pytest.mark.parametrize(
    ("prediction", "note"),
    [
        (answer(stage1_of(0.9), stage2_of(0.9)), ""),
        (answer(stage1_of(0.9), stage2_of(0.6, {0, 1})), "type undetermined"),
        (answer(stage1_of(0.6, members={0, 1}), stage2_of(0.9)), "borderline, type undetermined"),
        (answer(stage1_of(0.45, members={0, 1})), "borderline"),
        (answer(stage1_of(0.1)), ""),
    ],
)
def test_doubts_stand_in_the_note(prediction: Prediction, note: str) -> None:
    stream = io.StringIO()
    table = ResultsTable(stream)
    table.write(prediction)
    table.close()
    row = stream.getvalue().splitlines()[1]
    assert row.startswith("a.png")
    shown = f"{prediction.stage2.probabilities['viral']:.3f}" if prediction.stage2 else "-"
    assert row.split(shown)[-1].strip() == note
