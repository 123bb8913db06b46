"""The gate's checks, fitted on stage 1's features of films and of pictures that are none.

On which pictures: :mod:`pneumocascade.training.gate_pictures`. The limits are set on scores that a
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

from pneumocascade.evaluation.shift import choose_films
from pneumocascade.gate import THUMBNAIL, UPRIGHT, FeatureGate, Scores, pooled, thumbnail
from pneumocascade.preprocess import prepare
from pneumocascade.reading import read_radiograph
from pneumocascade.records import Radiograph
from pneumocascade.session import OnnxClassifier
from pneumocascade.store import GATE_FILE
from pneumocascade.training.data import Sample
from pneumocascade.training.gate_pictures import Picture, drawn_pictures, film_pictures
from pneumocascade.training.other_films import lateral

FILMS = 700
"""Films that the gate is fitted on, one a patient and category: with all that is made of them about
3,000 pictures, two minutes on two cores."""

HELD_OUT_FILMS = 200
"""Held-out films on which false refusals are counted at once; ``benchmarks/gate.py`` counts on all."""

DRAWN_EACH = 25
"""Drawings of each sort."""

DIRECTIONS = 128
"""Principal components that the head works on."""

FOLDS = 5

FALSE_REFUSALS = 0.0015
"""Share of upright chests that each of the three limits may refuse: half a per cent together."""

CHEST_DIRECTIONS = 64
"""Principal components that upright chests may differ along without being strange."""

LATERALS_DRAWN = 400
"""Drawings of chests from the side for the check on thumbnails, which needs no pass of a model."""

HEAD_PENALTY = 0.05
SIDE_PENALTY = 0.1
"""Inverse strength (scikit-learn's C) of the L2 penalties: of the head on components of variance 1, of
the check for laterals on grey values in 0..1."""

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
        Films to fit on, and films of other patients to count false refusals on.
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
    pictures = chain(film_pictures(learnt, FILMS, seed), drawn_pictures(DRAWN_EACH, seed))
    described = describe(model, pictures)
    say(f"gate: {len(described.sorts)} pictures through {stage1.name}")
    laterals = lateral_thumbnails(seed)
    scores = _cross_validated(described, laterals, seed)
    upright = described.kinds == UPRIGHT
    limits: dict[str, Any] = {
        "minimum_upright": lower_limit(scores.kinds[upright, 0]),
        "maximum_side": -lower_limit(-scores.sides[upright]),
        "maximum_distance": -lower_limit(-scores.distances[upright]),
    }
    digest = hashlib.sha256(content).hexdigest()
    gate = replace(fit_checks(described, laterals, seed), stage1_sha256=digest, **limits)
    stage1.with_name(GATE_FILE).write_bytes(gate.to_bytes())
    refused = (
        (scores.kinds[:, 0] < gate.minimum_upright)
        | (scores.sides > gate.maximum_side)
        | (scores.distances > gate.maximum_distance)
    )
    report: dict[str, Any] = {"limits": limits, "sorts": _count(described.sorts, refused)}
    report["held_out"] = _held_out_refusals(gate, model, held_out, seed)
    say(f"gate: refuses {report['held_out']['refused']} of {report['held_out']['tried']} held-out films")
    return report


@dataclass(frozen=True, slots=True)
class Described:
    """N pictures as the checks see them.

    Attributes
    ----------
    kinds, sorts, patients : ndarray of str, shape (N,)
    features : ndarray of float32, shape (N, C)
    thumbnails : ndarray of float32, shape (N, T)
    """

    kinds: NDArray[np.str_]
    sorts: NDArray[np.str_]
    patients: NDArray[np.str_]
    features: Floats
    thumbnails: Floats

    def where(self, rows: NDArray[np.bool_]) -> Described:
        """Return some of the pictures."""
        return Described(*(getattr(self, field.name)[rows] for field in fields(self)))


def describe(model: OnnxClassifier, pictures: Iterable[Picture]) -> Described:
    """Put pictures through stage 1, one at a time: none is kept."""
    rows = []
    for picture in pictures:
        batch = prepare(Radiograph(picture.pixels, picture.sort), model.spec)
        features = pooled(model.run(batch).features)[0]
        rows.append((picture.kind, picture.sort, picture.patient, features, thumbnail(picture.pixels)))
    return Described(*(np.array(column) for column in zip(*rows, strict=True)))


def lateral_thumbnails(seed: int) -> Floats:
    """Return thumbnails of drawn laterals, shape (LATERALS_DRAWN, T)."""
    rng = np.random.default_rng(seed)
    return np.stack([thumbnail(lateral(rng)) for _ in range(LATERALS_DRAWN)])


def fit_checks(described: Described, laterals: Floats, seed: int) -> FeatureGate:
    """Fit the three checks; the limits refuse nothing yet.

    Parameters
    ----------
    described : Described
        Of at least two kinds, ``UPRIGHT`` among them.
    laterals : ndarray of float32, shape (M, T)
        Thumbnails of chests from the side.
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
    numbers = [order.index(label) for label in labels]
    head = LogisticRegression(C=HEAD_PENALTY, class_weight="balanced", max_iter=1000)
    head.fit((features - components.mean_) @ projection, numbers)
    upright = described.where(labels == UPRIGHT)
    chests = _principal(upright.features, CHEST_DIRECTIONS, seed)
    side = _fit_side(upright.thumbnails, laterals)
    arrays = {
        "mean": components.mean_,
        "projection": projection,
        "weights": head.coef_.T,
        "bias": head.intercept_,
        "chest_mean": chests.mean_,
        "chest_directions": chests.components_.T,
        "side_weights": side.coef_[0],
        "side_bias": side.intercept_,
    }
    single: dict[str, Any] = {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
    return FeatureGate("", kinds, **single)


def _principal(features: Floats, directions: int, seed: int) -> PCA:
    return PCA(min(directions, *features.shape), svd_solver="randomized", random_state=seed).fit(features)


def _fit_side(frontal: Floats, laterals: Floats) -> LogisticRegression:
    """Tell thumbnails of films, both ways round, from those of laterals."""
    mirrored = frontal.reshape(-1, THUMBNAIL, THUMBNAIL)[:, :, ::-1].reshape(len(frontal), -1)
    inputs = np.concatenate([frontal, mirrored, laterals])
    side = LogisticRegression(C=SIDE_PENALTY, class_weight="balanced", max_iter=1000)
    return side.fit(inputs, np.arange(len(inputs)) >= 2 * len(frontal))


def _cross_validated(described: Described, laterals: Floats, seed: int) -> Scores:
    """Return the scores of each picture by checks fitted on other patients."""
    patients = sorted(set(described.patients.tolist()))
    shuffled = np.random.default_rng(seed).permutation(len(patients)) % FOLDS
    fold_of = dict(zip(patients, shuffled.tolist(), strict=True))
    folds = np.array([fold_of[patient] for patient in described.patients.tolist()])
    upright, sides, distances = (np.empty(len(folds), np.float32) for _ in range(3))
    for fold in range(FOLDS):
        inside = folds == fold
        part = described.where(inside)
        checks = fit_checks(described.where(~inside), laterals, seed)
        scores = checks.judge(part.features, part.thumbnails)
        upright[inside], sides[inside], distances[inside] = scores.kinds[:, 0], scores.sides, scores.distances
    return Scores(upright[:, None], sides, distances)


def lower_limit(scores: Floats) -> float:
    """Return the limit below which a share of ``FALSE_REFUSALS`` of the scores lies, rounded down."""
    return float(np.sort(scores)[int(FALSE_REFUSALS * len(scores))])


def _count(sorts: NDArray[np.str_], refused: NDArray[np.bool_]) -> dict[str, dict[str, int]]:
    return {
        str(sort): {"tried": int(np.sum(sorts == sort)), "refused": int(refused[sorts == sort].sum())}
        for sort in np.unique(sorts)
    }


def _held_out_refusals(
    gate: FeatureGate, model: OnnxClassifier, samples: Sequence[Sample], seed: int
) -> dict[str, int]:
    films = choose_films([sample.film for sample in samples], HELD_OUT_FILMS, seed)
    refused = 0
    for film in films:
        radiograph = read_radiograph(film.path)
        features = model.run(prepare(radiograph, model.spec)).features
        refused += bool(gate.reasons(thumbnail(radiograph.pixels)[None], features)[0])
    return {"tried": len(films), "refused": refused}
