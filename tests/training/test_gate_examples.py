"""Frontal films of the examples are changed as in training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pneumocascade.datasets.films import find_films
from pneumocascade.datasets.perturbations import Grey
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.training import gate_examples
from pneumocascade.training.data import Sample
from tests.training.conftest import write_films


def test_films_of_further_sources_take_nothing_from_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_films(tmp_path, 6)
    films = find_films(tmp_path)
    domains = ["nih" if number % 2 else "" for number in range(len(films))]
    samples = [
        Sample(replace(film, domain=domain), 0, (film.path,))
        for film, domain in zip(films, domains, strict=True)
    ]
    donors: list[bool] = []
    main = [
        read_radiograph(film.path).pixels for film, domain in zip(films, domains, strict=True) if not domain
    ]

    def augment(film: Grey, _: np.random.Generator, donor: Callable[[], Grey] | None) -> Grey:
        donors.append(donor is not None)
        assert donor is None or any(np.array_equal(donor(), pixels) for pixels in main)
        return film

    monkeypatch.setattr(gate_examples, "augment", augment)
    examples = [
        example
        for example in gate_examples.film_pictures(samples, len(samples), seed=1)
        if example.sort == "changed"
    ]
    assert {example.domain for example in examples} == {"", "nih"}
    assert donors == [not example.domain for example in examples]
