"""Measure the models of a run of ``make models`` and put them into the package.

    python tools/ship_models.py DATA RUN

``DATA`` holds ``kermany224``, ``kermany-512``, ``kermany-original`` and ``other-films`` (``nih``,
``frontal-adult``, and a folder for each kind of picture that the gate has to refuse); ``RUN`` is the folder
of the run. The films of the first fold are judged by the pair that has not seen them (``RUN/held-out``), and
the gate is tried; a measurement that stands in ``RUN/measured`` is not repeated. Then models, records and
measurements are copied into the package, ``docs/data`` and ``docs/pictures``, and the golden file, the tables
of the documents, the notebook and the pictures of the app are made anew. What is left to do is printed.

Needs the extras ``web``, ``report``, ``evaluate``, ``train`` and ``dev``, a package index
(``benchmarks/other_pictures.py`` takes pictures from packages), Chromium and DCMTK (``tools/pictures.py``).
Speed is measured apart (``make bench``).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from pneumocascade.model.store import bundled_models

ROOT = Path(__file__).resolve().parents[1]
KEPT, PICTURES = ROOT / "docs" / "data", ROOT / "docs" / "pictures"
CLI = ("-m", "pneumocascade")

EVALUATED = {
    "224": "kermany224",
    "512": "kermany-512",
    "original": "kermany-original",
    "nih": "other-films/nih",
}
"""Folders whose films of the first fold are judged, by the name of their file in ``docs/data``."""

SHIFTED = "224"
"""Name of those that are also judged under the shifts of the suite."""

BY_HAND = """Left to do:
the answers in README.md, docs/clinic.md, docs/fhir.md and src/pneumocascade/examples/README.md, EXPECTED in
src/pneumocascade/doctor/models.py, the words around the tables of MODEL_CARD.md and docs, CHANGELOG.md."""


def measurements(data: Path, run: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Yield for each measurement the file that it ends with and the arguments of Python that make it."""
    measured, main = run / "measured", str(data / EVALUATED[SHIFTED])
    held_out = ("--models", str(run / "held-out"), "--split", str(run / "fold1" / "split.json"))
    for name, folder in EVALUATED.items():
        output = measured / name
        arguments = ("evaluate", str(data / folder), *held_out, "--output", str(output))
        if name == SHIFTED:
            yield output / "shift.json", (*CLI, *arguments, "--shift", "--shift-films", "100")
        else:
            yield output / "report.html", (*CLI, *arguments)
    output = measured / "failures"
    failures = (main, *held_out, "--output", str(output), "--suffix", ".jpg")
    yield output / "failures.json", ("-m", "benchmarks.failure_modes", *failures)
    output = measured / "saliency.json"
    saliency = ("-m", "benchmarks.saliency", main, *held_out, "--films", "60", "--output", str(output))
    yield output, saliency
    yield from gate(data, run, held_out)


def gate(data: Path, run: Path, held_out: tuple[str, ...]) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Yield the measurements of the gate; each keeps its tables in a file of its own."""
    measured, models = run / "measured", ("--models", str(run / "models"))
    renderings = [str(data / name) for name in list(EVALUATED.values())[1:]]
    adults = str(data / "other-films" / "frontal-adult")
    folders = (str(data / "kermany224"), *renderings, adults)
    others = measured / "others"
    yield others, ("-m", "benchmarks.other_pictures", str(others))
    runs: dict[str, tuple[str, ...]] = {
        "held-out": (
            "--data",
            folders[0],
            *held_out,
            *(argument for each in renderings for argument in ("--renderings", each)),
        ),
        "others": ("--others", str(others), "--others", str(data / "other-films"), *models),
        "domains": ("--domains", *folders, *models),
        "layouts": ("--layouts", *folders, "--made-of", str(data / "kermany-original")),
    }
    for name, arguments in runs.items():
        path = measured / f"gate-{name}.json"
        yield path, ("-m", "benchmarks.gate", *arguments, "--output", str(path))


def keep(run: Path) -> None:
    """Copy models and records into the package, and what was measured into the documents."""
    for path in (run / "models").iterdir():
        shutil.copy2(path, (KEPT if path.name == "export.json" else bundled_models()) / path.name)
    for path in (run / "records").iterdir():
        shutil.copy2(path, KEPT / path.name)
    measured = run / "measured"
    for name in EVALUATED:
        shutil.copy2(measured / name / "metrics.json", KEPT / f"evaluation-{name}.json")
    for stage in ("stage1", "stage2"):
        for name in ("reliability", "shift"):
            picture = f"{stage}-reliability.png" if name == "reliability" else f"shift-{stage}.png"
            shutil.copy2(measured / SHIFTED / f"{name}_{stage}.png", PICTURES / picture)
    shutil.copy2(measured / SHIFTED / "shift.json", KEPT)
    shutil.copy2(measured / "failures" / "failures.json", KEPT / "failure-modes.json")
    for path in (measured / "failures").glob("*.jpg"):
        shutil.copy2(path, PICTURES)
    shutil.copy2(measured / "saliency.json", KEPT)
    join_tables(sorted(measured.glob("gate-*.json")), KEPT / "gate.json")


def join_tables(paths: list[Path], target: Path) -> None:
    """Write the tables of several files into one; of a name that two have, the last file's."""
    tables: dict[str, object] = {}
    for path in paths:
        tables |= json.loads(path.read_text(encoding="utf-8"))
    target.write_text(json.dumps(tables, indent=1) + "\n", encoding="utf-8")


def python(*arguments: str) -> None:
    """Run Python in the root of the source tree; a command that fails ends this one."""
    print("python", *arguments, flush=True)
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True)  # noqa: S603  commands of ours


def run_notebook(path: Path) -> None:
    """Run a notebook from top to bottom and keep what its cells show."""
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    nbformat.write(notebook, path)  # type: ignore[no-untyped-call]


def main() -> None:
    """Measure, copy, and write anew what follows from both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    given = parser.parse_args()
    data, run = given.data.resolve(), given.run.resolve()
    for path, arguments in measurements(data, run):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            python(*arguments)
    keep(run)
    python("tools/golden.py")
    python("tools/figures.py")
    run_notebook(ROOT / "examples" / "quickstart.ipynb")
    python("tools/pictures.py")
    print(BY_HAND)


if __name__ == "__main__":
    main()
