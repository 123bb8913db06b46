"""The exception tree and its codes are what the module's docstring says."""

from __future__ import annotations

import ast
import copy
import inspect
import multiprocessing
import re
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

import pneumocascade
from pneumocascade import errors, read_radiograph
from pneumocascade.model import gate

FILM_ERRORS = (errors.FileAccessError, errors.UnreadableImageError, errors.UnsuitableImageError)


def all_errors() -> list[type[Exception]]:
    return [value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, Exception)]


def raised_codes(module: str) -> dict[str, set[str]]:
    """Return the literal codes given to each exception class in a module's source."""
    path = Path(pneumocascade.__file__).parent / module
    found: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                found.setdefault(node.func.id, set()).add(first.value)
    return found


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_every_error_belongs_to_the_tree_and_is_shown_in_it(kind: type[Exception]) -> None:
    assert issubclass(kind, errors.PneumocascadeError)
    assert kind.__doc__
    assert errors.__doc__ is not None
    assert kind.__name__ in errors.__doc__


@pytest.mark.parametrize("kind", FILM_ERRORS, ids=lambda kind: kind.__name__)
def test_a_film_error_carries_code_and_message(kind: type[errors.FilmError]) -> None:
    error = kind("some_code", "what was found")
    assert (error.code, error.message, str(error)) == ("some_code", "what was found", "what was found")


def test_every_code_of_reading_is_documented_under_its_class() -> None:
    assert errors.__doc__ is not None
    raised = raised_codes("imaging/read.py")
    documented = dict.fromkeys((kind.__name__ for kind in FILM_ERRORS), "")
    current = ""
    for line in errors.__doc__.splitlines():
        current = next(
            (name for name in documented if name in line), current if "├──" not in line[:5] else ""
        )
        if current:
            documented[current] += line
    for name, text in documented.items():
        assert raised[name], f"{name} is never raised"
        for code in raised[name]:
            assert re.search(rf"\b{code}\b", text), f"{name} has no code {code} in the docstring"


def test_every_code_of_the_gate_is_documented() -> None:
    assert gate.__doc__ is not None
    modules = [raised_codes(f"model/gate/{name}.py") for name in ("layout", "pixel_checks", "reasons")]
    codes = set().union(*(module["Reason"] for module in modules))
    assert codes >= {"too_small", "blank", "not_a_radiograph"}
    assert codes == set(re.findall(r"``(\w+)``", gate.__doc__))


def test_errors_come_back_from_other_processes() -> None:
    raised = [
        errors.UnreadableImageError("truncated_image", "cut off"),
        errors.BusyError("too many wait", 7),
        errors.MissingExtraError("training", "train"),
        *(kind("a message") for kind in all_errors() if kind.__init__ is Exception.__init__),
    ]
    for error in raised:
        again = copy.copy(error)  # by what pickling asks an exception for
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)


def test_a_missing_film_breaks_no_pool_of_processes(tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        with pytest.raises(errors.FileAccessError, match="there is no such file") as caught:
            pool.submit(read_radiograph, tmp_path / "nothing.png").result()
        assert caught.value.code == "file_not_found"
        assert pool.submit(str, 1).result() == "1"


def test_a_missing_extra_names_what_to_install() -> None:
    error = errors.MissingExtraError("training", "train")
    assert error.extra == "train"
    assert (
        str(error) == "training needs packages that are not installed: run pip install 'pneumocascade[train]'"
    )
