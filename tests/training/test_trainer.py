from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.networks.nets.resnet import ResNet
from safetensors.torch import load_file
from torch import nn

from pneumocascade.datasets.films import find_films
from pneumocascade.errors import TrainingError
from pneumocascade.evaluation import charts
from pneumocascade.model.spec import for_recipe
from pneumocascade.training import trainer as trainer_module
from pneumocascade.training.config import TrainingConfig
from pneumocascade.training.data import FilmDataset, samples_of
from pneumocascade.training.network import LoadReport, train_mode
from pneumocascade.training.trainer import (
    Sides,
    Trainer,
    auroc_of,
    evenly,
    has_bfloat16,
    keep_rows,
    learning_rate_factor,
    loss_of,
    read_rows,
)

CONFIG = TrainingConfig(1, schedule=((32, 1),), batch_size=8, frozen_stages=0, ema_decay=0.5, workers=0)


def small_resnet() -> nn.Module:
    """A ResNet with the parts, but a hundredth of the weights, of the network that is trained."""
    torch.manual_seed(0)
    network: nn.Module = ResNet(
        "bottleneck",
        [1, 1, 1, 1],
        [4, 8, 8, 16],
        spatial_dims=2,
        n_input_channels=3,
        num_classes=2,
        conv1_t_stride=2,
        bias_downsample=False,
    )
    return network


@pytest.fixture(scope="module")
def films(films_folder: Path) -> Sides:
    """32 films to learn from, 16 to validate on."""
    found = find_films(films_folder)
    held = frozenset(film.name for film in found[::3])
    spec = for_recipe(1, "clahe-hot", input_size=32)
    train = samples_of(found, frozenset(film.name for film in found) - held, spec, {})
    return Sides(train, samples_of(found, held, spec, {}))


def trainer_of(films: Sides, config: TrainingConfig, folder: Path) -> Trainer:
    network = small_resnet()
    spec = for_recipe(1, "clahe-hot", input_size=config.input_size)
    return Trainer(network, LoadReport((), ("fc.weight", "fc.bias")), spec, config, films, folder)


def rows_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_the_learning_rate_rises_linearly_and_falls_as_a_cosine() -> None:
    factors = [learning_rate_factor(step, 100, 0.1) for step in range(100)]
    np.testing.assert_allclose(factors[:10], np.arange(1, 11) / 10)
    assert factors[10] == 1
    assert factors[55] == pytest.approx(0.5)
    assert factors[99] == pytest.approx(0, abs=1e-3)
    assert (np.diff(factors[10:]) < 0).all()
    assert learning_rate_factor(0, 1, 0.15) == 1


@pytest.mark.parametrize("balance", [False, True])
def test_classes_are_shown_as_they_are_or_equally_often(
    balance: bool, films: Sides, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[float] = []

    def recorded(
        logits: torch.Tensor, targets: torch.Tensor, log_odds: torch.Tensor | None = None
    ) -> torch.Tensor:
        shown.extend(targets.round().tolist())
        assert log_odds is not None
        expected = np.log(share / (1 - share)) if balance else 0.0
        assert log_odds.tolist() == pytest.approx([expected] * len(targets))
        return loss_of(logits, targets, log_odds)

    share = np.mean([film.label for film in films.train])
    monkeypatch.setattr(trainer_module, "loss_of", recorded)
    trainer = trainer_of(replace(films, validation=[]), replace(CONFIG, balance=balance), tmp_path)
    trainer.run()
    assert share > 0.65
    assert len(shown) == len(films.train) == 32
    assert np.mean(shown) == (0.5 if balance else share)


@pytest.mark.parametrize("detail", [False, True])
def test_detail_is_taken_where_the_settings_say_so(
    detail: bool, films: Sides, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []

    def recorded(*arguments: Any, **options: Any) -> FilmDataset:
        given.append(options.get("detail"))
        return FilmDataset(*arguments, **options)

    monkeypatch.setattr(trainer_module, "FilmDataset", recorded)
    trainer_of(replace(films, validation=[]), replace(CONFIG, detail=detail), tmp_path).run()
    assert given[0] is detail


def test_what_is_saved_is_the_moving_average(films: Sides, tmp_path: Path) -> None:
    trainer = trainer_of(films, CONFIG, tmp_path)
    weights: list[torch.Tensor] = []
    trainer.optimizer.register_step_post_hook(
        lambda *_: weights.append(trainer.network.get_parameter("fc.weight").detach().clone())
    )
    trainer.run()

    average = weights[0]
    for count, weight in enumerate(weights[1:], start=1):
        decay = min(CONFIG.ema_decay, (1 + count) / (10 + count))
        average = decay * average + (1 - decay) * weight
    saved = load_file(tmp_path / "weights.safetensors")
    assert len(weights) == len(films.train) // CONFIG.batch_size
    torch.testing.assert_close(saved["fc.weight"], average)
    assert not torch.equal(saved["fc.weight"], weights[-1])
    assert saved.keys() == trainer.network.state_dict().keys()


@pytest.mark.parametrize("statistics_films", [1000, 20])
def test_batch_norm_is_estimated_on_films_as_they_are_but_where_frozen(
    statistics_films: int, films: Sides, tmp_path: Path
) -> None:
    config = replace(CONFIG, frozen_stages=1, batch_size=32, statistics_films=statistics_films)
    trainer = trainer_of(films, config, tmp_path)
    before = trainer.network.state_dict()["bn1.running_mean"].clone()
    trainer.run()

    saved = load_file(tmp_path / "weights.safetensors")
    torch.testing.assert_close(saved["bn1.running_mean"], before)
    network = small_resnet()
    network.load_state_dict(saved)
    taken: list[torch.Tensor] = []
    network.get_submodule("layer4.0.bn3").register_forward_pre_hook(
        lambda _module, given: taken.append(given[0])
    )
    plain = FilmDataset(evenly(films.train, statistics_films), trainer.spec, size=32, seed=None)
    batch = torch.stack([plain[index][0] for index in range(len(plain))])
    train_mode(network, 1)
    with torch.no_grad():
        network(batch)
    expected = taken[0].mean(dim=(0, 2, 3))
    torch.testing.assert_close(saved["layer4.0.bn3.running_mean"], expected, rtol=0.05, atol=0.02)


def test_a_finished_run_is_not_trained_again(films: Sides, tmp_path: Path) -> None:
    config = replace(CONFIG, schedule=((32, 1), (64, 1)))
    progress = trainer_of(films, config, tmp_path).run()
    saved = (tmp_path / "weights.safetensors").read_bytes()
    assert trainer_of(films, config, tmp_path).run() == progress
    assert (tmp_path / "weights.safetensors").read_bytes() == saved
    assert [(row["epoch"], row["size"]) for row in rows_of(tmp_path)] == [(1, 32), (2, 64)]


def test_without_films_to_validate_on_there_is_no_curve(films: Sides, tmp_path: Path) -> None:
    trainer_of(replace(films, validation=[]), CONFIG, tmp_path).run()
    assert rows_of(tmp_path)[0]["validation_auroc"] is None
    assert (tmp_path / "weights.safetensors").exists()


def test_films_are_chosen_evenly(films: Sides) -> None:
    assert evenly(films.train, 4) == [films.train[index] for index in (0, 8, 16, 24)]
    assert evenly(films.train, 99) == films.train


def test_the_loss_is_the_cross_entropy_of_soft_targets() -> None:
    logits, targets = torch.tensor([[0.0, 2.0], [1.0, -1.0]]), torch.tensor([0.9, 0.2])
    logs = torch.log_softmax(logits, dim=1)
    expected = -(logs[0] @ torch.tensor([0.1, 0.9]) + logs[1] @ torch.tensor([0.8, 0.2])) / 2
    torch.testing.assert_close(loss_of(logits, targets.double()), expected)


def test_the_loss_leaves_out_the_log_odds_of_the_source() -> None:
    logits, targets = torch.tensor([[0.0, 2.0], [1.0, -1.0]]), torch.tensor([0.9, 0.2])
    log_odds = torch.tensor([1.5, -0.5])
    moved = logits + torch.stack([torch.zeros(2), log_odds], dim=1)
    torch.testing.assert_close(loss_of(moved, targets, log_odds), loss_of(logits, targets))


def test_each_epoch_has_one_row_after_falling_back_to_an_earlier_checkpoint(
    films: Sides, tmp_path: Path
) -> None:
    config = replace(CONFIG, schedule=((32, 3),))
    trainer_of(films, config, tmp_path).run()
    before = rows_of(tmp_path)
    (tmp_path / "checkpoint-003.safetensors").write_bytes(b"cut off")
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 4, "size')

    trainer_of(films, config, tmp_path).run()

    after = rows_of(tmp_path)
    assert [row["epoch"] for row in after] == [1, 2, 3]
    assert after[:2] == before[:2]
    assert after[2]["train_loss"] == pytest.approx(before[2]["train_loss"], rel=1e-3)


def test_rows_without_a_checkpoint_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    keep_rows(path, 0)
    assert not path.exists()
    path.write_text('{"epoch": 1}\n{"epoch": 2}\n')
    keep_rows(path, 0)
    assert path.read_text() == ""


def test_an_auroc_that_is_not_defined_is_null(films: Sides, tmp_path: Path) -> None:
    normal = [sample for sample in films.validation if sample.label == 0]
    trainer_of(replace(films, validation=normal), CONFIG, tmp_path).run()
    text = (tmp_path / "metrics.jsonl").read_text()
    assert "NaN" not in text
    assert rows_of(tmp_path)[0]["validation_auroc"] is None
    rows = read_rows(tmp_path / "metrics.jsonl")
    assert math.isnan(rows[0]["validation_auroc"])
    assert math.isfinite(rows[0]["validation_loss"])
    charts.learning_curve(rows)


def test_a_loss_that_is_no_number_ends_the_run(films: Sides, tmp_path: Path) -> None:
    config = replace(CONFIG, learning_rate=1e30, fresh_learning_rate=1e30, warm_up=0.0)
    with pytest.raises(TrainingError, match="lower learning rate"):
        trainer_of(films, config, tmp_path).run()
    assert not list(tmp_path.glob("checkpoint-*"))


def test_auroc_is_of_the_positive_class() -> None:
    logits = np.array([[2, 0], [1, 0], [0, 1], [0, -3]], np.float32)
    assert auroc_of(logits, np.array([0, 0, 1, 1])) == 0.5
    assert auroc_of(logits, np.array([0, 0, 1, 0])) == 1
    assert math.isnan(auroc_of(logits, np.zeros(4, np.int64)))


@pytest.mark.parametrize(
    ("flags", "native"),
    [
        ("avx2", False),
        ("avx2 avx512f avx512bw avx512_vnni", False),  # bfloat16 is emulated: slower than float32
        ("avx512f avx512_bf16", True),
        ("avx512f amx_bf16 amx_int8", True),
        ("fp asimd bf16", True),
    ],
)
def test_bfloat16_is_left_to_processors_that_have_it(
    flags: str, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    monkeypatch.setattr(trainer_module, "instructions", lambda: frozenset(flags.split()))
    assert has_bfloat16(torch.device("cpu")) == native


@pytest.mark.parametrize("supported", [True, False])
def test_bfloat16_is_asked_of_the_library_or_the_gpu(
    supported: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_module, "instructions", lambda: frozenset({"avx512_bf16"}))
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: supported)
    emulated = True
    monkeypatch.setattr(
        torch.cuda,
        "is_bf16_supported",
        lambda including_emulation=True: supported or (including_emulation and emulated),
    )
    assert has_bfloat16(torch.device("cpu")) == supported
    assert has_bfloat16(torch.device("cuda")) == supported
