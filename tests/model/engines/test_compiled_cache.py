"""Compiled networks on disk: whole or not at all, and nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from pneumocascade.model.engines import compiled_cache
from pneumocascade.model.engines.compiled_cache import Compiled, CompiledCache, cache_folder

NETWORK = Compiled(b"\x00network\nof lines\n" * 50, {"pneumocascade.spec": "{}"}, "digest")


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    cache = CompiledCache(tmp_path / "made" / "here")
    assert cache.get("a") is None
    cache.put("a", NETWORK)
    assert cache.get("a") == NETWORK
    assert (tmp_path / "made" / "here").stat().st_mode & 0o077 == 0


def test_every_part_of_the_key_counts() -> None:
    key = CompiledCache.key
    assert (
        len({key(b"m", "1", "cpu"), key(b"n", "1", "cpu"), key(b"m", "2", "cpu"), key(b"m", "1c", "pu")}) == 4
    )


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_file_is_as_good_as_none(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache = CompiledCache(tmp_path)
    cache.put("a", NETWORK)
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes({"flip": bytes(content), "cut": path.read_bytes()[:200], "empty": b""}[damage])
    assert cache.get("a") is None
    assert "damaged" in caplog.text


def test_a_folder_that_others_may_write_to_is_not_used(tmp_path: Path) -> None:
    cache = CompiledCache(tmp_path)
    cache.put("a", NETWORK)
    tmp_path.chmod(0o777)
    assert cache.get("a") is None
    cache.put("b", NETWORK)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_made_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = CompiledCache(tmp_path / "file" / "cache")
    cache.put("a", NETWORK)
    assert cache.get("a") is None


def test_the_oldest_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_cache, "MAX_FILES", 2)
    cache = CompiledCache(tmp_path)
    import os

    for age, name in enumerate("abc"):
        cache.put(name, NETWORK)
        os.utime(next(tmp_path.glob(f"{name}*")), (age, age))
    cache.put("d", NETWORK)
    assert [cache.get(name) is not None for name in "abcd"] == [False, False, True, True]


def test_the_folder_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PNEUMOCASCADE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("PNEUMOCASCADE_CACHE")
    assert cache_folder().name in ("pneumocascade", "cache")
