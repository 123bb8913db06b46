"""A number that goes along with the class predicts it; one that does not, does not."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import shortcuts
from pneumocascade.datasets.perturbations import expose
from tests.conftest import draw_chest


def test_contrast_of_detail_predicts_the_class_where_it_goes_along_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(6):
        for folder, name, contrast in (
            ("NORMAL", f"IM-{number:04}-0001", 1.0),
            ("PNEUMONIA", f"person{number}_virus_1", 0.5),
        ):
            path = tmp_path / "films" / folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(expose(draw_chest(number, 224, 224), contrast=contrast)).save(path)
    output = tmp_path / "shortcuts.json"
    monkeypatch.setattr(sys, "argv", ["shortcuts", str(tmp_path / "films"), "--output", str(output)])
    shortcuts.main()
    tables = json.loads(output.read_text())
    numbers = dict(tables["numbers"]["rows"])
    assert numbers["AUROC for pneumonia"] == "films (12 films)"
    assert numbers["contrast of fine detail"] == numbers["standard deviation of the grey values"] == "0.000"
    assert numbers["width over height"] == numbers["pixels"] == "0.500"
    assert [row[0] for row in tables["detail"]["rows"][1:]] == ["films, normal", "films, pneumonia"]
    assert tables["detail"]["rows"][2][1:] == ["100%", "0%", "0%"]
    assert "| contrast of fine detail | 0.000 |" in capsys.readouterr().out
