"""Tests of two models on the same films: DeLong's for the AUROC, McNemar's for shares.

Both take films as independent. Films of one patient are not: where patients have several, the p values are
too small, and a bootstrap over patients (:mod:`pneumocascade.evaluation.bootstrap`) is what to quote.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pneumocascade.evaluation.bootstrap import DECIMALS, SAME

if TYPE_CHECKING:
    from typing import TypeAlias

    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Ints: TypeAlias = NDArray[np.int64]
    Bools: TypeAlias = NDArray[np.bool_]

P_DIGITS = 4
"""Significant digits of p values in JSON."""


@dataclass(frozen=True, slots=True)
class DelongTest:
    """The difference of two AUROCs on the same films, and whether it may be chance.

    Attributes
    ----------
    difference : float
        AUROC of the second model minus that of the first.
    standard_error : float
    ci95 : tuple of float
        Of the difference, from the normal distribution.
    z, p : float or None
        Test statistic and two-sided p value; ``None`` where the standard error is 0.
    """

    difference: float
    standard_error: float
    ci95: tuple[float, float]
    z: float | None
    p: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values."""
        return {
            "difference": round(self.difference, DECIMALS),
            "standard_error": round(self.standard_error, DECIMALS),
            "ci95": [round(bound, DECIMALS) for bound in self.ci95],
            "z": None if self.z is None else round(self.z, DECIMALS),
            "p": rounded_p(self.p),
        }


@dataclass(frozen=True, slots=True)
class McNemarTest:
    """On how many films one model alone was right, and whether the difference may be chance.

    Attributes
    ----------
    both_right, only_a_right, only_b_right, both_wrong : int
        Films.
    p : float
        Two-sided and exact: the binomial test of the films on which one alone was right.
    """

    both_right: int
    only_a_right: int
    only_b_right: int
    both_wrong: int
    p: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values."""
        return {**asdict(self), "p": rounded_p(self.p)}


def delong_covariance(labels: Ints, probabilities: Floats) -> tuple[Floats, Floats]:
    """Return AUROCs on the same films and their covariance.

    DeLong, DeLong and Clarke-Pearson, Biometrics 1988, computed from midranks as in Sun and Xu, "Fast
    Implementation of DeLong's Algorithm", IEEE Signal Processing Letters 2014.

    Parameters
    ----------
    labels : ndarray of int, shape (N,)
        1 for the positive class, else 0; at least two films of each.
    probabilities : ndarray of float, shape (K, N)
        Of the positive class, by each of K models.

    Returns
    -------
    aurocs : ndarray of float, shape (K,)
    covariance : ndarray of float, shape (K, K)
    """
    from scipy.stats import rankdata

    positive, negative = probabilities[:, labels == 1], probabilities[:, labels == 0]
    m, n = positive.shape[1], negative.shape[1]
    ranks = rankdata(probabilities, axis=1)
    # Of each positive film the share of negative ones below it, and of each negative film of positive ones
    # above it; ties count half.
    outranked = (ranks[:, labels == 1] - rankdata(positive, axis=1)) / n
    outranking = 1 - (ranks[:, labels == 0] - rankdata(negative, axis=1)) / m
    covariance = np.atleast_2d(np.cov(outranked)) / m + np.atleast_2d(np.cov(outranking)) / n
    return outranked.mean(axis=1), covariance


def delong_test(labels: Ints, first: Floats, second: Floats) -> DelongTest | None:
    """Test whether two models have the same AUROC; see :func:`delong_covariance`.

    Parameters
    ----------
    labels, first, second : ndarray, shape (N,)
        Labels, and the probabilities of the two models.

    Returns
    -------
    DelongTest or None
        ``None`` where there are fewer than two films of a class.
    """
    from scipy.stats import norm

    if np.bincount(labels, minlength=2).min() < 2:
        return None
    aurocs, covariance = delong_covariance(labels, np.stack([first, second]))
    difference = float(aurocs[1] - aurocs[0])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    error = math.sqrt(max(variance, 0.0))
    half = float(norm.ppf(0.975)) * error
    z = difference / error if error > SAME else None
    p = None if z is None else float(2 * norm.sf(abs(z)))
    return DelongTest(difference, error, (difference - half, difference + half), z, p)


def mcnemar_test(first_right: Bools, second_right: Bools) -> McNemarTest:
    """Test whether two models are right on as many films (McNemar, Psychometrika 1947; exact version).

    Parameters
    ----------
    first_right, second_right : ndarray of bool, shape (N,)
        Whether each model is right on a film.
    """
    from scipy.stats import binomtest

    only_first = int(np.sum(first_right & ~second_right))
    only_second = int(np.sum(second_right & ~first_right))
    apart = only_first + only_second
    p = float(binomtest(only_first, apart).pvalue) if apart else 1.0
    both = int(np.sum(first_right & second_right))
    return McNemarTest(both, only_first, only_second, len(first_right) - both - apart, p)


def rounded_p(p: float | None) -> float | None:
    """Return a p value with ``P_DIGITS`` significant digits."""
    return None if p is None else float(f"{p:.{P_DIGITS}g}")
