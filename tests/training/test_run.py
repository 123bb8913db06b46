from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from pneumocascade import Cascade, ModelSpec
from pneumocascade.cli import app
from pneumocascade.datasets.films import Split, find_films, patient_of
from pneumocascade.errors import DataSetError, TrainingError
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.model.preprocess import prepare
from pneumocascade.model.spec import OPERATING_POINTS, for_recipe
from pneumocascade.training import export
from pneumocascade.training.config import TrainingConfig
from pneumocascade.training.data import samples_of
from pneumocascade.training.export import export_run, sides_of
from pneumocascade.training.network import WithFeatures, build_network
from pneumocascade.training.onnx_export import to_onnx
from pneumocascade.training.run import train, train_stage
from pneumocascade.training.run_record import read_run
from pneumocascade.training.sources import Sources
from pneumocascade.training.starting_weights import metadata_of
from tests.conftest import draw_chest
from tests.training.conftest import SMALL, SMALL_CHANNELS, write_films

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_of_everything")]

CONFIG = TrainingConfig(1, SMALL, schedule=((32, 1), (64, 1)), batch_size=8, workers=0)
HELD_OUT = (
    "NORMAL/IM-0003-0001.png",
    "PNEUMONIA/person1003_bacteria_1.png",
    "PNEUMONIA/person2003_virus_1.png",
)
DAMAGED = "PNEUMONIA/person7000_virus_1.png"

runner = CliRunner()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random starting weights without layer4 and fc.

    Their batch norm knows the scale of films (std 1, hence +-128), as that of trained weights does.
    """
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "backbone.safetensors"
    network = build_network(CONFIG.backbone)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(80 * torch.randn(8, 3, 64, 64))
    state = network.state_dict()
    partial = {
        name: value.contiguous() for name, value in state.items() if not name.startswith(("layer4", "fc"))
    }
    metadata = metadata_of(CONFIG.backbone, (80.0, 40.0, 20.0), (60.0, 60.0, 60.0), stride_in_1x1=False)
    save_file(partial, path, metadata)
    return path


@pytest.fixture(scope="module")
def sources(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Sources:
    """The phantoms, a damaged film, a test split, one more rendering of each film, held-out patients."""
    root = tmp_path_factory.mktemp("sources")
    films = find_films(write_films(root / "data" / "train", 10, side=112))
    (root / "data" / "train" / DAMAGED).write_bytes(b"\x89PNG cut off")
    (root / "data" / "test" / "NORMAL").mkdir(parents=True)
    cv2.imwrite(str(root / "data" / "test" / "NORMAL" / "IM-0900-0001.png"), draw_chest(900, 112, 112))
    for film in films:
        path = root / "large" / film.path.relative_to(root / "data")
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.resize(read_radiograph(film.path).pixels, (128, 128)))
    for name in HELD_OUT:
        (root / "held" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / "data" / "train" / name, root / "held" / name)
    return Sources(root / "data", str(weights), (root / "large",), (root / "held",))


def command_of(sources: Sources, output: Path) -> list[str]:
    """Return the command that trains both stages with the settings of ``CONFIG``."""
    options = {
        "--output": output,
        "--backbone": CONFIG.backbone,
        "--backbone-weights": sources.backbone_weights,
        "--renderings": sources.renderings[0],
        "--hold-out": sources.hold_out[0],
        "--schedule": "32x1,64x1",
        "--batch-size": CONFIG.batch_size,
        "--workers": CONFIG.workers,
    }
    return ["train", str(sources.data), *(str(part) for option in options.items() for part in option)]


@pytest.fixture(scope="module")
def run(few_of_everything: None, sources: Sources, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both stages, trained for two epochs by the command; ``said.txt`` is what it said."""
    folder = tmp_path_factory.mktemp("run")
    result = runner.invoke(app, command_of(sources, folder))
    assert result.exit_code == 0, result.output
    (folder / "said.txt").write_text(result.stdout)
    return folder


@pytest.fixture
def record_of(run: Path, tmp_path: Path) -> Path:
    """A copy of what describes the run of stage 1, without its weights."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in ("run.json", "split.json", "duplicates.json", "metrics.jsonl"):
        shutil.copy(run / "stage1" / name, folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def rows_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_run_leaves_everything_behind(run: Path) -> None:
    for stage in ("stage1", "stage2"):
        files = {path.name for path in (run / stage).iterdir()}
        assert {"run.json", "split.json", "duplicates.json", "metrics.jsonl", "weights.safetensors"} <= files
        assert {"validation.csv", "curves.png", "roc.png", "confusion.png"} <= files
        assert not any(name.endswith(".tmp") for name in files)
        assert [row["size"] for row in rows_of(run / stage)] == [32, 64]
    first, second = (json.loads((run / stage / "run.json").read_text()) for stage in ("stage1", "stage2"))
    assert first["config"]["seed"] == CONFIG.seed
    assert first["soft_sha256"] is None
    assert first["packages"]["torch"] == torch.__version__
    assert len(first["spec"]["data_fingerprint"]) == 64
    assert first["split_sha256"] == second["split_sha256"]


def test_what_is_not_trained_on_is_told(run: Path, sources: Sources) -> None:
    said = (run / "said.txt").read_text()
    split = json.loads((run / "stage1" / "split.json").read_text())
    names = set(split["train"] + split["validation"])
    assert f"{sources.data / 'test'} is left out" in said
    assert "IM-0900-0001" not in names
    assert f"{sources.data / 'train' / DAMAGED} is dropped: " in said
    assert Path(DAMAGED).stem not in names
    (row,) = json.loads((run / "stage1" / "duplicates.json").read_text())
    assert (row["kind"], row["path"]) == ("unreadable", str(sources.data / "train" / DAMAGED))
    assert row["reason"]


def test_renderings_are_learnt_from_and_held_out_patients_validated_on(run: Path) -> None:
    split = json.loads((run / "stage1" / "split.json").read_text())
    films = len(split["train"])
    assert f"{films} films to learn from ({2 * films} files)" in (run / "said.txt").read_text()
    for name in HELD_OUT:
        patient = patient_of(Path(name).stem)
        assert patient in set(map(patient_of, split["validation"])) - set(map(patient_of, split["train"]))


def test_stage2_takes_split_and_backbone_of_stage1(run: Path) -> None:
    assert (run / "stage1" / "split.json").read_text() == (run / "stage2" / "split.json").read_text()
    first, second = (load_file(run / stage / "weights.safetensors") for stage in ("stage1", "stage2"))
    torch.testing.assert_close(first["conv1.weight"], second["conv1.weight"])


def test_a_finished_run_is_not_trained_again(run: Path, sources: Sources) -> None:
    before = (run / "stage1" / "metrics.jsonl").read_text()
    train_stage(sources, CONFIG, run)
    assert (run / "stage1" / "metrics.jsonl").read_text() == before


def test_a_run_goes_on_from_another_folder(
    run: Path, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = run / "stage2" / "run.json"
    before = (run / "stage2" / "metrics.jsonl").read_text()
    original = record.read_text()
    saved = json.loads(original)
    assert saved["sources"]["backbone_weights"] == str((run / "stage1" / "weights.safetensors").resolve())
    monkeypatch.chdir(run.parent)
    for given in (saved["sources"]["backbone_weights"], f"{run.name}/stage1/weights.safetensors"):
        saved["sources"]["backbone_weights"] = given  # the second as it stood there up to 0.1
        record.write_text(json.dumps(saved, indent=1) + "\n")
        train_stage(sources, replace(CONFIG, stage=2), Path(run.name))
    record.write_text(original)
    assert (run / "stage2" / "metrics.jsonl").read_text() == before


def test_the_baseline_is_trained_without_clahe_and_colour(sources: Sources, tmp_path: Path) -> None:
    config = replace(CONFIG, recipe="baseline", schedule=((32, 1),))
    train(replace(sources, renderings=()), config, tmp_path)
    spec = json.loads((tmp_path / "run.json").read_text())["spec"]
    assert (spec["recipe"], spec["clahe_clip_limit"], spec["colour_map"]) == ("baseline", None, None)
    assert [row["epoch"] for row in rows_of(tmp_path)] == [1]
    assert (tmp_path / "weights.safetensors").exists()


def test_a_refused_run_leaves_the_one_in_the_folder_as_it_was(
    record_of: Path, sources: Sources, tmp_path: Path
) -> None:
    # A split that is as good, but not the run's: one patient has changed sides.
    split = json.loads((record_of / "split.json").read_text())
    moved = patient_of(split["train"][0])
    for name in [name for name in split["train"] if patient_of(name) == moved]:
        split["train"].remove(name)
        split["validation"].append(name)
    other = tmp_path / "other.json"
    other.write_text(json.dumps(split))
    before = contents(record_of)

    with pytest.raises(TrainingError, match="another config;"):
        train(sources, replace(CONFIG, seed=1), record_of)
    with pytest.raises(TrainingError, match="another sources and split;"):
        train(replace(sources, split=other), CONFIG, record_of)
    assert contents(record_of) == before

    shutil.copy(other, record_of / "split.json")
    with pytest.raises(TrainingError, match="another split;"):
        train(sources, CONFIG, record_of)


def test_a_run_from_before_the_digest_is_compared_with_its_split(record_of: Path, sources: Sources) -> None:
    record = json.loads((record_of / "run.json").read_text())
    del record["split_sha256"]
    (record_of / "run.json").write_text(json.dumps(record))
    with pytest.raises(TrainingError, match="another config;"):
        train(sources, replace(CONFIG, seed=1), record_of)


@pytest.mark.parametrize("option", ["--balance", "--detail"])
def test_the_command_passes_its_switches_on(run: Path, sources: Sources, option: str) -> None:
    result = runner.invoke(app, command_of(sources, run))
    assert result.exit_code == 0, result.output
    result = runner.invoke(app, [*command_of(sources, run), option])
    assert "holds a run with another config" in str(result.exception)


def test_a_run_of_a_version_with_fewer_settings_goes_on(
    few_of_everything: None, run: Path, sources: Sources, tmp_path: Path
) -> None:
    shutil.copytree(run / "stage1", tmp_path / "stage1")
    record = json.loads((tmp_path / "stage1" / "run.json").read_text())
    assert [record["config"].pop(name) for name in ("balance", "detail")] == [False, False]
    (tmp_path / "stage1" / "run.json").write_text(json.dumps(record))
    train(sources, CONFIG, tmp_path / "stage1")
    with pytest.raises(TrainingError, match="another config;"):
        train(sources, replace(CONFIG, balance=True), tmp_path / "stage1")


@pytest.mark.parametrize("length", [0, 100, -3])
def test_a_damaged_record_is_an_error(record_of: Path, sources: Sources, length: int) -> None:
    path = record_of / "run.json"
    path.write_text(path.read_text()[:length])
    before = contents(record_of)
    with pytest.raises(TrainingError, match=r"run\.json cannot be read"):
        train(sources, CONFIG, record_of)
    assert contents(record_of) == before


def test_a_given_split_must_keep_the_held_out_patients_out(
    run: Path, sources: Sources, films_folder: Path, tmp_path: Path
) -> None:
    given = replace(sources, split=run / "stage1" / "split.json", hold_out=(films_folder,))
    with pytest.raises(DataSetError, match="held-out patients on the training side"):
        train(given, CONFIG, tmp_path / "run")


def test_films_beside_a_given_split_are_left_out_and_the_run_can_be_exported(
    run: Path, sources: Sources, tmp_path: Path
) -> None:
    path = run / "stage1" / "split.json"
    split = Split.load(path)
    dropped = max(split.validation)
    smaller = tmp_path / "split.json"
    smaller.write_text(Split(split.train, split.validation - {dropped}).to_json())
    said: list[str] = []
    folder = train(replace(sources, split=smaller), CONFIG, tmp_path / "stage1", said.append)
    assert f"1 films are on neither side of {smaller}: they are left out" in said
    record = read_run(folder)
    spec = ModelSpec.from_json(json.dumps(record["spec"]))
    _, held_out = sides_of(folder, record["sources"], spec, said.append)
    assert dropped not in {sample.film.name for sample in held_out}


def test_films_that_nothing_can_be_learnt_from_are_refused(
    sources: Sources, weights: Path, tmp_path: Path
) -> None:
    one_class = tmp_path / "data"
    shutil.copytree(sources.data / "train" / "NORMAL", one_class / "NORMAL")
    names = {film.name for film in find_films(sources.data / "train")}
    held = {name for name in names if patient_of(name) in ("IM-0001", "person1001", "person2001")}
    one_patient = tmp_path / "split.json"
    Split(frozenset(names - held), frozenset(held)).save(one_patient)
    whole = replace(sources, renderings=(), hold_out=())
    for given, config, message in (
        (whole, replace(CONFIG, batch_size=64), "do not fill one batch of 64"),
        (whole, replace(CONFIG, validation_share=0.0), "normal films of 0 patients to validate on"),
        (replace(whole, split=one_patient), CONFIG, "normal films of 1 patients to validate on"),
        (replace(whole, data=one_class), CONFIG, "pneumonia films of 0 patients to learn from"),
    ):
        with pytest.raises(DataSetError, match=message):
            train(given, config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(
    run: Path, sources: Sources, tmp_path: Path
) -> None:
    stage = tmp_path / "stage1"
    lost = shutil.ignore_patterns("checkpoint-002.safetensors", "weights.safetensors")
    shutil.copytree(run / "stage1", stage, ignore=lost)
    train_stage(sources, CONFIG, tmp_path)
    assert [row["epoch"] for row in rows_of(stage)] == [1, 2]
    torch.testing.assert_close(
        load_file(stage / "weights.safetensors"),
        load_file(run / "stage1" / "weights.safetensors"),
        rtol=1e-4,
        atol=1e-5,
    )


def test_exported_models_agree_with_pytorch(
    run: Path, sources: Sources, films_folder: Path, tmp_path: Path
) -> None:
    result = runner.invoke(app, ["export", str(run), "--output", str(tmp_path), "--version", "9.9.9"])
    assert result.exit_code == 0, result.output

    cascade = Cascade.load(tmp_path)
    assert cascade.version == "9.9.9"
    films = find_films(sources.renderings[0])
    for model, stage in ((cascade.model_of(1), "stage1"), (cascade.model_of(2), "stage2")):
        network = build_network(CONFIG.backbone).eval()
        network.load_state_dict(load_file(run / stage / "weights.safetensors"))
        batch = np.concatenate([prepare(read_radiograph(film.path), model.spec) for film in films])
        with torch.inference_mode():
            _, expected = WithFeatures(network)(torch.from_numpy(batch))
        _, features, _ = model.run(batch)
        # The logits of weights that have hardly learnt are all alike; what they are made of is not. Batch
        # norm of phantoms that are all alike enlarges the noise of INT8, but half a million values leave no
        # doubt. That float32 agrees to 1e-3 is checked by the export itself.
        assert np.corrcoef(features.ravel(), expected.numpy().ravel())[0, 1] > 0.2
        assert features.shape == (len(films), SMALL_CHANNELS, 2, 2)
        assert tuple(model.spec.operating_points) == OPERATING_POINTS
        assert isinstance(model.spec, ModelSpec)
        auroc = json.loads((tmp_path / "export.json").read_text())[stage]["auroc_int8"]
        if (
            auroc["ci95"] is None
        ):  # where all pairs of so few patients stand in the right, or in the wrong, order
            assert "auroc" not in model.spec.metrics
        else:
            assert model.spec.metrics["auroc"] == pytest.approx(auroc["value"], abs=1e-4)
    assert cascade.predict(films[0].path, gate=False).status == "ok"
    prediction = cascade.predict(find_films(films_folder)[0].path)
    assert prediction.status == "refused", "phantoms of 96 pixels are too small to judge"


def test_a_file_of_another_network_is_not_let_out(sources: Sources, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, other = build_network(SMALL), build_network(SMALL)
    spec = for_recipe(1, "clahe-hot", input_size=64)
    films = find_films(sources.renderings[0])
    samples = samples_of(films, frozenset(film.name for film in films), spec, {})[:3]
    to_onnx(network, spec, tmp_path / "right.onnx")
    export.check_parity(network, tmp_path / "right.onnx", samples)
    with pytest.raises(TrainingError, match="differ from PyTorch's"):
        export.check_parity(other, tmp_path / "right.onnx", samples)


def test_nothing_trained_nothing_exported(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no trained stage"):
        export_run(tmp_path, tmp_path / "out", "1", lambda _line: None)


def test_films_that_have_changed_are_not_exported_from(run: Path, sources: Sources, tmp_path: Path) -> None:
    copy = tmp_path / "data"
    shutil.copytree(sources.data, copy)
    film = find_films(copy)[0].path
    film.write_bytes(find_films(copy)[1].path.read_bytes())
    shutil.copytree(run, tmp_path / "run")
    for stage in ("stage1", "stage2"):
        path = tmp_path / "run" / stage / "run.json"
        record = json.loads(path.read_text())
        record["sources"]["data"] = str(copy)
        path.write_text(json.dumps(record))
    with pytest.raises(TrainingError, match="are not those that"):
        export_run(tmp_path / "run", tmp_path / "out", "1", lambda _line: None)
