"""How long films take, against the usual way of doing the same work; medians and ratios of one run.

    python -m benchmarks.speed kermany224 kermany-original --output docs/data/speed.json

The usual way: Pillow decodes, OpenCV equalises and colours the film at its full size and shrinks it to
224 x 224, and two ResNet-50 run in PyTorch, eager, float32, one film at a time or in batches of 16. The
same with ONNX Runtime in float32 stands beside it. Many films go through the cascade as ``predict`` does it.
Each contestant has a process of its own, and they take turns film by film (``benchmarks/contest.py``), so
that what else the machine does falls on all of them. Needs the extra ``[train]`` and a machine with nothing
else to do.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.contest import Contestant, contest
from benchmarks.networks import networks, roofline
from benchmarks.timing import Judge, Row, machine, seconds_of, some, spread
from pneumocascade import Cascade
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.model.engines.processor import usable_cores
from pneumocascade.model.gate import check_pixels
from pneumocascade.model.preprocess import prepare
from pneumocascade.training.network import build_network
from pneumocascade.training.onnx_export import to_onnx

BATCH = 16
CORES = usable_cores()


def usual_input(path: Path) -> NDArray[np.float32]:
    """Return a film prepared the usual way, float32 of shape (1, 3, 224, 224)."""
    grey = np.asarray(Image.open(path).convert("L"))
    equalised = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(grey)
    coloured = cv2.cvtColor(cv2.applyColorMap(equalised, cv2.COLORMAP_HOT), cv2.COLOR_BGR2RGB)
    small = cv2.resize(coloured, (224, 224), interpolation=cv2.INTER_AREA).astype(np.float32)
    centred = small - np.array((123.68, 116.779, 103.939), np.float32)
    return np.ascontiguousarray(centred.transpose(2, 0, 1)[None])


def usual_torch() -> Judge:
    """Return the usual way in PyTorch. Weights do not change how long it takes: they are random."""
    networks = [build_network(stride_in_1x1=False).eval() for _ in range(2)]
    for network in networks:
        network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]

    def judge(paths: Sequence[Path]) -> object:
        batch = torch.from_numpy(np.concatenate([usual_input(path) for path in paths]))
        with torch.inference_mode():
            return [network(batch).softmax(1).numpy() for network in networks]

    return judge


def usual_onnx(path: Path) -> Judge:
    """Return the usual way with ONNX Runtime, for a float32 network in a file."""
    sessions = [ort.InferenceSession(path, providers=["CPUExecutionProvider"]) for _ in range(2)]

    def judge(paths: Sequence[Path]) -> object:
        batch = np.concatenate([usual_input(path) for path in paths])
        return [session.run(["logits"], {"input": batch}) for session in sessions]

    return judge


def per_step(cascade: Cascade, films: Sequence[Path]) -> dict[str, Row]:
    """Time each step of one film."""
    spec = cascade.stage1.spec
    steps: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[..., Any], *arguments: object) -> Any:
        started = time.perf_counter()
        value = work(*arguments)
        steps.setdefault(name, []).append(time.perf_counter() - started)
        return value

    for path in films:
        film = timed("read", read_radiograph, path)
        timed("gate: pixels", check_pixels, film)
        inputs = timed("preprocessing", prepare, film, spec)
        output = timed("stage 1", cascade.stage1.run, inputs)
        if cascade.gate is not None:
            timed("gate: features", cascade.gate.assess, output.features, [None])
        timed("stage 2", cascade.model_of(2).run, inputs)  # the same input: Cascade prepares it once
    return {name: spread(values) for name, values in steps.items()}


def ours(threads: int, parallel: int, provider: str = "cpu") -> Judge:
    """Return the cascade, as ``predict`` runs it on one core or all."""
    cascade = Cascade.load(threads=threads, provider=provider)
    return lambda paths: list(cascade.predict_many(paths, workers=2, parallel=parallel))


def in_batches(make: Callable[..., Judge], *arguments: object) -> Judge:
    """Return what judges any number of films, ``BATCH`` at a time."""
    judge = make(*arguments)
    return lambda paths: [judge(paths[start : start + BATCH]) for start in range(0, len(paths), BATCH)]


def throughput(films: Sequence[Path]) -> list[Row]:
    """Count films a second by threads of a run, batches at once, workers and batch size, reading included."""
    shared, own = Cascade.load(), Cascade.load(threads=1)
    rows = []
    for parallel, workers, batch in (
        *((1, 1, 1), (1, 1, 16), (1, 2, 16)),
        *((CORES, 1, 16), (CORES, 2, 1), (CORES, 2, 4), (CORES, 2, 16), (CORES, 2, 32), (CORES, 4, 16)),
    ):
        cascade = own if parallel > 1 else shared
        answers = cascade.predict_many(films, parallel=parallel, workers=workers, batch_size=batch)
        taken = seconds_of(list, answers)
        settings = {"threads": 1 if parallel > 1 else CORES, "parallel": parallel, "workers": workers}
        rows.append({**settings, "batch": batch, "films_per_second": round(len(films) / taken, 1)})
    return rows


def processes(films: Sequence[Path], rounds: int) -> dict[str, Row]:
    """Time whole processes: the version, and one film."""
    commands = {"--version": ["--version"], "predict FILM": ["predict", str(films[0])]}
    found: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, arguments in commands.items():
            command = [sys.executable, "-m", "pneumocascade", *arguments]
            found[name].append(seconds_of(_run, command))
    return {name: spread(values) for name, values in found.items()}


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


_PEAK = """
import sys
from pathlib import Path
from pneumocascade.cli import main
sys.argv = ["pneumocascade", *sys.argv[1:]]
try:
    main()
except SystemExit:
    pass
# The peak of this program alone: getrusage also counts what the process was before it.
lines = Path("/proc/self/status").read_text().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("VmHWM")), file=sys.stderr)
"""


def peak_memory(films: Sequence[Path], counts: Sequence[int], *options: str) -> list[Row]:
    """Return the largest resident size of ``predict`` by the number of files."""
    rows = []
    for count in counts:
        names = "\n".join(str(films[index % len(films)]) for index in range(count))
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "answers.jsonl"
            command = [sys.executable, "-c", _PEAK, "predict", "-", *options, "--output", str(output)]
            started = time.perf_counter()
            done = subprocess.run(command, input=names, text=True, capture_output=True, check=True)
            taken = time.perf_counter() - started
            with output.open("rb") as answers:
                if (found := sum(1 for _ in answers)) != count:
                    raise RuntimeError(f"{count} films, {found} answers")
        megabytes = int(done.stderr.split()[-1]) / 1024
        rows.append(
            {"files": count, "peak_mb": round(megabytes), "films_per_second": round(count / taken, 1)}
        )
    return rows


def main() -> None:
    """Run all contests and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("small", type=Path, help="films of 224 pixels")
    parser.add_argument("large", type=Path, help="films as published")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    report: Row = {"machine": machine()}
    cascade = Cascade.load()
    small, large = some(arguments.small, 400), some(arguments.large, 60)
    with tempfile.TemporaryDirectory() as folder:
        float32 = Path(folder) / "float32.onnx"
        spec = replace(cascade.stage1.spec, input_size=224)
        to_onnx(build_network(stride_in_1x1=False).eval(), spec, float32)
        usual: dict[str, tuple[Callable[..., Judge], tuple[object, ...]]] = {
            "usual, PyTorch": (usual_torch, ()),
            "usual, ONNX Runtime float32": (usual_onnx, (float32,)),
        }
        ways = {
            "pneumocascade": Contestant(ours, (0, 1)),
            **{name: Contestant(make, given) for name, (make, given) in usual.items()},
        }
        for name, films in (("224", small), ("original", large)):
            report[f"single_{name}"] = contest(ways, films, 1, arguments.rounds)
        ways = {
            "pneumocascade": Contestant(ours, (1, CORES)),
            **{name: Contestant(in_batches, (make, *given)) for name, (make, given) in usual.items()},
        }
        report["batch_224"] = contest(ways, small, 4 * BATCH, 5)
        report["network_batch_1"] = networks(small[:1], Path(folder), arguments.rounds)
        report["network_batch_16"] = networks(small[:BATCH], Path(folder), 5)
    report["roofline"] = roofline(small[:BATCH])
    for name, films in (("224", small[:40]), ("original", large[:40])):
        report[f"steps_{name}"] = per_step(cascade, films)
    report["throughput_224"] = throughput(small[:256])
    report["processes"] = processes(large, 7)
    report["memory"] = peak_memory(large, (16, 128, 512))
    arguments.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
