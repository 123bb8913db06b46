"""``pneumocascade compare``: two models, or two operating points, on the same films.

Figures are over the films that both answered. Each difference has an interval from a bootstrap over
patients in which both are measured on the very films that were drawn (a paired bootstrap): that is what to
quote. DeLong's and McNemar's tests (:mod:`~pneumocascade.evaluation.paired_tests`) stand beside it; they
take films as independent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pneumocascade.errors import UsageError
from pneumocascade.evaluation.bootstrap import RESAMPLES, Estimate, bootstrap, exact_interval
from pneumocascade.evaluation.match_answers import match_answers
from pneumocascade.evaluation.metrics import (
    cascade_groups,
    cascade_values,
    patients_of,
    stage_groups,
    stage_values,
)
from pneumocascade.evaluation.paired_tests import delong_test, mcnemar_test
from pneumocascade.evaluation.results import CATEGORIES
from pneumocascade.model.spec import STAGE1_LABELS, STAGE2_LABELS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from numpy.typing import NDArray

    from pneumocascade.evaluation.answers import AnswerSet, FilmAnswer
    from pneumocascade.evaluation.match_answers import MatchedAnswers, Pair

    Floats: TypeAlias = NDArray[np.float64]
    Ints: TypeAlias = NDArray[np.int64]
    Bools: TypeAlias = NDArray[np.bool_]

SIDES = ("a", "b")
DIFFERENCE = "difference"

NOTE = (
    "Differences are B minus A. Their intervals come from a bootstrap over patients and are what to quote. "
    "DeLong's and McNemar's tests take films as independent: where patients have several films, their p "
    "values are too small. No p value is adjusted for there being several."
)
"""What every comparison says of its figures."""


@dataclass(frozen=True, slots=True, eq=False)
class PairedStage:
    """One stage of two models on the N films that both answered.

    Attributes
    ----------
    stage : int
        1 or 2.
    categories : tuple of str
        Negative class first.
    labels : ndarray of int, shape (N,)
        1 where a film is of the positive class, else 0.
    probabilities : ndarray of float, shape (2, N)
        Of the positive class, by either.
    called : ndarray of int, shape (2, N)
        1 where either calls a film positive, else 0.
    patients : tuple of str, length N
    """

    stage: int
    categories: tuple[str, str]
    labels: Ints
    probabilities: Floats
    called: Ints
    patients: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What :func:`compare_answers` found.

    Attributes
    ----------
    stages : tuple of PairedStage
    report : dict
        What ``comparison.json`` holds.
    """

    stages: tuple[PairedStage, ...]
    report: dict[str, Any]


def compare_answers(
    first: AnswerSet, second: AnswerSet, *, resamples: int = RESAMPLES, seed: int = 0
) -> Comparison:
    """Compare the answers of two models to the same films.

    Parameters
    ----------
    first, second : AnswerSet
        From :mod:`~pneumocascade.evaluation.answers`.
    resamples, seed : int
        Of the bootstrap over patients; no resamples, no intervals.

    Returns
    -------
    Comparison
        In its ``report``, ``stage1``, ``stage2`` and ``cascade`` hold ``n``, ``patients`` and ``figures``:
        by name ``a``, ``b`` and ``difference`` (b minus a), each with ``value``, ``ci95`` and ``n``, and
        ``delong`` or ``mcnemar``. A part that cannot be compared says why in ``reason``.

    Raises
    ------
    DataSetError
        Where no film is in both.
    UsageError
        For fewer than 0 resamples.
    """
    if resamples < 0:
        raise UsageError(f"resamples is {resamples}; expected 0 or more")
    matched = match_answers(first, second)
    stages = _paired_stages(matched.answered)
    report: dict[str, Any] = {
        "a": first.to_dict(),
        "b": second.to_dict(),
        "films": _count(matched),
        "only_in_a": list(matched.only_a),
        "only_in_b": list(matched.only_b),
        "reference_standard_differs": list(matched.truth_differs),
        "without_answer": _without_answer(matched.pairs),
    }
    for stage in stages:
        report[f"stage{stage.stage}"] = _compare_stage(stage, resamples, seed)
    report["cascade"] = _compare_cascade(matched.answered, resamples, seed)
    report["answers_differ"] = [
        {"source": a.source, "truth": a.truth, "a": a.outcome, "b": b.outcome}
        for a, b in matched.answered
        if a.outcome != b.outcome
    ]
    report["bootstrap"] = {"unit": "patient", "resamples": resamples, "seed": seed}
    report["note"] = NOTE
    return Comparison(stages, report)


def _count(matched: MatchedAnswers) -> dict[str, int]:
    answered = matched.answered
    return {
        "matched": len(matched.pairs),
        "answered_by_both": len(answered),
        "patients": len({pair[0].patient for pair in answered}),
    }


def _without_answer(pairs: Sequence[Pair]) -> list[dict[str, str]]:
    """Return the films that one side or both gave no answer to, with status and code of either."""
    return [
        {"source": pair[0].source}
        | {side: f"{answer.status} {answer.code}".strip() for side, answer in zip(SIDES, pair, strict=True)}
        for pair in pairs
        if any(answer.status != "ok" for answer in pair)
    ]


def _paired_stages(answered: Sequence[Pair]) -> tuple[PairedStage, PairedStage]:
    def paired(
        stage: int,
        categories: tuple[str, str],
        pairs: Sequence[Pair],
        facts: Callable[[FilmAnswer], tuple[str | None, float | None, str | None]],
    ) -> PairedStage:
        """Bring answers into arrays; ``facts`` gives true label, probability and label given."""
        rows = [[facts(answer) for answer in pair] for pair in pairs]
        labels = np.array([row[0][0] == categories[1] for row in rows], np.int64)
        probabilities = np.array([[side[1] for side in row] for row in rows], np.float64).reshape(-1, 2).T
        called = np.array([[side[2] == categories[1] for side in row] for row in rows], np.int64)
        patients = tuple(pair[0].patient for pair in pairs)
        return PairedStage(stage, categories, labels, probabilities, called.reshape(-1, 2).T, patients)

    second = [
        pair
        for pair in answered
        if pair[0].true_aetiology is not None and all(answer.stage2_label is not None for answer in pair)
    ]
    return (
        paired(1, STAGE1_LABELS, answered, lambda film: (film.true_finding, film.pneumonia, film.finding)),
        paired(2, STAGE2_LABELS, second, lambda film: (film.true_aetiology, film.viral, film.stage2_label)),
    )


def _compare_stage(paired: PairedStage, resamples: int, seed: int) -> dict[str, Any]:
    labels = paired.labels
    if not len(labels):
        missing = "an answer by both" if paired.stage == 1 else "a known aetiology and an answer by both"
        return {"n": 0, "patients": 0, "figures": {}, "reason": f"no film has {missing}"}

    def values(side: int, weights: Floats) -> dict[str, float]:
        return stage_values(labels, paired.probabilities[side], paired.called[side], weights)

    right = paired.called == labels
    part = _measure_pair(values, right, stage_groups(labels), paired.patients, (resamples, seed))
    delong = delong_test(labels, *paired.probabilities)
    if delong is not None:
        part["figures"]["auroc"]["delong"] = delong.to_dict()
    return part


def _compare_cascade(answered: Sequence[Pair], resamples: int, seed: int) -> dict[str, Any]:
    # Models without a stage 2 answer "pneumonia", which is none of the three.
    pairs = [
        pair
        for pair in answered
        if pair[0].truth in CATEGORIES and all(answer.outcome in CATEGORIES for answer in pair)
    ]
    truth = np.array([CATEGORIES.index(pair[0].truth) for pair in pairs], np.int64)
    missing = [name for index, name in enumerate(CATEGORIES) if not np.any(truth == index)]
    if missing:
        reason = (
            f"a three-way comparison needs films of every category: there is no film of {', '.join(missing)}"
        )
        patients_there = len({pair[0].patient for pair in pairs})
        return {"n": len(pairs), "patients": patients_there, "figures": {}, "reason": reason}
    answers = np.array([[CATEGORIES.index(answer.outcome) for answer in pair] for pair in pairs], np.int64).T

    def values(side: int, weights: Floats) -> dict[str, float]:
        return cascade_values(truth, answers[side], CATEGORIES, weights)

    groups = cascade_groups(truth, CATEGORIES)
    patients = [pair[0].patient for pair in pairs]
    return _measure_pair(values, answers == truth, groups, patients, (resamples, seed))


def _measure_pair(
    values: Callable[[int, Floats], Mapping[str, float]],
    right: Bools,
    groups: Mapping[str, Bools],
    patients: Sequence[str],
    how: tuple[int, int],
) -> dict[str, Any]:
    """Measure two models on the same films.

    ``values``: figures of a side (0, 1) under weights; ``right``, shape (2, N): whether it is right;
    ``groups``: the films of each share; ``how``: resamples and seed.
    """

    def measure(weights: Floats) -> dict[str, float]:
        first, second = values(0, weights), values(1, weights)
        return {
            f"{name} {column}": value
            for name in first
            for column, value in zip(
                (*SIDES, DIFFERENCE), (first[name], second[name], second[name] - first[name]), strict=True
            )
        }

    columns = (*SIDES, DIFFERENCE)
    members = patients_of(patients, groups)
    n = {f"{name} {column}": int(films.sum()) for name, films in groups.items() for column in columns}
    shares = {f"{name} {side}": count for name, count in members.items() for side in SIDES}
    estimates = bootstrap(measure, patients, n, shares=shares, resamples=how[0], seed=how[1])
    figures: dict[str, dict[str, Any]] = {}
    for key, estimate in estimates.items():
        name, column = key.split()
        if column == DIFFERENCE and name in groups and how[0] and members[name] > 1:
            estimate = _difference_of_equals(estimate, right[:, groups[name]], members[name])
        figures.setdefault(name, {})[column] = estimate.to_dict()
    for name, films in groups.items():
        figures[name]["mcnemar"] = mcnemar_test(right[0, films], right[1, films]).to_dict()
    return {"n": right.shape[1], "patients": len(set(patients)), "figures": figures}


def _difference_of_equals(difference: Estimate, right: Bools, patients: int) -> Estimate:
    """Give an interval to the difference of two shares where both models are right on the same films.

    Every resample gives 0. That no patient of so many has a film on which they differ bounds how many others
    may have one, and no difference can be larger.
    """
    if difference.ci95 is not None or np.any(right[0] != right[1]):
        return difference
    farthest = exact_interval(0, patients)[1]
    return replace(difference, ci95=(-farthest, farthest))
