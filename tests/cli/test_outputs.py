"""What ``predict`` writes besides answers; and that nothing it writes tells who the patient is."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from PIL import Image
from pydicom import uid
from typer.testing import CliRunner, Result

from pneumocascade import Cascade, Prediction, UsageError
from pneumocascade.cli import app
from pneumocascade.cli.outputs import FileOutputs, with_files
from tests.reports.sources import MEANS, PLANTED, film_of, minimal_object, planted
from tests.reports.validators import dciodvfy_errors

runner = CliRunner()


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A viral film as DICOM, a normal one as PNG, one as DICOM that results cannot refer to, and no film."""
    folder = tmp_path / "study"
    folder.mkdir()
    save(planted(film_of(MEANS["viral"])), folder / "a.dcm")
    Image.fromarray(film_of(MEANS["normal"])).save(folder / "b.png")
    nameless = minimal_object(film_of(MEANS["bacterial"]))
    del nameless.StudyInstanceUID
    save(nameless, folder / "c.dcm")
    (folder / "d.dcm").write_bytes((folder / "a.dcm").read_bytes()[:3000])
    return folder


def save(item: pydicom.Dataset, path: Path) -> None:
    stream = io.BytesIO()
    item.save_as(stream, enforce_file_format=True)
    path.write_bytes(stream.getvalue())


def run(*arguments: str | Path) -> Result:
    return runner.invoke(app, ["predict", *map(str, arguments)])


def test_objects_are_written_of_films_that_came_as_dicom(study: Path, models: Path, tmp_path: Path) -> None:
    objects = tmp_path / "objects"
    result = run(study, "--models", models, "--format", "jsonl", "--dicom-output", objects)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["ok", "ok", "ok", "error"]
    assert [bool(row["warnings"]) for row in rows[:3]] == [False, False, True]
    assert "no DICOM objects of it: the DICOM object has no StudyInstanceUID" in rows[2]["warnings"][0]
    made = [pydicom.dcmread(path) for path in sorted(objects.iterdir())]
    source = pydicom.dcmread(study / "a.dcm")
    assert {each.SOPClassUID for each in made} == {
        uid.ComprehensiveSRStorage,
        uid.SecondaryCaptureImageStorage,
    }
    assert len(made) == 2
    for each in made:
        assert each.StudyInstanceUID == source.StudyInstanceUID
        assert each.PatientName == source.PatientName
        assert dciodvfy_errors(each, tmp_path) == []


def test_a_film_on_standard_input_gets_its_objects(
    study: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects, content = tmp_path / "objects", (study / "a.dcm").read_bytes()
    monkeypatch.chdir(tmp_path)
    Path("-").write_bytes(b"another file")
    options = ["--models", str(models), "--format", "jsonl", "--dicom-output", str(objects)]
    result = runner.invoke(app, ["predict", "-", *options], input=content)
    row = json.loads(result.stdout)
    assert (row["source"], row["status"], row["warnings"]) == ("-", "ok", [])
    study_uid = pydicom.dcmread(io.BytesIO(content)).StudyInstanceUID
    assert [pydicom.dcmread(path).StudyInstanceUID for path in objects.iterdir()] == [study_uid] * 2


def test_an_odd_header_does_not_end_the_run(study: Path, models: Path, tmp_path: Path) -> None:
    odd = planted(film_of(MEANS["viral"]))
    odd.SOPInstanceUID = ["1.2.3", "1.2.4"]
    odd.PatientOrientation = "L"
    save(odd, study / "a.dcm")
    result = run(study, "--models", models, "--format", "jsonl", "--dicom-output", tmp_path / "objects")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["ok", "ok", "ok", "error"]
    assert rows[0]["warnings"] == []
    assert len(list((tmp_path / "objects").iterdir())) == 2


def test_what_is_deidentified_still_belongs_together(study: Path, models: Path, tmp_path: Path) -> None:
    objects = tmp_path / "objects"
    run(study, "--models", models, "--format", "jsonl", "--dicom-output", objects, "--deidentify")
    made = [pydicom.dcmread(path) for path in sorted(objects.iterdir())]
    assert len(made) == 3
    assert len({each.StudyInstanceUID for each in made}) == 1
    assert made[0].StudyInstanceUID != pydicom.dcmread(study / "a.dcm").StudyInstanceUID
    film = next(each for each in made if each.Modality == "DX")
    report = next(each for each in made if each.Modality == "SR")
    assert film.SOPInstanceUID in str(report.CurrentRequestedProcedureEvidenceSequence)
    for path in objects.iterdir():
        assert PLANTED.encode() not in path.read_bytes()


@pytest.mark.parametrize("suffix", [".html", ".pdf"])
def test_a_report_has_every_film(study: Path, models: Path, tmp_path: Path, suffix: str) -> None:
    report = tmp_path / f"report{suffix}"
    result = run(study, "--models", models, "--report", report, "--format", "jsonl")
    assert len(result.stdout.splitlines()) == 4, "the answers are given all the same"
    content = report.read_bytes()
    assert content.startswith(b"%PDF" if suffix == ".pdf" else b"<!doctype html>")
    if suffix == ".html":
        for name in ("a.dcm", "b.png", "c.dcm", "d.dcm"):
            assert name in content.decode()


def test_wrong_usage_is_told_before_any_film_is_judged(study: Path, tmp_path: Path) -> None:
    for options in (["--report", tmp_path / "report.txt"], ["--deidentify"]):
        result = run(study, *options)
        assert isinstance(result.exception, UsageError)
        assert result.stdout == ""
    on_ray = run(study, "--engine", "ray", "--output", tmp_path / "out", "--report", tmp_path / "report.html")
    assert isinstance(on_ray.exception, UsageError)


def test_what_cannot_be_written_costs_no_earlier_answers(study: Path, tmp_path: Path) -> None:
    answers, taken, folder = tmp_path / "answers.jsonl", tmp_path / "taken", tmp_path / "folder.html"
    answers.write_text("of an earlier run")
    taken.write_text("a file")
    folder.mkdir()
    wrong: list[tuple[str, Path]] = [
        (option, path)
        for option, name in (("--save-pictures", "x"), ("--dicom-output", "x"), ("--report", "x.html"))
        for path in (taken / name, taken / "deep" / name)
    ]
    wrong += [("--save-pictures", taken), ("--dicom-output", taken), ("--report", folder)]
    for option, path in wrong:
        result = run(study, "--output", answers, option, path)
        assert isinstance(result.exception, UsageError), (option, path)
        assert option in str(result.exception)
        assert answers.read_text() == "of an earlier run"
        assert sorted(tmp_path.iterdir()) == sorted([answers, taken, folder, study])


def test_a_report_is_not_made_of_a_part_of_the_films(study: Path, tmp_path: Path) -> None:
    answers, report = tmp_path / "answers.jsonl", tmp_path / "report.html"
    result = run(study, "--output", answers, "--resume", "--report", report)
    assert isinstance(result.exception, UsageError)
    assert "a run of its own" in str(result.exception)
    assert not answers.exists()


def test_a_film_that_vanishes_before_its_objects_are_written_ends_nothing(
    models: Path, study: Path, tmp_path: Path
) -> None:
    cascade = Cascade.load(models, threads=1)

    def vanishing() -> Iterator[Prediction]:
        for prediction in cascade.predict_many([study / "a.dcm", study / "b.png"], display=True):
            (study / "a.dcm").unlink(missing_ok=True)
            yield prediction

    outputs = FileOutputs(tmp_path / "pictures", tmp_path / "objects", None, False)
    gone, left = with_files(vanishing(), cascade, outputs, models)
    assert (gone.status, left.status) == ("ok", "ok")
    assert gone.warnings == ("there are no DICOM objects of it: there is no such file",)
    assert left.warnings == ()
    assert len(list((tmp_path / "pictures").glob("*-verdict.png"))) == 2


def test_no_output_and_no_log_tells_who_the_patient_is(
    study: Path, models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    runs: list[tuple[str, list[str | Path]]] = [
        ("jsonl", ["--report", out / "report.html", "--save-pictures", out / "pictures"]),
        ("csv", ["--report", out / "report.pdf", "--dicom-output", out / "objects", "--deidentify"]),
        ("parquet", ["--history", out / "history.sqlite3"]),
        ("table", ["--no-gate", "--all-frames"]),
    ]
    for number, (kind, options) in enumerate(runs):
        given: list[str | Path] = [study, "--models", models, "--format", kind, *options]
        if kind != "table":
            given += ["--output", out / f"{number}.{kind}"]
        result = run(*given)
        assert result.exit_code == 1, result.output
        assert PLANTED not in result.output
    assert PLANTED not in caplog.text
    written = [path for path in out.rglob("*") if path.is_file()]
    assert len(written) > 10
    for path in written:
        assert PLANTED.encode() not in path.read_bytes(), path
        assert PLANTED.encode("utf-16-le") not in path.read_bytes(), path
