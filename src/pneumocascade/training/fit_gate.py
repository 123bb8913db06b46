"""The gate's checks, fitted on stage 1's features of films and of pictures that are none.

On which pictures: :mod:`pneumocascade.training.gate_examples`. The limits are set on scores that a
film got from checks fitted on other patients.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from pneumocascade.evaluation.shift_suite import choose_films
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.model.gate import LATERAL, UPRIGHT, FeatureGate, Scores, pooled
from pneumocascade.model.onnx_classifier import OnnxClassifier
from pneumocascade.model.preprocess import prepare
from pneumocascade.model.store import GATE_FILE
from pneumocascade.training.data import Sample
from pneumocascade.training.gate_examples import (
    AS_IT_IS,
    GateExample,
    drawn_pictures,
    film_pictures,
    projected_pictures,
)
from pneumocascade.types import Radiograph

FILMS = 700
"""Films of each domain that the gate is fitted on, one a patient and category."""

HELD_OUT_FILMS = 200
"""Held-out films on which false refusals are counted at once; ``benchmarks/gate.py`` counts on all."""

DRAWN_EACH = 25
"""Drawings of each sort."""

PROJECTED_EACH = 250
"""Projections of the CT from the front and from the side."""

DIRECTIONS = 128
"""Principal components that the heads work on."""

FOLDS = 5

FALSE_REFUSALS = 0.0015
"""Share of upright chests, as they are, that each limit may refuse: half a per cent together."""

CHANGED_REFUSALS = 0.02
"""Share of those changed as in training, far more than films differ, that a limit may refuse."""

CHEST_DIRECTIONS = 64
"""Principal components that upright chests may differ along without being strange."""

VIEW_MARGIN = 0.1
"""Where the limit of the view lies, from the films learnt from (0) to the projections from the side (1)."""

DISTANCE_MARGIN = 1.05
"""Factor of the greatest distance of the films learnt from: films of other hospitals lie farther out."""

QUANTILES = 201
"""Of the distances of each domain's films, for the familiarity."""

UNCERTAIN = 0.05
"""Share of each domain's films whose domain counts as uncertain: they resemble it the least."""

UNFAMILIAR = 0.05
"""Familiarity below which an answer has a warning."""

HEAD_PENALTY = 0.05
VIEW_PENALTY = 0.01
"""Inverse strength (scikit-learn's C) of the L2 penalties on components of variance 1."""

Say = Callable[[str], None]
Floats = NDArray[np.float32]


def fit_gate(
    stage1: Path, learnt: Sequence[Sample], held_out: Sequence[Sample], seed: int, say: Say = print
) -> dict[str, Any]:
    """Fit the gate of an exported stage 1 and write it as ``gate.npz`` beside it.

    Parameters
    ----------
    stage1 : Path
        The ONNX file as it ships: the gate is bound to its SHA-256.
    learnt, held_out : sequence of Sample
        Films to fit on, and films of other patients to count false refusals on; there may be none of these.
    seed : int
    say : callable
        Is given progress, a line at a time.

    Returns
    -------
    dict
        ``limits``, and of each sort of picture how many were ``tried`` and ``refused``: for those
        made from films learnt from by checks fitted on other patients, under ``held_out`` the films
        held out.
    """
    content = stage1.read_bytes()
    model = OnnxClassifier(content, stage1.name)
    domains = sorted({sample.film.domain for sample in learnt})
    films = [film_pictures([s for s in learnt if s.film.domain == name], FILMS, seed) for name in domains]
    pictures = chain(*films, projected_pictures(PROJECTED_EACH, seed), drawn_pictures(DRAWN_EACH, seed))
    described = describe(model, pictures)
    say(f"gate: {len(described.sorts)} pictures through {stage1.name}")
    scores = _cross_validated(described, seed)
    limits = _limits(described, scores)
    digest = hashlib.sha256(content).hexdigest()
    plain = described.sorts == AS_IT_IS
    distances = np.stack(
        [
            np.quantile(scores.distances[plain & (described.domains == name)], np.linspace(0, 1, QUANTILES))
            for name in domains
        ]
    )
    leads = {name: least_lead(described, scores, name, domains) for name in domains}
    gate = replace(
        fit_checks(described, seed),
        stage1_sha256=digest,
        distances=distances.astype(np.float32),
        minimum_leads=np.array(list(leads.values()), np.float32),
        minimum_familiarity=UNFAMILIAR,
        **limits,
    )
    stage1.with_name(GATE_FILE).write_bytes(gate.to_bytes())
    refused = (
        (scores.kinds[:, 0] < gate.minimum_upright)
        | (scores.lateral > gate.maximum_lateral)
        | (scores.distances > gate.maximum_distance)
    )
    report: dict[str, Any] = {"limits": limits, "minimum_leads": leads, "sorts": _count(described, refused)}
    report["held_out"] = _held_out_refusals(gate, model, held_out, seed)
    say(f"gate: refuses {report['held_out']['refused']} of {report['held_out']['tried']} held-out films")
    return report


@dataclass(frozen=True, slots=True)
class Described:
    """N pictures as the checks see them.

    Attributes
    ----------
    kinds, sorts, patients, domains : ndarray of str, shape (N,)
    features : ndarray of float32, shape (N, C)
    """

    kinds: NDArray[np.str_]
    sorts: NDArray[np.str_]
    patients: NDArray[np.str_]
    domains: NDArray[np.str_]
    features: Floats

    def where(self, rows: NDArray[np.bool_]) -> Described:
        """Return some of the pictures."""
        return Described(*(getattr(self, field.name)[rows] for field in fields(self)))

    @property
    def chests(self) -> NDArray[np.bool_]:
        """Which rows show real, whole, frontal, upright chests, shape (N,)."""
        projected = np.char.startswith(self.sorts, "projection")
        return np.asarray((self.kinds == UPRIGHT) & ~projected, np.bool_)


def describe(model: OnnxClassifier, pictures: Iterable[GateExample]) -> Described:
    """Put pictures through stage 1, one at a time: none is kept."""
    rows = []
    for picture in pictures:
        batch = prepare(Radiograph(picture.pixels, picture.sort), model.spec)
        features = pooled(model.run(batch).features)[0]
        rows.append((picture.kind, picture.sort, picture.patient, picture.domain, features))
    return Described(*(np.array(column) for column in zip(*rows, strict=True)))


def fit_checks(described: Described, seed: int) -> FeatureGate:
    """Fit the heads and the space of chests; the limits refuse nothing yet, and every film is familiar.

    Parameters
    ----------
    described : Described
        Of at least two kinds, ``UPRIGHT`` and ``LATERAL`` among them.
    seed : int
    """
    # Films turned by each angle are far apart: the head tells them apart, the reason does not.
    labels = np.where(described.kinds == "turned", described.sorts, described.kinds)
    order = [UPRIGHT, *sorted(set(labels.tolist()) - {UPRIGHT})]
    kinds = tuple("turned" if label.startswith("turned") else label for label in order)
    features = described.features
    components = _principal(features, DIRECTIONS, seed)
    deviations = np.sqrt(np.maximum(components.explained_variance_, 1e-12))
    projection = components.components_.T / deviations  # (C, K)
    along = (features - components.mean_) @ projection
    numbers = np.array([order.index(label) for label in labels])
    head = _head(along, numbers, HEAD_PENALTY)
    view = np.isin(described.kinds, (UPRIGHT, LATERAL))
    side = _head(along[view], described.kinds[view] == LATERAL, VIEW_PENALTY)
    chests = described.chests
    domains = tuple(sorted(set(described.domains[chests].tolist())))
    weights, bias = np.zeros((along.shape[1], len(domains))), np.zeros(len(domains))
    if len(domains) > 1:
        which = np.array([domains.index(name) for name in described.domains[chests]])
        own = _head(along[chests], which, HEAD_PENALTY)
        # Of two classes scikit-learn keeps the log-odds of the second alone.
        start = len(domains) - len(own.coef_)
        weights[:, start:], bias[start:] = own.coef_.T, own.intercept_
    space = _principal(features[chests], CHEST_DIRECTIONS, seed)
    arrays = {
        "mean": components.mean_,
        "projection": projection,
        "weights": head.coef_.T,
        "bias": head.intercept_,
        "view_weights": side.coef_[0],
        "view_bias": side.intercept_,
        "domain_weights": weights,
        "domain_bias": bias,
        "chest_mean": space.mean_,
        "chest_directions": space.components_.T,
        "distances": np.tile([0.0, 1e9], (len(domains), 1)),
        "minimum_leads": np.zeros(len(domains)),
    }
    single: dict[str, Any] = {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
    return FeatureGate("", kinds, domains, **single)


def _principal(features: Floats, directions: int, seed: int) -> PCA:
    return PCA(min(directions, *features.shape), svd_solver="randomized", random_state=seed).fit(features)


def _head(inputs: Floats, labels: NDArray[Any], penalty: float) -> LogisticRegression:
    head = LogisticRegression(C=penalty, class_weight="balanced", max_iter=1000)
    return head.fit(inputs, labels)


def _cross_validated(described: Described, seed: int) -> Scores:
    """Return the scores of each picture by checks fitted on other patients."""
    patients = sorted(set(described.patients.tolist()))
    shuffled = np.random.default_rng(seed).permutation(len(patients)) % FOLDS
    fold_of = dict(zip(patients, shuffled.tolist(), strict=True))
    folds = np.array([fold_of[patient] for patient in described.patients.tolist()])
    upright, lateral, distances, leads = (np.empty(len(folds), np.float32) for _ in range(4))
    domains = np.empty(len(folds), np.int64)
    for fold in range(FOLDS):
        inside = folds == fold
        scores = fit_checks(described.where(~inside), seed).judge(described.features[inside])
        upright[inside], lateral[inside] = scores.kinds[:, 0], scores.lateral
        distances[inside], domains[inside] = scores.distances, scores.domains
        leads[inside] = scores.leads
    return Scores(upright[:, None], lateral, distances, domains, leads)


def _limits(described: Described, scores: Scores) -> dict[str, Any]:
    """Return the limits: each lets nearly all chests of every domain pass."""
    chests, plain = described.chests, described.sorts == AS_IT_IS
    frontal = -lower_limit(-scores.lateral[plain])
    side = float(np.quantile(scores.lateral[described.sorts == "projection, lateral"], 0.01))
    upright, distances, changed = scores.kinds[:, 0], scores.distances, chests & ~plain
    return {
        "minimum_upright": min(lower_limit(upright[plain]), lower_limit(upright[changed], CHANGED_REFUSALS)),
        "maximum_lateral": frontal + VIEW_MARGIN * max(0.0, side - frontal),
        "maximum_distance": max(
            -lower_limit(-distances[plain]) * DISTANCE_MARGIN,
            -lower_limit(-distances[changed], CHANGED_REFUSALS),
        ),
    }


def least_lead(described: Described, scores: Scores, domain: str, domains: Sequence[str]) -> float:
    """Return the lead that all but ``UNCERTAIN`` of a domain's films have, as they are; at least 0."""
    if len(domains) < 2:
        return 0.0
    own = (described.sorts == AS_IT_IS) & (described.domains == domain)
    right = scores.domains[own] == domains.index(domain)
    return max(0.0, lower_limit(np.where(right, scores.leads[own], -scores.leads[own]), UNCERTAIN))


def lower_limit(scores: Floats, share: float = FALSE_REFUSALS) -> float:
    """Return the limit below which a share of the scores lies, rounded down."""
    return float(np.sort(scores)[int(share * len(scores))])


def _count(described: Described, refused: NDArray[np.bool_]) -> dict[str, dict[str, int]]:
    """Count pictures by sort; those made of films of a further domain apart."""
    names = np.array(
        [
            f"{sort}, {name}" if name else sort
            for sort, name in zip(described.sorts, described.domains, strict=True)
        ]
    )
    return {
        str(name): {"tried": int(np.sum(names == name)), "refused": int(refused[names == name].sum())}
        for name in np.unique(names)
    }


def _held_out_refusals(
    gate: FeatureGate, model: OnnxClassifier, samples: Sequence[Sample], seed: int
) -> dict[str, int]:
    films = choose_films([sample.film for sample in samples], HELD_OUT_FILMS, seed)
    refused = 0
    for film in films:
        features = model.run(prepare(read_radiograph(film.path), model.spec)).features
        refused += bool(gate.assess(features, [None])[0].reasons)
    return {"tried": len(films), "refused": refused}
