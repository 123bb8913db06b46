from __future__ import annotations

from pathlib import Path

import pytest

from pneumocascade.datasets.films import (
    LabelledFilm,
    Split,
    count_by_category,
    data_set_of,
    find_films,
    find_training_films,
    fingerprint,
    patient_of,
)
from pneumocascade.errors import DataSetError


def lay_out(root: Path, *names: str) -> None:
    """Write a file with its own name as content for each name."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("person12_bacteria_34", "person12"),
        ("person12_virus_7", "person12"),
        ("person1946_bacteria_4874", "person1946"),
        ("IM-0115-0001", "IM-0115"),
        ("IM-0115-0001-0002", "IM-0115"),
        ("NORMAL2-IM-1427-0001", "NORMAL2-IM-1427"),
        ("NORMAL-IM-0001-0001", "NORMAL-IM-0001"),
        ("someone else's film", "someone else's film"),
        ("person", "person"),
    ],
)
def test_the_name_tells_the_patient(name: str, patient: str) -> None:
    assert patient_of(name) == patient


def test_folder_and_name_tell_the_labels(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        "NORMAL/IM-0001-0001.jpeg",
        "PNEUMONIA/person2_virus_3.png",
        "PNEUMONIA/person1_bacteria_2.jpeg",
        "PNEUMONIA/person3_7.jpeg",
    )
    films = find_films(tmp_path)
    assert [(film.name, film.finding, film.aetiology, film.patient, film.category) for film in films] == [
        ("IM-0001-0001", "normal", None, "IM-0001", "normal"),
        ("person1_bacteria_2", "pneumonia", "bacterial", "person1", "bacterial"),
        ("person2_virus_3", "pneumonia", "viral", "person2", "viral"),
        ("person3_7", "pneumonia", None, "person3", "pneumonia"),
    ]
    assert films[0].path == tmp_path / "NORMAL/IM-0001-0001.jpeg"


def test_the_aetiology_is_never_read_from_a_normal_film(tmp_path: Path) -> None:
    lay_out(tmp_path, "NORMAL/no_virus.png")
    assert find_films(tmp_path)[0].aetiology is None


def test_names_may_be_in_capitals_and_other_files_are_passed_over(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        "PNEUMONIA/PERSON1_VIRUS_1.JPEG",
        "PNEUMONIA/notes.txt",
        "PNEUMONIA/.DS_Store",
        "elsewhere/IM-0001-0001.jpeg",
    )
    films = find_films(tmp_path)
    assert [(film.name, film.aetiology) for film in films] == [("PERSON1_VIRUS_1", "viral")]


def test_splits_are_taken_together(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        "train/NORMAL/IM-0001-0001.jpeg",
        "val/NORMAL/IM-0002-0001.jpeg",
        "test/PNEUMONIA/person1_virus_1.jpeg",
        "NORMAL/IM-0009-0001.jpeg",
    )
    films = find_films(tmp_path)
    # A folder with splits is read by its splits alone.
    assert [film.name for film in films] == ["IM-0001-0001", "IM-0002-0001", "person1_virus_1"]
    assert [film.name for film in find_films(tmp_path / "val")] == ["IM-0002-0001"]


def test_the_test_split_is_not_for_training(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        "train/NORMAL/IM-0001-0001.jpeg",
        "val/NORMAL/IM-0002-0001.jpeg",
        "test/NORMAL/IM-0001-0001.jpeg",
    )
    assert [film.path.parts[-3] for film in find_training_films(tmp_path)] == ["train", "val"]
    assert len(find_training_films(tmp_path / "test")) == 1, "unless it is given by itself"


@pytest.mark.parametrize("other", ["PNEUMONIA/0000.png", "NORMAL/0000.jpeg"])
def test_two_training_films_of_one_name_are_refused(tmp_path: Path, other: str) -> None:
    lay_out(tmp_path, "NORMAL/0000.png", other, "NORMAL/0001.png")
    with pytest.raises(DataSetError, match=r"1 names stand for more than one film, such as .*0000"):
        find_training_films(tmp_path)


@pytest.mark.parametrize(
    ("train", "validation"),
    [
        (["person1_virus_1", "IM-0001-0001"], ["IM-0001-0001"]),
        (["person1_virus_1", "IM-0001-0001"], ["person1_bacteria_2"]),
    ],
)
def test_a_split_with_a_patient_on_both_sides_is_refused(
    tmp_path: Path, train: list[str], validation: list[str]
) -> None:
    path = tmp_path / "split.json"
    Split(frozenset(train), frozenset(validation)).save(path)
    with pytest.raises(DataSetError, match="1 patients stand on both sides"):
        Split.load(path)


def test_splits_are_told_apart_by_their_digest(tmp_path: Path) -> None:
    split = Split(frozenset({"IM-0001-0001", "IM-0003-0001"}), frozenset({"IM-0002-0001"}))
    split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json").digest == split.digest
    assert Split(split.validation, split.train).digest != split.digest


@pytest.mark.parametrize("name", ["readme.txt", "NORMAL/readme.txt", "normal films/IM-0001-0001.jpeg"])
def test_a_folder_without_films_is_refused(name: str, tmp_path: Path) -> None:
    lay_out(tmp_path, name)
    with pytest.raises(DataSetError, match=r"expected NORMAL/ and PNEUMONIA/"):
        find_films(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match="no films in"):
        find_films(tmp_path / "nowhere")


def test_the_fingerprint_is_of_names_classes_and_contents(tmp_path: Path) -> None:
    lay_out(tmp_path / "a", "NORMAL/IM-0001-0001.jpeg", "PNEUMONIA/person1_virus_1.jpeg")
    films = find_films(tmp_path / "a")
    before = fingerprint(films)
    assert len(before) == 64
    assert fingerprint(reversed(films)) == before
    # Neither the folder above nor the suffix matters.
    lay_out(tmp_path / "b", "NORMAL/IM-0001-0001.jpeg", "PNEUMONIA/person1_virus_1.jpeg")
    assert fingerprint(find_films(tmp_path / "b")) == before

    assert fingerprint(films[:1]) != before
    first = films[0]
    assert (
        fingerprint([LabelledFilm(first.path, "IM-0002-0001", "normal", None, "IM-0002"), films[1]]) != before
    )
    assert (
        fingerprint([LabelledFilm(first.path, first.name, "pneumonia", None, first.patient), films[1]])
        != before
    )
    first.path.write_text("another picture", encoding="utf-8")
    assert fingerprint(films) != before


def test_films_are_counted_by_category(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        "PNEUMONIA/person1_virus_1.jpeg",
        "PNEUMONIA/person1_virus_2.jpeg",
        "PNEUMONIA/person9.jpeg",
        "NORMAL/IM-0001-0001.jpeg",
    )
    counted = count_by_category(find_films(tmp_path))
    assert list(counted.items()) == [("normal", 1), ("pneumonia", 1), ("viral", 2)]
    assert count_by_category([]) == {}


@pytest.mark.parametrize(
    "path", ["large/train/NORMAL/a.png", "large/NORMAL/a.png", "x/large/test/PNEUMONIA/b.jpeg"]
)
def test_a_film_tells_its_data_set(path: str) -> None:
    assert data_set_of(Path(path)) == "large"


@pytest.mark.parametrize("folder", ["kermany224", "kermany-512", "kermany-original", "other-films/nih"])
def test_films_of_the_published_layout_and_their_order_stay(data: Path, folder: str) -> None:
    """Splits and fingerprints that were kept hold only as long as these are the same."""
    train = data / folder / "train"
    top = train if train.is_dir() else data / folder
    expected = [path for kind in ("NORMAL", "PNEUMONIA") for path in sorted((top / kind).glob("*"))]
    found = find_training_films(data / folder)
    assert [(film.path, film.name) for film in found] == [(path, path.stem) for path in expected]
    assert {film.data_set for film in found} == {Path(folder).name}
