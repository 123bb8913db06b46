"""Held-out films through an exported model, and what it is worth by them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumocascade.datasets.films import data_set_of
from pneumocascade.errors import TrainingError
from pneumocascade.evaluation.bootstrap import Estimate, bootstrap
from pneumocascade.evaluation.metrics import auroc, stage_figures
from pneumocascade.evaluation.shift_conditions import SHIFTS, Condition
from pneumocascade.evaluation.shift_suite import choose_films, shifted_films
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.inference.prefetch import prefetch_map, usable_cores
from pneumocascade.model.calibration import judge
from pneumocascade.model.onnx_classifier import OnnxClassifier
from pneumocascade.model.preprocess import prepare
from pneumocascade.model.spec import ModelSpec
from pneumocascade.training.calibrate import StageOutputs, calibrate
from pneumocascade.training.data import Sample
from pneumocascade.types import Radiograph

SHIFTED_FILMS = 150
"""Held-out films of each domain that are judged under each shift."""


MAIN = "main"
"""What reports call the domain of the data set itself, whose name is empty."""


def run_clean(path: Path, samples: Sequence[Sample]) -> StageOutputs:
    """Run a model on films as they are, in all their renderings."""
    pairs = [(sample, rendering) for sample in samples for rendering in sample.renderings]
    films = ([read_radiograph(rendering)] for _, rendering in pairs)
    return StageOutputs(
        np.concatenate(list(_logits(path, films))),
        np.array([sample.label for sample, _ in pairs]),
        [sample.film.patient for sample, _ in pairs],
        domains=[sample.film.domain for sample, _ in pairs],
        films=[sample.film.name for sample, _ in pairs],
        renderings=[data_set_of(rendering) for _, rendering in pairs],
    )


def run_shifted(path: Path, samples: Sequence[Sample]) -> StageOutputs:
    """Run a model on some films of each domain under each shift at its greatest strength."""
    sample_of = {sample.film.name: sample for sample in samples}
    conditions = [Condition(shift, shift.strengths[-1]) for shift in SHIFTS]
    names: list[str] = []

    def changed() -> Iterator[list[Radiograph]]:
        for domain in sorted({sample.film.domain for sample in samples}):
            films = choose_films([s.film for s in samples if s.film.domain == domain], SHIFTED_FILMS)
            for film, radiographs in shifted_films(films, conditions):
                names.append(film.name)
                yield radiographs

    logits = list(_logits(path, changed()))
    if not logits:
        raise TrainingError("the gate refuses every held-out film: there is nothing to calibrate on")
    shown = [sample_of[name] for name in names for _ in conditions]
    return StageOutputs(
        np.concatenate(logits),
        np.array([sample.label for sample in shown]),
        [sample.film.patient for sample in shown],
        [str(condition) for condition in conditions] * len(names),
        [sample.film.domain for sample in shown],
        [sample.film.name for sample in shown],
    )


def _logits(path: Path, groups: Iterable[list[Radiograph]]) -> Iterator[NDArray[np.float32]]:
    """Yield a model's logits (n, 2) of each group of n films; each core judges a group of its own."""
    model = OnnxClassifier(path.read_bytes(), path.name, threads=1)

    def judged(radiographs: list[Radiograph]) -> NDArray[np.float32]:
        return np.concatenate([model.run(prepare(each, model.spec)).logits for each in radiographs])

    cores = usable_cores()
    return prefetch_map(judged, groups, workers=cores, ahead=2 * cores)


def auroc_figure(outputs: StageOutputs) -> Estimate:
    """Return the AUROC of the logits, which needs no calibration, with its interval."""
    margin = outputs.logits[:, 1].astype(np.float64) - outputs.logits[:, 0]
    measured = bootstrap(
        lambda weights: {"auroc": auroc(outputs.labels, margin, weights)}, outputs.patients, {}
    )
    return measured["auroc"]


def cross_fitted(spec: ModelSpec, outputs: StageOutputs, seed: int) -> dict[str, dict[str, Estimate]]:
    """Measure a model without judging a film by what was fitted on it.

    The patients of each class are put in two halves at random; calibration, balanced threshold and
    prediction sets of each half come from the other.

    Parameters
    ----------
    spec : ModelSpec
    outputs : StageOutputs
    seed : int

    Returns
    -------
    dict of str to dict of str to Estimate
        By domain (``MAIN`` for the data set itself) for clean films, by domain and ``" shifted"`` for those
        under all shifts together: the
        figures of :func:`pneumocascade.evaluation.metrics.stage_figures`, ``coverage_LABEL`` (share of a
        label's films whose prediction set holds it), ``undetermined`` (share of films whose set holds both)
        and ``unlike`` (share of films whose set is empty).
    """
    first = _half(outputs, seed)
    probability, threshold = np.empty(len(first)), np.empty(len(first))
    held = np.empty((len(first), 2), np.bool_)
    for judged in (first, ~first):
        fitted = calibrate(spec, outputs.where(~judged), "", seed)
        rows = zip(outputs.logits[judged], outputs.where(judged).domains, strict=True)
        results = [judge(row, fitted, "balanced", domain=domain) for row, domain in rows]
        probability[judged] = [result.probabilities[spec.labels[1]] for result in results]
        threshold[judged] = fitted.operating_points["balanced"].threshold
        held[judged] = [[label in result.prediction_set for label in spec.labels] for result in results]
    measured = {}
    domains = np.array(outputs.domains)
    for domain in sorted(set(outputs.domains)):
        for suffix, chosen in (("", outputs.clean), (" shifted", ~outputs.clean)):
            among = chosen & (domains == domain)
            if among.any():
                part = outputs.where(among)
                figures = stage_figures(
                    part.labels, probability[among], threshold[among], part.patients, seed=seed
                )
                sets = _set_figures(spec, part, held[among], seed)
                measured[(domain or MAIN) + suffix] = {**figures, "auroc": auroc_figure(part), **sets}
    return measured


def _set_figures(
    spec: ModelSpec, outputs: StageOutputs, held: NDArray[np.bool_], seed: int
) -> dict[str, Estimate]:
    """Measure prediction sets; ``held``, shape (N, 2): whether each label is in a film's set."""

    def measure(weights: NDArray[np.float64]) -> dict[str, float]:
        def share(what: NDArray[Any], of: NDArray[np.float64]) -> float:
            return float(what @ of / of.sum()) if of.sum() > 0 else float("nan")

        coverage = {
            f"coverage_{label}": share(held[:, index], weights * (outputs.labels == index))
            for index, label in enumerate(spec.labels)
        }
        return {
            **coverage,
            "undetermined": share(held[:, 0] & held[:, 1], weights),
            "unlike": share(~held[:, 0] & ~held[:, 1], weights),
        }

    n = {f"coverage_{label}": int(np.sum(outputs.labels == index)) for index, label in enumerate(spec.labels)}
    return bootstrap(measure, outputs.patients, n, seed=seed)


def _half(outputs: StageOutputs, seed: int) -> NDArray[np.bool_]:
    """Return which films belong to a random half of the patients, alike for each class."""
    label_of = dict(zip(outputs.patients, outputs.labels.tolist(), strict=True))
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(sorted(label_of))
    by_class = sorted(shuffled.tolist(), key=label_of.__getitem__)
    chosen = set(by_class[::2])
    return np.array([patient in chosen for patient in outputs.patients])
