"""Held-out films through an exported model, and what it is worth by them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumocascade.calibration import judge
from pneumocascade.errors import TrainingError
from pneumocascade.evaluation.bootstrap import Figure, bootstrap
from pneumocascade.evaluation.metrics import auroc, stage_figures
from pneumocascade.evaluation.shift import choose_films, shifted_films
from pneumocascade.evaluation.shifts import SHIFTS, Condition
from pneumocascade.preprocess import prepare
from pneumocascade.reading import read_radiograph
from pneumocascade.session import OnnxClassifier
from pneumocascade.spec import ModelSpec
from pneumocascade.training.calibrate import Outputs, calibrate
from pneumocascade.training.data import Sample

SHIFTED_FILMS = 240
"""Held-out films that are judged under each shift."""


def run_clean(path: Path, samples: Sequence[Sample]) -> Outputs:
    """Run a model on films as they are, in all their renderings."""
    model = OnnxClassifier(path.read_bytes(), path.name)
    pairs = [(sample, rendering) for sample in samples for rendering in sample.renderings]
    logits = [model.run(prepare(read_radiograph(rendering), model.spec)).logits for _, rendering in pairs]
    labels = np.array([sample.label for sample, _ in pairs])
    return Outputs(np.concatenate(logits), labels, [sample.film.patient for sample, _ in pairs])


def run_shifted(path: Path, samples: Sequence[Sample]) -> Outputs:
    """Run a model on some of the films under each shift at its middle strength."""
    model = OnnxClassifier(path.read_bytes(), path.name)
    label_of = {sample.film.name: sample.label for sample in samples}
    films = choose_films([sample.film for sample in samples], SHIFTED_FILMS)
    conditions = [Condition(shift, sorted(shift.strengths)[len(shift.strengths) // 2]) for shift in SHIFTS]
    logits, labels, patients, names = [], [], [], []
    for film, radiographs in shifted_films(films, conditions):
        logits.append(model.run(np.concatenate([prepare(each, model.spec) for each in radiographs])).logits)
        labels += [label_of[film.name]] * len(conditions)
        patients += [film.patient] * len(conditions)
        names += [str(condition) for condition in conditions]
    if not logits:
        raise TrainingError("the gate refuses every held-out film: there is nothing to calibrate on")
    return Outputs(np.concatenate(logits), np.array(labels), patients, names)


def auroc_figure(outputs: Outputs) -> Figure:
    """Return the AUROC of the logits, which needs no calibration, with its interval."""
    margin = outputs.logits[:, 1].astype(np.float64) - outputs.logits[:, 0]
    measured = bootstrap(
        lambda weights: {"auroc": auroc(outputs.labels, margin, weights)}, outputs.patients, {}
    )
    return measured["auroc"]


def cross_fitted(spec: ModelSpec, outputs: Outputs, seed: int) -> dict[str, dict[str, Figure]]:
    """Measure a model without judging a film by what was fitted on it.

    The patients of each class are put in two halves at random; calibration, balanced threshold and
    prediction sets of each half come from the other.

    Parameters
    ----------
    spec : ModelSpec
    outputs : Outputs
    seed : int

    Returns
    -------
    dict of str to dict of str to Figure
        ``clean`` and, of all shifts together, ``shifted``: the figures of
        :func:`pneumocascade.evaluation.metrics.stage_figures`, ``coverage_LABEL`` (share of a
        label's films whose prediction set holds it) and ``undetermined`` (share of films whose set
        holds both).
    """
    first = _half(outputs, seed)
    probability, threshold = np.empty(len(first)), np.empty(len(first))
    held = np.empty((len(first), 2), np.bool_)
    for judged in (first, ~first):
        fitted = calibrate(spec, outputs.where(~judged), "", seed)
        results = [judge(row, fitted, "balanced") for row in outputs.logits[judged]]
        probability[judged] = [result.probabilities[spec.labels[1]] for result in results]
        threshold[judged] = fitted.operating_points["balanced"].threshold
        held[judged] = [[label in result.prediction_set for label in spec.labels] for result in results]
    measured = {}
    for name, rows in (("clean", outputs.clean), ("shifted", ~outputs.clean)):
        if rows.any():
            part = outputs.where(rows)
            figures = stage_figures(part.labels, probability[rows], threshold[rows], part.patients, seed=seed)
            sets = _set_figures(spec, part, held[rows], seed)
            measured[name] = {**figures, "auroc": auroc_figure(part), **sets}
    return measured


def _set_figures(spec: ModelSpec, outputs: Outputs, held: NDArray[np.bool_], seed: int) -> dict[str, Figure]:
    """Measure prediction sets; ``held``, shape (N, 2): whether each label is in a film's set."""

    def measure(weights: NDArray[np.float64]) -> dict[str, float]:
        def share(what: NDArray[Any], of: NDArray[np.float64]) -> float:
            return float(what @ of / of.sum()) if of.sum() > 0 else float("nan")

        coverage = {
            f"coverage_{label}": share(held[:, index], weights * (outputs.labels == index))
            for index, label in enumerate(spec.labels)
        }
        return {**coverage, "undetermined": share(held[:, 0] & held[:, 1], weights)}

    n = {f"coverage_{label}": int(np.sum(outputs.labels == index)) for index, label in enumerate(spec.labels)}
    return bootstrap(measure, outputs.patients, n, seed=seed)


def _half(outputs: Outputs, seed: int) -> NDArray[np.bool_]:
    """Return which films belong to a random half of the patients, alike for each class."""
    label_of = dict(zip(outputs.patients, outputs.labels.tolist(), strict=True))
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(sorted(label_of))
    by_class = sorted(shuffled.tolist(), key=label_of.__getitem__)
    chosen = set(by_class[::2])
    return np.array([patient in chosen for patient in outputs.patients])
