"""Each film is decoded once, whatever is made of it: pictures, objects, reports, attachments, the page."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from typer.testing import CliRunner

from pneumocascade import Cascade
from pneumocascade.audit.counter import STATE_VARIABLE
from pneumocascade.cli import app
from pneumocascade.imaging import read
from pneumocascade.inference.worker_pool import IsolatedReader
from pneumocascade.server.app import create_app
from pneumocascade.web.analysis import FILM_HEIGHT, analyse
from tests.reports.sources import MEANS, film_object, film_of


@pytest.fixture
def films(tmp_path: Path) -> list[Path]:
    """A film as DICOM, one as PNG."""
    paths = [tmp_path / "a.dcm", tmp_path / "b.png"]
    film_object(film_of(MEANS["viral"])).save_as(paths[0], enforce_file_format=True)
    Image.fromarray(film_of(MEANS["normal"])).save(paths[1])
    return paths


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each film was decoded in this process, by its name."""
    counted = Counter[str]()
    decode = read._film_of_bytes

    def counting(data: bytes, name: str, frame: int | None) -> Any:
        counted[name] += 1
        return decode(data, name, frame)

    monkeypatch.setattr(read, "_film_of_bytes", counting)
    return counted


def test_on_the_command_line(films: list[Path], models: Path, tmp_path: Path, decodes: Counter[str]) -> None:
    out = tmp_path / "out"
    options = {
        "--save-pictures": out / "pictures",
        "--dicom-output": out / "objects",
        "--report": out / "r.html",
    }
    arguments = [str(part) for option in options.items() for part in option]
    result = CliRunner().invoke(app, ["predict", *map(str, films), "--models", str(models), *arguments])
    assert result.exit_code == 0, result.output
    assert {path.name.rpartition("-")[2] for path in (out / "pictures").iterdir()} >= {
        "steps.png",
        "stage1.png",
    }
    assert len(list((out / "objects").iterdir())) == 2
    assert (out / "r.html").read_text().count("data:image") >= 4
    assert decodes == {str(path): 1 for path in films}


def test_over_rest_with_pictures(
    films: list[Path], models: Path, decodes: Counter[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    with TestClient(create_app(Cascade.load(models, threads=1), with_web=False)) as client:
        files = [("files", (path.name, path.read_bytes())) for path in films]
        found = client.post("/api/v1/predictions?include=pictures,saliency", files=files).json()[
            "predictions"
        ]
    assert [sorted(each["pictures"]) for each in found] == [
        ["film", "stage1", "stage2", "verdict"],
        ["film", "stage1", "verdict"],
    ]
    assert decodes == {path.name: 1 for path in films}


@pytest.mark.parametrize("isolated", [False, True])
def test_in_the_web_app(films: list[Path], models: Path, decodes: Counter[str], isolated: bool) -> None:
    reader = IsolatedReader(1)
    loaded = Cascade.load(models, threads=1, reader=reader) if isolated else Cascade.load(models, threads=1)
    try:
        shown = [analyse(loaded, path, "balanced") for path in films]
    finally:
        reader.close()
    for analysis, expected in zip(shown, (MEANS["viral"], MEANS["normal"]), strict=True):
        assert analysis.film is not None
        assert (analysis.height, analysis.width) == film_of(expected).shape
        assert analysis.steps
        kept = analysis.prediction.display
        assert kept is not None, "stage 2 may still have to run on it"
        assert kept.height <= FILM_HEIGHT, "a session keeps the analysis"
    assert decodes == ({} if isolated else {path.name: 1 for path in films})


def test_without_pictures_no_copy_is_kept(films: list[Path], models: Path) -> None:
    stream = io.BytesIO(films[1].read_bytes())
    cascade = Cascade.load(models, threads=1)
    assert cascade.predict(stream.getvalue()).display is None
    assert cascade.predict(stream.getvalue(), display=True).display is not None
