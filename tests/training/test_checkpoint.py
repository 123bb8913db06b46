from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from pneumocascade.errors import StorageError
from pneumocascade.training.checkpoint import KEEP, RunProgress, load_latest, save_checkpoint, save_tensors


def make(seed: int) -> tuple[nn.Module, nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    average = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2)
    return network, average, optimizer


def step(network: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    batch = torch.randn(8, 4, generator=torch.Generator().manual_seed(seed))
    network(batch).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


def test_a_resumed_run_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    network, average, optimizer = make(0)
    for seed in range(3):
        step(network, optimizer, seed)
    save_checkpoint(tmp_path, RunProgress(epoch=3, step=3), network, average, optimizer)

    other, other_average, other_optimizer = make(1)
    progress = load_latest(tmp_path, other, other_average, other_optimizer)

    assert progress == RunProgress(epoch=3, step=3)
    for seed in (7, 8):
        step(network, optimizer, seed)
        step(other, other_optimizer, seed)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value, rtol=0, atol=0)
    for name, value in average.state_dict().items():
        torch.testing.assert_close(other_average.state_dict()[name], value, rtol=0, atol=0)


def test_only_the_latest_are_kept_and_a_damaged_one_is_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network, average, optimizer = make(0)
    for epoch in range(1, 5):
        step(network, optimizer, epoch)
        save_checkpoint(tmp_path, RunProgress(epoch=epoch), network, average, optimizer)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["checkpoint-003.safetensors", "checkpoint-004.safetensors"]
    assert len(files) == KEEP
    files[-1].write_bytes(files[-1].read_bytes()[:100])

    progress = load_latest(tmp_path, *make(1))

    assert progress is not None
    assert progress.epoch == 3
    assert "checkpoint-004.safetensors is damaged" in capsys.readouterr().out


def test_no_checkpoint_no_progress(tmp_path: Path) -> None:
    assert load_latest(tmp_path, *make(0)) is None


def test_a_flipped_bit_is_found_and_the_checkpoint_before_it_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network, average, optimizer = make(0)
    for epoch in (1, 2):
        step(network, optimizer, epoch)
        save_checkpoint(tmp_path, RunProgress(epoch=epoch), network, average, optimizer)
    path = tmp_path / "checkpoint-002.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)

    progress = load_latest(tmp_path, *make(1))

    assert progress is not None
    assert progress.epoch == 1
    assert "checkpoint-002.safetensors is damaged (its SHA-256" in capsys.readouterr().out


def test_a_checkpoint_without_digest_is_taken_as_it_is(tmp_path: Path) -> None:
    network, average, optimizer = make(0)
    step(network, optimizer, 1)
    save_checkpoint(tmp_path, RunProgress(epoch=1), network, average, optimizer)
    path = tmp_path / "checkpoint-001.safetensors"
    tensors = load_file(path)
    save_tensors(path, tensors, {"progress": '{"epoch": 1}'})
    progress = load_latest(tmp_path, *make(1))
    assert progress == RunProgress(epoch=1)


def test_a_disk_that_takes_no_more_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``python -m torture.faults --only training-disk`` fills a real one."""
    path = tmp_path / "best.safetensors"
    save_tensors(path, {"weight": torch.ones(3)}, {})
    before = path.read_bytes()

    def half(_: object, temporary: Path, *__: object) -> None:
        temporary.write_bytes(before[:10])
        raise SafetensorError("No space left on device")

    monkeypatch.setattr("pneumocascade.training.checkpoint.save_file", half)
    with pytest.raises(StorageError, match=r"best\.safetensors cannot be written: No space left"):
        save_tensors(path, {"weight": torch.zeros(3)}, {})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
