"""What runs the server elsewhere agrees with the code: image, Compose file, systemd unit, and their page."""

from __future__ import annotations

import configparser
import http.server
import importlib.metadata
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from packaging.requirements import Requirement

from pneumocascade.cli import app
from tests.node.programs import free_port, wait_for

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "packaging" / "pneumocascade.service"
UNITS = (UNIT, UNIT.with_name("pneumocascade-node.service"))
each_unit = pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
SILENT = {"ORT_DISABLE_TELEMETRY": "1", "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
"""Variables without which a library may report to its makers."""


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def options_of(command: Any) -> set[str]:
    return {
        name for option in command.params for name in (*option.opts, *option.secondary_opts) if "-" in name
    }


def all_commands(command: Any, path: tuple[str, ...] = ("pneumocascade",)) -> Iterator[tuple[str, Any]]:
    """Yield every command below one, and itself, by its full name."""
    yield " ".join(path), command
    for name, inner in getattr(command, "commands", {}).items():
        yield from all_commands(inner, (*path, name))


COMMANDS = dict(all_commands(typer.main.get_command(app)))


def check_call(words: list[str]) -> None:
    """Check that a command line names a command and options that there are."""
    name = words[0]
    while len(words) > 1 and f"{name} {words[1]}" in COMMANDS:
        name = f"{name} {words.pop(1)}"
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert name in COMMANDS
    assert given <= options_of(COMMANDS[name]) | {"--help"}, name


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions and what each is given, comments left out."""
    text = re.sub(r"^\s*#.*\n", "", read("Dockerfile"), flags=re.MULTILINE).replace("\\\n", " ")
    split = [line.strip().partition(" ") for line in text.splitlines() if line.strip()]
    return [(name, rest.strip()) for name, _, rest in split]


def given_to(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def test_the_image_runs_without_root_and_installs_what_is_locked_by_hash() -> None:
    (user,) = given_to("USER")
    assert min(map(int, user.split(":"))) > 0
    assert any("--require-hashes" in rest for rest in given_to("RUN"))


def test_the_image_starts_a_command_that_there_is() -> None:
    words = [*json.loads(given_to("ENTRYPOINT")[0]), *json.loads(given_to("CMD")[0])]
    check_call(words)
    environment = " ".join(given_to("ENV"))
    assert all(f"{name}={value}" in environment for name, value in SILENT.items())


class Health(http.server.BaseHTTPRequestHandler):
    """Answers /healthz with the status of the server it belongs to."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (500, False)])
def test_the_health_check_asks_the_server_and_no_proxy(status: int, healthy: bool) -> None:
    _, _, text = given_to("HEALTHCHECK")[0].partition("CMD ")
    words = [sys.executable, *json.loads(text)[1:]]
    handler = type("Answering", (Health,), {"status": status})
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        nowhere = {"http_proxy": "http://127.0.0.1:1", "no_proxy": ""}
        environment = {**os.environ, **nowhere, "PORT": str(server.server_port)}
        done = subprocess.run(words, env=environment, capture_output=True, check=False, timeout=60)
        server.shutdown()
    assert (done.returncode == 0) is healthy, done.stderr


@pytest.mark.parametrize(("name", "state"), [("pneumocascade", "state"), ("node", "node")])
def test_the_compose_file_keeps_what_the_image_allows(name: str, state: str) -> None:
    yaml: Any = pytest.importorskip("yaml")
    service = yaml.safe_load(read("packaging/compose.yaml"))["services"][name]
    check_call(["pneumocascade", *service["command"]])
    assert (UNIT.parent / service["build"]).resolve() == ROOT
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    (volume,) = given_to("VOLUME")
    assert service["volumes"] == [f"{state}:{volume}"]


def unit(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text(encoding="utf-8"))
    return parser


def test_a_space_installs_what_the_web_app_needs() -> None:
    needed = map(Requirement, importlib.metadata.requires("pneumocascade") or ())
    lines = [line for line in read("requirements.txt").splitlines() if line[0] != "#"]
    assert {(each.name, each.specifier) for each in map(Requirement, lines)} == {
        (each.name, each.specifier)
        for each in needed
        if each.marker is None or each.marker.evaluate({"extra": "web"})
    }


def test_a_space_answers() -> None:
    port = free_port()
    environment = {**os.environ, **SILENT, "GRADIO_SERVER_PORT": str(port)}
    process = subprocess.Popen([sys.executable, str(ROOT / "app.py")], cwd=ROOT, env=environment)
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/healthz"), 60)
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


@each_unit
def test_the_unit_starts_a_command_that_there_is(path: Path) -> None:
    words = shlex.split(unit(path)["Service"]["ExecStart"].replace("\\\n", " "))
    assert Path(words[0]).name == "pneumocascade"
    check_call(["pneumocascade", *words[1:]])
    environment = " ".join(re.findall(r"^Environment=(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert all(f"{name}={value}" in environment for name, value in SILENT.items())


@each_unit
def test_the_unit_is_confined(path: Path) -> None:
    service = unit(path)["Service"]
    on = (
        "DynamicUser",
        "NoNewPrivileges",
        "PrivateTmp",
        "PrivateDevices",
        "ProtectHome",
        "RestrictNamespaces",
    )
    assert {name: service[name] for name in on} == dict.fromkeys(on, "yes")
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    assert "ProcSubset" not in service  # ONNX Runtime reads /proc/cpuinfo
    assert {"SystemCallFilter", "RestrictAddressFamilies", "MemoryMax", "StateDirectory"} <= set(service)


def systemd_analyze(*arguments: str) -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@each_unit
def test_systemd_understands_the_unit(path: Path, tmp_path: Path) -> None:
    command = unit(path)["Service"]["ExecStart"].split()[0]
    copy = tmp_path / path.name
    copy.write_text(path.read_text(encoding="utf-8").replace(command, sys.executable), encoding="utf-8")
    assert systemd_analyze("verify", str(copy)) == ""


def test_the_commands_of_the_deployment_page_are_there() -> None:
    page = read("docs/deployment.md")
    calls = re.findall(r"^\$ (pneumocascade .+)$", page, re.MULTILINE)
    inline = re.findall(r"`((?:pneumocascade )?(?:serve|predict)(?: -[^`]+)?)`", page)
    assert len(calls) > 2
    for call in [*calls, *(text.removeprefix("pneumocascade ") for text in inline)]:
        words = shlex.split(call)
        check_call(words if words[0] == "pneumocascade" else ["pneumocascade", *words])
