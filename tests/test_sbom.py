"""The bill of materials names what is locked, and the models that are bundled."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name

import pneumocascade
from pneumocascade.model.store import bundled_models
from pneumocascade.types import DISCLAIMER
from tests.test_lock import locked

MODELS = ("stage1.onnx", "stage2.onnx")


@pytest.fixture(scope="module")
def text() -> str:
    from sbom import bill_of_materials

    return bill_of_materials()


@pytest.fixture(scope="module")
def bom(text: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(text)
    return content


def of_type(bom: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [component for component in bom["components"] if component["type"] == kind]


def test_it_is_what_the_schema_allows(text: str, bom: dict[str, Any]) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(text) is None
    bom_with_nonsense = json.dumps({**bom, "nonsense": 1})
    assert validator.validate_str(bom_with_nonsense) is not None


def test_it_is_of_this_version(bom: dict[str, Any]) -> None:
    root = bom["metadata"]["component"]
    assert (root["name"], root["version"]) == ("pneumocascade", pneumocascade.__version__)
    assert root["description"] == DISCLAIMER
    (depends,) = [each["dependsOn"] for each in bom["dependencies"] if each["ref"] == root["bom-ref"]]
    assert sorted(depends) == sorted(each["bom-ref"] for each in bom["components"])


def test_it_names_every_package_that_is_locked(bom: dict[str, Any]) -> None:
    libraries = of_type(bom, "library")
    assert {canonicalize_name(each["name"]): each["version"] for each in libraries} == locked("container")
    for each in libraries:
        hashes = [entry for place in each["externalReferences"] for entry in place["hashes"]]
        assert {entry["alg"] for entry in hashes} == {"SHA-256"}, each["name"]


def test_it_names_every_model_by_the_digest_of_its_file(bom: dict[str, Any]) -> None:
    found = {each["hashes"][0]["content"] for each in of_type(bom, "machine-learning-model")}
    files = [path for path in bundled_models().iterdir() if path.name in ("gate.npz", *MODELS)]
    assert len(files) == 3
    assert found == {hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_it_tells_nothing_of_when_and_where_it_was_made(text: str, bom: dict[str, Any]) -> None:
    from sbom import ROOT

    assert str(ROOT) not in text
    assert "timestamp" not in bom["metadata"]
    assert "serialNumber" not in bom


@pytest.mark.parametrize(
    "line", ["numpy==2.4.6", "numpy>=2 --hash=sha256:" + 64 * "0", "numpy==2 --hash=md5:0"]
)
def test_what_is_not_locked_is_refused(line: str, tmp_path: Path) -> None:
    from sbom import bill_of_materials

    lock = tmp_path / "container.txt"
    lock.write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="has no version or no SHA-256"):
        bill_of_materials(lock)
