"""What docs/scale.md reckons an archive to take follows from what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import figures
import pytest

from pneumocascade import Cascade

REPORT = {
    "machine": {"processor": "some processor", "cpus": 2},
    "throughput_224": [
        {"parallel": 1, "workers": 1, "batch": 1, "films_per_second": 11.0},
        {"parallel": 1, "workers": 2, "batch": 1, "films_per_second": 30.0},
        {"parallel": 2, "workers": 2, "batch": 1, "films_per_second": 40.0},
        {"parallel": 2, "workers": 4, "batch": 16, "films_per_second": 41.0},
    ],
    "memory": [
        {"files": 16, "peak_mb": 300, "films_per_second": 8.0},
        {"files": 256, "peak_mb": 301, "films_per_second": 25.0},
    ],
}
"""Made up, in the shape of what ``benchmarks/speed.py`` writes."""


def test_the_block_is_written_from_the_benchmark(
    cascade: Cascade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "speed.json").write_text(json.dumps(REPORT))
    for name in ("speed-variants.json", "many-files.json", "speed-keras.json", "page.json", "actors.json"):
        (tmp_path / name).write_text("{}")
    monkeypatch.setattr(figures, "DATA", tmp_path)
    text = figures.filled("before\n<!-- figures: sizing -->\n<!-- end -->\nafter", cascade)
    lines = text.splitlines()
    assert lines[2].startswith("| films | measured, films a second on 2 cores | films a core-second |")
    # 10 million films at 20 a core-second are half a million core-seconds.
    assert lines[4] == "| 224 pixels | 40.0 | 20.0 | 139 | 8.7 | 2.2 | 0.5 | 0.1 |"
    assert lines[5] == "| as published | 25.0 | 12.5 | 222 | 13.9 | 3.5 | 0.9 | 0.2 |"
    assert figures.filled(text, cascade) == text


def test_the_document_has_the_block() -> None:
    text = (figures.ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    blocks = ["speed_machine", "sizing", "speed_actors", "speed_archive"]
    assert [match.group(1) for match in figures.BLOCK.finditer(text)] == blocks
