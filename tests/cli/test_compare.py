from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from pneumocascade.cli import app
from pneumocascade.errors import UsageError
from pneumocascade.evaluation.evaluate import evaluate
from tests.conftest import vary_example
from tests.evaluation.conftest import lay_out_films, make_cascade

pytestmark = pytest.mark.usefixtures("charts_undrawn")

runner = CliRunner()


def test_two_files_of_answers(tmp_path: Path) -> None:
    films = lay_out_films(tmp_path / "films")
    for point in ("balanced", "specific"):
        evaluate(films, make_cascade(), tmp_path / point, operating_point=point, resamples=0)
    files = [str(tmp_path / point / "predictions.csv") for point in ("balanced", "specific")]
    result = runner.invoke(app, ["compare", *files, "--output", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert (report["a"]["operating_point"], report["b"]["operating_point"]) == ("balanced", "specific")
    assert (tmp_path / "out" / "comparison.html").exists()
    told = " ".join(result.stdout.split())
    for text in (
        "12 films in both, 8 answered by both (6 patients)",
        "specificity 0.667 1.000 +0.333",
        "what to quote",
        "without an answer by A or B 4",
    ):
        assert text in told
    assert "IM-0004-0001.jpeg (A error unreadable_image, B error unreadable_image)" in told


def test_two_operating_points_of_the_bundled_models(tmp_path: Path) -> None:
    for number, name in enumerate(("NORMAL/IM-0001-0001.png", "PNEUMONIA/person1_virus_1.png")):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True)
        Image.fromarray(vary_example(number)).save(path)
    where = ["compare", "bundled", "bundled", str(tmp_path / "data"), "--output", str(tmp_path / "out")]
    result = runner.invoke(app, [*where, "--operating-point-b", "sensitive"])
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert report["stage1"]["figures"]["brier"]["difference"]["value"] == 0
    assert (report["a"]["operating_point"], report["b"]["operating_point"]) == ("balanced", "sensitive")
    assert "Cascade: normal, bacterial or viral: not compared" in result.stdout


def test_films_of_a_file_of_labels(tmp_path: Path) -> None:
    rows = ["path,finding"]
    for number, finding in enumerate(("normal", "pneumonia")):
        Image.fromarray(vary_example(number)).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{finding}")
    Image.fromarray(vary_example(2)).save(tmp_path / "2.png")
    (tmp_path / "labels.csv").write_text("\n".join([*rows, "2.png,"]))
    where = ["compare", "bundled", "bundled", "--output", str(tmp_path / "out")]
    where += ["--operating-point-b", "specific", "--labels", str(tmp_path / "labels.csv")]
    result = runner.invoke(app, where)
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert report["films"]["matched"] == 2
    assert "2.png" in result.stderr, "a film without a label is left out and named"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("bundled", "bundled"), "give the folder"),
        (("bundled", "bundled", "."), "same models at the same operating point"),
        (("bundled", "nowhere", "."), "nowhere is neither a folder of models"),
        (("a.csv", "a.csv", "."), "compared as they are; leave out"),
        (("a.csv", "a.csv", "--operating-point-a", "specific"), "--operating-point-a is for models"),
    ],
)
def test_wrong_usage_is_refused(
    arguments: tuple[str, ...], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text("source\n")
    result = runner.invoke(app, ["compare", *arguments])
    assert isinstance(result.exception, UsageError)
    assert complaint in str(result.exception)
    assert not Path("comparison").exists()
