"""What the image is made of: whole, locked by version and hash, in the versions that the tests run with."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Iterable, Iterator

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name

from tests.test_packaging import read


def locked(name: str) -> dict[NormalizedName, str]:
    """Return versions by normalised name of a file of ``requirements``, each of which has hashes."""
    text = re.sub(r"^#.*\n", "", read(f"requirements/{name}.txt"), flags=re.MULTILINE)
    entries = [entry.split() for entry in text.replace("\\\n", " ").splitlines()]
    for entry in entries:
        assert len(entry) > 1, entry
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", word) for word in entry[1:]), entry
    pairs = [entry[0].split("==") for entry in entries]
    return {canonicalize_name(package): version for package, version in pairs}


def needed(wanted: Iterable[str]) -> Iterator[Requirement]:
    """Yield requirements and theirs, as far as they are installed here, for the image's Python."""
    image = {"python_version": "3.12", "python_full_version": "3.12.0", "sys_platform": "linux"}
    waiting = [Requirement(text) for text in wanted]
    seen: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        yield requirement
        for text in importlib.metadata.requires(requirement.name) or ():
            inner = Requirement(text)
            extras = [{"extra": extra} for extra in (*requirement.extras, "")]
            if inner.marker is None or any(inner.marker.evaluate({**image, **extra}) for extra in extras):
                inner.marker = None
                waiting.append(inner)


def pinned() -> dict[NormalizedName, str]:
    """Return the versions that the tests run with."""
    pins = re.findall(r"^([\w.-]+)==(\S+) ;", read("constraints.txt"), re.MULTILINE)
    return {canonicalize_name(package): version for package, version in pins}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="constraints.txt has versions for 3.11 and newer")
def test_all_that_the_image_needs_is_locked() -> None:
    lock = locked("container")
    found = [item for item in needed(["pneumocascade[web,report,node]"]) if item.name != "pneumocascade"]
    assert {canonicalize_name(item.name) for item in found} == lock.keys()
    assert [
        str(item) for item in found if not item.specifier.contains(lock[canonicalize_name(item.name)])
    ] == []


@pytest.mark.parametrize("name", ["container", "build"])
def test_the_image_has_the_versions_that_the_tests_run_with(name: str) -> None:
    tested = pinned()
    lock = locked(name)
    assert {each: lock[each] for each in lock.keys() & tested.keys()} == {
        each: tested[each] for each in lock.keys() & tested.keys()
    }
    assert name == "build" or lock.keys() <= tested.keys()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="constraints.txt has versions for 3.11 and newer")
def test_every_release_of_a_python_takes_the_versions_that_the_tests_run_with() -> None:
    """Debian's Python 3.11.2, too: a package may ask for a later one."""
    asked = {
        name: str(importlib.metadata.metadata(name).json.get("requires_python") or "") for name in pinned()
    }
    assert {name: text for name, text in asked.items() if "3.11.0" not in SpecifierSet(text)} == {}
