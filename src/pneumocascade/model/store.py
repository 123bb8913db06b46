"""Model files on disk: the bundled ones, the gate's, their manifest, and the check against it."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from pneumocascade.errors import ModelChecksumError, ModelError, UsageError
from pneumocascade.model.gate import FeatureGate
from pneumocascade.model.onnx_classifier import OnnxClassifier

MANIFEST = "manifest.json"
STAGES = ("stage1", "stage2")
GATE = "gate"
GATE_FILE = "gate.npz"


@dataclass(frozen=True, slots=True)
class Manifest:
    """Which files make up the models and their gate.

    Attributes
    ----------
    version : str
        Of the models.
    files, sha256 : dict of str to str
        File name and SHA-256 by stage (``"stage1"`` and, where there is one, ``"stage2"``) and, where there
        is one, of the ``"gate"``.
    """

    version: str
    files: dict[str, str]
    sha256: dict[str, str]

    @property
    def stages(self) -> tuple[str, ...]:
        """``("stage1", "stage2")``, or ``("stage1",)`` of a stage 1 alone."""
        return tuple(stage for stage in STAGES if stage in self.files)


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
        models = content["models"]
        entries = {stage: models[stage] for stage in STAGES if stage == STAGES[0] or stage in models}
        if GATE in content:
            entries[GATE] = content[GATE]
        files = {name: Path(entry["file"]).name for name, entry in entries.items()}
        digests = {name: entry["sha256"] for name, entry in entries.items()}
        return Manifest(str(content["version"]), files, digests)
    except FileNotFoundError as error:
        raise ModelError(f"there are no models in {folder}: {MANIFEST} is missing") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is not a manifest of models: {error!r}") from error


def write_manifest(folder: Path, version: str) -> None:
    """Write the manifest of ``stage1.onnx`` and, where there are such, ``stage2.onnx`` and ``gate.npz``."""
    paths = {stage: folder / f"{stage}.onnx" for stage in STAGES}
    content: dict[str, object] = {
        "version": version,
        "models": {
            stage: _entry(path) for stage, path in paths.items() if stage == STAGES[0] or path.exists()
        },
    }
    if (folder / GATE_FILE).exists():
        content[GATE] = _entry(folder / GATE_FILE)
    (folder / MANIFEST).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


@contextmanager
def new_models(output: Path, version: str) -> Iterator[Path]:
    """Give an empty folder to write models into; at the end they take the place of those in ``output``.

    Where an exception leaves the block, ``output`` stays as it was. Files in it that are no part of models
    stay in any case.

    Parameters
    ----------
    output : Path
        Made where there is none.
    version : str
        Of the models, for their manifest.

    Raises
    ------
    UsageError
        Where ``output`` cannot be made or written to, before anything else is done.
    """
    there = output.is_dir()
    try:
        home = output if there else output.parent
        home.mkdir(parents=True, exist_ok=True)
        if output.exists() and not there:
            raise FileExistsError("it is a file")
        scratch = tempfile.TemporaryDirectory(dir=home, prefix=".new-models-")
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"the folder {output} for the models cannot be written: {reason}") from error
    with scratch as name:
        folder = Path(name) / output.name
        folder.mkdir()
        yield folder
        write_manifest(folder, version)
        if not there:
            folder.rename(output)
            return
        for stale in {f"{stage}.onnx" for stage in STAGES} | {GATE_FILE}:
            if not (folder / stale).exists():
                (output / stale).unlink(missing_ok=True)
        # The manifest comes last: cut off before it, the old one refuses files that are not its own.
        for path in sorted(folder.iterdir(), key=lambda path: path.name == MANIFEST):
            path.replace(output / path.name)


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
