from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pneumocascade.datasets.films import LabelledFilm
from pneumocascade.training.balance import BLOCKS, balanced, groups_of
from pneumocascade.training.data import Sample


def sample(number: int, label: int, domain: str = "", copy: int = 0) -> Sample:
    patient = f"{domain}{('IM-', 'person')[label]}{number}"
    name = f"{patient}_{copy}"
    film = LabelledFilm(Path(name), name, ("normal", "pneumonia")[label], None, patient)
    return Sample(replace(film, domain=domain), label, (Path(name),))


@pytest.fixture
def samples() -> list[Sample]:
    """70 normal films and 170 of pneumonia, the latter mostly of the last numbers; 30 from elsewhere."""
    films = [sample(number, 0) for number in range(70)]
    films += [sample(number, 1) for number in range(150)]
    films += [sample(149, 1, copy=copy) for copy in range(1, 21)]  # one patient with many films
    return films + [sample(number, int(number < 20), "nih") for number in range(30)]


def test_groups_are_equally_frequent_and_domains_keep_their_share(samples: list[Sample]) -> None:
    drawn = balanced(samples, np.random.default_rng(0))
    assert len(drawn) == len(samples)
    assert Counter(each.film.domain for each in drawn) == Counter(each.film.domain for each in samples)
    of_class = Counter((each.film.domain, each.label) for each in drawn)
    assert of_class == {("", 0): 120, ("", 1): 120, ("nih", 0): 15, ("nih", 1): 15}
    log_odds = {each.film.domain: each.log_odds for each in drawn}
    assert log_odds == pytest.approx({"": np.log(170 / 70), "nih": np.log(2)})
    assert all(each.log_odds == log_odds[each.film.domain] for each in drawn)


def test_blocks_of_a_class_are_equally_frequent(samples: list[Sample]) -> None:
    group = dict(zip((each.film.name for each in samples), groups_of(samples), strict=True))
    drawn = Counter(group[each.film.name] for each in balanced(samples, np.random.default_rng(0)))
    own = {key: count for key, count in drawn.items() if not key[0]}
    assert len(own) == 2 * BLOCKS
    assert set(own.values()) == {20}


def test_no_film_is_drawn_again_before_all_of_its_group_are(samples: list[Sample]) -> None:
    group = dict(zip((each.film.name for each in samples), groups_of(samples), strict=True))
    times = Counter(each.film.name for each in balanced(samples, np.random.default_rng(3)))
    for each in set(group.values()):
        own = [times[name] for name, its in group.items() if its == each]
        assert max(own) - min(own) <= 1


def test_seed_decides(samples: list[Sample]) -> None:
    def names(seed: int) -> list[str]:
        return [each.film.name for each in balanced(samples, np.random.default_rng(seed))]

    assert names(1) == names(1) != names(2)


def test_classes_are_equally_frequent_whatever_blocks_they_have() -> None:
    films = [sample(number, 0) for number in range(BLOCKS - 2)] + [sample(number, 1) for number in range(20)]
    assert Counter(each.label for each in balanced(films, np.random.default_rng(0))) == {0: 12, 1: 12}


def test_entries_of_a_film_count_each() -> None:
    films = [sample(number, number % 2, "nih") for number in range(20)]
    drawn = Counter(each.film.name for each in balanced(films * 2, np.random.default_rng(0)))
    assert set(drawn.values()) == {2}


def test_no_film_of_patients_without_numbers_is_drawn_many_times() -> None:
    rng = np.random.default_rng(0)
    names = [rng.bytes(6).hex() for _ in range(400)]
    films = [
        Sample(LabelledFilm(Path(name), name, "normal", None, name), index % 2, (Path(name),))
        for index, name in enumerate(names)
    ]
    drawn = Counter(each.film.name for each in balanced(films, np.random.default_rng(0)))
    assert max(drawn.values()) <= 2
