"""Training films as tensors: which film is of which class, in which renderings, augmented how."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import torch
from scipy.special import expit, logit
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pneumocascade.datasets.films import TRAINING_SPLITS, LabelledFilm, load_films
from pneumocascade.datasets.perturbations import Grey
from pneumocascade.errors import FilmError
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.model.preprocess import prepare, to_eight_bit
from pneumocascade.model.spec import ModelSpec
from pneumocascade.training.augment import augment
from pneumocascade.types import Radiograph, encodable


@dataclass(frozen=True, slots=True)
class Sample:
    """A film to learn from or to be validated on.

    Attributes
    ----------
    film : LabelledFilm
    label : int
        Index into the labels of the stage.
    renderings : tuple of Path
        Files that show this film: other resolutions, other compression.
    soft : float or None
        Probability, 0..1, of the positive class by teachers that have not seen this film.
    log_odds : float
        Of the positive class in the film's source, where films are drawn in other shares than they have
        there: the loss leaves it out, so that what is learnt holds for these shares.
    """

    film: LabelledFilm
    label: int
    renderings: tuple[Path, ...]
    soft: float | None = None
    log_odds: float = 0.0

    def target(self, smoothing: float) -> float:
        """Return the probability, 0..1, of the positive class that is learnt: half of it the teachers'.

        It is one in the shares that films are drawn in.
        """
        known = float(self.label)
        if self.soft is not None:
            known = (known + float(expit(logit(self.soft) - self.log_odds))) / 2
        return (1 - smoothing) * known + smoothing / 2


Renderings = Mapping[tuple[str, str], Sequence[Path]]
"""Further files of films, by finding and name."""

SoftLabels = Mapping[str, float]
"""Probability of a stage's positive class by the name of a film."""

Item: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""Input, target and ``log_odds`` of a film, or of a batch of films."""


def samples_of(
    films: Sequence[LabelledFilm],
    names: frozenset[str],
    spec: ModelSpec,
    renderings: Renderings,
    soft: SoftLabels | None = None,
) -> list[Sample]:
    """Select a side of the split and label it for a stage.

    Stage 1 takes every film; stage 2 those of pneumonia whose aetiology is known.

    Parameters
    ----------
    films : sequence of LabelledFilm
    names : frozenset of str
        Names on the wanted side.
    spec : ModelSpec
    renderings : mapping of (str, str) to sequence of Path
        Further files by finding and name.
    soft : mapping of str to float, optional
        Teachers' probabilities by name; see :meth:`~pneumocascade.training.calibrate.StageOutputs.save`.
    """
    return [
        Sample(
            film,
            spec.labels.index(label),
            (film.path, *renderings.get((film.finding, film.name), ())),
            None if soft is None else soft.get(encodable(film.name)),
        )
        for film in films
        if film.name in names
        and (label := film.finding if spec.stage == 1 else film.aetiology) in spec.labels
    ]


def renderings_by_name(
    roots: Iterable[Path], say: Callable[[str], None] = print
) -> dict[tuple[str, str], list[Path]]:
    """Return the files of labelled folders by finding and name of the film they show.

    Files that cannot be read are left out and told to ``say``.
    """
    renderings: dict[tuple[str, str], list[Path]] = {}
    for root in roots:
        for film in load_films(root, splits=TRAINING_SPLITS).films:
            try:
                read_radiograph(film.path)
            except FilmError as error:
                say(encodable(f"{film.path} is left out: {error}"))
                continue
            renderings.setdefault((film.finding, film.name), []).append(film.path)
    return renderings


class FilmDataset(Dataset[Item]):
    """Films as model inputs.

    Parameters
    ----------
    samples : sequence of Sample
    spec : ModelSpec
    size : int
        Side I of the tensors, in pixels, in place of the specification's.
    seed : int or None
        Augments films, reproducibly and differently in each epoch; ``None``: films as they are, in
        their first rendering.
    epoch : int
        Counted from 0.
    smoothing : float
        Of the labels, 0..1.
    detail : bool
        Whether films of the main source also take the contrast of detail of others of it, of either class,
        so that it tells less of the class. Those of further sources do not: their AUROC fell where they did
        (docs/experiments.md).
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        spec: ModelSpec,
        *,
        size: int,
        seed: int | None,
        epoch: int = 0,
        smoothing: float = 0.0,
        detail: bool = False,
    ) -> None:
        self.samples = samples
        self.smoothing = smoothing
        self._donors = _by_label(samples)
        self._detail_donors = _by_label([each for each in samples if not each.film.domain]) if detail else []
        self.spec = replace(spec, input_size=size)
        self.seed = seed
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Item:
        """Return the input, float32 of shape (3, I, I), the target, a probability, and the log-odds."""
        sample = self.samples[index]
        if self.seed is None:
            film = read_radiograph(sample.film.path)
        else:
            rng = np.random.default_rng((self.seed, self.epoch, index))
            path = sample.renderings[int(rng.integers(len(sample.renderings)))]
            donor = partial(_donor, self._donors, rng)
            of_detail = partial(_donor, self._detail_donors, rng)
            takes_detail = self._detail_donors and not sample.film.domain
            changed = augment(grey_pixels(path), rng, donor, of_detail if takes_detail else None)
            film = Radiograph(changed, str(path))
        target = torch.tensor(sample.target(self.smoothing))
        return torch.from_numpy(prepare(film, self.spec)[0]), target, torch.tensor(sample.log_odds)


def _by_label(samples: Sequence[Sample]) -> list[list[Path]]:
    """Return the files of each class."""
    found: dict[int, list[Path]] = {}
    for sample in samples:
        found.setdefault(sample.label, []).append(sample.film.path)
    return list(found.values())


def _donor(files: Sequence[Sequence[Path]], rng: np.random.Generator) -> Grey:
    """Return another film, of either class alike: what is taken from it must not tell the class."""
    of_class = files[int(rng.integers(len(files)))]
    return grey_pixels(of_class[int(rng.integers(len(of_class)))])


def grey_pixels(path: Path) -> Grey:
    """Read a film as 8 bits, shape (H, W)."""
    return to_eight_bit(read_radiograph(path).pixels)


def loader_of(dataset: FilmDataset, batch_size: int, workers: int, *, shuffle: bool) -> DataLoader[Item]:
    """Return an iterable of batches: inputs (N, 3, I, I), targets and log-odds (N,).

    Workers come from a fork server, not from this process: a fork would copy OpenCV's and OpenMP's
    thread pools without their threads, and wait for them for ever.

    Parameters
    ----------
    dataset : FilmDataset
    batch_size : int
    workers : int
        Processes that read and augment; 0 for none.
    shuffle : bool
        In an order drawn from PyTorch's global generator; the last, smaller batch is left out.
    """
    return _loader(dataset, workers, batch_size=batch_size, shuffle=shuffle, drop_last=shuffle)


def loader_of_all(dataset: FilmDataset, batch_size: int, workers: int) -> DataLoader[Item]:
    """Return an iterable over all films at random, as :func:`loader_of`, in batches as large as each other.

    No batch is smaller than ``batch_size``, but for a single one of all films where there are fewer; none is
    twice as large.
    """
    order = torch.randperm(len(dataset))
    parts = order.tensor_split(max(1, len(dataset) // batch_size))
    return _loader(dataset, workers, batch_sampler=[part.tolist() for part in parts])


def _loader(dataset: FilmDataset, workers: int, **batches: Any) -> DataLoader[Item]:
    return DataLoader(
        dataset,
        **batches,
        num_workers=workers,
        multiprocessing_context="forkserver" if workers else None,
        worker_init_fn=_one_thread_for_opencv,
        prefetch_factor=4 if workers else None,
    )


def _one_thread_for_opencv(_worker: int) -> None:
    """Keep OpenCV from starting threads of its own in each worker process."""
    cv2.setNumThreads(1)
