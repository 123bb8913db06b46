"""Model files on disk: the bundled ones, the gate's, their manifest, and the check against it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from pneumocascade.errors import ModelChecksumError, ModelError
from pneumocascade.model.gate import FeatureGate
from pneumocascade.model.onnx_classifier import OnnxClassifier

MANIFEST = "manifest.json"
STAGES = ("stage1", "stage2")
GATE = "gate"
GATE_FILE = "gate.npz"


@dataclass(frozen=True, slots=True)
class Manifest:
    """Which files make up the two models and their gate.

    Attributes
    ----------
    version : str
        Of the pair.
    files, sha256 : dict of str to str
        File name and SHA-256 by stage (``"stage1"``, ``"stage2"``) and, where there is one, of the
        ``"gate"``.
    """

    version: str
    files: dict[str, str]
    sha256: dict[str, str]


def bundled_models() -> Path:
    """Return the folder of the models that come with the package."""
    return Path(str(resources.files("pneumocascade.model") / "bundled"))


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
        entries = {stage: content["models"][stage] for stage in STAGES}
        if GATE in content:
            entries[GATE] = content[GATE]
        files = {name: Path(entry["file"]).name for name, entry in entries.items()}
        digests = {name: entry["sha256"] for name, entry in entries.items()}
        return Manifest(str(content["version"]), files, digests)
    except FileNotFoundError as error:
        raise ModelError(f"there are no models in {folder}: {MANIFEST} is missing") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is not a manifest of two stages: {error!r}") from error


def write_manifest(folder: Path, version: str) -> None:
    """Write the manifest of ``stage1.onnx``, ``stage2.onnx`` and, where there is one, ``gate.npz``."""
    content: dict[str, object] = {
        "version": version,
        "models": {stage: _entry(folder / f"{stage}.onnx") for stage in STAGES},
    }
    if (folder / GATE_FILE).exists():
        content[GATE] = _entry(folder / GATE_FILE)
    (folder / MANIFEST).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _entry(path: Path) -> dict[str, str | int]:
    data = path.read_bytes()
    return {"file": path.name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def load_classifier(
    folder: Path, manifest: Manifest, stage: str, threads: int = 0, provider: str = "cpu"
) -> OnnxClassifier:
    """Load one stage after checking its SHA-256; ``threads`` and ``provider`` as for the classifier.

    Raises
    ------
    ModelChecksumError
        Where the file is not the one in the manifest.
    ModelError
        Where it is missing, cannot be loaded, or is of the other stage.
    """
    path, data = _verified(folder, manifest, stage)
    classifier = OnnxClassifier(data, path.name, threads, provider)
    if f"stage{classifier.spec.stage}" != stage:
        raise ModelError(f"{path} is a model of stage {classifier.spec.stage}, expected {stage}")
    return classifier


def load_gate(folder: Path, manifest: Manifest) -> FeatureGate | None:
    """Load what judges stage 1's features after checking its SHA-256.

    Returns
    -------
    FeatureGate or None
        ``None`` where the manifest names no gate: films then pass the checks on pixels alone.

    Raises
    ------
    ModelChecksumError
        Where the file is not the one in the manifest.
    ModelError
        Where it is missing, is no gate, or was fitted on another stage 1.
    """
    if GATE not in manifest.files:
        return None
    path, data = _verified(folder, manifest, GATE)
    gate = FeatureGate.from_bytes(data, str(path))
    if gate.stage1_sha256 != manifest.sha256["stage1"]:
        raise ModelError(
            f"{path} was fitted on the stage 1 with SHA-256 {gate.stage1_sha256}, not on the one beside it: "
            "export the run again"
        )
    return gate


def _verified(folder: Path, manifest: Manifest, name: str) -> tuple[Path, bytes]:
    """Return where a file of the manifest lies and what is in it."""
    path = folder / manifest.files[name]
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise ModelError(f"the model {path} cannot be read: {error}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != manifest.sha256[name]:
        raise ModelChecksumError(
            f"{path} has SHA-256 {found}, but its manifest says {manifest.sha256[name]}: the file was "
            "altered or damaged; install the package again, or export the models again"
        )
    return path, data
