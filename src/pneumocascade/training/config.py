"""``TrainingConfig``: everything that decides how a run goes, saved with the run."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

from pneumocascade.errors import UsageError
from pneumocascade.model.spec import DEFAULT_BACKBONE

MIN_SIZE = 224
"""Least side of the square for CLAHE, in pixels: the side of the films as most people have them."""


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Settings of one training run of one stage.

    Attributes
    ----------
    stage : int
        1 or 2.
    backbone : str
        See :data:`pneumocascade.training.backbones.BACKBONES`.
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
    label_smoothing : float
        0..1: a label of one class becomes 1 - half of it, of the other class half of it.
    frozen_stages : int
        Leading modules that keep their starting weights: 0 none, 1 stem, 2 also layer1, ...
    ema_decay : float
        Decay per step of the exponential moving average of the weights; its weights are kept.
    clip_norm : float
        Largest norm of the gradient.
    validation_share : float
        Share of the films kept for validation where no split is given.
    validation_films : int
        Most films that the learning curve is measured on after each epoch.
    statistics_films : int
        Most films, as they are, on which the batch-norm statistics are estimated anew at the end.
    repeats : int
        How often an epoch shows the films of further sources, which are few.
    balance : bool
        Whether classes and blocks of patient numbers are shown equally often in an epoch, and the loss takes
        account of their shares; see :mod:`pneumocascade.training.balance`. Otherwise each film is shown once,
        or ``repeats`` times.
    detail : bool
        Whether films of the main source take the contrast of detail of others of it; see
        :class:`pneumocascade.training.data.FilmDataset`.
    smoothing_sigma : float
        Low-pass before CLAHE, in pixels at the model's size.
    seed : int
    workers : int
        Processes that read and augment films.
    """

    stage: int
    backbone: str = DEFAULT_BACKBONE
    recipe: str = "clahe-hot"
    schedule: tuple[tuple[int, int], ...] = ((160, 3), (224, 4))
    batch_size: int = 32
    learning_rate: float = 1e-4
    fresh_learning_rate: float = 4e-4
    warm_up: float = 0.15
    weight_decay: float = 0.02
    label_smoothing: float = 0.05
    frozen_stages: int = 2
    ema_decay: float = 0.995
    clip_norm: float = 1.0
    validation_share: float = 0.2
    validation_films: int = 400
    statistics_films: int = 1000
    repeats: int = 2
    balance: bool = False
    detail: bool = False
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

    def to_dict(self) -> dict[str, object]:
        """Return the fields as JSON-ready values."""
        return dataclasses.asdict(self)


def completed(settings: dict[str, object]) -> dict[str, object]:
    """Return the settings of a run with those that earlier versions did not have, as they were then."""
    return {"backbone": DEFAULT_BACKBONE, "balance": False, "detail": False, **settings}


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
