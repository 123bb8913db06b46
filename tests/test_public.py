"""The public names: present and documented. tests/test_site.py holds docs/python.md to them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.version import Version

import pneumocascade

PUBLIC = pneumocascade.__all__


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(pneumocascade, name)
    if name == "__version__":
        assert str(Version(value)) == value
    else:
        assert value.__name__ == name
        assert value.__module__.startswith("pneumocascade.")
        assert value.__doc__
        assert len(value.__doc__.strip()) > 20


@pytest.mark.parametrize("name", [name for name in PUBLIC if name[0].isupper()])
def test_the_public_methods_are_documented(name: str) -> None:
    kind = getattr(pneumocascade, name)
    for member, value in vars(kind).items():
        if not member.startswith("_") and callable(getattr(kind, member, None)):
            assert getattr(value, "__doc__", None), f"{name}.{member} has no docstring"


def test_the_changelog_knows_this_version() -> None:
    changelog = Path(__file__).parents[1] / "CHANGELOG.md"
    versions = re.findall(r"^## (\S+)", changelog.read_text(encoding="utf-8"), re.MULTILINE)
    assert "Unreleased" not in versions[1:], "what is not released stands first"
    own, newest = Version(pneumocascade.__version__), Version(versions[versions[0] == "Unreleased"])
    if versions[0] == "Unreleased":
        assert own.is_devrelease
        assert own > newest
    else:
        assert own == newest


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        _ = pneumocascade.no_such_name
    with pytest.raises(ImportError, match="no_such_name"):
        from pneumocascade import no_such_name  # noqa: F401


def test_a_star_import_brings_exactly_the_public_names() -> None:
    space: dict[str, object] = {}
    exec("from pneumocascade import *", space)
    assert set(space) - {"__builtins__"} == set(PUBLIC)
