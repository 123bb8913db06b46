"""What tools/ship_models.py copies is what the measurements write."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import ship_models

from benchmarks.tables import Tables
from pneumocascade.datasets.films import load_films
from pneumocascade.evaluation.evaluate import evaluate
from pneumocascade.evaluation.shift_suite import evaluate_shift
from tests.evaluation.conftest import lay_out_films, make_cascade

ROOT = Path(__file__).parents[1]


@pytest.mark.usefixtures("charts_undrawn")
def test_all_that_was_measured_comes_into_the_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, kept, pictures, package = (tmp_path / name for name in ("run", "kept", "pictures", "package"))
    for folder in (run / "models", run / "records", run / "measured" / "failures", kept, pictures, package):
        folder.mkdir(parents=True)
    films, cascade = load_films(lay_out_films(tmp_path / "films")), make_cascade()
    for name in ship_models.EVALUATED:
        evaluate(films, cascade, run / "measured" / name, resamples=2)
    evaluate_shift(films.films, cascade, run / "measured" / ship_models.SHIFTED, limit=4)
    for path in (
        "models/manifest.json",
        "models/export.json",
        "records/folds.json",
        "measured/saliency.json",
    ):
        (run / path).write_text(f'"{path}"')
    (run / "measured" / "failures" / "failures.json").write_text("{}")
    (run / "measured" / "failures" / "normal-called-pneumonia.jpg").write_bytes(b"sheet")
    for name, version in (("held-out", "1+fold1"), ("others", "1")):
        tables = Tables(version)
        tables.show("drawings", [["hand", "20"]], ["group", "tried"])
        tables.show(name, [["hand", "20"]], ["group", "tried"])
        tables.save(run / "measured" / f"gate-{name}.json")
    monkeypatch.setattr(ship_models, "KEPT", kept)
    monkeypatch.setattr(ship_models, "PICTURES", pictures)
    monkeypatch.setattr(ship_models, "bundled_models", lambda: package)
    ship_models.keep(run)
    assert {path.name for path in package.iterdir()} == {"manifest.json"}
    assert {path.name for path in kept.iterdir()} == {
        "export.json",
        "folds.json",
        "saliency.json",
        "failure-modes.json",
        "gate.json",
        "shift.json",
        *(f"evaluation-{name}.json" for name in ship_models.EVALUATED),
    }
    assert {path.name for path in pictures.iterdir()} == {
        "normal-called-pneumonia.jpg",
        "shift-stage1.png",
        "shift-stage2.png",
        "stage1-reliability.png",
        "stage2-reliability.png",
    }
    gate = json.loads((kept / "gate.json").read_text())
    assert {name: table["models"] for name, table in gate.items()} == {
        "drawings": "1",  # of the models that ship
        "held-out": "1+fold1",
        "others": "1",
    }


def test_every_measurement_is_made_by_a_module_that_is_there() -> None:
    for path, arguments in ship_models.measurements(Path("films"), Path("run")):
        assert path.is_relative_to("run/measured")
        assert arguments[0] == "-m"
        assert importlib.util.find_spec(arguments[1]) is not None
        output = Path(
            arguments[arguments.index("--output") + 1] if "--output" in arguments else arguments[-1]
        )
        assert path == output or path.parent == output


def test_the_pictures_that_the_gate_is_tried_on_are_in_the_documents() -> None:
    from benchmarks.other_pictures import DRAWINGS

    own = [ROOT / name for name in DRAWINGS if name.startswith("docs/")]
    assert len(own) == 4
    assert all(path.exists() for path in own)
