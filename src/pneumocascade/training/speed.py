"""How fast this machine trains, measured before hours are spent."""

from __future__ import annotations

import time

import torch

from pneumocascade.training.config import TrainingConfig
from pneumocascade.training.network import build_network, freeze, train_mode
from pneumocascade.training.trainer import has_bfloat16, loss_of


def films_per_second(config: TrainingConfig, steps: int = 2) -> float:
    """Return how many films of 224 x 224 a second are trained on, measured by a few steps on noise.

    Reading and changing films is not counted. Worker processes do it meanwhile, but on the same cores.

    Parameters
    ----------
    config : TrainingConfig
    steps : int
        That are timed, after one that is not.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = build_network(config.backbone).to(device)
    freeze(network, config.frozen_stages, config.backbone)
    train_mode(network, config.frozen_stages, config.backbone)
    batch = torch.randn(config.batch_size, 3, config.input_size, config.input_size, device=device)
    batch = batch.to(memory_format=torch.channels_last)
    targets = torch.rand(config.batch_size, device=device)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device)):
            logits = network(batch)
        loss = loss_of(logits.float(), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        loss.item()  # waits for a GPU
        network.zero_grad(set_to_none=True)

    step()
    started = time.perf_counter()
    for _ in range(steps):
        step()
    rate = steps * config.batch_size / (time.perf_counter() - started)
    return rate * (config.input_size / 224) ** 2
