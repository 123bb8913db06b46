"""A file that is written whole is never seen in part."""

from __future__ import annotations

from pathlib import Path

import pytest

from pneumocascade.audit.files import remove_unfinished, written_whole


def test_a_file_appears_with_all_of_its_content(tmp_path: Path) -> None:
    target = tmp_path / "film.dcm"
    with written_whole(target) as part:
        part.write_bytes(b"half")
        assert not target.exists()
        part.write_bytes(b"all of it")
    assert target.read_bytes() == b"all of it"
    assert list(tmp_path.iterdir()) == [target]


def test_where_writing_fails_the_old_file_stays_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "film.dcm"
    target.write_bytes(b"old")

    def fail() -> None:
        with written_whole(target) as part:
            part.write_bytes(b"new")
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        fail()
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    left = tmp_path / "below" / ".film.jpeg.json.b3365c14ce35.part"
    names = "film.part", ".film.part", ".film.json.abc.part", "a.b3365c14ce35.part"
    others = [tmp_path / name for name in names]
    for path in (left, *others):
        path.write_bytes(b"half")
    remove_unfinished(tmp_path)
    assert not left.exists()
    assert all(path.exists() for path in others)
