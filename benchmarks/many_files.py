"""Memory and pace of ``pneumocascade predict`` as the number of files grows.

    python -m benchmarks.many_files kermany224 --output docs/data/many-files.json

The same films are named again and again on standard input. With the bundled models, a hundred thousand
films would take these cores most of an hour, nearly all of it in the networks: beyond a few thousand the
tiny models of the tests stand in for them, and everything else (reading, gate, answers, writing) is as usual.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks.speed import peak_memory
from benchmarks.timing import machine, some
from tests.tiny_models import write_tiny_models

BUNDLED = (1_000, 4_000)
TINY = (1_000, 10_000, 100_000)


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("films", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    films = some(arguments.films, 1000)
    with tempfile.TemporaryDirectory() as folder:
        tiny = write_tiny_models(Path(folder))
        report = {
            "machine": machine(),
            "bundled": peak_memory(films, BUNDLED),
            "tiny": peak_memory(films, TINY, "--models", str(tiny)),
        }
    arguments.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
