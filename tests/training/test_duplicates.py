from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import pytest

from pneumocascade.datasets.films import find_films
from pneumocascade.errors import DataSetError
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.training.duplicates import drop_duplicates
from tests.conftest import draw_chest
from tests.training.conftest import write_films


def test_copies_go_and_distinct_films_stay(tmp_path: Path) -> None:
    root = write_films(tmp_path, 2, side=160)
    # Phantoms of one class are near copies of each other: put a large, distinct patch on each.
    for number, path in enumerate(sorted(root.rglob("*.png"))):
        film = draw_chest(number, 160, 160)
        film[20 + 9 * number : 60 + 9 * number, 10 + 8 * number : 70 + 8 * number] = 250
        cv2.imwrite(str(path), film)
    originals = find_films(root)
    shutil.copy(originals[0].path, root / "NORMAL" / "IM-9000-0001.png")
    picture = read_radiograph(originals[-1].path).pixels
    cv2.imwrite(
        str(root / "PNEUMONIA" / "person9000_bacteria_1.jpeg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 85]
    )

    damaged = root / "PNEUMONIA" / "person9001_virus_1.png"
    damaged.write_bytes(originals[0].path.read_bytes()[:200])

    kept, dropped, unreadable = drop_duplicates(find_films(root))

    assert [(bad.dropped.path, bool(bad.reason)) for bad in unreadable] == [(damaged, True)]
    assert len(kept) == len(originals)
    found = {(pair.kind, frozenset((pair.dropped.name, pair.kept.name)), pair.same_label) for pair in dropped}
    assert found == {
        ("exact", frozenset(("IM-9000-0001", originals[0].name)), True),
        ("near", frozenset(("person9000_bacteria_1", originals[-1].name)), False),
    }


def test_nothing_but_unreadable_films_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "NORMAL").mkdir()
    (tmp_path / "NORMAL" / "IM-0001-0001.png").write_bytes(b"not a picture")
    with pytest.raises(DataSetError, match=r"none of 1 films can be read; .*IM-0001-0001\.png: "):
        drop_duplicates(find_films(tmp_path))
