"""The kept folds: no patient is in two of them, and the datasheet counts as they do."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from pneumocascade.datasets.films import patient_of

DOCS = Path(__file__).parents[1] / "docs"
FOLDS: dict[str, int] = json.loads((DOCS / "data" / "folds.json").read_text(encoding="utf-8"))


def test_the_datasheet_counts_patients_as_the_folds_do() -> None:
    sheet = (DOCS / "datasheet.md").read_text(encoding="utf-8")
    children = [film for film in FOLDS if not film[0].isdigit()]
    series = [{patient_of(film) for film in children if word in film} for word in ("bacteria", "virus")]
    assert f"{len(series[0] & series[1])} numbers have films of both aetiologies" in sheet
    most = max(Counter(map(patient_of, children)).values())
    assert f"the patient with the most has {most}." in sheet


def test_no_patient_is_in_two_folds() -> None:
    fold_of = {patient_of(film): fold for film, fold in FOLDS.items()}
    assert set(fold_of.values()) == {1, 2, 3}
    assert all(fold_of[patient_of(film)] == fold for film, fold in FOLDS.items())
