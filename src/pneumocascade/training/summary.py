"""What a finished run shows: learning curve, and ROC and confusion matrix on the validation split."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn

from pneumocascade.evaluation import charts
from pneumocascade.evaluation.chart_style import png
from pneumocascade.evaluation.metrics import confusion_matrix
from pneumocascade.model.calibration import positive_probability
from pneumocascade.model.spec import ModelSpec
from pneumocascade.training.calibrate import StageOutputs, balanced_threshold, fit_calibration
from pneumocascade.training.config import TrainingConfig
from pneumocascade.training.data import FilmDataset, Sample, loader_of
from pneumocascade.training.starting_weights import WEIGHTS
from pneumocascade.training.trainer import METRICS, read_rows


def summarise(
    folder: Path, network: nn.Module, spec: ModelSpec, samples: Sequence[Sample], config: TrainingConfig
) -> None:
    """Write ``validation.csv`` and the pictures of a run, from its weights.

    Parameters
    ----------
    folder : Path
        Of the run.
    network : nn.Module
        Gets the weights.
    spec : ModelSpec
    samples : sequence of Sample
        Of the validation side.
    config : TrainingConfig
    """
    network.load_state_dict(load_file(folder / WEIGHTS))
    logits = _logits(network, spec, samples, config)
    labels = np.array([sample.label for sample in samples])
    path = folder / "validation.csv"
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("film", "patient", "label", *(f"logit_{label}" for label in spec.labels)))
        for sample, row in zip(samples, logits.tolist(), strict=True):
            writer.writerow((sample.film.name, sample.film.patient, spec.labels[sample.label], *row))
    rows = read_rows(folder / METRICS)
    (folder / "curves.png").write_bytes(
        png(charts.learning_curve(rows, f"Stage {spec.stage}, recipe {spec.recipe}"))
    )
    if len(set(labels.tolist())) == 2:
        _draw(folder, spec, samples, logits, labels, config.seed)


def _draw(
    folder: Path,
    spec: ModelSpec,
    samples: Sequence[Sample],
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    seed: int,
) -> None:
    outputs = StageOutputs.of(logits, labels, [sample.film.patient for sample in samples])
    probability = positive_probability(logits, *fit_calibration(outputs))
    threshold = balanced_threshold(probability, outputs, seed)
    answer = (probability >= threshold).astype(np.int64)
    matrix = confusion_matrix(labels, answer, np.ones(len(labels)), 2)
    title = f"Stage {spec.stage}, validation"
    (folder / "roc.png").write_bytes(png(charts.roc(labels, probability, threshold, title)))
    (folder / "confusion.png").write_bytes(png(charts.confusion(matrix, spec.labels, title)))


def _logits(
    network: nn.Module, spec: ModelSpec, samples: Sequence[Sample], config: TrainingConfig
) -> NDArray[np.float32]:
    network.eval()
    device = next(network.parameters()).device
    dataset = FilmDataset(samples, spec, size=spec.input_size, seed=None)
    with torch.inference_mode():
        outputs = [
            network(batch.to(device, memory_format=torch.channels_last)).float().cpu()
            for batch, *_ in loader_of(dataset, config.batch_size, config.workers, shuffle=False)
        ]
    logits: NDArray[np.float32] = torch.cat(outputs).numpy()
    return logits
