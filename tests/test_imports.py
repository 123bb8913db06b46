"""Who may import whom, checked on the source of every module, lazy imports included."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import pneumocascade

PACKAGE = Path(pneumocascade.__file__).parent

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"errors", "i18n", "types"}),
    frozenset({"imaging"}),
    frozenset({"model"}),
    frozenset({"explain"}),
    frozenset({"inference"}),
    frozenset({"audit", "datasets", "output"}),
    frozenset({"evaluation", "training"}),
    frozenset({"reports"}),
    frozenset({"cli", "doctor", "node", "server", "web", "__main__"}),
)
"""The folders from bottom to top: one may import from its own layer and from those below."""

ONLY_IN = {
    "gradio": {"web", "server"},
    "babel": {"i18n"},
    "fastapi": {"web", "server"},
    "pydantic": {"server"},
    "uvicorn": {"server", "cli"},
    "starlette": {"node", "server", "web"},
    "python_multipart": {"node", "server", "web"},
    "httpx": {"node"},
    "onnxruntime": {"model", "training"},
    "openvino": {"model"},
    "onnx": {"training"},
    "torch": {"training"},
    "monai": {"training"},
    "typer": {"cli"},
    "jinja2": {"explain"},
    "matplotlib": {"explain", "evaluation", "training"},
    "sklearn": {"evaluation", "training"},
    "pandas": {"output"},
    "pyarrow": {"output"},
    "ray": {"output"},
    "fsspec": {"imaging"},
    "pydicom": {"imaging", "node", "reports"},
    "imagecodecs": {"imaging"},
    "dicomanonymizer": {"reports"},
    "highdicom": {"reports"},
    "weasyprint": {"reports"},
    "prometheus_client": {"node", "server"},
    "pynetdicom": {"node"},
    "watchfiles": {"node"},
}
"""Third-party packages and the only folders that may import them."""

HEAVY = (
    "babel",
    "torch",
    "monai",
    "gradio",
    "fastapi",
    "pandas",
    "matplotlib",
    "sklearn",
    "scipy",
    "onnxruntime",
    "openvino",
    "typer",
    "pyarrow",
    "ray",
    "fsspec",
    "pydicom",
    "imagecodecs",
    "highdicom",
    "weasyprint",
    "prometheus_client",
    "pynetdicom",
    "watchfiles",
    "starlette",
    "httpx",
)


@dataclass(frozen=True)
class Import:
    """One import statement: ``module`` is imported in ``where``, at its line."""

    where: str
    line: int
    module: str
    lazy: bool
    for_types: bool

    @property
    def folder(self) -> str:
        return folder_of(self.where)

    def __str__(self) -> str:
        return f"{self.where}:{self.line} imports {self.module}"


def module_name(path: Path) -> str:
    parts = ("pneumocascade", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def folder_of(module: str) -> str:
    """Return the first name below the package: ``web`` for ``pneumocascade.web.app``."""
    return module.split(".")[1] if "." in module else ""


def statements(
    node: ast.AST, *, lazy: bool = False, for_types: bool = False
) -> Iterator[tuple[ast.stmt, bool, bool]]:
    """Yield the import statements below a node: in a function or not, for type checkers only or not."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child, lazy, for_types
        inside = lazy or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        types = for_types or (isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"))
        yield from statements(child, lazy=inside, for_types=types)


def targets(statement: ast.stmt, modules: set[str]) -> Iterator[str]:
    """Yield the modules that a statement imports; ``from package import module`` counts as the module."""
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
    elif isinstance(statement, ast.ImportFrom):
        assert statement.level == 0, f"line {statement.lineno}: relative import; import by full name"
        base = statement.module or ""
        for alias in statement.names:
            yield f"{base}.{alias.name}" if f"{base}.{alias.name}" in modules else base


def all_imports() -> list[Import]:
    paths = sorted(PACKAGE.rglob("*.py"))
    modules = {module_name(path) for path in paths}
    found = [
        Import(module_name(path), statement.lineno, target, lazy, for_types)
        for path in paths
        for statement, lazy, for_types in statements(ast.parse(path.read_text(encoding="utf-8")))
        for target in targets(statement, modules)
    ]
    return [*found, *dynamic_imports(paths)]


def dynamic_imports(paths: list[Path]) -> list[Import]:
    """Return what is imported by ``import_module("literal")`` and by helpers that are given such a name."""
    return [
        Import(module_name(path), node.lineno, argument.value, lazy=True, for_types=False)
        for path in paths
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and "import" in ast.unparse(node.func)
        for argument in node.args
        if isinstance(argument, ast.Constant)
        and isinstance(argument.value, str)
        and argument.value.startswith("pneumocascade.")
    ]


IMPORTS = all_imports()
INTERNAL = [item for item in IMPORTS if item.module.split(".")[0] == "pneumocascade"]


def layer_of(folder: str) -> int:
    return next(index for index, folders in enumerate(LAYERS) if folder in folders)


def test_every_folder_has_its_layer() -> None:
    folders = {folder_of(module_name(path)) for path in PACKAGE.rglob("*.py")} - {"", "examples"}
    placed = frozenset().union(*LAYERS)
    assert folders <= placed, f"name their layer in LAYERS: {sorted(folders - placed)}"


def test_lower_folders_never_import_upper_ones() -> None:
    wrong = [
        str(item)
        for item in INTERNAL
        if item.folder and folder_of(item.module) and layer_of(folder_of(item.module)) > layer_of(item.folder)
    ]
    assert wrong == []


def test_nothing_imports_training_but_the_command_line_lazily() -> None:
    inward = [item for item in INTERNAL if folder_of(item.module) == "training" and item.folder != "training"]
    assert [str(item) for item in inward if item.folder != "cli" or not (item.lazy or item.for_types)] == []


def test_the_package_itself_imports_lazily() -> None:
    assert [str(item) for item in INTERNAL if item.folder == "" and not (item.lazy or item.for_types)] == []


@pytest.mark.parametrize("package", ONLY_IN)
def test_a_third_party_package_stays_in_its_folders(package: str) -> None:
    wrong = [
        str(item)
        for item in IMPORTS
        if item.module.split(".")[0] == package and item.folder not in ONLY_IN[package] and not item.for_types
    ]
    assert wrong == []


def test_preprocessing_needs_nothing_but_numpy_and_opencv() -> None:
    third_party = {
        item.module.split(".")[0]
        for item in IMPORTS
        if item.where.removeprefix("pneumocascade.model.") in ("preprocess", "gate", "calibration", "spec")
        and item.module.split(".")[0] not in {*sys.stdlib_module_names, "pneumocascade"}
    }
    assert third_party == {"numpy", "cv2"}


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for item in INTERNAL:
        if not item.lazy and not item.for_types and item.module != "pneumocascade":
            graph.setdefault(item.where, set()).add(item.module)
    for where, imported in graph.items():
        imported.discard(where)
    TopologicalSorter(graph).prepare()


def loaded_after(statement: str) -> set[str]:
    """Return the top-level packages that a fresh interpreter has loaded after a statement."""
    shown = "json.dumps(sorted({name.split('.')[0] for name in sys.modules}))"
    code = f"{statement}\nimport json, sys\nprint({shown})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not loaded_after("import pneumocascade") & {*HEAVY, "numpy", "cv2", "PIL"}


def test_predicting_loads_neither_training_nor_web() -> None:
    loaded = loaded_after("from pneumocascade import *")
    assert not loaded & set(HEAVY)
    assert {"numpy", "cv2", "PIL"} <= loaded


@pytest.mark.parametrize(("provider", "engine"), [("cpu", "onnxruntime"), ("openvino", "openvino")])
def test_a_cascade_loads_the_engine_that_runs_it_alone(provider: str, engine: str) -> None:
    pytest.importorskip(engine)
    loaded = loaded_after(f"from pneumocascade import Cascade; Cascade.load(provider={provider!r})")
    assert loaded & {"onnxruntime", "openvino"} == {engine}
