from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Literal

import pytest

from pneumocascade.datasets.films import LabelOptions, Split, find_films, load_films, load_training_films
from pneumocascade.errors import DataSetError, UsageError
from tests.datasets.layouts import write_dicom, write_film
from tests.imaging.film_files import make_closed


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def categories(root: Path, options: LabelOptions = LabelOptions()) -> dict[str, str]:  # noqa: B008
    return {film.name: film.category for film in load_films(root, options).films}


# Folders


def test_class_folders_count_at_any_depth_and_in_any_case(tmp_path: Path) -> None:
    for name in (
        "hospital/normal/a.png",
        "hospital/Pneumonia/BACTERIAL/b.png",
        "PNEUMONIA/virus/c.png",
        "Viral_Pneumonia/d.png",
        "bacteria/e.png",
        "PNEUMONIA/f.png",
        "No_Finding/g.png",
        "normal/patient1/film.png",
        "normal/patient2/film.png",
    ):
        write_film(tmp_path / name)
    assert categories(tmp_path) == {
        "a": "normal",
        "b": "bacterial",
        "c": "viral",
        "d": "viral",
        "e": "bacterial",
        "f": "pneumonia",
        "g": "normal",
        "patient1/film": "normal",
        "patient2/film": "normal",
    }
    assert {film.data_set for film in find_films(tmp_path)} == {tmp_path.name, "hospital"}
    assert len(load_training_films(tmp_path).films) == 9


def test_folders_of_splits_have_many_names(tmp_path: Path) -> None:
    for name in ("Training/NORMAL/a.png", "Valid/NORMAL/b.png", "TEST/NORMAL/c.png"):
        write_film(tmp_path / name)
    assert list(categories(tmp_path)) == ["a", "b", "c"]
    assert [film.name for film in load_training_films(tmp_path).films] == ["a", "b"]
    write_film(tmp_path / "other" / "test" / "NORMAL" / "d.png")
    with pytest.raises(DataSetError, match=r"no films in .*other: expected .*lies below a split"):
        load_training_films(tmp_path / "other")


def test_films_are_found_by_content(tmp_path: Path) -> None:
    write_dicom(tmp_path / "NORMAL" / "1.2.840.10", "A")
    write_dicom(tmp_path / "NORMAL" / "1.2.840.11", "B")
    write_film(tmp_path / "x.png").rename(tmp_path / "NORMAL" / "picture.bin")
    write(tmp_path / "NORMAL" / "notes.txt", "seen")
    found = load_films(tmp_path)
    assert [film.name for film in found.films] == ["1.2.840.10", "1.2.840.11", "picture.bin"]
    assert found.left_out.first == {"not_a_film": ["NORMAL/notes.txt"]}


def test_what_is_left_out_is_counted_by_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "train/NORMAL/a.png",
        "train/NORMAL/VIRAL/b.png",
        "train/unknown/c.png",
        "NORMAL/d.png",
        "test/NORMAL/e.png",
    ):
        write_film(tmp_path / name)
    for number in range(7):
        write(tmp_path / "train" / f"{number}.txt", "")
    make_closed(tmp_path / "train" / "closed", monkeypatch)
    found = load_training_films(tmp_path)
    assert [film.name for film in found.films] == ["a"]
    assert found.left_out.to_dict() == {
        "n": 12,
        "by_reason": {
            "unopened": 1,
            "contradictory_label": 1,
            "no_label": 1,
            "other_split": 1,
            "outside_splits": 1,
            "not_a_film": 7,
        },
        "first": {
            "unopened": ["train/closed"],
            "contradictory_label": ["train/NORMAL/VIRAL/b.png"],
            "no_label": ["train/unknown/c.png"],
            "other_split": ["test/NORMAL/e.png"],
            "outside_splits": ["NORMAL/d.png"],
            "not_a_film": [f"train/{number}.txt" for number in range(5)],
        },
    }
    assert found.left_out.incomplete
    assert "7 files are no films: " in found.left_out.lines()[-1]
    assert found.left_out.lines()[-1].endswith("train/4.txt and 2 more")


def test_links_to_classes_and_splits_are_followed(tmp_path: Path) -> None:
    for name in ("store/films/a.png", "store/ill/BACTERIAL/b.png", "data/NORMAL/c.png"):
        write_film(tmp_path / name)
    data = tmp_path / "data"
    (data / "PNEUMONIA").symlink_to(tmp_path / "store" / "ill")
    (data / "latest").symlink_to(tmp_path / "store" / "films")
    (data / "NORMAL" / "VIRAL").symlink_to(data)
    (tmp_path / "link").symlink_to(data)
    for root in (data, tmp_path / "link"):
        found = load_films(root)
        assert [film.path.relative_to(root).as_posix() for film in found.films] == [
            "NORMAL/c.png",
            "PNEUMONIA/BACTERIAL/b.png",
        ]
        assert found.left_out.first == {"linked_folder": ["NORMAL/VIRAL", "latest"]}


def test_a_relative_folder_gives_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_film(tmp_path / "set" / "train" / "NORMAL" / "a.png")
    write(tmp_path / "set" / "train" / "labels.csv", "path,finding\nNORMAL/a.png,normal\n")
    monkeypatch.chdir(tmp_path / "set" / "train")
    by_folder, by_file = load_films("."), load_films(Path("labels.csv"))
    for found in (by_folder, by_file):
        assert [film.path for film in found.films] == [Path("NORMAL/a.png")]
    assert by_folder.films[0].data_set == "set"
    assert by_file.left_out.counts.total() == 0, "the file itself is not left out"


# Files of labels


def test_a_file_of_labels_as_it_is_documented(tmp_path: Path) -> None:
    for name in "abcde":
        write_film(tmp_path / "films" / f"{name}.png")
    write(
        tmp_path / "labels.csv",
        "path,finding,aetiology,patient\n"
        "films/a.png,normal,,p1\n"
        "films/b.png,pneumonia,viral,p1\n"
        "films/c.png,Pneumonia,BACTERIA,p2\n"
        "films/d.png,,virus,\n"
        "films/e.png,pneumonia,fungal,p3\n",
    )
    found = load_films(None, LabelOptions(tmp_path / "labels.csv"))
    assert [(film.name, film.category, film.patient) for film in found.films] == [
        ("a", "normal", "p1"),
        ("b", "viral", "p1"),
        ("c", "bacterial", "p2"),
        ("d", "viral", "d"),
        ("e", "pneumonia", "p3"),
    ]
    assert found.patient_sources == {"labels": 4, "film": 1}
    assert found.left_out.to_dict()["first"] == {"other_aetiology": ["line 6: 'fungal'"]}
    assert "the patients of 1 of 5 films are guessed (1 as a patient each)" in found.lines()[-1]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfpath,finding\r\nfilms/a b.png,normal\r\nfilms/c.png,pneumonia\r\n",
        b"PATH;Finding\nfilms/a b.png;normal\nfilms/c.png;pneumonia",
        b'"path"\t"finding"\n"films/a b.png"\t"normal"\n\n"films/c.png"\t"pneumonia"\n\n',
        b"sep=;\r\npath;finding\r\nfilms\\a b.png;0\r\nfilms\\c.png;1\r\n",
        'path,finding,note\nfilms/a b.png,normal,"two\nlines, and a ü"\nfilms/c.png,1.0,\n'.encode(),
        "path,finding\nfilms/a b.png,normal\nfilms/c.png,pneumonia\n".encode("utf-16"),
        b"path,finding\nC:\\data\\set\\films\\a b.png,normal\nC:\\data\\set\\films\\C.PNG,pneumonia\n",
        b"path,finding\n./films/a b.png , No  finding \nfilms/c,Pneumonia|Effusion\n",
        b"path,finding\na b.jpeg,negative\nc.dcm,positive\n",
    ],
)
def test_files_as_people_have_them(content: bytes, tmp_path: Path) -> None:
    write_film(tmp_path / "films" / "a b.png")
    write_film(tmp_path / "films" / "c.png")
    found = load_films(write(tmp_path / "labels.csv", content))
    assert [(film.path.name, film.finding) for film in found.films] == [
        ("a b.png", "normal"),
        ("c.png", "pneumonia"),
    ]
    assert found.left_out.counts.total() == 0


@pytest.mark.parametrize(("there", "named"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_may_be_in_another_unicode_form(
    there: Literal["NFC", "NFD"], named: Literal["NFC", "NFD"], tmp_path: Path
) -> None:
    film, other = "Röntgen/Käthe.png", "Röntgen/Jürgen.png"
    for name in (film, other):
        write_film(tmp_path / "films" / unicodedata.normalize(there, name))
    content = f"path,finding\nfilms/{film},normal\nJÜRGEN.png,pneumonia\n"
    found = load_films(write(tmp_path / "labels.csv", unicodedata.normalize(named, content).encode()))
    assert [film.finding for film in found.films] == ["normal", "pneumonia"]
    moved = f"path,finding\ngone/Röntgen/Käthe.png,normal\ngone/{other},pneumonia\n"
    labels = write(tmp_path / "films" / "labels.csv", unicodedata.normalize(named, moved).encode())
    assert [film.finding for film in load_films(labels).films] == ["normal", "pneumonia"]


def test_rows_without_a_film_are_named_by_reason(tmp_path: Path) -> None:
    for name in ("a.png", "one/b.png", "two/b.png", "c.png", "d.png", "e.png", "extra.png"):
        write_film(tmp_path / name)
    labels = write(
        tmp_path / "labels.csv",
        "path,finding\na.png,normal\na.png,normal\ngone.png,pneumonia\nalso gone.png,\nb.png,normal\n"
        "c.png,pneumnia\nd.png,-1\ne.png,normal\ne.png,pneumonia\n",
    )
    found = load_films(labels)
    assert [film.name for film in found.films] == ["a"]
    assert found.left_out.first == {
        "repeated_row": ["line 3: a.png"],
        "missing_file": ["line 4: gone.png"],
        "no_label": ["line 5, column finding '': also gone.png", "extra.png", "one/b.png", "two/b.png"],
        "ambiguous_file": ["line 6: b.png"],
        "other_label": ["line 7, column finding 'pneumnia': c.png"],
        "uncertain_label": ["line 8, column finding '-1': d.png"],
        "contradictory_label": [
            "line 9, column finding 'normal' and line 10, column finding 'pneumonia': e.png"
        ],
    }
    assert found.left_out.incomplete


def test_what_a_file_has_no_column_for_is_said_by_folders_and_names(tmp_path: Path) -> None:
    for name in ("NORMAL/a.png", "PNEUMONIA/person1_virus_2.png"):
        write_film(tmp_path / name)
    patients = write(
        tmp_path / "labels.csv", "path,patient\nNORMAL/a.png,x\nPNEUMONIA/person1_virus_2.png,y\n"
    )
    assert categories(patients) == {"a": "normal", "person1_virus_2": "viral"}
    findings = write(tmp_path / "labels.csv", "path,finding\na.png,normal\nperson1_virus_2.png,pneumonia\n")
    assert categories(findings)["person1_virus_2"] == "viral"
    blank = write(
        tmp_path / "labels.csv", "path,finding,aetiology\na.png,normal,\nperson1_virus_2.png,pneumonia,\n"
    )
    assert categories(blank)["person1_virus_2"] == "pneumonia", "blank is not missing"


def test_a_missing_film_is_not_taken_for_one_in_another_folder(tmp_path: Path) -> None:
    write_film(tmp_path / "patient1" / "view.png")
    labels = write(tmp_path / "labels.csv", "path,finding\npatient2/view.png,normal\n")
    with pytest.raises(DataSetError, match=r"1 labelled film is missing: line 2: patient2/view.png"):
        load_films(labels)


def test_films_that_are_called_alike_are_named_by_their_folders(tmp_path: Path) -> None:
    for name in ("p1/view.png", "p2/view.png", "p3/other.png"):
        write_film(tmp_path / name)
    labels = write(tmp_path / "labels.csv", "path,finding\np1/view.png,0\np2\\view.png,1\np3/other.png,0\n")
    found = load_training_films(labels)
    assert [film.name for film in found.films] == ["p1/view", "p2/view", "other"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("file,finding\na.png,normal\n", r"labels.csv, line 1, has no column 'path' .*'file', 'finding'"),
        ("path,finding\n,normal\n", r"labels.csv, line 2, column 'path', is blank; expected the path"),
        ("path,finding\na.png,normal,b\n", r"line 2, has 3 fields, but the first line names 2"),
        ("path,finding\n", "has no rows"),
        ("", "has no rows"),
        ('path,finding\n"a.png,normal\n', r"line 2, is no line of a CSV file; check its quotation marks"),
        ("path,path\na.png,b.png\n", "has 2 columns 'path'"),
        ("path,finding\na.png,mass\n", r"labels normal or pneumonia: .*column finding 'mass': a.png"),
        (b"path,finding\na.png,\xff\n", "line 2, is not UTF-8 text"),
        (b"\x89PNG\0\0,\n", "is not UTF-8|holds NUL"),
    ],
)
def test_a_file_that_is_not_as_expected_is_an_error(
    content: str | bytes, expected: str, tmp_path: Path
) -> None:
    write_film(tmp_path / "a.png")
    with pytest.raises(DataSetError, match=expected):
        load_films(write(tmp_path / "labels.csv", content))


def test_an_indicator_is_one_zero_minus_one_or_blank(tmp_path: Path) -> None:
    write_film(tmp_path / "a.png")
    labels = write(tmp_path / "labels.csv", "path,Pneumonia\na.png,0.7\n")
    options = LabelOptions(labels, ("pneumonia=Pneumonia",))
    with pytest.raises(DataSetError, match=r"line 2, column 'Pneumonia', is '0.7'; expected 1, 0, -1"):
        load_films(tmp_path, options)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (LabelOptions(Path("l.csv"), ("file=path",)), r"--label-columns is 'file=path'; expected NAME=VALUE"),
        (LabelOptions(Path("l.csv"), ("path=",)), "names nothing for path"),
        (LabelOptions(Path("l.csv"), ("path=path,path=finding",)), "two columns for path"),
        (LabelOptions(Path("l.csv"), ("finding=finding,normal=path",)), "name either"),
        (LabelOptions(Path("l.csv"), (), ("normal=0", "pneumonia=0.0")), "give it one meaning"),
        (LabelOptions(columns=("path=file",)), "go with a file of labels"),
        (LabelOptions(patients="("), "is no regular expression"),
        (LabelOptions(patients="patient"), "has no group"),
    ],
)
def test_options_that_make_no_sense(
    options: LabelOptions, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_film(tmp_path / "NORMAL" / "a.png")
    write(tmp_path / "l.csv", "path,finding\na.png,normal\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=expected):
        load_films(tmp_path, options)


def test_nothing_named_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no films are named"):
        load_films()
    with pytest.raises(DataSetError, match=r"nowhere.csv cannot be read: No such file"):
        load_films(tmp_path, LabelOptions(tmp_path / "nowhere.csv"))


def test_values_are_mapped(tmp_path: Path) -> None:
    for name in "abcd":
        write_film(tmp_path / f"{name}.png")
    labels = write(tmp_path / "l.csv", "path,Dx,Type\na.png,clear,\nb.png,ILL,2\nc.png,ill,1\nd.png,maybe,\n")
    options = LabelOptions(
        labels,
        ("finding=Dx,aetiology=Type",),
        ("normal=Clear,pneumonia=ill", "viral=1,bacterial=2,uncertain=maybe"),
    )
    assert categories(tmp_path, options) == {"a": "normal", "b": "bacterial", "c": "viral"}
    assert LabelOptions.from_dict(options.to_dict()) == options


@pytest.mark.parametrize(("there", "named"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_columns_and_values_may_be_in_another_unicode_form(
    there: Literal["NFC", "NFD"], named: Literal["NFC", "NFD"], tmp_path: Path
) -> None:
    for name in "ab":
        write_film(tmp_path / f"{name}.png")
    content = "path,Résumé\na.png,Entzündung\nb.png,sain\n"
    labels = write(tmp_path / "l.csv", unicodedata.normalize(there, content))
    column, value = (unicodedata.normalize(named, text) for text in ("résumé", "entzündung"))
    options = LabelOptions(labels, (f"finding={column}",), (f"pneumonia={value}", "normal=sain"))
    assert categories(tmp_path, options) == {"a": "pneumonia", "b": "normal"}


# Patients


def test_who_says_whose_film_it_is(tmp_path: Path) -> None:
    for name in ("p7/a.png", "p8/IM-0001-0001.png", "q/c.png"):
        write_film(tmp_path / "NORMAL" / name)
    write_dicom(tmp_path / "NORMAL" / "p9" / "d.dcm", "SECRET-1")
    write_dicom(tmp_path / "NORMAL" / "q" / "e.dcm", " ")

    def whose(patients: str | None) -> dict[str, tuple[str, str]]:
        films = load_films(tmp_path, LabelOptions(patients=patients)).films
        return {film.name.rpartition("/")[2]: (film.patient, film.patient_source) for film in films}

    guessed = whose(None)
    assert guessed["a"] == ("p7/a", "film")
    assert guessed["IM-0001-0001"] == ("IM-0001", "name")
    assert guessed["d"][1] == "dicom"
    assert guessed["e"] == ("q/e", "film")
    assert "SECRET" not in str(guessed)
    assert whose(r"/(p\d)/") == {
        "a": ("p7", "pattern"),
        "IM-0001-0001": ("p8", "pattern"),
        "d": ("p9", "pattern"),
        "c": ("q/c", "film"),
        "e": ("q/e", "film"),
    }
    table = write(tmp_path / "patients.csv", "patient;path\nx;p7/a.png\ny;e\nz;no such film\n")
    assert whose(str(table)) | {"d": ("", "")} == {
        "a": ("x", "file"),
        "e": ("y", "file"),
        "IM-0001-0001": ("IM-0001", "name"),
        "c": ("q/c", "film"),
        "d": ("", ""),
    }
    found = load_films(tmp_path, LabelOptions(patients=str(table)))
    assert found.left_out.first == {"unused_patient": ["line 4: no such film"]}


@pytest.mark.parametrize("blank", ["nan", "NA", "Unknown", " ? ", ""])
def test_a_blank_patient_is_no_patient(blank: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_film(tmp_path / f"{name}.png")
        write_dicom(tmp_path / "dicom" / "NORMAL" / f"{name}.dcm", blank)
    labels = write(
        tmp_path / "labels.csv", f"path,finding,patient\na.png,normal,{blank}\nb.png,pneumonia,{blank}\n"
    )
    patients = write(tmp_path / "patients.csv", f"path,patient\na.png,{blank}\nb.png,{blank}\n")
    given = LabelOptions(labels, patients=str(patients))
    for films in (
        load_films(labels).films,
        load_films(None, given).films,
        load_films(tmp_path / "dicom").films,
    ):
        assert [(film.patient, film.patient_source) for film in films] == [("a", "film"), ("b", "film")]


def test_a_patient_id_has_one_pseudonym(tmp_path: Path) -> None:
    for name, patient, issuer in (("a", "1", ""), ("b", "1", ""), ("c", "1", "elsewhere"), ("d", "2", "")):
        write_dicom(tmp_path / "NORMAL" / f"{name}.dcm", patient, issuer=issuer)
    patients = [film.patient for film in load_films(tmp_path).films]
    assert patients[0] == patients[1]
    assert len(set(patients)) == 3
    assert all(patient.startswith("pid-") and len(patient) == 20 for patient in patients)


def test_one_patient_id_for_all_is_remarked_on(tmp_path: Path) -> None:
    for number in range(10):
        write_dicom(tmp_path / "NORMAL" / f"{number}.dcm", "ANONYMOUS")
    found = load_films(tmp_path)
    assert "all 10 DICOM films have the same Patient ID" in found.lines()[-1]
    assert load_films(tmp_path, LabelOptions(patients=r"(\d)\.dcm")).lines() == []


def test_patients_that_contradict_are_an_error(tmp_path: Path) -> None:
    write_film(tmp_path / "NORMAL" / "a.png")
    table = write(tmp_path / "patients.csv", "path,patient\na.png,x\na.png,y\n")
    with pytest.raises(DataSetError, match=r"line 3, column 'patient', is 'y', but an earlier line says 'x'"):
        load_films(tmp_path, LabelOptions(patients=str(table)))
    labels = write(tmp_path / "labels.csv", "path,finding,patient\nNORMAL/a.png,0,\na.png,0,x\na.png,0,y\n")
    with pytest.raises(DataSetError, match=r"line 4: the patient is 'y', but an earlier line says 'x' of a"):
        load_films(labels)
    with pytest.raises(DataSetError, match="has the columns path and patient"):
        load_films(tmp_path, LabelOptions(patients=str(write(tmp_path / "patients.csv", "path\na.png\n"))))


def test_a_split_is_checked_by_the_patients_that_are_given(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    Split(frozenset({"person1_virus_1", "a"}), frozenset({"person1_bacteria_1", "b"})).save(path)
    with pytest.raises(DataSetError, match="such as person1;"):
        Split.load(path)
    apart = {"person1_virus_1": "x", "person1_bacteria_1": "y"}
    assert Split.load(path, apart).train == {"person1_virus_1", "a"}
    with pytest.raises(DataSetError, match="such as z;"):
        Split.load(path, apart | {"a": "z", "b": "z"})
