"""The same answer everywhere: however often, on whichever way in, and the one that was written down."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image
from pydicom import uid
from typer.testing import CliRunner

import golden
from pneumocascade import Cascade, Prediction, read_radiograph, server
from pneumocascade.audit.counter import STATE_VARIABLE
from pneumocascade.cli import app
from pneumocascade.inference.cascade import DEFAULT_OPERATING_POINT
from pneumocascade.inference.worker_pool import IsolatedReader
from pneumocascade.model.spec import OPERATING_POINTS
from pneumocascade.web.analysis import analyse
from tests.conftest import EXAMPLES
from tests.imaging.dicom.objects import dataset, to_bytes

TOLERANCE = 1e-3
"""Between processors, threads and batches: sums are rounded in another order."""

GOLDEN: dict[str, Any] = json.loads(golden.GOLDEN.read_text(encoding="utf-8"))

EXPECTED: dict[str, dict[str, Any]] = GOLDEN["answers"][DEFAULT_OPERATING_POINT]


def same(found: Any, expected: Any) -> bool:
    """Return whether two answers are the same, numbers within ``TOLERANCE``."""
    if isinstance(expected, dict):
        return set(found) == set(expected) and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float):
        return bool(abs(found - expected) <= TOLERANCE)
    return bool(found == expected)


def assert_golden(predictions: list[Prediction]) -> None:
    found = dict(zip(EXPECTED, map(golden.answer_of, predictions), strict=True))
    assert same(found, EXPECTED), found


def exact(predictions: list[Prediction]) -> list[tuple[Any, ...]]:
    """Return all that the models said, to the last bit."""
    rows = []
    for prediction in predictions:
        stages = [stage for stage in (prediction.stage1, prediction.stage2) if stage is not None]
        maps = [stage.activation_map.tobytes() for stage in stages if stage.activation_map is not None]
        rows.append((prediction.pixels_sha256, [stage.probabilities for stage in stages], maps))
    return rows


def test_the_answers_are_those_that_were_written_down(cascade: Cascade) -> None:
    """Where they are meant to change: ``python tools/golden.py``, and say so in CHANGELOG.md."""
    found = golden.golden(cascade)
    assert list(found["answers"]) == list(OPERATING_POINTS)
    assert found["films"] == GOLDEN["films"], "the example films are others"
    assert same(found, GOLDEN), json.dumps(found, indent=1)


def test_an_answer_that_differs_is_told() -> None:
    """What the other tests compare with can fail."""
    changed = json.loads(json.dumps(EXPECTED))
    film = changed[EXAMPLES[0].name]
    film["stage1"]["probabilities"]["normal"] += 2 * TOLERANCE
    assert not same(changed, EXPECTED)
    film["stage1"]["probabilities"]["normal"] -= 1.5 * TOLERANCE
    assert same(changed, EXPECTED)
    film["finding"] = "neither"
    assert not same(changed, EXPECTED)


def test_repeated_runs_are_the_same_to_the_last_bit(cascade: Cascade) -> None:
    first = exact([cascade.predict(path) for path in EXAMPLES])
    assert all(maps for _, _, maps in first), "there are maps to compare"
    for _ in range(5):
        assert exact([cascade.predict(path) for path in EXAMPLES]) == first
    assert exact([Cascade.load(threads=1).predict(path) for path in EXAMPLES]) == first


@pytest.mark.parametrize("threads", [0, 2, 3, 5])
def test_threads_change_nothing(threads: int) -> None:
    cascade = Cascade.load(threads=threads)
    found = [cascade.predict(path) for path in EXAMPLES]
    assert_golden(found)
    assert exact([cascade.predict(path) for path in EXAMPLES]) == exact(found)


@pytest.mark.parametrize(("batch_size", "workers", "parallel"), [(1, 1, 1), (3, 2, 1), (2, 1, 2), (16, 3, 3)])
def test_batches_change_nothing(cascade: Cascade, batch_size: int, workers: int, parallel: int) -> None:
    """Each film stands at several places of batches of several sizes."""
    sources = [path for start in range(5) for path in (*EXAMPLES[start % 4 :], *EXAMPLES[: start % 4])]
    found = list(cascade.predict_many(sources, batch_size=batch_size, workers=workers, parallel=parallel))
    for path, prediction in zip(sources, found, strict=True):
        assert same(golden.answer_of(prediction), EXPECTED[path.name]), path.name


def test_what_stands_beside_a_film_in_its_batch_does_not_matter(cascade: Cascade) -> None:
    odd: list[Any] = [b"no film", np.zeros((300, 300), np.uint8), np.full((400, 200), 255, np.uint8)]
    found = list(cascade.predict_many([*odd, EXAMPLES[2], *odd], batch_size=8))
    assert same(golden.answer_of(found[3]), EXPECTED[EXAMPLES[2].name])


def grey(path: Path) -> NDArray[np.uint8]:
    return np.asarray(read_radiograph(path).pixels, np.uint8)


def as_png(pixels: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def as_tiff(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "TIFF", compression="tiff_lzw")
    return stream.getvalue()


SOURCES: dict[str, Callable[[Path], Any]] = {
    "path": lambda path: path,
    "text": str,
    "bytes": Path.read_bytes,
    "pixels": lambda path: grey(path),
    "radiograph": read_radiograph,
    "Pillow": lambda path: Image.fromarray(grey(path)),
    "PNG": lambda path: as_png(grey(path)),
    "16 bits": lambda path: grey(path).astype(np.uint16) * 257,
    "colour": lambda path: np.repeat(grey(path)[..., None], 3, axis=2),
    "TIFF": lambda path: as_tiff(grey(path)),
    "DICOM": lambda path: to_bytes(dicom(grey(path))),
    "DICOM big endian": lambda path: to_bytes(dicom(grey(path)), uid.ExplicitVRBigEndian),
    "DICOM white is zero": lambda path: to_bytes(negative(grey(path))),
}


def dicom(pixels: NDArray[np.uint8]) -> Any:
    return dataset(pixels, 8, ViewPosition="PA", BodyPartExamined="CHEST", WindowCenter=128, WindowWidth=256)


def negative(pixels: NDArray[np.uint8]) -> Any:
    item = dicom(255 - pixels)
    item.PhotometricInterpretation, item.PresentationLUTShape = "MONOCHROME1", "INVERSE"
    return item


@pytest.mark.parametrize("way", SOURCES)
def test_a_film_is_the_same_in_every_form(cascade: Cascade, way: str) -> None:
    assert_golden([cascade.predict(SOURCES[way](path)) for path in EXAMPLES])


def test_the_command_line_says_the_same(tmp_path: Path) -> None:
    for suffix in ("json", "jsonl"):
        output = tmp_path / f"answers.{suffix}"
        result = CliRunner().invoke(app, ["predict", *map(str, EXAMPLES), "--output", str(output)])
        assert result.exit_code == 0, result.output
        text = output.read_text(encoding="utf-8")
        rows = json.loads(text) if suffix == "json" else list(map(json.loads, text.splitlines()))
        found = {Path(row.pop("source")).name: row for row in rows if row.pop("elapsed_ms") > 0}
        assert same(found, EXPECTED)


def test_the_rest_api_says_the_same(
    cascade: Cascade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    with TestClient(server.create_app(cascade, with_web=False)) as client:
        files = [("files", (path.name, path.read_bytes())) for path in EXAMPLES]
        rows = client.post("/api/v1/predictions", files=files).json()["predictions"]
    found = {row.pop("source"): row for row in rows if row.pop("elapsed_ms") > 0}
    assert same(found, EXPECTED)


def test_the_web_app_says_the_same(cascade: Cascade) -> None:
    assert_golden([analyse(cascade, path, DEFAULT_OPERATING_POINT).prediction for path in EXAMPLES])


@pytest.fixture
def isolated() -> Iterator[Cascade]:
    """A cascade whose films are read in a process of its own."""
    reader = IsolatedReader(1)
    yield Cascade.load(threads=1, reader=reader)
    reader.close()


def test_a_process_that_decodes_changes_nothing(isolated: Cascade) -> None:
    assert_golden([isolated.predict(path) for path in EXAMPLES])
