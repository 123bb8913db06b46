"""``pneumocascade evaluate``: measure the models on a folder of labelled films.

Films that the gate refuses or that cannot be read are counted, and enter no other figure. Stage 2
is measured on all films that are pneumonia of known aetiology by the reference standard, whatever
stage 1 said of them; the cascade on all films but those of unknown aetiology.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pneumocascade.datasets.films import LabelledFilms, count_by_category, fingerprint, load_films
from pneumocascade.errors import DataSetError, MissingExtraError, UsageError
from pneumocascade.evaluation.bootstrap import RESAMPLES
from pneumocascade.evaluation.gallery import galleries_of
from pneumocascade.evaluation.judge_films import judge_films
from pneumocascade.evaluation.learnt_films import count_learnt, read_learnt_films
from pneumocascade.evaluation.results import (
    MeasuredCascade,
    MeasuredStage,
    measure_cascade,
    measure_stage1,
    measure_stage2,
)
from pneumocascade.evaluation.subgroups import measure_by_patient, measure_subgroups
from pneumocascade.evaluation.utility import check_prevalences, measure_utility
from pneumocascade.inference.cascade import DEFAULT_OPERATING_POINT, Cascade
from pneumocascade.output.rows import csv_text, to_csv_row
from pneumocascade.types import NO_STAGE2, ROW_COLUMNS, encodable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from pneumocascade.evaluation.judge_films import JudgedFilm, ReportProgress

METRICS_FILE = "metrics.json"
PREDICTIONS_FILE = "predictions.csv"
REPORT_FILE = "report.html"

PREDICTION_COLUMNS = (
    *ROW_COLUMNS,
    "true_finding",
    "true_aetiology",
    "patient",
    "stage2_probability_viral",
    "learnt_from",
)
"""Columns of ``predictions.csv``.

``stage2_probability_viral`` is filled for every answered true pneumonia film; ``learnt_from`` says how a film
that the models were learnt from is known: ``name``, ``picture`` or both.
"""


def evaluate(
    data: Path | LabelledFilms,
    cascade: Cascade,
    output: Path | None = None,
    *,
    operating_point: str = DEFAULT_OPERATING_POINT,
    only: Collection[str] | None = None,
    prevalences: Collection[float] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: ReportProgress | None = None,
) -> dict[str, Any]:
    """Measure the models on labelled films.

    Parameters
    ----------
    data : Path or LabelledFilms
        Folder or file of labels, or what :func:`pneumocascade.datasets.films.load_films` returned for it.
    cascade : Cascade
    output : Path, optional
        Folder that gets ``metrics.json``, ``predictions.csv``, ``report.html`` and pictures; made
        where there is none.
    operating_point : {"balanced", "sensitive", "specific"}
    only : collection of str, optional
        Names (without suffix) of the films to judge; by default all.
    prevalences : collection of float
        Further shares of the positive class, above 0 and below 1, to give predictive values at.
    resamples, seed : int
        Of the bootstrap over patients; no resamples, no intervals.
    progress : callable, optional
        Is given the films done and the films there are.

    Returns
    -------
    dict
        What ``metrics.json`` holds; of models without a stage 2, ``stage2`` and ``cascade`` say in
        ``left_out`` why there are no figures. Its ``data_fingerprint`` is over the films that could be read.

    Raises
    ------
    DataSetError
        Where there are no labelled films.
    ModelError
        Where the record of films that the models were learnt from cannot be read, or is of other models.
    MissingExtraError
        Where a package of the extra ``evaluate`` is not installed.
    UsageError
        For an unknown operating point, a prevalence that is no share, fewer than 0 resamples, or an
        ``output`` that is no folder.
    """
    if resamples < 0:
        raise UsageError(f"resamples is {resamples}; expected 0 or more")
    stated = check_prevalences(tuple(prevalences))
    _check_installed()
    found = data if isinstance(data, LabelledFilms) else load_films(data)
    found = found if only is None else found.only(only)
    films = found.films
    if not films:
        raise DataSetError(f"none of the {len(only or ())} films asked for is in {found.root}")
    if output is not None:
        _check_output(output)
    learnt = None if cascade.folder is None else read_learnt_films(cascade.folder)
    judged = list(judge_films(films, cascade, operating_point, progress, learnt=learnt))
    specs = cascade.specs
    stages = [
        measure(judged, spec, operating_point, resamples=resamples, seed=seed)
        for measure, spec in zip((measure_stage1, measure_stage2), specs, strict=False)
    ]
    stages = [
        replace(stage, utility=measure_utility(stage, stated, resamples=resamples, seed=seed))
        for stage in stages
    ]
    both = measure_cascade(judged, resamples=resamples, seed=seed) if len(specs) > 1 else None
    parts: dict[str, MeasuredStage | MeasuredCascade] = {f"stage{stage.stage}": stage for stage in stages}
    parts |= {"cascade": both} if both is not None else {}
    metrics = {
        "model_version": cascade.version,
        "data": found.root.resolve().name,
        "data_fingerprint": fingerprint(row.film for row in judged if row.prediction.status != "error"),
        "operating_point": operating_point,
        "films": _count_films(found),
        "learnt_from": count_learnt(None if learnt is None else [row.learnt for row in judged]),
        "refused": _count_refused(judged),
        **{
            name: parts[name].to_dict() if name in parts else {"left_out": NO_STAGE2}
            for name in ("stage1", "stage2", "cascade")
        },
        "patient_weighted": measure_by_patient(
            judged, specs, operating_point, resamples=resamples, seed=seed
        ),
        "subgroups": measure_subgroups(judged, specs, operating_point, resamples=resamples, seed=seed),
        "bootstrap": {
            "unit": "patient",
            "resamples": resamples,
            "seed": seed,
            "left_out": _left_out(parts),
        },
    }
    if output is not None:
        _write(output, metrics, judged, stages, both, found.lines())
    return metrics


def _check_installed() -> None:
    """Fail before the films are judged, not after, where a package is missing."""
    try:
        import imagehash  # noqa: F401
        import scipy.stats  # noqa: F401
        import sklearn.metrics  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError("an evaluation", "evaluate") from error


def _check_output(output: Path) -> None:
    """Fail before the films are judged, not after, where the report cannot be written."""
    try:
        from pneumocascade.evaluation import html  # noqa: F401
        from pneumocascade.explain.html import environment

        environment()
    except ModuleNotFoundError as error:
        raise MissingExtraError("the report of an evaluation", "evaluate") from error
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the folder {output} for the report cannot be made: {error}") from error


def _count_films(found: LabelledFilms) -> dict[str, Any]:
    patients = len({film.patient for film in found.films})
    counted = {"n": len(found.films), "patients": patients, "by_category": count_by_category(found.films)}
    return counted | found.to_dict()


def _count_refused(judged: Sequence[JudgedFilm]) -> dict[str, Any]:
    """Count films without an answer; one with several reasons counts under each of them."""
    codes: Counter[str] = Counter()
    for row in judged:
        codes.update({reason.code for reason in row.prediction.reasons})
        if row.prediction.error is not None:
            codes[row.prediction.error.code] += 1
    status = Counter(row.prediction.status for row in judged)
    return {
        "n": status["refused"] + status["error"],
        "refused_by_gate": status["refused"],
        "unreadable": status["error"],
        "by_code": dict(sorted(codes.items())),
    }


def _left_out(parts: Mapping[str, MeasuredStage | MeasuredCascade]) -> dict[str, int]:
    """Return, by figure, the resamples in which it was not defined."""
    return {
        f"{part}.{name}": figure.left_out
        for part, measured in parts.items()
        for name, figure in measured.figures.items()
        if figure.left_out
    }


def _write(
    output: Path,
    metrics: dict[str, Any],
    judged: Sequence[JudgedFilm],
    stages: Sequence[MeasuredStage],
    both: MeasuredCascade | None,
    remarks: Sequence[str],
) -> None:
    from pneumocascade.evaluation import html

    text = encodable(json.dumps(metrics, indent=2, ensure_ascii=False, allow_nan=False))
    (output / METRICS_FILE).write_text(text + "\n", encoding="utf-8")
    _write_predictions(output / PREDICTIONS_FILE, judged)
    pictures = html.draw(stages, both)
    for picture in pictures:
        (output / f"{picture.name}.png").write_bytes(picture.light)
    page = html.render(metrics, stages, both, pictures, galleries=galleries_of(judged), remarks=remarks)
    (output / REPORT_FILE).write_text(encodable(page), encoding="utf-8")


def _write_predictions(path: Path, judged: Sequence[JudgedFilm]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, PREDICTION_COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in judged:
            truth = {
                "true_finding": row.film.finding,
                "true_aetiology": row.film.aetiology or "",
                "patient": csv_text(row.film.patient),
                "stage2_probability_viral": "" if row.stage2 is None else row.stage2.probabilities["viral"],
                "learnt_from": " ".join(row.learnt),
            }
            writer.writerow(to_csv_row(row.prediction) | truth)
