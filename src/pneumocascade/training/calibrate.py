"""Temperature and bias, operating points and prediction sets from held-out films.

What is fitted here is stored in the model; :mod:`pneumocascade.model.calibration` applies it. Held-out films
come from one or more domains (hospitals), as they are and, where wanted, changed as in the shift suite: a
threshold that is best on clean films of one hospital alone does not survive films that were acquired
otherwise. Each domain, and in it clean and changed films, and in these both classes, weigh alike, however
many films there are of each: the prior of the probabilities is 0.5.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from pneumocascade.errors import TrainingError
from pneumocascade.evaluation.metrics import group_weights
from pneumocascade.model.calibration import DECIMALS, positive_probability
from pneumocascade.model.spec import OPERATING_POINTS, ModelSpec, OperatingPoint
from pneumocascade.training.checkpoint import replace_text
from pneumocascade.types import encodable

SET_COVERAGE = 0.9
"""Coverage aimed at by the prediction sets."""

GOAL = 0.98
"""Sensitivity of ``sensitive`` and specificity of ``specific`` on the films they are chosen on."""

CLEAN = "clean"

OUTPUT_COLUMNS = ("film", "domain", "patient", "condition", "rendering", "label", "margin")
"""Of a saved :class:`StageOutputs`; ``margin`` is the difference of the logits."""

THRESHOLD_RESAMPLES = 200
CUTS = 800

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Names = NDArray[np.str_]


@dataclass(frozen=True, slots=True, eq=False)
class StageOutputs:
    """What a model said of held-out films, a row for each film and condition; :meth:`of` makes one.

    Attributes
    ----------
    logits : ndarray of float32, shape (N, 2)
    labels : ndarray of int, shape (N,)
        0 for the negative, 1 for the positive class.
    patients : ndarray of str, shape (N,)
    conditions : ndarray of str, shape (N,)
        ``CLEAN`` for films as they are, else the shift that they were changed by.
    domains : ndarray of str, shape (N,)
        Where the films come from.
    films : ndarray of str, shape (N,)
        Their names; may be empty.
    renderings : ndarray of str, shape (N,)
        Name of the data set folder that a film was read from; may be empty.
    """

    logits: NDArray[np.float32]
    labels: Labels
    patients: Names
    conditions: Names
    domains: Names
    films: Names
    renderings: Names

    @classmethod
    def of(
        cls,
        logits: NDArray[np.float32],
        labels: Labels,
        patients: Sequence[str],
        *,
        conditions: Sequence[str] = (),
        domains: Sequence[str] = (),
        films: Sequence[str] = (),
        renderings: Sequence[str] = (),
    ) -> StageOutputs:
        """Return outputs of N rows; by default films as they are, all of one domain, without a name."""
        given = ((patients, ""), (conditions, CLEAN), (domains, ""), (films, ""), (renderings, ""))
        columns = (np.array(own or [default] * len(labels), np.str_) for own, default in given)
        return cls(logits, labels, *columns)

    @property
    def clean(self) -> NDArray[np.bool_]:
        """Which rows show films as they are, shape (N,)."""
        return np.asarray(self.conditions == CLEAN)

    def where(self, chosen: NDArray[np.bool_]) -> StageOutputs:
        """Return some of the rows."""
        return StageOutputs(*(getattr(self, each.name)[chosen] for each in fields(self)))

    def of_domain(self, domain: str) -> StageOutputs:
        """Return the rows of one domain."""
        return self.where(self.domains == domain)

    def and_also(self, more: StageOutputs) -> StageOutputs:
        """Return these rows and those of ``more``."""
        pairs = ((getattr(self, each.name), getattr(more, each.name)) for each in fields(self))
        return StageOutputs(*(np.concatenate(pair) for pair in pairs))

    def save(self, path: Path) -> None:
        """Write a CSV file, whole or not at all, a row for each film and condition; read by :meth:`load`.

        Of a name that is not UTF-8 these bytes are escaped.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(OUTPUT_COLUMNS)
        margins = (self.logits[:, 1].astype(np.float64) - self.logits[:, 0]).round(4).tolist()
        columns = (self.films, self.domains, self.patients, self.conditions, self.renderings)
        writer.writerows(zip(*columns, self.labels.tolist(), margins, strict=True))
        replace_text(path, encodable(text.getvalue()))

    @classmethod
    def load(cls, path: Path) -> StageOutputs:
        """Read what :meth:`save` wrote; of the logits the difference is kept.

        Raises
        ------
        TrainingError
            Where the file is missing or not such a one.
        """
        try:
            with path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file, strict=True))
            if not rows:
                raise ValueError("no row")
            films, domains, patients, conditions, renderings = (
                np.array([row[name] for row in rows], np.str_) for name in OUTPUT_COLUMNS[:5]
            )
            labels = np.array([int(row["label"]) for row in rows])
            margins = np.array([float(row["margin"]) for row in rows], np.float32)
        except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
            raise TrainingError(f"{path} does not hold outputs of held-out films: {error!r}") from error
        logits = np.column_stack([np.zeros_like(margins), margins])
        return cls(logits, labels, patients, conditions, domains, films, renderings)


def calibrate(spec: ModelSpec, outputs: StageOutputs, data: str, seed: int) -> ModelSpec:
    """Return the specification with calibration, operating points and prediction sets filled in.

    The balanced threshold is a probability of 0.5: the bias is moved to make it so. The other two operating
    points of stage 1 meet their goals on clean films of the first domain; stage 2 has one point by three
    names. The prediction sets hold in each domain on its own.

    Parameters
    ----------
    spec : ModelSpec
    outputs : StageOutputs
    data : str
        Name of these films, kept with the operating points.
    seed : int
    """
    temperature, bias = fit_calibration(outputs)
    balanced = balanced_threshold(positive_probability(outputs.logits, temperature, bias), outputs, seed)
    bias -= float(_log_odds(np.array(balanced)))
    clean = outputs.where(outputs.clean)
    first = clean.of_domain(min(clean.domains.tolist()))
    probability = np.round(positive_probability(first.logits, temperature, bias), DECIMALS)
    thresholds = dict.fromkeys(OPERATING_POINTS, 0.5)
    if spec.stage == 1:
        highest_negative = 1.0 - threshold_for_sensitivity(1.0 - probability, 1 - first.labels, GOAL)
        thresholds["sensitive"] = min(0.5, threshold_for_sensitivity(probability, first.labels, GOAL))
        thresholds["specific"] = max(0.5, min(1.0, highest_negative + 10.0**-DECIMALS))
    return replace(
        spec,
        temperature=temperature,
        bias=bias,
        prior=0.5,
        operating_points={
            name: _operating_point(value, probability, first.labels, data)
            for name, value in thresholds.items()
        },
        prediction_set_minimum=set_minima(spec, clean, temperature, bias),
        validation_data=data,
    )


def set_minima(
    spec: ModelSpec, clean: StageOutputs, temperature: float, bias: float
) -> dict[str, dict[str, float]]:
    """Return by domain and label the probability that ``SET_COVERAGE`` of the label's films reach.

    Class- and domain-conditional split conformal prediction (Vovk, "Conditional validity of inductive
    conformal predictors", ACML 2012).

    Parameters
    ----------
    spec : ModelSpec
    clean : StageOutputs
        Of films as they are.
    temperature, bias : float
    """
    minima: dict[str, dict[str, float]] = {}
    for domain in np.unique(clean.domains).tolist():
        part = clean.of_domain(domain)
        positive = np.round(positive_probability(part.logits, temperature, bias), DECIMALS)
        own = (1.0 - positive[part.labels == 0], positive[part.labels == 1])
        minima[domain] = {
            label: prediction_set_minimum(each) for label, each in zip(spec.labels, own, strict=True)
        }
    return minima


def row_weights(outputs: StageOutputs) -> Floats:
    """Return a weight for each row, shape (N,), in sum 1: domains, clean and changed, classes alike."""
    keys = list(zip(outputs.domains.tolist(), outputs.clean.tolist(), outputs.labels.tolist(), strict=True))
    return group_weights(keys) / len(set(keys))


def fit_calibration(outputs: StageOutputs) -> tuple[float, float]:
    """Return temperature (0.05 to 20) and bias (-10 to 10) of the least negative log-likelihood."""
    weights = row_weights(outputs)
    margin = outputs.logits[:, 1].astype(np.float64) - outputs.logits[:, 0]
    sign = np.where(outputs.labels == 1, 1.0, -1.0)

    def loss(parameters: Floats) -> float:
        log_odds = margin / np.exp(parameters[0]) + parameters[1]
        return float((weights * np.logaddexp(0.0, -sign * log_odds)).sum())

    bounds = [(np.log(0.05), np.log(20)), (-10, 10)]
    best = minimize(loss, x0=np.zeros(2), bounds=bounds, method="L-BFGS-B")
    return float(np.exp(best.x[0])), float(best.x[1])


def balanced_threshold(probability: Floats, outputs: StageOutputs, seed: int) -> float:
    """Return a threshold of high balanced accuracy under all conditions that hangs on no single film.

    What is made as high as can be is, averaged over the domains, the mean of three balanced accuracies: of
    the clean films, of the shifts on average, and of the worst shift; without shifts, the first alone. Many
    thresholds may be equally good on the films at hand: patients are resampled, the middle of the best
    interval (in log-odds) is taken each time, and their median is returned.

    Parameters
    ----------
    probability : ndarray of float, shape (N,)
        Of the positive class.
    outputs : StageOutputs
    seed : int

    Raises
    ------
    TrainingError
        Where a class has no clean film, or there are too few of either in a domain or condition.
    """
    if len(set(outputs.labels[outputs.clean].tolist())) < 2:
        raise TrainingError("a threshold needs held-out films of both classes")
    scores = _log_odds(probability)
    cuts = np.linspace(scores.min() - 0.1, scores.max() + 0.1, CUTS)
    below = np.searchsorted(cuts, scores, side="right")  # cuts[:below] call the film positive
    groups = list(zip(outputs.domains.tolist(), outputs.conditions.tolist(), strict=True))
    names = sorted(set(groups), key=lambda name: (name[0], name[1] != CLEAN, name[1]))
    number = {name: index for index, name in enumerate(names)}
    cell = (np.array([number[group] for group in groups]) * 2 + outputs.labels) * (CUTS + 1) + below
    domains = [
        [number[name] for name in names if name[0] == domain] for domain in sorted({n[0] for n in names})
    ]
    _, patient = np.unique(outputs.patients, return_inverse=True)
    rng = np.random.default_rng(seed)
    middles = []
    for _ in range(THRESHOLD_RESAMPLES):
        drawn = np.bincount(
            rng.integers(patient.max() + 1, size=patient.max() + 1), minlength=patient.max() + 1
        )
        counts = np.bincount(cell, drawn[patient], len(names) * 2 * (CUTS + 1)).reshape(
            len(names), 2, CUTS + 1
        )
        if counts.sum(axis=2).all():
            quality = np.mean([_quality(counts[rows].astype(np.float64)) for rows in domains], axis=0)
            middles.append(_middle_of_best(cuts, quality))
    if not middles:
        raise TrainingError(
            f"the held-out films are too few for a threshold: {len(np.unique(outputs.patients))} patients do "
            f"not show both classes in each of {len(names)} domains and conditions"
        )
    return float(expit(np.median(middles)))


def _quality(counts: Floats) -> Floats:
    """Return how good each cut is on one domain, shape (cuts,).

    ``counts``, shape (conditions, 2, cuts + 1), clean first: weight of the negative and of the positive
    films for which so many cuts are at or below the film.
    """
    share_below = np.cumsum(counts, axis=2)[..., :-1] / counts.sum(axis=2, keepdims=True)
    balanced_accuracy = (share_below[:, 0] + 1 - share_below[:, 1]) / 2  # (conditions, cuts)
    clean, shifted = balanced_accuracy[0], balanced_accuracy[1:]
    quality: Floats = (clean + shifted.mean(axis=0) + shifted.min(axis=0)) / 3 if len(shifted) else clean
    return quality


def _middle_of_best(cuts: Floats, quality: Floats) -> float:
    """Return the middle of the longest run of best cuts."""
    best = np.flatnonzero(quality >= quality.max() - 1e-9)
    runs = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
    longest = max(runs, key=len)
    return float((cuts[longest[0]] + cuts[longest[-1]]) / 2)


def threshold_for_sensitivity(probability: Floats, labels: Labels, goal: float) -> float:
    """Return the highest threshold at which at least ``goal`` of the positives are found."""
    positives = np.sort(probability[labels == 1])
    missed = int(np.floor((1 - goal) * len(positives) + 1e-9))
    return float(positives[missed])


def prediction_set_minimum(own_probability: Floats) -> float:
    """Return the probability that a film's own label reaches in at least 90 % of cases.

    Split conformal with the finite-sample correction: of N calibration films, the
    floor((N + 1) (1 - coverage))-th smallest; 0 where there are too few films.
    """
    # 1 - 0.9 is a little less than a tenth: without the addition 10 tenths would be no whole.
    rank = int(np.floor((len(own_probability) + 1) * (1 - SET_COVERAGE) + 1e-9))
    return float(np.sort(own_probability)[rank - 1]) if rank >= 1 else 0.0


def _operating_point(threshold: float, probability: Floats, labels: Labels, data: str) -> OperatingPoint:
    threshold = round(threshold, DECIMALS)
    positive = probability >= threshold
    return OperatingPoint(
        threshold,
        sensitivity=float(np.mean(positive[labels == 1])),
        specificity=float(np.mean(~positive[labels == 0])),
        data=data,
    )


def _log_odds(probability: Floats) -> Floats:
    """Return the log-odds of probabilities; those of 0 and 1 are finite."""
    odds: Floats = logit(np.clip(probability, 1e-9, 1 - 1e-9))
    return odds
