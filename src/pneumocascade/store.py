"""Model files on disk: the bundled ones, their manifest, and the check against it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from pneumocascade.errors import ModelChecksumError, ModelError
from pneumocascade.session import OnnxClassifier

MANIFEST = "manifest.json"
STAGES = ("stage1", "stage2")


@dataclass(frozen=True, slots=True)
class Manifest:
    """Which files make up the two models.

    Attributes
    ----------
    version : str
        Of the pair.
    files, sha256 : dict of str to str
        File name and SHA-256 by stage (``"stage1"``, ``"stage2"``).
    """

    version: str
    files: dict[str, str]
    sha256: dict[str, str]


def bundled_models() -> Path:
    """Return the folder of the models that come with the package."""
    return Path(str(resources.files("pneumocascade") / "models"))


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a folder of models.

    Raises
    ------
    ModelError
        Where it is missing or not as written by :func:`write_manifest`.
    """
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        models = content["models"]
        files = {stage: Path(models[stage]["file"]).name for stage in STAGES}
        return Manifest(str(content["version"]), files, {stage: models[stage]["sha256"] for stage in STAGES})
    except FileNotFoundError as error:
        raise ModelError(f"there are no models in {folder}: {MANIFEST} is missing") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is not a manifest of two stages: {error!r}") from error


def write_manifest(folder: Path, version: str) -> None:
    """Write the manifest of ``stage1.onnx`` and ``stage2.onnx`` in a folder."""
    models = {}
    for stage in STAGES:
        path = folder / f"{stage}.onnx"
        data = path.read_bytes()
        models[stage] = {"file": path.name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    text = json.dumps({"version": version, "models": models}, indent=2)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def load_classifier(folder: Path, manifest: Manifest, stage: str, threads: int = 0) -> OnnxClassifier:
    """Load one stage after checking its SHA-256.

    Raises
    ------
    ModelChecksumError
        Where the file is not the one in the manifest.
    ModelError
        Where it is missing, cannot be loaded, or is of the other stage.
    """
    path = folder / manifest.files[stage]
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise ModelError(f"the model {path} cannot be read: {error}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != manifest.sha256[stage]:
        raise ModelChecksumError(
            f"{path} has SHA-256 {found}, but its manifest says {manifest.sha256[stage]}: the file was "
            "altered or damaged; install the package again"
        )
    classifier = OnnxClassifier(data, path.name, threads)
    if f"stage{classifier.spec.stage}" != stage:
        raise ModelError(f"{path} is a model of stage {classifier.spec.stage}, expected {stage}")
    return classifier
