"""What is taken along of an answer is what was answered, and nothing is left on the server."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import gradio as gr
import numpy as np
import pydicom
import pytest
from PIL import Image

from pneumocascade import Cascade
from pneumocascade.web.analysis import Analysis, analyse
from pneumocascade.web.examples import EXAMPLE_FILMS
from pneumocascade.web.files import batch_kinds, make_batch_file, make_file, offered, radiograph_of
from pneumocascade.web.rejudging import judge_again
from tests.imaging.dicom.objects import dataset, to_bytes

# Importing WeasyPrint here would change how Pillow reads, for every test of this process.
if find_spec("weasyprint") is None:
    pytest.skip("the extra report is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def example(cascade: Cascade) -> Analysis:
    return analyse(cascade, EXAMPLE_FILMS[1].path, "balanced")


@pytest.fixture(scope="module")
def dicom(cascade: Cascade, tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    path = tmp_path_factory.mktemp("films") / "film.dcm"
    with Image.open(EXAMPLE_FILMS[1].path) as film:
        path.write_bytes(to_bytes(dataset(np.asarray(film.convert("L")).astype(np.uint16) * 16)))
    return analyse(cascade, path, "balanced")


def test_json_pdf_and_picture(cascade: Cascade, example: Analysis) -> None:
    assert [kind for kind, _ in offered(example)] == ["pdf", "png", "json"]
    made = {kind: make_file(cascade, example, kind) for kind in ("pdf", "png", "json")}
    assert json.loads(made["json"].content) == example.prediction.to_dict()
    assert made["pdf"].content.startswith(b"%PDF-")
    with Image.open(io.BytesIO(made["png"].content)) as picture:
        assert picture.format == "PNG"
    assert made["json"].name == "person1946_bacteria_4874.json"
    told = json.loads(made["json"].to_json())
    assert told["mime"] == "application/json"
    for kind in ("sr", "sc", "exe", "None"):
        with pytest.raises(gr.Error):
            make_file(cascade, example, kind)


def test_files_are_of_the_settings_that_are_shown(cascade: Cascade, example: Analysis) -> None:
    again = judge_again(cascade, example, "specific", 0.2)
    answer = json.loads(make_file(cascade, again, "json").content)
    assert (answer["operating_point"], answer["prior"]) == ("specific", 0.2)
    kept = radiograph_of(again)
    assert kept is not None
    assert (kept.height, kept.width) == (again.height, again.width)


def test_dicom_films_get_dicom_objects(cascade: Cascade, dicom: Analysis) -> None:
    source = pydicom.dcmread(dicom.path)
    for kind, modality in (("sr", "SR"), ("sc", "OT")):
        made = make_file(cascade, dicom, kind)
        found = pydicom.dcmread(io.BytesIO(made.content))
        assert found.Modality == modality
        assert found.StudyInstanceUID == source.StudyInstanceUID
    with pytest.raises(gr.Error):
        make_file(cascade, replace(dicom, path="/nowhere/film.dcm"), "sr")


def test_a_film_that_could_not_be_read_has_its_answer_alone(cascade: Cascade, tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("these are notes")
    unread = analyse(cascade, path, "balanced")
    assert [kind for kind, _ in offered(unread)] == ["pdf", "json"]
    assert json.loads(make_file(cascade, unread, "json").content)["status"] == "error"


def test_a_batch_has_a_table_and_one_archive_of_all(
    cascade: Cascade, example: Analysis, dicom: Analysis
) -> None:
    found = [example, dicom, example]
    rows = list(csv.DictReader(io.StringIO(make_batch_file(cascade, found, "csv").content.decode())))
    assert [row["source"] for row in rows] == [analysis.name for analysis in found]
    assert make_batch_file(cascade, found, "pdf").content.startswith(b"%PDF-")
    with zipfile.ZipFile(io.BytesIO(make_batch_file(cascade, found, "zip").content)) as archive:
        names = archive.namelist()
    assert len(set(names)) == len(names)
    assert {"predictions.csv", "report.pdf", "01-person1946_bacteria_4874.json", "02-film-sr.dcm"} <= set(
        names
    )
    assert [kind for kind, _ in batch_kinds()] == ["csv", "pdf", "zip"]
    for films, kind in (([], "csv"), (found, "exe")):
        with pytest.raises(gr.Error):
            make_batch_file(cascade, films, kind)
