"""What spinning threads, decoding at a reduced scale and slow averaging cost or give, in one run.

python -m benchmarks.variants_of_speed kermany224 kermany-original --output docs/data/speed-variants.json
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import onnxruntime as ort
from PIL import Image

from benchmarks.timing import Row, seconds_of, some, spread
from pneumocascade import Cascade
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.model.gate.pixel_checks import _coarse
from pneumocascade.model.preprocess import to_square
from pneumocascade.types import Radiograph

SPINNING = "session.intra_op.allow_spinning"
LEAST = 448
"""Pixels a side that a film decoded at a reduced scale keeps: twice those of the square."""


class _Spinning(ort.SessionOptions):  # type: ignore[misc]
    """Options with ONNX Runtime's default."""

    def add_session_config_entry(self, name: str, value: str) -> None:
        super().add_session_config_entry(name, "1" if name == SPINNING else value)


@contextmanager
def _default_threads() -> Iterator[None]:
    with mock.patch.object(ort, "SessionOptions", _Spinning):
        yield


def spinning(films: Sequence[Path], rounds: int) -> Row:
    """Time cascades whose threads sleep and whose threads spin, in turns."""
    cascades = {"sleeping": Cascade.load()}
    with _default_threads():
        cascades["spinning"] = Cascade.load()
    found: Row = {}
    for batch in (1, 16):
        seconds: dict[str, list[float]] = {name: [] for name in cascades}
        for number in range(rounds + 1):
            chosen = films[number * 16 : number * 16 + 16]
            for name, cascade in cascades.items():
                answers = cascade.predict_many(chosen, batch_size=batch, workers=2)
                taken = seconds_of(list, answers) / len(chosen)
                if number:
                    seconds[name].append(taken)
        found[f"batch_{batch}"] = {name: spread(values) for name, values in seconds.items()}
    return found


def reduced(path: Path) -> Radiograph:
    """Read a JPEG at the smallest scale of the decoder that keeps enough pixels."""
    image = Image.open(path)
    image.draft(None, (LEAST, LEAST))
    return Radiograph(np.asarray(image.convert("L")), str(path))


def decoding(films: Sequence[Path]) -> Row:
    """Compare time and answers of films decoded whole and at a reduced scale."""
    cascade = Cascade.load()
    moved, seconds, changed, used = [], [], 0, 0
    for path in films:
        seconds.append((seconds_of(read_radiograph, path), seconds_of(reduced, path)))
        whole, small = read_radiograph(path), reduced(path)
        used += small.height < whole.height
        answers = [cascade.predict(film, gate=False) for film in (whole, small)]
        changed += answers[0].finding != answers[1].finding
        shares = [answer.stage1.probabilities["pneumonia"] for answer in answers if answer.stage1]
        moved.append(abs(shares[0] - shares[1]))
    full, less = (statistics.mean(column) for column in zip(*seconds, strict=True))
    return {
        "films": len(films),
        "reduced": int(used),
        "whole_ms": round(1000 * full, 2),
        "reduced_ms": round(1000 * less, 2),
        "largest_move": round(max(moved), 3),
        "findings_changed": int(changed),
    }


def averaging(films: Sequence[Path]) -> Row:
    """Time the averaging of the check for blank films by a fraction and by a whole number."""
    pixels = [read_radiograph(path).pixels for path in films]
    return {
        "fraction": spread([seconds_of(to_square, each, 64) for each in pixels]),
        "whole number": spread([seconds_of(_coarse, each) for each in pixels]),
    }


def main() -> None:
    """Run all and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("small", type=Path, help="films of 224 pixels")
    parser.add_argument("large", type=Path, help="films as published")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    large = some(arguments.large, 150)
    report = {
        "spinning": spinning(some(arguments.small, 16 * (arguments.rounds + 1)), arguments.rounds),
        "decoding": decoding(large),
        "averaging": averaging(large[:40]),
    }
    arguments.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
