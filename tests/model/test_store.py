"""Models on disk: nothing runs that its manifest does not describe."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pneumocascade import Cascade
from pneumocascade.errors import ModelChecksumError, ModelError, UsageError
from pneumocascade.model.spec import OPERATING_POINTS
from pneumocascade.model.store import (
    GATE,
    GATE_FILE,
    MANIFEST,
    STAGES,
    bundled_models,
    load_classifier,
    load_gate,
    new_models,
    read_manifest,
    write_manifest,
)
from tests.tiny_models import tiny_gate, write_tiny_models


def edit(folder: Path, stage: str, **values: Any) -> None:
    """Change a stage's entries in the manifest."""
    path = folder / MANIFEST
    content = json.loads(path.read_text(encoding="utf-8"))
    content["models"][stage].update(values)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_models(tmp_path)


def test_the_bundled_models_agree_with_their_manifest(cascade: Cascade) -> None:
    manifest = read_manifest(bundled_models())
    assert cascade.version == manifest.version
    assert sorted(manifest.files) == sorted(manifest.sha256)
    assert set(STAGES) <= set(manifest.files) <= {*STAGES, GATE}
    for spec in cascade.specs:
        # A third number above 0 stands for another gate: the networks are those of the version before.
        assert spec.version.split(".")[:2] == manifest.version.split(".")[:2]
        assert set(spec.operating_points) == set(OPERATING_POINTS)
        assert all(set(minima) == set(spec.labels) for minima in spec.prediction_set_minimum.values())
        assert "" in spec.prediction_set_minimum


def test_the_bundled_models_stay_below_sixty_megabytes() -> None:
    assert sum((bundled_models() / f"{stage}.onnx").stat().st_size for stage in STAGES) < 60_000_000


def test_written_models_load(folder: Path) -> None:
    cascade = Cascade.load(folder)
    assert (cascade.version, [spec.stage for spec in cascade.specs]) == ("tiny", [1, 2])
    assert Cascade.load(str(folder)).version == "tiny"


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("position", [0, 100, -1])
def test_one_changed_byte_refuses_to_start(folder: Path, stage: str, position: int) -> None:
    path = folder / f"{stage}.onnx"
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ModelChecksumError, match=re.escape(f"{path} has SHA-256")):
        Cascade.load(folder)


def test_the_checksum_comes_before_the_content(folder: Path) -> None:
    (folder / "stage1.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelChecksumError):
        Cascade.load(folder)


@pytest.mark.parametrize("stage", STAGES)
def test_a_missing_model_is_named(folder: Path, stage: str) -> None:
    (folder / f"{stage}.onnx").unlink()
    with pytest.raises(ModelError, match=rf"{stage}\.onnx cannot be read"):
        Cascade.load(folder)


def test_a_folder_without_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=re.escape(f"there are no models in {tmp_path}: manifest.json is missing")
    ):
        Cascade.load(tmp_path)
    with pytest.raises(ModelError, match="there are no models in"):
        Cascade.load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "1",
        "null",
        '"text"',
        "{}",
        '{"version": "1"}',
        '{"version": "1", "models": {"stage2": {"file": "a", "sha256": "b"}}}',
        '{"version": "1", "models": {"stage1": 1, "stage2": 2}}',
        json.dumps({"version": "1", "models": {stage: {"file": 1, "sha256": "b"} for stage in STAGES}}),
    ],
)
def test_a_manifest_of_another_shape_is_a_model_error(folder: Path, text: str) -> None:
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match="is not a manifest of models"):
        Cascade.load(folder)


def test_a_manifest_that_is_no_text_is_a_model_error(folder: Path) -> None:
    (folder / MANIFEST).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match="is not a manifest"):
        Cascade.load(folder)


def test_a_model_of_the_other_stage_is_refused(folder: Path) -> None:
    (folder / "stage1.onnx").write_bytes((folder / "stage2.onnx").read_bytes())
    write_manifest(folder, "tiny")
    with pytest.raises(ModelError, match=r"stage1\.onnx is a model of stage 2, expected stage1"):
        Cascade.load(folder)


@pytest.mark.parametrize("name", ["../secret.onnx", "/etc/../secret.onnx", "sub/../../secret.onnx"])
def test_a_manifest_cannot_lead_out_of_its_folder(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    write_tiny_models(inside)
    (inside / "stage1.onnx").rename(tmp_path / "secret.onnx")
    edit(inside, "stage1", file=name)
    assert read_manifest(inside).files["stage1"] == "secret.onnx"
    with pytest.raises(ModelError, match=re.escape(f"{inside / 'secret.onnx'} cannot be read")):
        load_classifier(inside, read_manifest(inside), "stage1")


@pytest.mark.parametrize("name", ["", ".", "..", "/"])
def test_a_file_name_that_is_a_folder_is_a_model_error(folder: Path, name: str) -> None:
    edit(folder, "stage1", file=name)
    with pytest.raises(ModelError, match="cannot be read"):
        Cascade.load(folder)


@pytest.mark.parametrize("digest", ["", None, 0, "0" * 64])
def test_a_manifest_without_the_right_checksum_never_passes(folder: Path, digest: object) -> None:
    edit(folder, "stage2", sha256=digest)
    with pytest.raises(ModelChecksumError):
        Cascade.load(folder)


# The gate


@pytest.fixture
def gated(tmp_path: Path) -> Path:
    return write_tiny_models(tmp_path, gate=True)


def test_models_without_a_gate_still_load(folder: Path) -> None:
    assert load_gate(folder, read_manifest(folder)) is None
    assert Cascade.load(folder).gate is None


def test_the_gate_comes_with_the_models(gated: Path) -> None:
    manifest = read_manifest(gated)
    assert manifest.files[GATE] == GATE_FILE
    gate = Cascade.load(gated).gate
    assert gate is not None
    assert gate.stage1_sha256 == manifest.sha256["stage1"]


@pytest.mark.parametrize("position", [0, 200, -1])
def test_one_changed_byte_of_the_gate_refuses_to_start(gated: Path, position: int) -> None:
    content = bytearray((gated / GATE_FILE).read_bytes())
    content[position] ^= 1
    (gated / GATE_FILE).write_bytes(bytes(content))
    with pytest.raises(ModelChecksumError, match=re.escape(f"{gated / GATE_FILE} has SHA-256")):
        Cascade.load(gated)


def test_a_gate_that_the_manifest_names_must_be_there(gated: Path) -> None:
    (gated / GATE_FILE).unlink()
    with pytest.raises(ModelError, match=r"gate\.npz cannot be read"):
        Cascade.load(gated)


def test_a_gate_of_other_models_is_refused(gated: Path) -> None:
    (gated / GATE_FILE).write_bytes(tiny_gate("0" * 64).to_bytes())
    write_manifest(gated, "tiny")
    with pytest.raises(ModelError, match="not on the one beside it"):
        Cascade.load(gated)


def test_a_file_that_is_no_gate_is_refused(gated: Path) -> None:
    (gated / GATE_FILE).write_bytes(b"no gate")
    write_manifest(gated, "tiny")
    with pytest.raises(ModelError, match=r"gate\.npz is not a gate that can be read"):
        Cascade.load(gated)


@pytest.mark.parametrize("entry", [1, "gate.npz", {}, {"file": "gate.npz"}, {"file": 1, "sha256": "a"}])
def test_a_manifest_with_half_a_gate_is_a_model_error(gated: Path, entry: object) -> None:
    content = json.loads((gated / MANIFEST).read_text(encoding="utf-8"))
    (gated / MANIFEST).write_text(json.dumps({**content, GATE: entry}), encoding="utf-8")
    with pytest.raises(ModelError, match="is not a manifest"):
        Cascade.load(gated)


@pytest.mark.parametrize("name", ["stage1.onnx", "stage2.onnx", "gate.npz", "learnt-films.npz"])
def test_no_bundled_file_tells_where_it_was_made(name: str) -> None:
    content = (bundled_models() / name).read_bytes()
    for trace in (b"site-packages", b"stack_trace", b"/home/", b"/opt/", b"/usr/"):
        assert trace not in content


def test_new_models_take_the_place_of_old_ones_and_nothing_else(folder: Path) -> None:
    (folder / GATE_FILE).write_bytes(b"of other models")
    (folder / "notes.txt").write_text("mine")
    with new_models(folder, "2") as scratch:
        (scratch / "stage1.onnx").write_bytes((folder / "stage1.onnx").read_bytes())
        assert read_manifest(folder).version == "tiny"
    assert {path.name for path in folder.iterdir()} == {"stage1.onnx", MANIFEST, "notes.txt"}
    manifest = read_manifest(folder)
    assert (manifest.version, manifest.stages) == ("2", ("stage1",))


def test_new_models_that_are_not_finished_leave_the_folder_as_it_was(folder: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for output in (folder, tmp_path / "a" / "b"):
        with pytest.raises(ZeroDivisionError), new_models(output, "2") as scratch:
            (scratch / "stage1.onnx").write_bytes(b"half")
            raise ZeroDivisionError
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    assert not (tmp_path / "a" / "b").exists()


def test_a_file_is_no_folder_for_models(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with (
        pytest.raises(UsageError, match="cannot be written: it is a file"),
        new_models(tmp_path / "models", "1"),
    ):
        pass
