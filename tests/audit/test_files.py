"""A file that is written whole is never seen in part."""

from __future__ import annotations

from pathlib import Path

import pytest

from pneumocascade.audit.files import written_whole


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
