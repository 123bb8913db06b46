"""``TrainingConfig``: everything that decides how a run goes, saved with the run."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Literal

from pneumocascade.errors import UsageError

MIN_SIZE = 224
"""Least side of the square for CLAHE, in pixels: the side of the films as most people have them."""

Loss = Literal["cross-entropy", "focal"]


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Settings of one training run of one stage.

    Attributes
    ----------
    stage : int
        1 or 2.
    recipe : str
        ``"clahe-hot"``, ``"clahe"`` or ``"baseline"``.
    schedule : tuple of (size, epochs)
        Side of the training input, in pixels, and for how many epochs: growing sizes spend the
        early epochs on small, cheap films (progressive learning, Tan & Le 2021). The last size is
        that of the model's input.
    batch_size : int
        Films a step.
    learning_rate : float
        Peak for parameters that start from the backbone.
    fresh_learning_rate : float
        Peak for parameters that start afresh.
    warm_up : float
        Share of all steps, 0..1, of linear warm-up; a cosine to zero follows.
    weight_decay : float
        AdamW's, on weights of two or more dimensions.
    loss : {"cross-entropy", "focal"}
        For neither stage was the focal loss measured to be better (docs/experiments.md).
    focal_gamma : float
        Focusing parameter of the focal loss (Lin et al. 2017).
    class_weights : bool
        Weight classes by the inverse of their frequency.
    label_smoothing : float
        Of the cross-entropy, 0..1.
    grafts : bool
        Let films take frame (collimation, markers) and tone (exposure) of others of either class.
    frozen_stages : int
        Leading modules that keep their starting weights: 0 none, 1 stem, 2 also layer1, ...
    ema_decay : float
        Decay per step of the exponential moving average of the weights; its weights are kept.
    clip_norm : float
        Largest norm of the gradient.
    patience : int
        Epochs at one size without a better validation AUROC after which a run goes on to the next
        size, or ends after the last.
    validation_share : float
        Share of the films kept for validation.
    smoothing_sigma : float
        Low-pass before CLAHE, in pixels at the model's size.
    seed : int
    workers : int
        Processes that read and augment films.
    """

    stage: int
    recipe: str = "clahe-hot"
    schedule: tuple[tuple[int, int], ...] = ((128, 4), (160, 2))
    batch_size: int = 32
    learning_rate: float = 1e-4
    fresh_learning_rate: float = 4e-4
    warm_up: float = 0.15
    weight_decay: float = 0.02
    loss: Loss = "cross-entropy"
    focal_gamma: float = 1.5
    class_weights: bool = True
    label_smoothing: float = 0.05
    grafts: bool = True
    frozen_stages: int = 2
    ema_decay: float = 0.99
    clip_norm: float = 1.0
    patience: int = 2
    validation_share: float = 0.2
    smoothing_sigma: float = 0.8
    seed: int = 2018
    workers: int = 1

    @property
    def epochs(self) -> int:
        """Number of epochs."""
        return sum(count for _, count in self.schedule)

    @property
    def input_size(self) -> int:
        """Side of the model's input, in pixels."""
        return self.schedule[-1][0]

    @property
    def size(self) -> int:
        """Side of the square that films are preprocessed at, in pixels."""
        return max(MIN_SIZE, self.input_size)

    def size_of_epoch(self, epoch: int) -> int:
        """Return the side of the training input in an epoch, counted from 0."""
        sizes = [size for size, count in self.schedule for _ in range(count)]
        return sizes[epoch]

    def end_of_size(self, epoch: int) -> int:
        """Return the epoch, counted from 0, that first has another size, or the number of epochs."""
        size = self.size_of_epoch(epoch)
        later = range(epoch + 1, self.epochs)
        return next((other for other in later if self.size_of_epoch(other) != size), self.epochs)

    def to_dict(self) -> dict[str, object]:
        """Return the fields as JSON-ready values."""
        return dataclasses.asdict(self)


def parse_schedule(text: str) -> tuple[tuple[int, int], ...]:
    """Read a schedule such as ``"128x4,160x1,224x1"`` (size x epochs).

    Raises
    ------
    UsageError
        Where the text is not of this form.
    """
    parts = [re.fullmatch(r"\s*(\d+)x(\d+)\s*", part) for part in text.split(",")]
    schedule = tuple((int(part.group(1)), int(part.group(2))) for part in parts if part)
    if len(schedule) != len(parts) or any(size < 32 or count < 1 for size, count in schedule):
        raise UsageError(f"schedule is {text!r}; expected SIZExEPOCHS, comma-separated, as in 128x4,224x2")
    return schedule
