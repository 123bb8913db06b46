"""The examples of the Python guide run, one after the other, as a reader would run them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pneumocascade
from pneumocascade.model.store import bundled_models

GUIDE = Path(__file__).parents[1] / "docs" / "python.md"
EXAMPLES = Path(pneumocascade.__file__).parent / "examples"

AFTERWARDS = """
assert len(table) == 4
assert batch.shape[:2] == (1, 3)
assert own.version == cascade.version
"""


def test_the_examples_of_the_guide_run(tmp_path: Path) -> None:
    films = sorted(EXAMPLES.glob("*.jpeg"))
    (tmp_path / "films").mkdir()
    for film in films:
        shutil.copy(film, tmp_path / "films")
    shutil.copy(EXAMPLES / "person1946_bacteria_4874.jpeg", tmp_path / "film.jpeg")
    (tmp_path / "models").symlink_to(bundled_models())
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 8
    script = tmp_path / "guide.py"
    script.write_text("\n".join([*blocks, AFTERWARDS]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ok pneumonia bacterial\n")
    assert (tmp_path / "overlay.png").stat().st_size > 1000
    assert (tmp_path / "plot.png").stat().st_size > 1000
