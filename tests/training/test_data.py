from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pneumocascade import Radiograph, read_radiograph
from pneumocascade.datasets.films import find_films
from pneumocascade.datasets.perturbations import Grey
from pneumocascade.model.spec import ModelSpec, for_recipe
from pneumocascade.training import data
from pneumocascade.training.data import (
    FilmDataset,
    Sample,
    grey_pixels,
    loader_of_all,
    renderings_by_name,
    samples_of,
)
from tests.conftest import draw_chest

SPEC = for_recipe(1, "clahe-hot", input_size=64)


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """Two normal and six pneumonia films."""
    names = ["NORMAL/IM-0001-0001", "NORMAL/IM-0002-0001"]
    names += [f"PNEUMONIA/person{n}_{kind}_{n}" for n in (1, 2, 3) for kind in ("bacteria", "virus")]
    for seed, name in enumerate(names):
        path = tmp_path / "train" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_chest(seed, 120, 130)).save(path)
    films = find_films(tmp_path)
    return samples_of(films, frozenset(film.name for film in films), SPEC, {})


def test_stage_two_sees_pneumonia_only(samples: list[Sample]) -> None:
    films = [sample.film for sample in samples]
    second = samples_of(
        films, frozenset(film.name for film in films), ModelSpec(2, ("bacterial", "viral")), {}
    )
    assert sorted(sample.label for sample in second) == [0, 0, 0, 1, 1, 1]


def test_equal_names_in_both_classes_keep_label_and_renderings_apart(tmp_path: Path) -> None:
    for seed, finding in enumerate(("NORMAL", "PNEUMONIA")):
        (tmp_path / finding).mkdir()
        Image.fromarray(draw_chest(seed, 60, 60)).save(tmp_path / finding / "0000.png")
    films = find_films(tmp_path)
    samples = samples_of(films, frozenset({"0000"}), SPEC, renderings_by_name([tmp_path]))
    for sample, finding in zip(samples, ("normal", "pneumonia"), strict=True):
        assert SPEC.labels[sample.label] == finding
        assert {path.parent.name.lower() for path in sample.renderings} == {finding}


def test_unreadable_renderings_are_left_out_by_name(samples: list[Sample]) -> None:
    root = samples[0].film.path.parents[2]
    damaged = root / "train" / "NORMAL" / "IM-0009-0001.png"
    damaged.write_bytes(samples[0].film.path.read_bytes()[:99])
    said: list[str] = []
    renderings = renderings_by_name([root], said.append)
    assert set(renderings) == {(sample.film.finding, sample.film.name) for sample in samples}
    assert len(said) == 1
    assert str(damaged) in said[0]


def test_an_epoch_can_be_repeated_and_the_next_one_differs(samples: list[Sample]) -> None:
    first, again, other = (
        FilmDataset(samples, SPEC, size=64, seed=1, epoch=epoch)[0][0] for epoch in (0, 0, 1)
    )
    assert first.shape == (3, 64, 64)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_films_are_validated_as_they_are(samples: list[Sample]) -> None:
    plain = FilmDataset(samples, SPEC, size=64, seed=None)
    assert torch.equal(plain[3][0], FilmDataset(samples, SPEC, size=64, seed=None, epoch=5)[3][0])


def test_every_rendering_is_learnt_from_and_the_first_validated_on(
    samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def watch(path: Path) -> Radiograph:
        read.append(path)
        return read_radiograph(path)

    monkeypatch.setattr("pneumocascade.training.data.read_radiograph", watch)
    paths = (samples[0].film.path, samples[1].film.path)
    sample = replace(samples[0], renderings=paths)
    for epoch in range(12):
        FilmDataset([sample], SPEC, size=64, seed=1, epoch=epoch)[0]
    assert set(read) == set(paths)
    read.clear()
    FilmDataset([sample], SPEC, size=64, seed=None)[0]
    assert read == [paths[0]]


@pytest.fixture
def given(samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], dict[str, Any]]:
    """Return by source the class and source of 50 donors of each kind; every other film is of NIH."""

    def collect(detail: bool) -> dict[str, Any]:
        films = [
            replace(sample, film=replace(sample.film, domain="nih" if number % 2 else ""))
            for number, sample in enumerate(samples)
        ]
        names = {grey_pixels(each.film.path).tobytes(): (each.label, each.film.domain) for each in films}
        found: dict[str, Any] = {}

        def augment(film: Grey, _: np.random.Generator, *donors: Callable[[], Grey] | None) -> Grey:
            found["latest"] = [
                donor and Counter(names[donor().tobytes()] for _ in range(50)) for donor in donors
            ]
            return film

        monkeypatch.setattr(data, "augment", augment)
        dataset = FilmDataset(films, SPEC, size=64, seed=1, detail=detail)
        for index, sample in enumerate(films):
            dataset[index]
            found[sample.film.domain] = found["latest"]
        return found

    return collect


def test_donors_are_of_either_class_alike_and_of_any_source(given: Callable[[bool], dict[str, Any]]) -> None:
    for donors, of_detail in given(False).values():
        normal = sum(count for (label, _), count in donors.items() if label == 0)
        assert 15 < normal < 35, "though three in four films are of pneumonia"
        assert {domain for _, domain in donors} == {"", "nih"}
        assert of_detail is None


def test_detail_is_taken_among_films_of_the_main_source_alone(
    given: Callable[[bool], dict[str, Any]],
) -> None:
    found = given(True)
    assert {domain for _, domain in found[""][1]} == {""}
    assert {label for label, _ in found[""][1]} == {0, 1}
    assert found["nih"][1] is None


def test_what_is_learnt_is_the_label_smoothed_and_half_the_teachers(samples: list[Sample]) -> None:
    negative, positive = samples[0], samples[-1]
    assert (negative.label, positive.label) == (0, 1)
    assert positive.target(0.0) == 1.0
    assert positive.target(0.1) == pytest.approx(0.95)
    assert negative.target(0.1) == pytest.approx(0.05)
    assert replace(positive, soft=0.4).target(0.0) == pytest.approx(0.7)
    assert replace(negative, soft=0.4).target(0.1) == pytest.approx(0.9 * 0.2 + 0.05)
    # Where three in four films are positive and half of those that are drawn, odds of 3 are even ones.
    drawn = replace(negative, soft=0.75, log_odds=math.log(3))
    assert drawn.target(0.0) == pytest.approx(0.25)
    assert replace(drawn, soft=0.0).target(0.0) == 0.0
    assert replace(drawn, label=1, soft=1.0).target(0.0) == 1.0


def test_teachers_are_asked_by_name(samples: list[Sample]) -> None:
    films = [sample.film for sample in samples]
    names = frozenset(film.name for film in films)
    taught = samples_of(films, names, SPEC, {}, {films[0].name: 0.25})
    assert [sample.soft for sample in taught] == [0.25] + [None] * (len(films) - 1)


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"), [(5, 2, {2, 3}), (7, 3, {3, 4}), (3, 8, {3}), (6, 3, {3})]
)
def test_all_films_come_in_batches_alike(
    count: int, batch_size: int, sizes: set[int], samples: list[Sample]
) -> None:
    dataset = FilmDataset(samples[:count], SPEC, size=32, seed=None)
    batches = [len(targets) for _, targets, _ in loader_of_all(dataset, batch_size, workers=0)]
    assert sum(batches) == count
    assert set(batches) == sizes
