"""The examples of docs/rest.md, run against a server: curl, and clients generated from the description."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from tests.conftest import EXAMPLES
from tests.reports.sources import planted
from tests.web.conftest import running

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "rest.md"
CLIENTS = Path(__file__).parent / "clients"
"""Exact versions of what generates the clients."""

FILM = next(path for path in EXAMPLES if path.name == "person1946_bacteria_4874.jpeg")
ANSWER = "film.jpeg pneumonia"

# The web app would take a while to start, and these tests do not look at it.
SERVER = """
import uvicorn
from pneumocascade import Cascade
from pneumocascade.server import create_app, listen
listener = listen("127.0.0.1", 0)
app = create_app(Cascade.load(threads=1), with_web=False)
print("The API is", f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])
"""

RUN = """
import { readFile } from 'node:fs/promises';
import { judge } from './out/judge.js';
import { judgeByFetch } from './fetch.mjs';
const film = new Blob([await readFile('film.jpeg')]);
console.log(await judge(film, 'film.jpeg'));
console.log((await judgeByFetch(film)).saliency.stage1.map.length > 1);
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("server"), code=SERVER) as address:
        yield address


@pytest.fixture
def folder(address: str, tmp_path: Path) -> Path:
    """A folder with what the examples expect in it."""
    shutil.copy(FILM, tmp_path / "film.jpeg")
    with Image.open(FILM) as film:
        planted(np.asarray(film.convert("L"))).save_as(tmp_path / "film.dcm", enforce_file_format=True)
    with urllib.request.urlopen(f"{address}/api/v1/openapi.json") as answer:
        (tmp_path / "openapi.json").write_bytes(answer.read())
    return tmp_path


def blocks(language: str, address: str) -> list[str]:
    text = PAGE.read_text(encoding="utf-8").replace("http://127.0.0.1:7860", address)
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def run(folder: Path, *command: str, path: Path | None = None, **variables: str) -> str:
    """Run a command in a folder and return what it prints, which is in the message where it fails."""
    searched = os.pathsep.join(filter(None, (str(path or ""), os.environ["PATH"])))
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": searched, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def installed(config: pytest.Config, name: str, command: list[str], files: list[str]) -> Path:
    """Return a folder into which a package manager installed what is pinned; pytest keeps it.

    The test is skipped where packages cannot be fetched.
    """
    assert config.cache is not None
    pins = b"".join((CLIENTS / file).read_bytes() for file in files)
    folder = config.cache.mkdir(f"{name}-{hashlib.sha256(pins).hexdigest()[:16]}")
    if not (folder / "complete").exists():
        for file in files:
            shutil.copy(CLIENTS / file, folder)
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200, check=False)
        if done.returncode:
            pytest.skip(f"{name} packages cannot be fetched here: {done.stderr.strip()[-300:]}")
        (folder / "complete").touch()
    return folder


def test_the_commands_print_what_the_page_says(folder: Path, address: str) -> None:
    missing = [program for program in ("curl", "jq") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    lines = [
        line
        for block in blocks("console", address)
        if "openapi.json" not in block
        for line in block.splitlines()
    ]
    commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    assert len(commands) > 8
    found = run(folder, "bash", "-c", "\n".join(("set -eu -o pipefail", *commands)))
    assert found.splitlines() == [line for line in lines if not line.startswith("$ ")]


def test_a_generated_python_client_judges_a_film(
    folder: Path, address: str, pytestconfig: pytest.Config
) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    generator = installed(
        pytestconfig,
        "pip",
        [*command, "--target", ".", "--requirement", "requirements.txt"],
        ["requirements.txt"],
    )
    (block,) = [one for one in blocks("console", address) if "openapi-python-client" in one]
    _, _, call = block.rpartition("$ uvx openapi-python-client ")
    words = call.partition(" >")[0].split()
    paths = os.pathsep.join((str(generator), os.environ.get("PYTHONPATH", "")))
    run(
        folder,
        *(sys.executable, "-m", "openapi_python_client", *words),
        path=Path(sys.executable).parent,  # it formats by Ruff
        PYTHONPATH=paths,
    )
    (example,) = blocks("python", address)
    (folder / "example.py").write_text(example, encoding="utf-8")
    assert run(folder, sys.executable, "example.py").startswith(f"{ANSWER} 0.9")


def test_a_generated_typescript_client_is_typed_and_judges_a_film(
    folder: Path, address: str, pytestconfig: pytest.Config
) -> None:
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("npm or node is not installed (apt-get install nodejs npm)")
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0"]
    packages = installed(pytestconfig, "npm", command, ["package.json", "package-lock.json"])
    (folder / "node_modules").symlink_to(packages / "node_modules")
    shutil.copy(packages / "package.json", folder)
    (generate,) = [one for one in blocks("console", address) if "npx" in one]
    run(folder, "bash", "-c", generate.removeprefix("$ "))
    for language, name in (("typescript", "judge.ts"), ("javascript", "fetch.mjs")):
        (example,) = blocks(language, address)
        (folder / name).write_text(example, encoding="utf-8")
    (folder / "run.mjs").write_text(RUN, encoding="utf-8")
    options = "--strict --noEmitOnError --module nodenext --target es2022 --lib es2022,dom,dom.iterable"
    run(folder, "node", "node_modules/typescript/bin/tsc", *options.split(), "--outDir", "out", "judge.ts")
    assert run(folder, "node", "--no-warnings", "run.mjs").splitlines() == [ANSWER, "true"]


@pytest.mark.browser
def test_the_interactive_documentation_judges_a_film(browser: Browser, address: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(60_000)
    errors: list[str] = []
    hosts: set[str] = set()
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: hosts.add("/".join(request.url.split("/")[:3])))
    page.goto(f"{address}/api/v1/docs")
    page.click("#operations-predictions-predict .opblock-summary-control")
    page.set_input_files("#operations-predictions-predict input[type=file]", FILM)
    page.click("button.execute")
    answer = page.locator(".live-responses-table")
    expect(answer).to_contain_text('"finding": "pneumonia"', timeout=60_000)
    context.close()
    assert errors == []
    assert hosts - {"data:"} == {address}
