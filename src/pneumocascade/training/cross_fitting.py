"""Held-out films through an exported model, and what it is worth by them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pneumocascade.datasets.films import data_set_of
from pneumocascade.errors import TrainingError
from pneumocascade.evaluation.bootstrap import Estimate, bootstrap
from pneumocascade.evaluation.metrics import (
    auroc,
    cascade_figures,
    group_weights,
    patients_of,
    share,
    stage_figures,
)
from pneumocascade.evaluation.shift_conditions import SHIFTS, Condition
from pneumocascade.evaluation.shift_suite import choose_films, shifted_films
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.inference.prefetch import prefetch_map
from pneumocascade.model.calibration import judge
from pneumocascade.model.engines.processor import usable_cores
from pneumocascade.model.onnx_classifier import OnnxClassifier
from pneumocascade.model.preprocess import prepare
from pneumocascade.model.spec import STAGE1_LABELS, STAGE2_LABELS, ModelSpec
from pneumocascade.training.calibrate import CLEAN, StageOutputs, calibrate
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
    return StageOutputs.of(
        np.concatenate(list(_logits(path, films))),
        np.array([sample.label for sample, _ in pairs]),
        [sample.film.patient for sample, _ in pairs],
        domains=[sample.film.domain for sample, _ in pairs],
        films=[sample.film.name for sample, _ in pairs],
        renderings=[_data_set_of(sample, rendering) for sample, rendering in pairs],
    )


def _data_set_of(sample: Sample, rendering: Path) -> str:
    own = sample.film.data_set if rendering == sample.film.path else ""
    return own or data_set_of(rendering)


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
    return StageOutputs.of(
        np.concatenate(logits),
        np.array([sample.label for sample in shown]),
        [sample.film.patient for sample in shown],
        conditions=[str(condition) for condition in conditions] * len(names),
        domains=[sample.film.domain for sample in shown],
        films=[sample.film.name for sample in shown],
    )


def _logits(path: Path, groups: Iterable[list[Radiograph]]) -> Iterator[NDArray[np.float32]]:
    """Yield a model's logits (n, 2) of each group of n films; each core judges a group of its own."""
    model = OnnxClassifier(path.read_bytes(), path.name, threads=1)

    def judged(radiographs: list[Radiograph]) -> NDArray[np.float32]:
        return np.concatenate([model.run(prepare(each, model.spec)).logits for each in radiographs])

    cores = usable_cores()
    return prefetch_map(judged, groups, workers=cores, prefetch=2 * cores)


def auroc_figure(outputs: StageOutputs) -> Estimate:
    """Return the AUROC of the logits, which needs no calibration, with its interval."""
    margin = outputs.logits[:, 1].astype(np.float64) - outputs.logits[:, 0]
    measured = bootstrap(
        lambda weights: {"auroc": auroc(outputs.labels, margin, weights)}, outputs.patients.tolist(), {}
    )
    return measured["auroc"]


@dataclass(frozen=True, slots=True, eq=False)
class CrossJudged:
    """N rows of held-out films, each judged with what was fitted on the other half of the patients.

    Attributes
    ----------
    outputs : StageOutputs
    probability : ndarray of float, shape (N,)
        Calibrated, of the positive class; the threshold is 0.5.
    held : ndarray of bool, shape (N, 2)
        Whether each label is in the prediction set.
    """

    outputs: StageOutputs
    probability: NDArray[np.float64]
    held: NDArray[np.bool_]

    def where(self, chosen: NDArray[np.bool_]) -> CrossJudged:
        """Return some of the rows."""
        return CrossJudged(self.outputs.where(chosen), self.probability[chosen], self.held[chosen])


def cross_judge(spec: ModelSpec, outputs: StageOutputs, seed: int) -> CrossJudged:
    """Judge each film with calibration, threshold and prediction sets of the other half of the patients.

    The patients of each class are put in two halves at random, those of small domains apart.
    """
    first = _half(outputs, seed)
    probability, held = np.empty(len(first)), np.empty((len(first), 2), np.bool_)
    for judged in (first, ~first):
        fitted = calibrate(spec, outputs.where(~judged), "", seed)
        rows = zip(outputs.logits[judged], outputs.where(judged).domains, strict=True)
        results = [judge(row, fitted, "balanced", domain=domain) for row, domain in rows]
        probability[judged] = [result.probabilities[spec.labels[1]] for result in results]
        held[judged] = [[label in result.prediction_set for label in spec.labels] for result in results]
    return CrossJudged(outputs, probability, held)


def cross_fitted(spec: ModelSpec, outputs: StageOutputs, seed: int) -> dict[str, dict[str, Estimate]]:
    """Measure a model without judging a film by what was fitted on it: see :func:`cross_judge`.

    Parameters
    ----------
    spec : ModelSpec
    outputs : StageOutputs
    seed : int

    Returns
    -------
    dict of str to dict of str to Estimate
        By domain (``MAIN`` for the data set itself) for clean films, by domain and ``" shifted"`` for those
        under all shifts together, by domain and rendering where there are several, and by domain and
        ``" by patient"``, in which patients weigh the same. The estimates are those of
        :func:`pneumocascade.evaluation.metrics.stage_figures`, ``coverage_LABEL`` (share of a label's films
        whose prediction set holds it), ``undetermined`` (share of films whose set holds both) and
        ``unlike`` (share of films whose set is empty).
    """
    judged = cross_judge(spec, outputs, seed)
    renderings = outputs.renderings
    measured = {}
    for domain in np.unique(outputs.domains).tolist():
        name, own = domain or MAIN, outputs.domains == domain
        clean = own & outputs.clean
        groups = {name: clean, f"{name} shifted": own & ~outputs.clean}
        kinds = sorted(set(renderings[clean].tolist()))
        if len(kinds) > 1:
            groups |= {f"{name} {kind}": clean & (renderings == kind) for kind in kinds}
        for group, rows in groups.items():
            if rows.any():
                measured[group] = _measured(spec, judged.where(rows), seed)
        measured[f"{name} by patient"] = _measured(spec, judged.where(clean), seed, by_patient=True)
    return measured


def _measured(
    spec: ModelSpec, judged: CrossJudged, seed: int, *, by_patient: bool = False
) -> dict[str, Estimate]:
    outputs = judged.outputs
    patients = outputs.patients.tolist()
    weights = group_weights(list(zip(patients, outputs.labels.tolist(), strict=True)))
    estimates = stage_figures(
        outputs.labels,
        judged.probability,
        0.5,
        patients,
        film_weights=weights if by_patient else None,
        seed=seed,
    )
    if by_patient:
        return estimates
    return {**estimates, "auroc": auroc_figure(outputs), **_set_figures(spec, outputs, judged.held, seed)}


def three_way(first: CrossJudged, second: CrossJudged, seed: int) -> dict[str, Estimate]:
    """Measure the answers normal, bacterial and viral on clean films of the main data set.

    A normal film that is called pneumonia is wrong whatever type it would be given: stage 2 was not asked.

    Returns
    -------
    dict of str to Estimate
        ``accuracy`` and the ``recall_`` of each category.
    """
    viral = {
        key: (int(label), probability >= 0.5)
        for key, label, probability in zip(
            _keys(second.outputs), second.outputs.labels, second.probability, strict=True
        )
        if key is not None
    }
    truth, answer, patients = [], [], []
    rows = zip(
        _keys(first.outputs), first.outputs.labels, first.probability, first.outputs.patients, strict=True
    )
    for key, label, probability, patient in rows:
        if key is None or (label == 1 and key not in viral):
            continue  # pneumonia of unknown aetiology
        truth.append(0 if label == 0 else 1 + viral[key][0])
        answer.append(0 if probability < 0.5 else 1 if label == 0 else 1 + int(viral[key][1]))
        patients.append(patient)
    categories = (STAGE1_LABELS[0], *STAGE2_LABELS)
    estimates = cascade_figures(np.array(truth), np.array(answer), categories, patients, seed=seed)
    del estimates["macro_f1"]  # it would hang on the type that such a normal film is given here
    return estimates


def _keys(outputs: StageOutputs) -> list[tuple[str, str] | None]:
    """Return film and rendering of each row; ``None`` for changed films and other domains."""
    return [
        (film, rendering) if condition == CLEAN and not domain else None
        for film, rendering, condition, domain in zip(
            outputs.films, outputs.renderings, outputs.conditions, outputs.domains, strict=True
        )
    ]


def _set_figures(
    spec: ModelSpec, outputs: StageOutputs, held: NDArray[np.bool_], seed: int
) -> dict[str, Estimate]:
    """Measure prediction sets; ``held``, shape (N, 2): whether each label is in a film's set."""

    def measure(weights: NDArray[np.float64]) -> dict[str, float]:
        coverage = {
            f"coverage_{label}": share(held[:, index], weights * (outputs.labels == index))
            for index, label in enumerate(spec.labels)
        }
        return {
            **coverage,
            "undetermined": share(held[:, 0] & held[:, 1], weights),
            "unlike": share(~held[:, 0] & ~held[:, 1], weights),
        }

    everyone = np.ones(len(outputs.labels), np.bool_)
    groups = {f"coverage_{label}": outputs.labels == index for index, label in enumerate(spec.labels)}
    n = {name: int(np.sum(films)) for name, films in groups.items()}
    patients = outputs.patients.tolist()
    shares = patients_of(patients, {**groups, "undetermined": everyone, "unlike": everyone})
    return bootstrap(measure, patients, n, shares=shares, seed=seed)


def _half(outputs: StageOutputs, seed: int) -> NDArray[np.bool_]:
    """Return which films belong to a random half of the patients, alike for each class.

    Calibration needs films of every domain and class, as they are and changed. Where a half has none of
    some, which happens to small domains, the halves are drawn alike for each of these, not for each class.
    """
    kinds = list(zip(outputs.domains.tolist(), outputs.labels.tolist(), outputs.clean.tolist(), strict=True))
    patients = outputs.patients.tolist()
    changed = set(outputs.patients[~outputs.clean].tolist())
    group_of = {
        patient: (domain, label, patient in changed)
        for patient, (domain, label, _) in zip(patients, kinds, strict=True)
    }
    shuffled = np.random.default_rng(seed).permutation(sorted(group_of)).tolist()
    by_class = sorted(shuffled, key=lambda patient: group_of[patient][1])
    first = np.isin(outputs.patients, by_class[::2])
    sides = [{kind for kind, own in zip(kinds, first, strict=True) if own == side} for side in (True, False)]
    if sides[0] == sides[1]:
        return first
    return np.isin(outputs.patients, sorted(shuffled, key=group_of.__getitem__)[::2])
