"""What the code must not do: unpickle, run text, start a shell, answer strangers."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pneumocascade import server
from tests.conftest import EXAMPLES
from tests.test_packaging import COMMANDS, options_of

ROOT = Path(__file__).parents[1]

FORBIDDEN = """
import pickle
from marshal import loads
import xml.etree.ElementTree as tree
import numpy as np, torch, yaml, os, subprocess, requests
torch.load("x")
yaml.load("x")
os.system("ls")
subprocess.run("ls", shell=True)
eval("1")
exec("1")
requests.get("x", verify=False)
"""


def test_the_linter_finds_each_of_what_is_forbidden() -> None:
    command = [sys.executable, "-m", "ruff", "check", "--output-format", "concise", "--stdin-filename"]
    done = subprocess.run(
        [*command, "src/pneumocascade/forbidden.py", "-"],
        input=FORBIDDEN,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = set(map(int, re.findall(r"^\S+?:(\d+):\d+: (?:TID251|S\d+)", done.stdout, re.MULTILINE)))
    assert found == {2, 3, 4, 6, 7, 8, 9, 10, 11, 12}, done.stdout


REFUSED = {"allow_pickle": True, "trust_remote_code": True, "weights_only": False}
"""Arguments that no call may give such a value, which no rule of the linter knows."""


@pytest.mark.parametrize("folder", ["src", "tools", "torture", "benchmarks"])
def test_no_call_allows_pickles(folder: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{word.value.lineno}"
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        for word in node.keywords
        if word.arg in REFUSED and getattr(word.value, "value", None) is not (not REFUSED[word.arg])
    ]
    assert found == []


_LISTENING = """
import sys
found = []
sys.addaudithook(lambda event, given: found.append(given) if event == "pickle.find_class" else None)
"""


def classes_unpickled_by(code: str, *arguments: str) -> str:
    """Run code in another process and return which classes were asked for while something was unpickled."""
    words = [sys.executable, "-c", f"{_LISTENING}\n{code}\nprint(found)", *arguments]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.splitlines()[-1]


def test_judging_a_film_unpickles_nothing() -> None:
    code = """
from pneumocascade import Cascade
prediction = Cascade.load(threads=1).predict(sys.argv[1])
if prediction.finding is None:
    raise SystemExit("the film was not judged")
"""
    assert classes_unpickled_by(code, str(EXAMPLES[0])) == "[]"


@pytest.mark.slow
def test_the_server_and_its_libraries_unpickle_nothing_when_they_start() -> None:
    code = """
from pneumocascade import Cascade
from pneumocascade.server.app import create_app
create_app(Cascade.load(threads=1))
"""
    assert classes_unpickled_by(code) == "[]"


def test_unpickling_would_be_heard() -> None:
    code = "import fractions, pickle\npickle.loads(pickle.dumps(fractions.Fraction(1, 2)))"
    assert "Fraction" in classes_unpickled_by(code)


def test_by_default_only_this_machine_is_answered() -> None:
    (host,) = [option for option in COMMANDS["pneumocascade serve"].params if "--host" in option.opts]
    assert host.default == "127.0.0.1"
    assert inspect.signature(server.serve).parameters["host"].default == "127.0.0.1"


def test_no_option_takes_the_token_itself() -> None:
    assert {name for name in options_of(COMMANDS["pneumocascade serve"]) if "token" in name} == {
        "--token-file"
    }
