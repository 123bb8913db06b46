"""What the code must not do: unpickle, run text, start a shell, trust a file, answer strangers."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pneumocascade import server
from tests.conftest import EXAMPLES
from tests.test_packaging import COMMANDS, options_of

ROOT = Path(__file__).parents[1]
FOLDERS = ("src", "tools", "torture", "benchmarks", "tests")

MODULES = {
    **dict.fromkeys(
        ("pickle", "_pickle", "cPickle", "cloudpickle", "dill", "marshal", "shelve"), "unpickles"
    ),
    **dict.fromkeys(("xml.etree", "xml.dom", "xml.sax", "lxml"), "expands entities of XML without end"),
    **dict.fromkeys(("telnetlib", "ftplib"), "speaks a protocol without encryption"),
}
"""Modules that nothing imports, and why."""

CALLS = {
    **dict.fromkeys(("eval", "exec", "compile", "__import__"), "runs text"),
    **dict.fromkeys(("joblib.load", "pandas.read_pickle", "numpy.lib.format.read_array"), "unpickles"),
    **dict.fromkeys(("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load"), "makes any object"),
    **dict.fromkeys(
        ("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"), "a shell"
    ),
    "tempfile.mktemp": "another may make the file first",
    "ssl._create_unverified_context": "trusts any certificate",
}
"""Functions that nothing calls, and why."""

NEEDED = {"torch.load": ("weights_only", True)}
"""Functions with an argument without which they unpickle."""

REFUSED = {
    "allow_pickle": True,
    "shell": True,
    "verify": False,
    "weights_only": False,
    "trust_remote_code": True,
}
"""Arguments that no call may give such a value; anything but a plain ``True`` or ``False`` counts, too."""


def names_of(tree: ast.AST) -> dict[str, str]:
    """Return what each imported name stands for: ``np`` for ``numpy``, ``load`` for ``torch.load``."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update({alias.asname: alias.name for alias in node.names if alias.asname})
        elif isinstance(node, ast.ImportFrom):
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return names


def full_name(node: ast.expr, names: dict[str, str]) -> str:
    """Return the dotted name of what is called, by the names of modules; empty for other expressions."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id).removeprefix("builtins.")
    if isinstance(node, ast.Attribute):
        owner = full_name(node.value, names)
        return f"{owner}.{node.attr}".removeprefix("builtins.") if owner else ""
    return ""


def within(module: str, forbidden: str) -> bool:
    return module == forbidden or module.startswith(f"{forbidden}.")


def forbidden_imports(node: ast.AST) -> Iterator[str]:
    modules: list[str] = []
    if isinstance(node, ast.Import):
        modules = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        modules = [f"{node.module}.{alias.name}" for alias in node.names]
    yield from (
        f"imports {module}, which {why}"
        for module in modules
        for forbidden, why in MODULES.items()
        if within(module, forbidden)
    )


def forbidden_calls(node: ast.AST, names: dict[str, str]) -> Iterator[str]:
    if not isinstance(node, ast.Call):
        return
    name = full_name(node.func, names)
    if name in CALLS:
        yield f"calls {name}: {CALLS[name]}"
    given = {word.arg: word.value for word in node.keywords if word.arg}
    if name in NEEDED:
        argument, value = NEEDED[name]
        if not (isinstance(given.get(argument), ast.Constant) and ast.literal_eval(given[argument]) is value):
            yield f"calls {name} without {argument}={value}"
    for argument, value in REFUSED.items():
        if argument in given and getattr(given[argument], "value", value) is not (not value):
            yield f"calls {name or 'something'} with {argument}={ast.unparse(given[argument])}"


def tells_a_type(test: ast.expr) -> bool:
    """Return whether an ``assert`` tells a type checker a type: ``is not None``, or ``isinstance``."""
    if isinstance(test, ast.Compare):
        return isinstance(test.ops[0], ast.IsNot) and ast.unparse(test.comparators[0]) == "None"
    return isinstance(test, ast.Call) and ast.unparse(test.func) == "isinstance"


def found_in(text: str, *, product: bool) -> list[str]:
    """Return what a module must not do, with lines; ``product`` code must not check by ``assert`` either."""
    tree = ast.parse(text)
    names = names_of(tree)
    found = []
    for node in ast.walk(tree):
        wrong = [*forbidden_imports(node), *forbidden_calls(node, names)]
        if product and isinstance(node, ast.Assert) and not tells_a_type(node.test):
            wrong.append("checks by assert, which python -O leaves out")
        found += [f"{getattr(node, 'lineno', 0)} {each}" for each in wrong]
    return found


ALLOWED = {
    # Of a record that only this package makes: a state that cannot be.
    "src/pneumocascade/doctor/check.py": ("checks by assert",),
    # A star import is a statement of a module's top level, so it cannot stand in a test.
    "tests/test_public.py": ("calls exec",),
}
"""What is no defect, by file, each with its reason."""


def modules_of(folder: str) -> list[Path]:
    return [*sorted((ROOT / folder).rglob("*.py")), *([ROOT / "app.py"] if folder == "src" else [])]


def is_allowed(name: str, what: str) -> bool:
    return any(each in what for each in ALLOWED.get(name, ()))


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_that_is_forbidden_is_done(folder: str) -> None:
    found = [
        (path.relative_to(ROOT).as_posix(), each)
        for path in modules_of(folder)
        for each in found_in(path.read_text(encoding="utf-8"), product=folder == "src")
    ]
    assert [f"{name}:{what}" for name, what in found if not is_allowed(name, what)] == []
    used = {name for name, what in found if is_allowed(name, what)}
    assert used == {name for name in ALLOWED if name.startswith(f"{folder}/")}, "leave out what is not needed"


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "import pickle as p",
        "from pickle import loads",
        "import marshal",
        "import shelve",
        "def f():\n    import dill",
        "import cloudpickle.fast",
        "import xml.etree.ElementTree as tree",
        "from xml import etree",
        "from xml.dom import minidom",
        "import joblib\njoblib.load('x')",
        "from joblib import load\nload('x')",
        "import pandas as pd\npd.read_pickle('x')",
        "eval('1')",
        "exec('1')",
        "compile('1', '', 'eval')",
        "import builtins\nbuiltins.eval('1')",
        "from builtins import exec as run\nrun('1')",
        "__import__('os')",
        "import torch\ntorch.load('x')",
        "import torch\ntorch.load('x', weights_only=False)",
        "import torch as t\nt.load('x', weights_only=safe)",
        "from torch import load as read\nread('x')",
        "import yaml\nyaml.load('x')",
        "import yaml\nyaml.load('x', Loader=yaml.SafeLoader)",
        "from yaml import full_load\nfull_load('x')",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import numpy as np\nnp.load('x', allow_pickle=flag)",
        "import subprocess\nsubprocess.run('ls', shell=True)",
        "from subprocess import Popen\nPopen('ls', shell=1)",
        "import os\nos.system('ls')",
        "from os import popen\npopen('ls')",
        "import subprocess\nsubprocess.getoutput('ls')",
        "import tempfile\ntempfile.mktemp()",
        "import requests\nrequests.get('x', verify=False)",
        "import ssl\nssl._create_unverified_context()",
        "def f(x):\n    assert x > 0",
        "def f(x):\n    assert x is None",
    ],
)
def test_each_of_them_is_found(text: str) -> None:
    assert len(found_in(text, product=True)) >= 1


@pytest.mark.parametrize(
    "text",
    [
        "import pickletools",
        "model.eval()",
        "session.eval()",
        "import re\nre.compile('x')",
        "cursor.exec()",
        "import yaml\nyaml.safe_load('x')",
        "import numpy as np\nnp.load('x', allow_pickle=False)",
        "import torch\ntorch.load('x', weights_only=True)",
        "import json\njson.load(file)",
        "import subprocess\nsubprocess.run(['ls'], shell=False)",
        "def f(x):\n    assert x is not None\n    assert isinstance(x, int)",
    ],
)
def test_what_only_looks_alike_is_not(text: str) -> None:
    assert found_in(text, product=True) == []


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
