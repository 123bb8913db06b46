"""Bytes of files and of members of archives: names are names, bombs are not inflated, damage is said."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from pneumocascade.errors import FileAccessError
from pneumocascade.imaging.files import bytes_of, frame_of


def archive(path: Path, members: dict[str, bytes], way: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", way) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def code_of(name: str) -> str:
    with pytest.raises(FileAccessError) as caught:
        bytes_of(name, "a folder")
    return caught.value.code


@pytest.mark.parametrize("name", ["a.dcm", "b/c", "../up.dcm", "/etc/passwd", "a/../../x", "C:\\f", "é\n"])
def test_a_member_is_named_as_if_the_archive_were_a_folder(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    path = archive(inside / "study.zip", {name: b"content", "other": b"other"})
    before = sorted(tmp_path.rglob("*"))
    assert bytes_of(f"{path}/{name}", "") == b"content"
    assert sorted(tmp_path.rglob("*")) == before, "nothing is written"


def test_a_way_out_of_an_archive_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    path = archive(tmp_path / "study.zip", {"a": b"a"})
    assert code_of(f"{path}/../secret") == "file_not_found"
    assert code_of(f"{path}/missing") == "file_not_found"


def test_what_lies_there_comes_first(tmp_path: Path) -> None:
    folder = tmp_path / "study.zip"
    folder.mkdir()
    (folder / "film#frame=2").write_bytes(b"by its name")
    assert bytes_of(str(folder / "film#frame=2"), "") == b"by its name"
    assert frame_of(str(folder / "film#frame=2")) == (str(folder / "film#frame=2"), None)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("film.dcm", ("film.dcm", None)),
        ("film.dcm#frame=12", ("film.dcm", 12)),
        ("film.dcm#frame=0", ("film.dcm#frame=0", None)),
        ("film.dcm#frame=-1", ("film.dcm#frame=-1", None)),
        ("film.dcm#frame=2x", ("film.dcm#frame=2x", None)),
        ("a#frame=1#frame=2", ("a#frame=1", 2)),
    ],
)
def test_frames_by_number(name: str, expected: tuple[str, int | None]) -> None:
    assert frame_of(name) == expected


def test_a_bomb_is_not_inflated(tmp_path: Path) -> None:
    path = archive(tmp_path / "bomb.zip", {"film.dcm": bytes(100_000_000)})
    assert path.stat().st_size < 200_000
    assert code_of(f"{path}/film.dcm") == "unreadable_file"


def test_a_black_film_is_no_bomb(tmp_path: Path) -> None:
    path = archive(tmp_path / "study.zip", {"film.dcm": bytes(8_000_000)})
    assert bytes_of(f"{path}/film.dcm", "") == bytes(8_000_000)


def test_a_damaged_member_does_not_hide_the_others(tmp_path: Path) -> None:
    members = {"a": b"first" * 50, "b": b"second" * 50}
    path = archive(tmp_path / "study.zip", members, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"first" * 50, b"fIrst" * 50))
    assert code_of(f"{path}/a") == "unreadable_file"
    assert bytes_of(f"{path}/b", "") == b"second" * 50


def test_an_encrypted_member_is_said(tmp_path: Path) -> None:
    path = archive(tmp_path / "study.zip", {"a": b"content"})
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(data)
    assert code_of(f"{path}/a") == "unreadable_file"


def test_an_empty_member_and_another_file_are_said(tmp_path: Path) -> None:
    path = archive(tmp_path / "study.zip", {"empty": b""})
    assert code_of(f"{path}/empty") == "empty_file"
    (tmp_path / "film.dcm").write_bytes(os.urandom(100))
    assert code_of(f"{tmp_path}/film.dcm/inside") == "file_not_found"
