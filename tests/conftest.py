"""Phantoms drawn by code, example films, and the folder of real films where the caller has one."""

from __future__ import annotations

import io
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray
from PIL import Image

import pneumocascade
from pneumocascade import Cascade, read_radiograph
from tests.tiny_models import write_tiny_models

if TYPE_CHECKING:
    from playwright.sync_api import Browser

EXAMPLES = sorted((Path(pneumocascade.__file__).parent / "examples").glob("*.jpeg"))
"""The four films that the models did not learn from: two normal, two of pneumonia."""

DATA_VARIABLE = "PNEUMOCASCADE_DATA"
"""Environment variable with the folder that holds ``kermany224`` and its sister folders."""

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--use-fake-device-for-media-stream",  # a camera that needs no device
    "--use-fake-ui-for-media-stream",
]
"""What Chromium is started with."""


def pytest_configure() -> None:
    """Give each process its share of the cores: too many threads of OpenMP wait for each other."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # A busy machine is slow, and no test is about seconds.
    settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("tests")


def draw_chest(seed: int = 0, height: int = 480, width: int = 600, opacity: float = 0.0) -> NDArray[np.uint8]:
    """Draw a chest-like phantom: body, two lungs with ribs, spine, heart; grey values 0..255.

    Parameters
    ----------
    seed : int
        Changes noise and proportions a little.
    height, width : int
        In pixels.
    opacity : float
        0..1, of a consolidation in one lung.
    """
    rng = np.random.default_rng(seed)
    film = np.full((height, width), 12, np.float32)
    unit = min(height, width) / 100
    centre = (width // 2, height // 2)

    def ellipse(at: tuple[float, float], axes: tuple[float, float], value: float) -> None:
        middle = (int(centre[0] + at[0] * unit), int(centre[1] + at[1] * unit))
        size = (max(1, int(axes[0] * unit)), max(1, int(axes[1] * unit)))
        cv2.ellipse(film, middle, size, 0, 0, 360, value, -1, cv2.LINE_AA)

    ellipse((0, 2), (46, 52), 170)
    for side in (-1, 1):
        ellipse((side * 20, -4), (13 + rng.uniform(-1, 1), 30), 60)
        for rib in range(7):
            middle = (int(centre[0] + side * 20 * unit), int(centre[1] + (rib * 8 - 26) * unit))
            axes = (int(15 * unit), int(6 * unit))
            cv2.ellipse(film, middle, axes, 0, 180, 360, 105, max(1, int(unit)), cv2.LINE_AA)
    ellipse((4, 12), (12, 16), 190)
    ellipse((0, 0), (4, 50), 210)
    if opacity > 0:
        ellipse((-20, 8), (9, 9), 60 + 130 * opacity)
    noisy = cv2.GaussianBlur(film, (0, 0), unit) + rng.normal(0, 3, film.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def vary_example(seed: int = 0, height: int = 256, width: int = 256) -> NDArray[np.uint8]:
    """Return a bundled example film, of another size and a little brighter or darker.

    The gate of the bundled models refuses phantoms: it takes them for the drawings that they are.

    Parameters
    ----------
    seed : int
        Chooses the film, and how bright it is.
    height, width : int
        In pixels.
    """
    film = read_radiograph(EXAMPLES[seed % len(EXAMPLES)]).pixels
    resized = cv2.resize(film, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.asarray(np.clip(resized * (1 + 0.02 * (seed % 7 - 3)), 0, 255), np.uint8)


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Return grey values as a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def film_png(seed: int = 0, side: int = 160) -> bytes:
    """Return a square film as :func:`vary_example` makes it, as a PNG file."""
    return png(vary_example(seed, side, side))


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a condition; fail where it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.001)


@pytest.fixture
def charts_undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """An evaluation's charts take seconds to draw: for tests that are about something else."""
    blank = png(np.full((8, 8), 255, np.uint8))
    monkeypatch.setattr("pneumocascade.evaluation.chart_style.png", lambda _figure: blank)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or the browser that CHROMIUM names; tests are skipped where there is none."""
    from playwright.sync_api import sync_playwright

    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None or not Path(program).exists():
        pytest.skip("no browser: chromium is not installed (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def chest() -> NDArray[np.uint8]:
    """An example film, shape (480, 600)."""
    return vary_example(0, 480, 600)


@pytest.fixture(scope="session")
def chest_png(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An example film as a PNG file."""
    path = tmp_path_factory.mktemp("films") / "chest.png"
    cv2.imwrite(str(path), vary_example(0, 480, 600))
    return path


@pytest.fixture(scope="session")
def cascade() -> Cascade:
    """The bundled models."""
    return Cascade.load(threads=1)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny models, which tests only read: see ``tests.tiny_models``."""
    return write_tiny_models(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny(models: Path) -> Cascade:
    """A cascade whose answers are known."""
    return Cascade.load(models, threads=1)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real films; tests that need it are skipped where there is none."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get(DATA_VARIABLE, beside))
    if not (folder / "kermany224").is_dir():
        pytest.skip(f"no films: {folder} holds no kermany224 (set {DATA_VARIABLE})")
    return folder
