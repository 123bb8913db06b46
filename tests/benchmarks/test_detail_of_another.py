"""A model that goes by brightness answers the same, whatever detail its films get."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import detail_of_another
from benchmarks.detail_of_another import WEIGHTS
from pneumocascade.datasets.films import find_training_films
from pneumocascade.datasets.perturbations import fine_detail, match_detail
from pneumocascade.training.data import grey_pixels
from tests.reports.sources import MEANS, film_of
from tests.tiny_models import tiny_model, tiny_spec


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Six normal films and four of pneumonia, which have half the contrast."""
    folder = tmp_path / "films"
    for kind, count, contrast in (("NORMAL", 6, 1.0), ("PNEUMONIA", 4, 0.5)):
        (folder / kind).mkdir(parents=True)
        mean = MEANS["normal" if kind == "NORMAL" else "viral"]
        for number in range(count):
            name = f"IM-{number:04}-0001" if kind == "NORMAL" else f"person{number}_virus_1"
            film = film_of(mean).astype(np.float32)
            film = np.clip((film - film.mean()) * contrast + mean, 0, 255).astype(np.uint8)
            Image.fromarray(film).save(folder / kind / f"{name}.png")
    return folder


def test_the_auroc_of_a_model_without_interest_in_detail_stays(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, folds, output = (tmp_path / name for name in ("stage1.onnx", "folds.json", "detail.json"))
    model.write_bytes(tiny_model(1, tiny_spec(1)))
    names = [film.name for film in find_training_films(films)]
    folds.write_text(json.dumps({name: 1 + (name == names[0]) for name in names}))
    options = ["--folds", str(folds), "--fold", "1", "--output", str(output)]
    monkeypatch.setattr(sys, "argv", ["detail", str(films), f"bright={model}", *options])
    detail_of_another.main()
    head, row = json.loads(output.read_text())["of another"]["rows"]
    assert head[0].startswith("AUROC of 8 films of fold 1")
    assert row[:5] == ["bright", *["1.000"] * len(WEIGHTS)]
    for cell in row[5:]:
        before, after = cell.split(" to ")
        assert abs(float(before) - float(after)) < 0.3


def test_films_get_the_detail_of_the_other_class(films: Path) -> None:
    normal, pneumonia = detail_of_another.chosen(find_training_films(films), 3)
    assert [film.finding for film in normal + pneumonia] == ["normal"] * 3 + ["pneumonia"] * 3
    own, other = (grey_pixels(each[0].path) for each in (normal, pneumonia))
    details = [fine_detail(match_detail(own, other, weight)) for weight in WEIGHTS]
    assert details == sorted(details, reverse=True)
    assert details[2] == pytest.approx(fine_detail(other), rel=0.2)
