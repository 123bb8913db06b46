"""What a finished run shows."""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pneumocascade.model.spec import for_recipe
from pneumocascade.training.checkpoint import save_tensors
from pneumocascade.training.config import TrainingConfig
from pneumocascade.training.data import samples_of
from pneumocascade.training.network import build_network
from pneumocascade.training.sources import Sources, find_films_to_train
from pneumocascade.training.summary import summarise
from tests.conftest import draw_chest
from tests.training.conftest import SMALL

pytestmark = pytest.mark.usefixtures("few_of_everything")


@pytest.mark.skipif(sys.platform != "linux", reason="file names are UTF-8 or UTF-16 elsewhere")
def test_names_that_are_not_utf_8_are_written_escaped(tmp_path: Path) -> None:
    folder = tmp_path / "films" / "NORMAL"
    folder.mkdir(parents=True)
    for number, name in enumerate((b"f\xfcnf", b"sechs")):
        Image.fromarray(draw_chest(number, 64, 64)).save(tmp_path / "film.png")
        (tmp_path / "film.png").rename(folder / f"{os.fsdecode(name)}.png")
    (folder / os.fsdecode(b"schad\xfc.png")).write_bytes(b"\x89PNG cut off")
    said: list[str] = []
    found = find_films_to_train(Sources(folder.parent, "imagenet"), said.append)
    assert "schad\\udcfc.png is dropped" in "\n".join(said).encode().decode()

    spec = for_recipe(1, "clahe-hot", input_size=32)
    samples = samples_of(found.films, frozenset(film.name for film in found.films), spec, {})
    network = build_network(SMALL)
    save_tensors(tmp_path / "weights.safetensors", dict(network.state_dict()), {})
    (tmp_path / "metrics.jsonl").touch()
    config = TrainingConfig(1, SMALL, schedule=((32, 1),), workers=0)
    summarise(tmp_path, network, spec, samples, config)
    with (tmp_path / "validation.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["film"]: float(row["logit_pneumonia"]) for row in csv.DictReader(file)}
    assert rows.keys() == {"f\\udcfcnf", "sechs"}
    assert np.isfinite(list(rows.values())).all()
