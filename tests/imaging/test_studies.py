"""Folders, archives and DICOMDIRs of studies: films are found by content, all else is left out and told."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pneumocascade import Cascade
from pneumocascade.imaging.find import find_sources
from pneumocascade.imaging.studies import Found
from pneumocascade.types import Prediction
from tests.conftest import draw_chest
from tests.imaging.dicom.objects import dataset, report, to_bytes
from tests.imaging.dicom.test_dicomdir import written_study
from tests.imaging.film_files import encode, make_closed
from tests.tiny_models import write_tiny_models

CHEST = draw_chest(height=300, width=300)
FILM = to_bytes(dataset(CHEST, 8, BodyPartExamined="CHEST", ViewPosition="PA", PatientAge="004Y"))
FRAMES = to_bytes(dataset(np.stack([CHEST, CHEST[::-1].copy(), CHEST]), 8))
REPORT = to_bytes(report())


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    (folder / "1.2.840.1").mkdir(parents=True)
    files = {"1.2.840.1/1.2.840.3": FILM, "b.dcm": FRAMES, "report": REPORT, "notes.txt": b"notes"}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "broken.dcm").write_bytes(FILM[:140])
    os.mkfifo(folder / "pipe")
    return folder


def test_a_folder_is_walked_by_content(study: Path) -> None:
    left_out: list[Found] = []
    found = list(find_sources([str(study)], left_out=left_out))
    assert found == [str(study / name) for name in ("1.2.840.1/1.2.840.3", "b.dcm", "broken.dcm")]
    others = {"notes.txt": "other file", "pipe": "other file", "report": "other object"}
    assert left_out == [(str(study / name), kind) for name, kind in others.items()]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "JPEG2000", "AVIF"])
def test_a_picture_is_found_whatever_its_suffix(kind: str, tmp_path: Path) -> None:
    (tmp_path / "film.dcm").write_bytes(encode(CHEST, kind))
    (tmp_path / "film").write_bytes(encode(CHEST, kind))
    (tmp_path / "report.pdf").write_bytes(b"%PDF-1.7")
    left_out: list[Found] = []
    assert list(find_sources([str(tmp_path)], left_out=left_out)) == [
        str(tmp_path / "film"),
        str(tmp_path / "film.dcm"),
    ]
    assert left_out == [(str(tmp_path / "report.pdf"), "other file")]


def test_links_are_followed_where_asked_for_and_a_circle_ends(tmp_path: Path) -> None:
    folder, other = tmp_path / "folder", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    (other / "film.png").write_bytes(encode(CHEST, "PNG"))
    (folder / "link").symlink_to(other)
    (other / "back").symlink_to(folder)
    left_out: list[Found] = []
    assert list(find_sources([str(folder)], left_out=left_out)) == [str(folder)]
    assert left_out == [(str(folder / "link"), "linked folder")]
    assert list(find_sources([str(folder)], follow_links=True)) == [str(folder / "link" / "film.png")]


def test_what_cannot_be_opened_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    make_closed(closed, monkeypatch)
    (tmp_path / "film.png").write_bytes(encode(CHEST, "PNG"))
    left_out: list[Found] = []
    assert list(find_sources([str(tmp_path)], left_out=left_out)) == [str(tmp_path / "film.png")]
    assert left_out == [(str(closed), "unopened")]


def test_frames_are_films_where_they_are_asked_for(study: Path) -> None:
    found = list(find_sources([str(study / "b.dcm"), str(study / "notes.txt")], all_frames=True))
    assert found == [*(f"{study / 'b.dcm'}#frame={number}" for number in (1, 2, 3)), str(study / "notes.txt")]


def test_an_archive_is_walked_in_its_own_order(study: Path, tmp_path: Path) -> None:
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("b.dcm", "report", "1.2.840.1/1.2.840.3", "notes.txt"):
            file.write(study / name, f"in/{name}")
        file.writestr("film.png", b"no film")
    left_out: list[Found] = []
    expected = [f"{archive}/in/b.dcm", f"{archive}/in/1.2.840.1/1.2.840.3", f"{archive}/film.png"]
    assert list(find_sources([str(archive)], left_out=left_out)) == expected
    assert left_out == [(f"{archive}/in/report", "other object"), (f"{archive}/in/notes.txt", "other file")]
    archive.write_bytes(archive.read_bytes()[:-300])
    assert list(find_sources([str(archive)])) == [str(archive)], (
        "what is damaged is reported, not passed over"
    )


def test_a_dicomdir_stands_for_what_it_lists(tmp_path: Path) -> None:
    path, films = written_study(tmp_path)
    films[0].unlink()
    left_out: list[Found] = []
    found = list(find_sources([str(path)], left_out=left_out))
    assert {Path(name).resolve() for name in found} == {film.resolve() for film in films}
    assert len(left_out) == 1
    path.write_bytes(path.read_bytes()[:200])
    assert list(find_sources([str(path)])) == [str(path)]


def without_time(prediction: Prediction) -> dict[str, object]:
    return {**prediction.to_dict(), "elapsed_ms": 0, "source": ""}


def test_every_way_to_an_object_gives_the_same_answer(study: Path, tmp_path: Path) -> None:
    cascade = Cascade.load(write_tiny_models(tmp_path), threads=1)
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("film", FILM)
    path = str(study / "1.2.840.1/1.2.840.3")
    answers = [
        cascade.predict(each, gate=False) for each in (path, Path(path), FILM, f"{archive}/film", CHEST)
    ]
    assert {answer.status for answer in answers} == {"ok"}
    assert all(without_time(answer) == without_time(answers[0]) for answer in answers)
    assert len({answer.pixels_sha256 for answer in answers}) == 1
    frames = [cascade.predict(f"{study / 'b.dcm'}#frame={number}", gate=False) for number in (1, 2, 3)]
    assert frames[0].pixels_sha256 == frames[2].pixels_sha256 == answers[0].pixels_sha256
    assert frames[1].pixels_sha256 != frames[0].pixels_sha256
    missing = cascade.predict(f"{study / 'b.dcm'}#frame=4")
    assert missing.error is not None
    assert missing.error.code == "no_such_frame"


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"ViewPosition": "LL"}, "not_frontal"),
        ({"BodyPartExamined": "KNEE"}, "not_a_chest_radiograph"),
        ({"Modality": "CT"}, "not_a_radiograph"),
    ],
)
def test_what_the_object_says_refuses_a_film(tmp_path: Path, attributes: dict[str, str], code: str) -> None:
    cascade = Cascade.load(write_tiny_models(tmp_path), threads=1)
    prediction = cascade.predict(to_bytes(dataset(CHEST, 8, **attributes)))
    assert prediction.status == "refused"
    assert [reason.code for reason in prediction.reasons] == [code]


@pytest.mark.parametrize(("age", "warned"), [("004Y", False), ("040Y", True), ("003M", True), (None, False)])
def test_an_age_that_the_models_never_saw_is_a_warning(tmp_path: Path, age: str | None, warned: bool) -> None:
    cascade = Cascade.load(write_tiny_models(tmp_path), threads=1)
    attributes = {} if age is None else {"PatientAge": age}
    prediction = cascade.predict(to_bytes(dataset(CHEST, 8, **attributes)))
    assert any("younger or older" in warning for warning in prediction.warnings) is warned
    assert "Planted" not in repr(prediction)
