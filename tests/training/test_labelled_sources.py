"""Training from files of labels, with the patients that they name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pneumocascade.datasets.films import LabelOptions, Split
from pneumocascade.errors import DataSetError
from pneumocascade.model.spec import ModelSpec
from pneumocascade.training import duplicates
from pneumocascade.training.config import TrainingConfig
from pneumocascade.training.cross_fitting import run_clean
from pneumocascade.training.data import samples_of
from pneumocascade.training.export import sides_of
from pneumocascade.training.network import build_network
from pneumocascade.training.run import train
from pneumocascade.training.sources import Sources, load_sources, training_films
from tests.conftest import draw_chest
from tests.datasets.layouts import write_dicom, write_film
from tests.tiny_models import write_tiny_models

CONFIG = TrainingConfig(1, schedule=((32, 1),), batch_size=4, workers=0)


@pytest.fixture(autouse=True)
def _all_films_stay(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Phantoms are all alike: let none be dropped as a near duplicate."""
    monkeypatch.setattr(duplicates, "NEAR_BITS", -1)
    yield


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    """Twelve patients with two films each, called alike; a film without a label."""
    rows = ["path,finding,patient"]
    for patient in range(12):
        for view in ("first", "second"):
            name = f"part{patient % 2}/case{patient}/{view}.png"
            opacity = 0.8 * (patient < 6)
            write_film(tmp_path / "films" / name, draw_chest(100 * patient + len(view), 112, 112, opacity))
            rows.append(f"{name},{int(opacity > 0)},{patient}")
    write_film(tmp_path / "films" / "extra.png", draw_chest(5, 112, 112))
    (tmp_path / "films" / "labels.csv").write_text("\n".join(rows))
    weights = tmp_path / "weights.safetensors"
    save_file({"conv1.weight": torch.zeros(64, 3, 7, 7)}, weights)
    return Sources(tmp_path / "films", str(weights), labels=LabelOptions(tmp_path / "films" / "labels.csv"))


def test_patients_of_the_file_decide_on_a_split(sources: Sources, tmp_path: Path) -> None:
    films = training_films(sources)
    given = replace(sources, split=tmp_path / "split.json")
    first, *others = [film.name for film in films]
    Split(frozenset({first}), frozenset(others)).save(tmp_path / "split.json")
    with pytest.raises(DataSetError, match=r"1 patients stand on both sides, such as 0;"):
        train(given, CONFIG, tmp_path / "run")


def test_held_out_films_are_of_the_patients_that_the_file_says(sources: Sources, tmp_path: Path) -> None:
    films = training_films(sources)
    names = frozenset(film.name for film in films)
    held = frozenset(film.name for film in films if film.patient == "0")
    Split(held, names - held).save(tmp_path / "split.json")
    given = replace(sources, split=tmp_path / "split.json", hold_out=(sources.labels.labels or Path(),))
    with pytest.raises(DataSetError, match="held-out patients on the training side, such as 0;"):
        train(given, CONFIG, tmp_path / "run")


def test_patients_from_elsewhere_are_others(sources: Sources, tmp_path: Path) -> None:
    write_film(tmp_path / "adults" / "scan.png", draw_chest(1, 112, 112))
    (tmp_path / "adults" / "labels.csv").write_text("path,finding,patient\nscan.png,normal,0\ngone.png,1,2\n")
    found = load_sources(replace(sources, elsewhere=(tmp_path / "adults" / "labels.csv",)))
    (film,) = (film for film in found.films if film.domain)
    assert (film.domain, film.patient, film.data_set) == ("adults", "adults: 0", "adults")
    assert found.left_out.to_dict()["by_reason"] == {"missing_file": 1, "no_label": 1}


def test_patients_of_the_same_id_are_the_same_wherever_their_films_lie(tmp_path: Path) -> None:
    for name, patient in (("main/NORMAL/a", "1"), ("adults/NORMAL/b", "1"), ("adults/NORMAL/c", "2")):
        write_dicom(tmp_path / f"{name}.dcm", patient, issuer="hospital")
    films = load_sources(Sources(tmp_path / "main", "imagenet", elsewhere=(tmp_path / "adults",))).films
    first, same, other = films
    assert (first.domain, same.domain, other.domain) == ("", "adults", "adults")
    assert first.patient == same.patient != other.patient


def test_a_small_further_source_needs_patients_to_validate_on(sources: Sources, tmp_path: Path) -> None:
    rows = ["path,finding,patient"]
    for number in range(8):
        film = draw_chest(number, 112, 112, 0.8 * (number % 2))
        write_film(tmp_path / "adults" / f"scan{number}.png", film)
        rows.append(f"scan{number}.png,{number % 2},adult{number}")
    (tmp_path / "adults" / "labels.csv").write_text("\n".join(rows))
    given = replace(sources, elsewhere=(tmp_path / "adults" / "labels.csv",), split=tmp_path / "split.json")
    films = training_films(given)
    held = {film.name for film in films if film.patient in {"0", "1", "7", "8", "adult0", "adult1", "adult2"}}
    Split(frozenset(film.name for film in films) - held, frozenset(held)).save(tmp_path / "split.json")
    with pytest.raises(DataSetError, match=r"pneumonia films of 1 patients to validate on in adults"):
        train(given, CONFIG, tmp_path / "run")


def test_films_of_a_data_set_are_one_rendering_wherever_they_lie(sources: Sources, tmp_path: Path) -> None:
    films = training_films(sources)[:4]
    (tmp_path / "tiny").mkdir()
    models = write_tiny_models(tmp_path / "tiny")
    spec = ModelSpec(1, ("normal", "pneumonia"))
    samples = samples_of(films, frozenset(film.name for film in films), spec, {})
    assert run_clean(models / "stage1.onnx", samples).renderings.tolist() == ["films"] * 4


@pytest.mark.slow
def test_a_run_says_where_its_labels_and_patients_are_from(sources: Sources, tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = {
        name: value.contiguous()
        for name, value in build_network(stride_in_1x1=True).state_dict().items()
        if not name.startswith(("layer4", "fc"))
    }
    save_file(state, tmp_path / "backbone.safetensors", {"stride": "in the first 1x1 convolution"})
    given = replace(sources, backbone_weights=str(tmp_path / "backbone.safetensors"))
    given = replace(given, labels=replace(given.labels, columns=("finding=finding",)))
    folder = train(given, replace(CONFIG, validation_share=0.34), tmp_path / "run")
    run = json.loads((folder / "run.json").read_text())
    assert run["sources"]["labels"] == str((sources.data / "labels.csv").resolve())
    assert run["sources"]["label_columns"] == ["finding=finding"]
    assert run["patients_from"] == {"labels": 24}
    assert run["left_out"] == {"n": 1, "by_reason": {"no_label": 1}, "first": {"no_label": ["extra.png"]}}
    learnt, held_out = sides_of(folder, run["sources"], ModelSpec.from_json(json.dumps(run["spec"])), print)
    patients = [{sample.film.patient for sample in side} for side in (learnt, held_out)]
    assert not patients[0] & patients[1]
    assert len(patients[0] | patients[1]) == 12
