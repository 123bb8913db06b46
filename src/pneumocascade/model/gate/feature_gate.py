"""Checks on stage 1's features: kind of picture, view, familiarity.

A small linear head works on the very features that the answer is made of: no second network, no second pass.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from pneumocascade.errors import ModelError
from pneumocascade.imaging.dicom import suitability
from pneumocascade.model.gate.reasons import CHILDREN_ONLY, LATERAL, REASONS, STRANGE, UNFAMILIAR, UPRIGHT
from pneumocascade.model.spec import UNCERTAIN_DOMAIN
from pneumocascade.types import Acquisition, Reason

Floats = NDArray[np.float32]

OTHER_DOMAIN = "other"
"""Domain, for stage 2, of a film of an age that it did not learn from, or that it may not have."""

_LATER = "minimum_leads"
"""Array that gates of models up to 2.0.0 do not have: the domain of no film was uncertain."""

FRONTAL_VIEWS = frozenset({"AP", "PA"})
"""View positions (DICOM PS3.3, C.8.11.5.1.1) of films that are not refused as from the side."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What stage 1's features tell of a film besides its finding.

    Attributes
    ----------
    reasons : tuple of Reason
        Why it must not be judged; empty where it may be.
    familiarity : float or None
        Share, 0..1, of the films learnt from that are less typical than this one of the domain it resembles
        most.
    domain : str or None
        The domain, for stage 1's prediction set; ``UNCERTAIN_DOMAIN`` where none resembles the film clearly,
        ``None`` where there is no gate to tell it.
    stage2_domain : str or None
        The same for stage 2, which learnt from other films.
    warnings, stage2_warnings : tuple of str
        What a reader of the answer should know; the latter where stage 2 ran.
    """

    reasons: tuple[Reason, ...] = ()
    familiarity: float | None = None
    domain: str | None = None
    stage2_domain: str | None = None
    warnings: tuple[str, ...] = ()
    stage2_warnings: tuple[str, ...] = ()


class Scores(NamedTuple):
    """What is compared with a gate's limits.

    Attributes
    ----------
    kinds : ndarray of float32, shape (N, Q)
        Probability of each kind of picture; each row sums to 1.
    lateral : ndarray of float32, shape (N,)
        Log-odds of a chest from the side against one from the front.
    distances : ndarray of float32, shape (N,)
        From the films learnt from.
    domains : ndarray of int, shape (N,)
        Index of the domain that the film resembles most.
    leads : ndarray of float32, shape (N,)
        Log-odds of that domain against the next; infinite where there is one domain only.
    """

    kinds: Floats
    lateral: Floats
    distances: Floats
    domains: NDArray[np.int64]
    leads: Floats


@dataclass(frozen=True, slots=True, eq=False)
class FeatureGate:
    """What stage 1's features, averaged over the film, tell besides the finding.

    Linear checks, made by :func:`pneumocascade.training.fit_gate.fit_gate`, on K directions of the features.
    A multinomial logistic regression tells the kind of picture, a logistic regression the view (from the
    front or the side), another the domain (whose films it resembles). The distance of the features from the
    space that whole, frontal, upright chests span tells what is like nothing learnt from (the residual of
    Wang et al., "ViM: Out-of-Distribution with Virtual-Logit Matching", CVPR 2022), and how familiar a film
    is.

    Attributes
    ----------
    stage1_sha256 : str
        Of the model file whose features it was fitted on.
    kinds : tuple of str, length Q
        ``UPRIGHT`` first, then keys of ``REASONS``; one key may stand more than once.
    domains : tuple of str, length D
        The data set itself, whose name is empty, first.
    mean, projection : ndarray of float32, shapes (C,) and (C, K)
    weights, bias : ndarray of float32, shapes (K, Q) and (Q,)
    view_weights, view_bias : ndarray of float32, shapes (K,) and (1,)
    domain_weights, domain_bias : ndarray of float32, shapes (K, D) and (D,)
    chest_mean, chest_directions : ndarray of float32, shapes (C,) and (C, U)
        Mean and orthonormal principal directions of upright chests.
    distances : ndarray of float32, shape (D, P)
        Evenly spaced quantiles, ascending, of the distances of each domain's films.
    minimum_leads : ndarray of float32, shape (D,)
        For each domain the least lead over the others of a film that clearly resembles it.
    minimum_upright : float
        Least probability (0..1) of being upright of a film that is judged.
    maximum_lateral, maximum_distance : float
        Largest log-odds and distance of a film that is judged.
    minimum_familiarity : float
        0..1; below it an answer has a warning.
    """

    stage1_sha256: str
    kinds: tuple[str, ...]
    domains: tuple[str, ...]
    mean: Floats
    projection: Floats
    weights: Floats
    bias: Floats
    view_weights: Floats
    view_bias: Floats
    domain_weights: Floats
    domain_bias: Floats
    chest_mean: Floats
    chest_directions: Floats
    distances: Floats
    minimum_leads: Floats
    minimum_upright: float = 0.0
    maximum_lateral: float = float("inf")
    maximum_distance: float = float("inf")
    minimum_familiarity: float = 0.0

    def __post_init__(self) -> None:
        channels, directions = self.mean.size, self.weights.shape[0]
        kinds, domains = len(self.kinds), len(self.domains)
        shapes = {
            "mean": (channels,),
            "projection": (channels, directions),
            "weights": (directions, kinds),
            "bias": (kinds,),
            "view_weights": (directions,),
            "view_bias": (1,),
            "domain_weights": (directions, domains),
            "domain_bias": (domains,),
            "chest_mean": (channels,),
            "chest_directions": (channels, self.chest_directions.shape[-1]),
            "distances": (domains, self.distances.shape[-1]),
            "minimum_leads": (domains,),
        }
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != np.float32 or not np.isfinite(array).all():
                raise ModelError(
                    f"this is not a usable gate: {name} is {array.dtype} of shape {array.shape}, expected "
                    f"finite float32 of shape {shape}"
                )
        if self.kinds[:1] != (UPRIGHT,) or kinds < 2 or not set(self.kinds[1:]) <= set(REASONS):
            raise ModelError(f"this is not a usable gate: it tells the kinds {', '.join(self.kinds)}")
        if self.domains[:1] != ("",) or len(set(self.domains)) < domains:
            raise ModelError(f"this is not a usable gate: it tells the domains {self.domains}")
        if self.distances.shape[-1] < 2 or (np.diff(self.distances) < 0).any():
            raise ModelError("this is not a usable gate: its distances are not two or more that ascend")
        limits = (
            self.minimum_upright,
            self.maximum_lateral,
            self.maximum_distance,
            self.minimum_familiarity,
        )
        shares = 0 <= self.minimum_upright <= 1 and 0 <= self.minimum_familiarity <= 1
        if not (shares and self.maximum_distance > 0) or np.isnan(self.maximum_lateral):
            raise ModelError(f"this is not a usable gate: its limits are {limits}")

    def judge(self, features: Floats) -> Scores:
        """Return the scores of N films.

        Parameters
        ----------
        features : ndarray of float32, shape (N, C)
            From :func:`pooled`.
        """
        along = (features - self.mean) @ self.projection  # (N, K)
        logits = along @ self.weights + self.bias  # (N, Q)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        centred = features - self.chest_mean
        spanned = centred @ self.chest_directions  # (N, U)
        squares = np.square(centred).sum(axis=1) - np.square(spanned).sum(axis=1)
        resembled = along @ self.domain_weights + self.domain_bias  # (N, D)
        ascending = np.sort(resembled, axis=1)
        leads = ascending[:, -1] - ascending[:, -2] if len(self.domains) > 1 else np.inf
        return Scores(
            powers / powers.sum(axis=1, keepdims=True),
            np.asarray(along @ self.view_weights + self.view_bias[0], np.float32),
            np.sqrt(np.maximum(squares, 0)),
            resembled.argmax(axis=1),
            np.broadcast_to(np.asarray(leads, np.float32), len(features)),
        )

    def familiarity(self, distance: float, domain: int) -> float:
        """Return the share, 0..1, of a domain's films that lie farther away."""
        nearer = np.linspace(0, 1, self.distances.shape[1])
        return round(float(1 - np.interp(distance, self.distances[domain], nearer)), 3)

    def assess(self, features: Floats, acquisitions: Sequence[Acquisition | None]) -> list[Assessment]:
        """Return for each of N films whether it may be judged, and how familiar it is.

        Parameters
        ----------
        features : ndarray of float32, shape (N, C, h, w)
            What stage 1 made of them.
        acquisitions : sequence of Acquisition or None, length N
            A view position that is frontal and an age are believed.

        Raises
        ------
        ModelError
            Where these are not the features of the stage 1 that the gate was fitted on.
        """
        if features.shape[1] != self.mean.size:
            raise ModelError(
                f"stage 1 gives {features.shape[1]} features, the gate takes {self.mean.size}: "
                "they do not belong together"
            )
        rows = zip(*self.judge(pooled(features)), acquisitions, strict=True)
        return [self._assess(*row) for row in rows]

    def _assess(
        self,
        kinds: Floats,
        lateral: np.float32,
        distance: np.float32,
        domain: np.int64,
        lead: np.float32,
        acquisition: Acquisition | None,
    ) -> Assessment:
        familiarity = self.familiarity(float(distance), int(domain))
        name = self.domains[domain] if lead >= self.minimum_leads[domain] else UNCERTAIN_DOMAIN
        second = stage2_domain(name, acquisition)
        return Assessment(
            self._reasons(kinds, lateral, distance, acquisition),
            familiarity,
            name,
            second,
            (UNFAMILIAR,) if familiarity < self.minimum_familiarity else (),
            stage2_warnings(second),
        )

    def _reasons(
        self, kinds: Floats, lateral: np.float32, distance: np.float32, acquisition: Acquisition | None
    ) -> tuple[Reason, ...]:
        """Return the first reason there is: a head names more than a distance can.

        What is no upright chest has no view: the kind comes first.
        """
        frontal = acquisition is not None and acquisition.view_position in FRONTAL_VIEWS
        if kinds[0] < self.minimum_upright:
            kind = self.kinds[1 + int(np.argmax(kinds[1:]))]
            if kind != LATERAL or not frontal:
                return (REASONS[kind],)
        if lateral > self.maximum_lateral and not frontal:
            return (REASONS[LATERAL],)
        return (STRANGE,) if distance > self.maximum_distance else ()

    def to_bytes(self) -> bytes:
        """Return the gate as the content of an ``.npz`` file; nothing in it is pickled."""
        stream = io.BytesIO()
        arrays: dict[str, Any] = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}
        np.savez(stream, **arrays)
        return stream.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "gate") -> FeatureGate:
        """Read what :meth:`to_bytes` gave.

        Parameters
        ----------
        data : bytes
        name : str
            For messages.

        Raises
        ------
        ModelError
            Where the bytes are no gate.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                values: dict[str, Any] = {
                    field.name: archive[field.name]
                    for field in fields(cls)
                    if field.name in archive or field.name != _LATER
                }
            for field in fields(cls):
                if field.type == "float":
                    values[field.name] = float(values[field.name])
            for texts in ("kinds", "domains"):
                values[texts] = tuple(map(str, values[texts].tolist()))
            values["stage1_sha256"] = str(values["stage1_sha256"])
            values.setdefault(_LATER, np.zeros(len(values["domains"]), np.float32))
            return cls(**values)
        except ModelError as error:
            raise ModelError(f"{name}: {error}") from error
        except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, BadZipFile) as error:
            raise ModelError(f"{name} is not a gate that can be read: {error!r}") from error


def stage2_domain(domain: str | None, acquisition: Acquisition | None) -> str | None:
    """Return a film's domain for stage 2, which learnt from the main data set alone.

    Parameters
    ----------
    domain : str or None
        For stage 1; ``None``, where there is no gate to tell it, stays.
    acquisition : Acquisition or None
        An age that it says is believed; without one, an uncertain domain is another.
    """
    if domain is None:
        return None
    if acquisition is not None and suitability.is_of_other_age(acquisition):
        return OTHER_DOMAIN
    if domain == UNCERTAIN_DOMAIN:
        return OTHER_DOMAIN if acquisition is None or acquisition.age_years is None else ""
    return domain


def stage2_warnings(domain: str | None) -> tuple[str, ...]:
    """Return what a reader of stage 2's answer to a film of a domain should know."""
    return (CHILDREN_ONLY,) if domain else ()


def pooled(features: Floats) -> Floats:
    """Return the square roots of the averages of feature maps: (N, C, h, w) to (N, C).

    The averages are of what a rectifier lets through, many small ones and a few large: the root
    brings them nearer to a normal distribution.
    """
    averages: Floats = np.maximum(features.mean(axis=(2, 3)), 0)
    return np.sqrt(averages)
