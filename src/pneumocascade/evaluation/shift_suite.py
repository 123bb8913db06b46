"""``pneumocascade evaluate --shift``: what becomes of the figures when the films are changed.

Every film is judged as it is and under each condition of
:mod:`pneumocascade.evaluation.shift_conditions`. Films that the gate refuses as they are, or that cannot be
read, are left out.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pneumocascade.datasets.films import count_by_category, fingerprint
from pneumocascade.errors import DataSetError, FilmError
from pneumocascade.evaluation.judge_films import BATCH
from pneumocascade.evaluation.metrics import stage_figures
from pneumocascade.evaluation.shift_conditions import CLEAN_CONDITION, CONDITIONS
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.inference.cascade import DEFAULT_OPERATING_POINT
from pneumocascade.model.gate import check_pixels
from pneumocascade.model.preprocess import to_eight_bit
from pneumocascade.types import encodable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pneumocascade.datasets.films import LabelledFilm
    from pneumocascade.evaluation.judge_films import ReportProgress
    from pneumocascade.evaluation.shift_conditions import Condition
    from pneumocascade.inference.cascade import Cascade
    from pneumocascade.model.spec import ModelSpec
    from pneumocascade.types import Radiograph, StageResult

FIGURES = ("auroc", "accuracy", "balanced_accuracy", "sensitivity", "specificity", "ece", "brier")
LOWER_IS_BETTER = ("ece", "brier")

SHIFT_FILE = "shift.json"

LIMIT = 200
"""Films of the suite by default: each is judged under dozens of conditions."""


@dataclass(frozen=True, slots=True)
class ShiftedStage:
    """One stage's answers to the same films under every condition.

    Attributes
    ----------
    spec : ModelSpec
    truth : list of str, length N
        Labels by the reference standard.
    patients : list of str, length N
    results : mapping of Condition to list of StageResult, length N
    """

    spec: ModelSpec
    truth: list[str] = field(default_factory=list)
    patients: list[str] = field(default_factory=list)
    results: dict[Condition, list[StageResult]] = field(default_factory=dict)

    def add(self, condition: Condition, results: Sequence[StageResult]) -> None:
        """Append the answers to further films."""
        self.results.setdefault(condition, []).extend(results)


def choose_films(films: Sequence[LabelledFilm], limit: int, seed: int = 0) -> list[LabelledFilm]:
    """Return at most ``limit`` films, one a patient and category, in the proportions there are.

    Each category has a film, as far as the limit allows.

    Parameters
    ----------
    films : sequence of LabelledFilm
    limit : int
    seed : int
    """
    rng = np.random.default_rng(seed)
    one_each: dict[tuple[str, str], LabelledFilm] = {}
    for index in rng.permutation(len(films)):
        one_each.setdefault((films[index].patient, films[index].category), films[index])
    chosen = list(one_each.values())
    counts = _counts_within(limit, count_by_category(chosen))
    kept: list[LabelledFilm] = []
    for category, count in counts.items():
        kept += [film for film in chosen if film.category == category][:count]
    return sorted(kept, key=lambda film: film.name)


def _counts_within(limit: int, there: Mapping[str, int]) -> dict[str, int]:
    """Return how many films of each category to take, of so many that there are."""
    share = min(1.0, limit / max(1, sum(there.values())))
    counts = {category: max(1, round(share * count)) for category, count in there.items()}
    while sum(counts.values()) > limit:
        # One less where rounding added most; a category's only film goes last.
        over = max(counts, key=lambda name: (counts[name] > 1, counts[name] - share * there[name]))
        counts[over] -= 1
    return counts


def shifted_films(
    films: Sequence[LabelledFilm], conditions: Sequence[Condition] = CONDITIONS, seed: int = 0
) -> Iterator[tuple[LabelledFilm, list[Radiograph]]]:
    """Read films and change them under each condition.

    Parameters
    ----------
    films : sequence of LabelledFilm
    conditions : sequence of Condition
    seed : int
        With the film's name it fixes all that is drawn by chance.

    Yields
    ------
    film : LabelledFilm
    radiographs : list of Radiograph
        One for each condition. Films that cannot be judged as they are, are skipped.
    """
    by_category: dict[str, list[LabelledFilm]] = {}
    for film in films:
        by_category.setdefault(film.category, []).append(film)
    for film in films:
        radiograph = _judgeable(film)
        if radiograph is None:
            continue
        entropy = (seed, zlib.crc32(encodable(film.name).encode()))
        rng = np.random.default_rng(entropy)
        others = [
            other for category, group in by_category.items() if category != film.category for other in group
        ]
        lent = _judgeable(others[int(rng.integers(len(others)))]) if others else None
        pixels, donor = to_eight_bit(radiograph.pixels), to_eight_bit((lent or radiograph).pixels)
        # The same draw of noise and markers at every strength: only the strength differs.
        changed = [condition.apply(pixels, donor, np.random.default_rng(entropy)) for condition in conditions]
        yield film, [replace(radiograph, pixels=each) for each in changed]


def _judgeable(film: LabelledFilm) -> Radiograph | None:
    try:
        radiograph = read_radiograph(film.path)
    except FilmError:
        return None
    return None if check_pixels(radiograph).reasons else radiograph


def judge_shifted(
    films: Sequence[LabelledFilm],
    cascade: Cascade,
    *,
    operating_point: str = DEFAULT_OPERATING_POINT,
    conditions: Sequence[Condition] = CONDITIONS,
    seed: int = 0,
    progress: ReportProgress | None = None,
) -> tuple[ShiftedStage, ...]:
    """Put films through the stages under every condition.

    Stage 2 is asked about all films that are pneumonia of known aetiology by the reference standard.

    Parameters
    ----------
    films : sequence of LabelledFilm
    cascade : Cascade
    operating_point : {"balanced", "sensitive", "specific"}
    conditions : sequence of Condition
    seed : int
    progress : callable, optional
        Is given the films done and the films there are.
    """
    stages = tuple(ShiftedStage(spec) for spec in cascade.specs)
    for done, (film, radiographs) in enumerate(shifted_films(films, conditions, seed), 1):
        for stage, truth in zip(stages, (film.finding, film.aetiology), strict=False):
            if truth is None:
                continue
            stage.truth.append(truth)
            stage.patients.append(film.patient)
            for start in range(0, len(conditions), BATCH):
                results = cascade.stage_results(
                    stage.spec.stage, radiographs[start : start + BATCH], operating_point
                )
                for condition, result in zip(conditions[start : start + BATCH], results, strict=True):
                    stage.add(condition, [result])
        if progress is not None:
            progress(done, len(films))
    if not stages[0].truth:
        raise DataSetError("none of the films can be judged")
    return stages


def measure_condition(stage: ShiftedStage, condition: Condition) -> dict[str, float | None]:
    """Return the figures of one stage under one condition, without intervals.

    Those of ``FIGURES``, and of the 90 % prediction sets ``coverage_LABEL``, the share of films of a
    label whose set holds it, and ``undetermined``, the share of films whose set holds both.
    """
    results = stage.results[condition]
    positive = stage.spec.labels[1]
    labels = np.array([truth == positive for truth in stage.truth], np.int64)
    probability = np.array([result.probabilities[positive] for result in results])
    figures = stage_figures(labels, probability, results[0].threshold, stage.patients, resamples=0)
    measured = {name: figures[name].value for name in FIGURES}
    for label in stage.spec.labels:
        held = [
            label in result.prediction_set
            for result, truth in zip(results, stage.truth, strict=True)
            if truth == label
        ]
        measured[f"coverage_{label}"] = float(np.mean(held)) if held else None
    measured["undetermined"] = float(np.mean([len(result.prediction_set) == 2 for result in results]))
    return {name: None if value is None else round(value, 6) for name, value in measured.items()}


def measure_stage(stage: ShiftedStage) -> dict[str, Any]:
    """Return the figures of one stage under every condition, and their mean and worst.

    Returns
    -------
    dict
        ``n``; ``conditions``: a list of ``{"shift", "strength", "unit", ...figures}``, the clean films
        first; ``summary``: by figure its ``clean``, ``mean`` (over all shifts) and ``worst`` value and
        the condition that ``worst`` was met ``under``.
    """
    rows = []
    for condition in stage.results:
        shift = condition.shift
        about = {
            "shift": shift.name if shift else None,
            "strength": condition.strength,
            "unit": shift.unit if shift else None,
        }
        rows.append((condition, about, measure_condition(stage, condition)))
    return {
        "n": len(stage.truth),
        "conditions": [about | figures for _, about, figures in rows],
        "summary": {
            name: _summary(name, [(condition, figures[name]) for condition, _, figures in rows])
            for name in FIGURES
        },
    }


def _summary(name: str, values: Sequence[tuple[Condition, float | None]]) -> Mapping[str, Any]:
    clean = next((value for condition, value in values if condition == CLEAN_CONDITION), None)
    shifted = [
        (value, str(condition))
        for condition, value in values
        if condition != CLEAN_CONDITION and value is not None
    ]
    if not shifted:
        return {"clean": clean, "mean": None, "worst": None, "under": None}
    worst, under = max(shifted) if name in LOWER_IS_BETTER else min(shifted)
    return {
        "clean": clean,
        "mean": round(float(np.mean([value for value, _ in shifted])), 6),
        "worst": worst,
        "under": under,
    }


def evaluate_shift(
    films: Sequence[LabelledFilm],
    cascade: Cascade,
    output: Path,
    *,
    operating_point: str = DEFAULT_OPERATING_POINT,
    limit: int = LIMIT,
    seed: int = 0,
    progress: ReportProgress | None = None,
) -> dict[str, Any]:
    """Measure both stages under every condition and write ``shift.json`` and a picture of each stage.

    Parameters
    ----------
    films : sequence of LabelledFilm
    cascade : Cascade
    output : Path
        A folder; it exists.
    operating_point : {"balanced", "sensitive", "specific"}
    limit : int
        Films judged at most; see :func:`choose_films`.
    seed : int
    progress : callable, optional
        Is given the films done and the films there are.

    Returns
    -------
    dict
        What ``shift.json`` holds.

    Raises
    ------
    DataSetError
        Where none of the films can be judged.
    UsageError
        For an unknown operating point.
    """
    from pneumocascade.evaluation.chart_style import save
    from pneumocascade.evaluation.shift_charts import shift_curves

    chosen = choose_films(films, limit, seed)
    stages = judge_shifted(chosen, cascade, operating_point=operating_point, seed=seed, progress=progress)
    report: dict[str, Any] = {
        "model_version": cascade.version,
        "operating_point": operating_point,
        "seed": seed,
        "films": len(chosen),
        "data_fingerprint": fingerprint(chosen),
    }
    for stage in stages:
        name = f"stage{stage.spec.stage}"
        report[name] = measure_stage(stage)
        title = f"Stage {stage.spec.stage} under shift: {len(stage.truth)} films, models {cascade.version}"
        save(shift_curves(report[name], title), output / f"shift_{name}.png")
    (output / SHIFT_FILE).write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return report
