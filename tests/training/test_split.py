from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pneumocascade.datasets.films import LabelledFilm, Split, find_films
from pneumocascade.errors import DataSetError
from pneumocascade.training.split import block_folds, number_blocks, split_films


def many_films(seed: int = 0) -> list[LabelledFilm]:
    rng = np.random.default_rng(seed)
    films = []
    for patient in range(300):
        finding, aetiology = [("normal", None), ("pneumonia", "bacterial"), ("pneumonia", "viral")][
            patient % 3
        ]
        for index in range(int(rng.integers(1, 5))):
            name = f"person{patient}_{aetiology}_{index}"
            films.append(LabelledFilm(Path(name), name, finding, aetiology, f"person{patient}"))
    return films


@pytest.mark.parametrize("seed", range(5))
def test_patients_stay_together_and_classes_balanced(seed: int) -> None:
    films = many_films(seed)
    split = split_films(films, validation_share=0.2, seed=seed)
    assert not split.train & split.validation
    assert split.train | split.validation == {film.name for film in films}
    sides = {film.patient: set() for film in films}  # type: dict[str, set[bool]]
    for film in films:
        sides[film.patient].add(film.name in split.validation)
    assert all(len(side) == 1 for side in sides.values())
    assert len(split.validation) / len(films) == pytest.approx(0.2, abs=0.03)
    whole = Counter(film.category for film in films)
    held = Counter(film.category for film in films if film.name in split.validation)
    for category, count in whole.items():
        assert held[category] / count == pytest.approx(0.2, abs=0.05)


def test_held_out_patients_are_in_validation() -> None:
    films = many_films()
    patients = {f"person{number}" for number in range(20)}
    split = split_films(films, validation_share=0.2, seed=1, hold_out=patients)
    assert all(film.name in split.validation for film in films if film.patient in patients)
    assert len(split.validation) / len(films) == pytest.approx(0.2, abs=0.04)


def test_seed_decides() -> None:
    films = many_films()
    first, again, other = (split_films(films, validation_share=0.2, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_saved_and_loaded(tmp_path: Path, films_folder: Path) -> None:
    split = split_films(find_films(films_folder), validation_share=0.25, seed=0)
    split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == split


def test_too_large_a_hold_out_is_an_error() -> None:
    films = many_films()
    with pytest.raises(DataSetError, match="held-out"):
        split_films(films, validation_share=0.1, seed=0, hold_out={film.patient for film in films})


def test_too_few_films_are_an_error() -> None:
    one_each = [film for film in many_films() if film.name.endswith("_0")]
    with pytest.raises(DataSetError, match="2 films of the largest class are too few"):
        split_films(one_each[:6], validation_share=0.2, seed=0)
    of_one = [replace(film, patient="person0") for film in one_each[:6]]
    with pytest.raises(DataSetError, match="1 patients are too few"):
        split_films(of_one, validation_share=0.2, seed=0)


def test_not_a_split_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "split.json").write_text("[]")
    with pytest.raises(DataSetError, match="not a saved split"):
        Split.load(tmp_path / "split.json")


def series(
    prefix: str, finding: str, aetiology: str | None, numbers: range, each: int = 2
) -> list[LabelledFilm]:
    return [
        LabelledFilm(Path(f"{prefix}{n}_{i}"), f"{prefix}{n}_{i}", finding, aetiology, f"{prefix}{n}")
        for n in numbers
        for i in range(each)
    ]


def test_folds_are_blocks_of_neighbouring_numbers_of_every_series() -> None:
    films = (
        series("IM-", "normal", None, range(100, 190))
        + series("NORMAL2-IM-", "normal", None, range(1000, 1060), each=1)
        + series("person", "pneumonia", "bacterial", range(1, 61))
        + series("person", "pneumonia", "viral", range(1001, 1031))
    )
    folds = block_folds(films, 3)
    everything = {film.name for film in films}
    assert frozenset().union(*(fold.validation for fold in folds)) == everything
    assert sum(len(fold.validation) for fold in folds) == len(films)
    for prefix, numbers in (
        ("IM-", range(100, 190)),
        ("NORMAL2-IM-", range(1000, 1060)),
        ("person", range(1, 61)),
        ("person", range(1001, 1031)),
    ):
        first = [n for n in numbers if f"{prefix}{n}_0" in folds[0].validation]
        last = [n for n in numbers if f"{prefix}{n}_0" in folds[2].validation]
        third = len(numbers) // 3
        assert first == list(numbers[:third])
        assert last == list(numbers[-third:])
    for fold in folds:
        assert fold.train == everything - fold.validation
        patients = [{name.rsplit("_", 1)[0] for name in side} for side in (fold.train, fold.validation)]
        assert not patients[0] & patients[1]


def test_a_series_of_too_few_patients_is_an_error() -> None:
    films = series("IM-", "normal", None, range(9)) + series("person", "pneumonia", "viral", range(2))
    with pytest.raises(DataSetError, match="2 viral patients of the series 'person' are too few for 3 folds"):
        block_folds(films, 3)


def test_patients_without_numbers_are_one_series() -> None:
    films = [LabelledFilm(Path(n), n, "normal", None, n) for n in ("anna", "ben", "carl", "dora")]
    folds = block_folds(films, 2)
    assert [sorted(fold.validation) for fold in folds] == [["anna", "ben"], ["carl", "dora"]]


def test_blocks_are_of_neighbouring_numbers_and_of_about_as_many_films() -> None:
    films = many_films()
    block = number_blocks(films, 5)
    assert block.keys() == {film.name for film in films}
    for category in ("normal", "bacterial", "viral"):
        own = [film for film in films if film.category == category]
        in_order = [block[film.name] for film in sorted(own, key=lambda film: int(film.patient[6:]))]
        assert in_order == sorted(in_order)
        counts = Counter(in_order)
        assert counts.keys() == set(range(5))
        assert all(abs(count - len(own) / 5) < 4 for count in counts.values()), "a patient has four at most"


def test_series_of_few_patients_are_cut_as_one() -> None:
    names = [f"{letter}{number}" for letter in "abcdefgh" for number in range(3)]
    films = [LabelledFilm(Path(name), name, "normal", None, name) for name in names]
    block = number_blocks(films, 6)
    assert Counter(block.values()) == dict.fromkeys(range(6), 4)
    assert [block[name] for name in names] == sorted(block.values())
