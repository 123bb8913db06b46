"""Write a bill of materials: what the container is made of, as CycloneDX 1.6 in JSON.

    python tools/sbom.py [FILE]    # build/sbom.cdx.json

In it are the package itself, its models with the SHA-256 of their manifest, and every locked requirement
with its version and the SHA-256 of each file that may be installed for it. Two runs give the same bytes.
Python itself, Debian's packages of the image and what builds the package are not in it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from pip_requirements_parser import RequirementsFile

from pneumocascade import __version__
from pneumocascade.model.store import bundled_models, read_manifest
from pneumocascade.types import DISCLAIMER

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements" / "container.txt"
OUTPUT = ROOT / "build" / "sbom.cdx.json"


def bill_of_materials(lock: Path = LOCK) -> str:
    """Return the bill of materials as JSON.

    Parameters
    ----------
    lock : Path
        Requirements, each with its version and hashes.

    Raises
    ------
    ValueError
        Where a requirement has no version or no hash, or the result is not what the schema allows.
    """
    root = _component("pneumocascade", __version__, ComponentType.APPLICATION)
    root.description = DISCLAIMER
    parts = [*model_components(), *package_components(lock)]
    bom = Bom(metadata=BomMetaData(component=root), components=parts)
    bom.register_dependency(root, parts)
    # By these two runs would differ.
    bom.serial_number = None  # type: ignore[assignment]
    bom.metadata.timestamp = None  # type: ignore[assignment]
    text = JsonV1Dot6(bom).output_as_string(indent=1) + "\n"
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong is not None:
        raise ValueError(f"the bill of materials is not CycloneDX 1.6: {wrong}")
    return text


def model_components() -> Iterator[Component]:
    """Yield the bundled models and their gate, with the SHA-256 of their manifest."""
    manifest = read_manifest(bundled_models())
    for name, file in manifest.files.items():
        kind = ComponentType.MACHINE_LEARNING_MODEL
        component = _component(f"pneumocascade-{name}", manifest.version, kind)
        component.description = f"models/{file} of the package"
        component.hashes.add(HashType(alg=HashAlgorithm.SHA_256, content=manifest.sha256[name]))
        yield component


def package_components(lock: Path) -> Iterator[Component]:
    """Yield the packages of a lock; hashes are those of their files, one for each platform."""
    for requirement in RequirementsFile.from_file(str(lock)).requirements:
        version = requirement.get_pinned_version
        hashes = [text.partition(":") for text in requirement.hash_options]
        if not version or not hashes or {algorithm for algorithm, _, _ in hashes} != {"sha256"}:
            raise ValueError(f"{requirement.line!r} of {lock} has no version or no SHA-256")
        purl = PackageURL("pypi", name=requirement.name, version=version)
        digests = [HashType(alg=HashAlgorithm.SHA_256, content=digest) for _, _, digest in hashes]
        files = ExternalReference(
            type=ExternalReferenceType.DISTRIBUTION, url=XsUri(str(purl)), hashes=digests
        )
        yield Component(
            type=ComponentType.LIBRARY,
            name=requirement.name,
            version=version,
            bom_ref=str(purl),
            purl=purl,
            external_references=[files],
        )


def _component(name: str, version: str, kind: ComponentType) -> Component:
    """Return a part of this very project."""
    licence = DisjunctiveLicense(id="MIT")
    return Component(type=kind, name=name, version=version, bom_ref=name, licenses=[licence])


def main(output: Path = OUTPUT) -> None:
    """Write the bill of materials."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(bill_of_materials(), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
