"""Count the films that get the same answer whatever they are given as.

    python -m benchmarks.inputs kermany224 --films 200

Each film goes through ``predict`` as path, bytes, file, PIL image, array, tensor and member of a zip archive,
through ``predict_many`` as a list and as a stack of one, and through the command line. Prints, for each form,
how many answers are exactly those to the path.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pneumocascade import Cascade, Prediction, read_radiograph
from pneumocascade.imaging.read import SUFFIXES

Form = Callable[[Cascade, Path], Prediction]

IGNORED = ("source", "elapsed_ms")
"""What may differ: the name, and the time taken."""


def _one(give: Callable[[Path], Any]) -> Form:
    return lambda cascade, path: cascade.predict(give(path))


def _opened(cascade: Cascade, path: Path) -> Prediction:
    with path.open("rb") as file:
        return cascade.predict(file)


def _from_archive(cascade: Cascade, path: Path) -> Prediction:
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "films.zip"
        with zipfile.ZipFile(archive, "w") as opened:
            opened.write(path, path.name)
        return cascade.predict(f"{archive}/{path.name}")


def _array(path: Path) -> np.ndarray[Any, Any]:
    return np.asarray(read_radiograph(path).pixels)


FORMS: dict[str, Form] = {
    "path": _one(lambda path: path),
    "text": _one(str),
    "bytes": _one(Path.read_bytes),
    "bytearray": _one(lambda path: bytearray(path.read_bytes())),
    "memoryview": _one(lambda path: memoryview(path.read_bytes())),
    "BytesIO": _one(lambda path: io.BytesIO(path.read_bytes())),
    "file": _opened,
    "PIL image": _one(Image.open),
    "array (H, W)": _one(_array),
    "array (H, W, 1)": _one(lambda path: _array(path)[..., None]),
    "array (1, H, W)": _one(lambda path: _array(path)[None]),
    "Radiograph": _one(read_radiograph),
    "zip member": _from_archive,
    "list of one": lambda cascade, path: next(iter(cascade.predict_many([path]))),
    "stack of one": lambda cascade, path: next(iter(cascade.predict_many(_array(path)[None]))),
}
"""How a film may be given."""

try:
    import torch
except ModuleNotFoundError:  # it comes with the extra [train]
    pass
else:
    FORMS["tensor (1, H, W)"] = _one(lambda path: torch.from_numpy(_array(path))[None])


def answer_of(prediction: Prediction | dict[str, Any]) -> dict[str, Any]:
    """Return an answer without what may differ."""
    row = prediction if isinstance(prediction, dict) else prediction.to_dict()
    return {name: value for name, value in row.items() if name not in IGNORED}


def command_line(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Return the answers of the command line."""
    command = [sys.executable, "-m", "pneumocascade", "predict", "-", "--format", "jsonl"]
    listed = "\n".join(map(str, paths)).encode()
    done = subprocess.run(command, input=listed, stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def compare(cascade: Cascade, paths: Sequence[Path]) -> dict[str, int]:
    """Return for each form how many answers are those to the path."""
    expected = [answer_of(cascade.predict(path)) for path in paths]
    same = {
        name: sum(
            answer_of(form(cascade, path)) == wanted for path, wanted in zip(paths, expected, strict=True)
        )
        for name, form in FORMS.items()
    }
    answers = zip(command_line(paths), expected, strict=True)
    return same | {"command line": sum(answer_of(row) == wanted for row, wanted in answers)}


def spread(folder: Path, count: int) -> list[Path]:
    """Return so many films of a folder, evenly spaced in their order."""
    films = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return films[:: max(1, len(films) // count)][:count]


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="+", help="with films")
    parser.add_argument("--films", type=int, default=200, help="of each folder")
    given = parser.parse_args()
    cascade = Cascade.load(threads=1)
    for folder in given.folder:
        paths = spread(folder, given.films)
        print(f"\n{folder.name}: {len(paths)} films\n\n| given as | same answer |\n| --- | --- |")
        for name, same in compare(cascade, paths).items():
            print(f"| {name} | {same} |", flush=True)


if __name__ == "__main__":
    main()
