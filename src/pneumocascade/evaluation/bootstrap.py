"""Figures with intervals: a bootstrap over patients."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pneumocascade.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Measure: TypeAlias = Callable[[Floats], Mapping[str, float]]

RESAMPLES = 1000
"""Bootstrap resamples by default."""

INTERVAL = (2.5, 97.5)
"""Percentiles of the resamples that bound a 95 % interval."""

SAME = 1e-9
"""Figures that differ by no more are taken to be equal."""

DECIMALS = 6
"""Decimals of figures in JSON."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One measured figure.

    Attributes
    ----------
    value : float or None
        ``None`` where it is not defined on these films.
    ci95 : tuple of float, or None
        Lower and upper bound of the 95 % interval; ``None`` where there is none (see
        :func:`bootstrap`).
    n : int
        Films that the figure rests on: for a sensitivity the positive ones, and so on.
    left_out : int
        Resamples in which it was not defined.
    reason : str
        Why ``value`` is ``None``, where that is known; else empty.
    """

    value: float | None
    ci95: tuple[float, float] | None
    n: int
    left_out: int = 0
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object ``{"value", "ci95", "n"}``, with ``"reason"`` if there is one; never NaN."""
        interval = None if self.ci95 is None else [round(bound, DECIMALS) for bound in self.ci95]
        value = None if self.value is None else round(self.value, DECIMALS)
        told = {"reason": self.reason} if self.reason else {}
        return {"value": value, "ci95": interval, "n": self.n, **told}

    def __str__(self) -> str:
        if self.value is None:
            return "not defined"
        interval = "no interval" if self.ci95 is None else "95 % CI {:.3f} to {:.3f}".format(*self.ci95)
        return f"{self.value:.3f} ({interval})"


def bootstrap(
    measure: Measure,
    patients: Sequence[str],
    n: Mapping[str, int],
    *,
    shares: Mapping[str, int] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Put percentile intervals to figures by drawing patients with replacement.

    Films of one patient resemble each other: they are drawn together, or the intervals would be
    too narrow. Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.

    Where every resample gives the same value, as of a share that is 0 or 1, the percentiles would be a point,
    which would claim too much. A share then gets the exact interval (:func:`exact_interval`) for as many
    independent patients; another figure, such as an AUROC of 1, gets none.

    A resample in which a figure is not defined (it holds no film of a class) is left out for that
    figure and counted. There is no interval where more than half are left out, nor where all films
    are of one patient, as these say nothing of other patients.

    Parameters
    ----------
    measure : callable
        From weights of the films, shape (N,), to figures by name; NaN where not defined.
    patients : sequence of str, length N
    n : mapping of str to int
        Films that a figure rests on, where these are not all.
    shares : mapping of str to int, optional
        Which figures are shares, and how many patients each rests on.
    resamples : int
        0 for no intervals.
    seed : int

    Raises
    ------
    UsageError
        For fewer than 0 resamples.
    """
    if resamples < 0:
        raise UsageError(f"resamples is {resamples}; expected 0 or more")
    names, patient_of_film = np.unique(np.asarray(patients, dtype=np.str_), return_inverse=True)
    drawn: list[Mapping[str, float]] = []
    if len(names) > 1:
        rng = np.random.default_rng(seed)
        for _ in range(resamples):
            times_drawn = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
            drawn.append(measure(times_drawn[patient_of_film].astype(np.float64)))
    values = measure(np.ones(len(patients)))
    figures = {
        name: _figure(value, np.array([row[name] for row in drawn]), n.get(name, len(patients)))
        for name, value in values.items()
    }
    return {name: _widened(figure, (shares or {}).get(name)) for name, figure in figures.items()}


def _widened(figure: Estimate, patients: int | None) -> Estimate:
    """Replace an interval that is a point; ``patients``: of a share, how many it rests on."""
    if figure.value is None or figure.ci95 is None or figure.ci95[1] - figure.ci95[0] > SAME:
        return figure
    return replace(figure, ci95=exact_interval(figure.value, patients) if patients else None)


def exact_interval(share: float, count: int) -> tuple[float, float]:
    """Return the exact 95 % interval of a share (Clopper and Pearson, Biometrika 1934).

    Parameters
    ----------
    share : float
        0..1.
    count : int
        How many independent ones it is a share of, at least 1.
    """
    from scipy.stats import beta

    held, tail = share * count, INTERVAL[0] / 100
    low = beta.ppf(tail, held, count - held + 1) if held > SAME else 0.0
    high = beta.ppf(1 - tail, held + 1, count - held) if count - held > SAME else 1.0
    return float(low), float(high)


def _figure(value: float, resampled: Floats, n: int) -> Estimate:
    defined = resampled[~np.isnan(resampled)]
    left_out = len(resampled) - len(defined)
    interval = None
    if len(defined) > 0 and left_out <= len(resampled) / 2:
        low, high = np.percentile(defined, INTERVAL)
        interval = (float(low), float(high))
    return Estimate(None if math.isnan(value) else float(value), interval, n, left_out)
