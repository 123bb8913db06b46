"""A film named by URI is found and answered as the same film named by path."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pneumocascade import Cascade, UsageError, read_radiograph
from pneumocascade.errors import FileAccessError, MissingExtraError
from pneumocascade.imaging.find import find_sources
from pneumocascade.imaging.studies import Found
from pneumocascade.imaging.uris import is_uri, read_uri
from tests.conftest import draw_chest
from tests.imaging.dicom.objects import dataset, report, to_bytes
from tests.tiny_models import write_tiny_models


@pytest.fixture
def store(chest_png: Path) -> Iterator[Any]:
    """A store in memory, with films in folders."""
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    for name in ("b.png", "a/2.png", "a/1.PNG", "a-/3.png", "a/renamed.txt"):
        store.pipe(f"/bucket/films/{name}", chest_png.read_bytes())
    store.pipe("/bucket/films/a/notes.txt", b"notes")
    store.pipe("/bucket/films/empty.png", b"")
    yield store
    store.rm("/bucket", recursive=True)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("s3://bucket/film.png", True),
        ("FILE:///film.png", True),
        ("C://film.png", False),
        ("films/a://b.png", False),
        ("film.png", False),
        (b"s3://bucket/film.png", False),
        (Path("s3://bucket/film.png"), False),
    ],
)
def test_what_a_uri_is(source: object, expected: bool) -> None:
    assert is_uri(source) is expected


def test_a_folder_stands_for_its_films_in_the_order_of_a_local_folder(
    store: Any, chest_png: Path, tmp_path: Path
) -> None:
    found = list(find_sources(["memory://bucket/films"]))
    names = [name.partition("/films/")[2] for name in found]
    assert names == ["a/1.PNG", "a/2.png", "a/renamed.txt", "a-/3.png", "b.png", "empty.png"]
    for name in [*names, "a/notes.txt"]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"notes" if path.name == "notes.txt" else chest_png.read_bytes())
    local = list(find_sources([str(tmp_path)]))
    assert [Path(name).relative_to(tmp_path).as_posix() for name in local] == names
    assert list(find_sources([f"file://{tmp_path}/"])) == [f"file://{name}" for name in local]
    assert all(read_uri(name, 1 << 20) for name in found if "empty" not in name)


def test_a_folder_in_a_store_is_walked_by_content(store: Any) -> None:
    film = to_bytes(dataset(draw_chest(height=300, width=300), 8))
    files = {"1.2.840.1": film, "x.dcm": film, "cut.dcm": film[:140], "report": to_bytes(report())}
    for name, content in files.items():
        store.pipe(f"/bucket/films/d/{name}", content)
    left_out: list[Found] = []
    found = list(find_sources(["memory://bucket/films/d"], left_out=left_out))
    assert [name.rpartition("/")[2] for name in found] == ["1.2.840.1", "cut.dcm", "x.dcm"]
    assert [(name.rpartition("/")[2], kind) for name, kind in left_out] == [("report", "other object")]
    assert all(read_radiograph(name).acquisition for name in found if "cut" not in name)
    left_out.clear()
    assert len(list(find_sources(["memory://bucket/films/*"], left_out=left_out))) == 9
    assert [kind for _, kind in left_out] == ["other file", "other object"]


def test_frames_in_a_store_are_films_where_they_are_asked_for(store: Any) -> None:
    chest = draw_chest(height=300, width=300)
    frames = np.stack([chest, chest[::-1]])
    store.pipe("/bucket/films/frames.dcm", to_bytes(dataset(frames, 8)))
    found = list(find_sources(["memory://bucket/films/frames.dcm"], all_frames=True))
    assert [name.rpartition("/")[2] for name in found] == ["frames.dcm#frame=1", "frames.dcm#frame=2"]
    assert np.array_equal(read_radiograph(found[0]).pixels, read_radiograph(found[1]).pixels[::-1])


def test_what_cannot_be_opened_in_a_store_is_left_out_or_reported(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("film.dcm", "film", "film.png"):
        store.pipe(f"/bucket/closed/{name}", b"film")

    def refuse(*_args: object, **_options: object) -> bytes:
        raise PermissionError("closed")

    monkeypatch.setattr(type(store), "cat_file", refuse)
    left_out: list[Found] = []
    found = list(find_sources(["memory://bucket/closed"], left_out=left_out))
    assert [name.rpartition("/")[2] for name in found] == ["film.dcm", "film.png"]
    assert left_out == [("memory:///bucket/closed/film", "unopened")]


def test_patterns_and_single_names(store: Any) -> None:
    found = list(find_sources(["memory://bucket/films/a*/*.png"]))
    assert [Path(name).name for name in found] == ["3.png", "2.png"]
    for pattern in ("films/**", "films/**/*", "**"):
        found = list(find_sources([f"memory://bucket/{pattern}"]))
        assert sorted(set(found)) == sorted(found)
        assert {"2.png", "3.png"} <= {Path(name).name for name in found}
    untouched = ["memory://nowhere/x.png", "memory://nowhere/", "memory://bucket/films/a/notes.txt"]
    assert list(find_sources(untouched)) == untouched
    assert list(find_sources(["nosuch://bucket/film.png"])) == ["nosuch://bucket/film.png"]


def test_a_store_that_cannot_be_asked_ends_the_run() -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(UsageError, match=r"nosuch://bucket/ cannot be looked into: .*nosuch"):
        list(find_sources(["nosuch://bucket/"]))


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("memory://bucket/films/none.png", "file_not_found"),
        ("memory://bucket/films/a", "not_a_file"),
        ("memory://bucket/films/empty.png", "empty_file"),
        ("memory://bucket/films/a/renamed.txt", None),
        ("nosuch://bucket/film.png", "unreadable_file"),
    ],
)
def test_what_cannot_be_read_has_a_code(store: Any, uri: str, code: str | None) -> None:
    if code is None:
        assert read_radiograph(uri).source == uri
        return
    with pytest.raises(FileAccessError) as caught:
        read_radiograph(uri)
    assert caught.value.code == code


def test_too_large_a_file_is_not_read(store: Any) -> None:
    with pytest.raises(FileAccessError, match="more than any film"):
        read_uri("memory://bucket/films/b.png", 10)


def test_one_process_answers_uris_as_it_answers_paths(chest_png: Path, tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    cascade = Cascade.load(write_tiny_models(tmp_path), threads=1)
    by_path, by_uri, missing = cascade.predict_many(
        [str(chest_png), f"file://{chest_png}", f"file://{tmp_path}/none.png"], workers=2
    )
    assert (by_path.status, missing.status) == ("ok", "error")
    assert by_uri.to_dict() == {
        **by_path.to_dict(),
        "source": f"file://{chest_png}",
        "elapsed_ms": by_uri.elapsed_ms,
    }


def test_without_fsspec_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match=r"pneumocascade\[ray\]"):
        list(find_sources(["s3://bucket/"]))
    with pytest.raises(MissingExtraError):
        read_radiograph("s3://bucket/film.png")
