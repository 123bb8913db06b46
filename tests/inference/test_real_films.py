"""The bundled models on films of the data set, where the caller has them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pneumocascade import Cascade
from pneumocascade.cli import app
from pneumocascade.datasets.films import find_films
from pneumocascade.model.store import bundled_models

pytestmark = [pytest.mark.data, pytest.mark.slow]


def findings(cascade: Cascade, paths: list[Path]) -> np.ndarray:
    return np.array([prediction.finding for prediction in cascade.predict_many(paths)])


def test_originals_and_their_small_twins_get_the_same_finding(data: Path) -> None:
    """The models have learnt from these films: what is tested is that the size changes nothing."""
    films = find_films(data / "kermany-original")[::2]
    twins = {film.name: film.path for film in find_films(data / "kermany224")}
    truth = np.array([film.finding for film in films])
    cascade = Cascade.load()
    original = findings(cascade, [film.path for film in films])
    small = findings(cascade, [twins[film.name] for film in films])
    assert np.mean(original == small) >= 0.97
    assert np.mean(original == truth) >= 0.95
    assert np.mean(small == truth) >= 0.95


def test_a_hundred_films_give_a_hundred_lines(data: Path) -> None:
    films = [str(film.path) for film in find_films(data / "kermany224")[::48]][:100]
    result = CliRunner().invoke(app, ["predict", "-", "--format", "jsonl"], input="\n".join(films))
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert [row["source"] for row in rows] == films
    assert {row["status"] for row in rows} <= {"ok", "refused"}
    assert np.mean([row["status"] == "ok" for row in rows]) >= 0.99


def test_the_models_fit_in_the_package() -> None:
    assert sum(path.stat().st_size for path in bundled_models().glob("*.onnx")) < 60_000_000
