"""A film named by URI is found and answered as the same film named by path."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pneumocascade import Cascade, UsageError, read_radiograph
from pneumocascade.errors import FileAccessError, MissingExtraError
from pneumocascade.imaging.find import find_sources
from pneumocascade.imaging.uris import is_uri, read_uri
from tests.tiny_models import write_tiny_models


@pytest.fixture
def store(chest_png: Path) -> Iterator[Any]:
    """A store in memory, with films in folders."""
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    for name in ("b.png", "a/2.png", "a/1.PNG", "a-/3.png", "a/notes.txt"):
        store.pipe(f"/bucket/films/{name}", chest_png.read_bytes())
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
    assert names == ["a/1.PNG", "a/2.png", "a-/3.png", "b.png", "empty.png"]
    for name in [*names, "a/notes.txt"]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"notes" if path.suffix == ".txt" else chest_png.read_bytes())
    local = list(find_sources([str(tmp_path)]))
    assert [Path(name).relative_to(tmp_path).as_posix() for name in local] == names
    assert list(find_sources([f"file://{tmp_path}/"])) == [f"file://{name}" for name in local]
    assert all(read_uri(name, 1 << 20) for name in found if "empty" not in name)


def test_patterns_and_single_names(store: Any) -> None:
    found = list(find_sources(["memory://bucket/films/a*/*.png"]))
    assert [Path(name).name for name in found] == ["3.png", "2.png"]
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
        ("memory://bucket/films/a/notes.txt", None),
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
