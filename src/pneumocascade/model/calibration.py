"""From logits to calibrated probabilities, a label and a prediction set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pneumocascade.errors import UsageError
from pneumocascade.model.spec import ModelSpec
from pneumocascade.types import StageResult

DECIMALS = 6
"""Probabilities are rounded to this many decimals before anything is decided by them, so that
every output shows the very number that was compared with the threshold."""

_STEP = 10.0**-DECIMALS
"""The smallest difference that a probability shows."""


def positive_probability(
    logits: NDArray[np.floating], temperature: float, bias: float = 0.0
) -> NDArray[np.float64]:
    """Return the calibrated probability of the positive (second) class.

    Temperature scaling (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017) with a
    bias (Platt, "Probabilistic Outputs for Support Vector Machines", 1999).

    Parameters
    ----------
    logits : ndarray of float, shape (N, 2)
    temperature : float
        Greater than 0.
    bias : float
        Added to the log-odds.

    Returns
    -------
    ndarray of float64, shape (N,)
        0..1.
    """
    log_odds = (logits[:, 1].astype(np.float64) - logits[:, 0]) / temperature + bias
    # The logistic function by way of tanh: no overflow at either end.
    probability: NDArray[np.float64] = 0.5 * (1.0 + np.tanh(0.5 * log_odds))
    return probability


def judge(
    logits: NDArray[np.floating],
    spec: ModelSpec,
    operating_point: str,
    *,
    prior: float | None = None,
    domain: str | None = None,
    threshold: float | None = None,
) -> StageResult:
    """Turn one film's logits into a stage's answer.

    Parameters
    ----------
    logits : ndarray of float, shape (2,)
    spec : ModelSpec
        Of the model that gave them.
    operating_point : str
        Name of one stored in ``spec``.
    prior : float, optional
        Share of the positive class, above 0 and below 1, among the films that are judged; by default the
        stored one. Probability and threshold move together by Bayes' rule: the label stays. Where rounding
        would put them on other sides of each other, the probability is shown one step beside the threshold.
    domain : str, optional
        Whose films this one resembles, for the prediction set; by default a label is in the set where it is
        in any domain's.
    threshold : float, optional
        Above 0 and below 1, on the probability that the result has: in place of the operating point's.

    Raises
    ------
    UsageError
        Where the model stores no such operating point, or for a prior that is no share.
    """
    if operating_point not in spec.operating_points:
        raise UsageError(
            f"operating point is {operating_point!r}; stage {spec.stage} stores "
            f"{', '.join(spec.operating_points)}"
        )
    unrounded = float(positive_probability(logits[None], spec.temperature, spec.bias)[0])
    stored, cut = round(unrounded, DECIMALS), spec.point(operating_point).threshold
    positive, is_positive = stored, stored >= cut
    if prior is not None:
        check_prior(prior)
        if prior != spec.prior:
            positive = round(at_prior(unrounded, spec.prior, prior), DECIMALS)
            cut = max(round(at_prior(cut, spec.prior, prior), DECIMALS), _STEP)
    if threshold is not None:
        check_threshold(threshold)
        cut = float(threshold)
        is_positive = positive >= cut
    elif is_positive != (positive >= cut):  # only rounding at another prior does this
        positive = cut if is_positive else round(cut - _STEP, DECIMALS)
    probabilities = dict(zip(spec.labels, (round(1.0 - positive, DECIMALS), positive), strict=True))
    label = spec.labels[1] if is_positive else spec.labels[0]
    own = dict(zip(spec.labels, (1.0 - stored, stored), strict=True))
    held = _prediction_set(own, label, spec, domain)
    kept = (float(logits[0]), float(logits[1]))
    return StageResult(probabilities, label, cut, held, logits=kept, domain=domain)


def check_prior(prior: float) -> None:
    """Check that a prior is a share above 0 and below 1.

    Raises
    ------
    UsageError
        Where it is not.
    """
    if not 0 < prior < 1:
        raise UsageError(
            f"prior is {prior!r}; expected a share of the films above 0 and below 1, such as 0.2"
        )


def check_threshold(threshold: float) -> None:
    """Check that a threshold is a probability above 0 and below 1.

    Raises
    ------
    UsageError
        Where it is not.
    """
    if isinstance(threshold, (bool, str)) or not 0 < threshold < 1:
        raise UsageError(
            f"threshold is {threshold!r}; expected a probability above 0 and below 1, such as 0.3"
        )


def at_prior(probability: float, stored: float, wanted: float) -> float:
    """Return what a probability of the positive class becomes where that class is rarer or more frequent.

    Saerens, Latinne & Decaestecker, "Adjusting the Outputs of a Classifier to New a Priori Probabilities",
    Neural Computation 2002.

    Parameters
    ----------
    probability : float
        0..1, where the share of the positive class is ``stored``.
    stored, wanted : float
        Shares of the positive class, above 0 and below 1.
    """
    positive = probability * wanted / stored
    negative = (1 - probability) * (1 - wanted) / (1 - stored)
    return positive / (positive + negative)


def _prediction_set(
    probabilities: dict[str, float], label: str, spec: ModelSpec, domain: str | None
) -> tuple[str, ...]:
    """Labels whose probability reaches their minimum; with them, where there are any, the answer.

    Class-conditional split conformal prediction: Vovk, "Conditional validity of inductive
    conformal predictors", ACML 2012. Where the classes are far apart, a film between them conforms
    to neither: its set is empty.
    """
    minima = spec.set_minima(domain)
    members = [name for name in spec.labels if probabilities[name] >= minima.get(name, 0.0)]
    return tuple(name for name in spec.labels if name in members or (members and name == label))
