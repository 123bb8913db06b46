"""The films that a report shows: those that were answered wrongly, and those without an answer."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
from PIL import Image

from pneumocascade.explain.html import encoded_uri
from pneumocascade.model.preprocess import to_eight_bit
from pneumocascade.model.spec import STAGE1_LABELS, STAGE2_LABELS
from pneumocascade.types import reasons_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pneumocascade.datasets.films import LabelledFilm
    from pneumocascade.evaluation.judge_films import JudgedFilm
    from pneumocascade.types import Prediction, Radiograph, StageResult

SHOWN = 24
"""Most films of a kind in a report."""

SIDE = 200
"""Longest side of a thumbnail, in pixels."""

QUALITY = 75
"""Of thumbnails, as WebP."""


@dataclass(frozen=True, slots=True)
class GalleryFilm:
    """One film of a gallery.

    Attributes
    ----------
    name : str
        File name without suffix.
    thumbnail : str
        A ``data:`` address; empty where the film could not be read.
    truth : str
        Its category by the reference standard.
    answer : str
        What was said of it, with the probability; or why there is no answer.
    remarks : tuple of str
        Warnings of the gate.
    """

    name: str
    thumbnail: str
    truth: str
    answer: str
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gallery:
    """Films of one kind.

    Attributes
    ----------
    title : str
    count : int
        How many films there are of this kind.
    films : tuple of GalleryFilm
        At most ``SHOWN``, those with the highest probability of the wrong label first.
    """

    title: str
    count: int
    films: tuple[GalleryFilm, ...]


def thumbnail(radiograph: Radiograph) -> bytes:
    """Return a film as a small WebP picture, ``SIDE`` pixels at the longest side at most."""
    height, width = radiograph.pixels.shape
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(to_eight_bit(radiograph.pixels), size, interpolation=cv2.INTER_AREA)
    buffer = io.BytesIO()
    Image.fromarray(small).save(buffer, "WEBP", quality=QUALITY)
    return buffer.getvalue()


def wants_thumbnail(film: LabelledFilm, prediction: Prediction, stage2: StageResult | None) -> bool:
    """Return whether a gallery may show a film: it was refused, or a stage answered wrongly.

    Parameters
    ----------
    film : LabelledFilm
    prediction : Prediction
    stage2 : StageResult or None
        Of a film that is pneumonia by the reference standard.
    """
    if prediction.status != "ok":
        return True
    wrong_type = stage2 is not None and film.aetiology is not None and stage2.label != film.aetiology
    return prediction.finding != film.finding or wrong_type


def galleries_of(judged: Sequence[JudgedFilm]) -> list[Gallery]:
    """Return a gallery for each kind of wrong answer, of refused and of unreadable films; no empty one."""
    stages = ((STAGE1_LABELS, "stage 1"), (STAGE2_LABELS, "stage 2"))
    galleries = [
        _wrong(judged, number, truth, given, stage)
        for number, (labels, stage) in enumerate(stages, 1)
        for truth, given in (labels, labels[::-1])
    ]
    without = (("refused", "Refused by the gate"), ("error", "Could not be read"))
    galleries += [_without_answer(judged, status, title) for status, title in without]
    return [gallery for gallery in galleries if gallery.count]


def _wrong(judged: Sequence[JudgedFilm], number: int, truth: str, given: str, stage: str) -> Gallery:
    """Return the films of a label that a stage gave the other one."""
    rows: list[tuple[float, JudgedFilm]] = []
    for row in judged:
        result, known = (
            (row.prediction.stage1, row.film.finding) if number == 1 else (row.stage2, row.film.aetiology)
        )
        if result is not None and known == truth and result.label == given:
            rows.append((result.probabilities[given], row))
    rows.sort(key=lambda pair: (-pair[0], pair[1].film.name))
    films = tuple(
        _film(row, f"probability of {given} {probability:.3f}", row.prediction.warnings)
        for probability, row in rows[:SHOWN]
    )
    return Gallery(f"{truth.capitalize()}, called {given} by {stage}", len(rows), films)


def _without_answer(judged: Sequence[JudgedFilm], status: str, title: str) -> Gallery:
    rows = [row for row in judged if row.prediction.status == status]
    films = tuple(
        _film(row, " ".join(reason.message for reason in reasons_of(row.prediction)), ())
        for row in rows[:SHOWN]
    )
    return Gallery(title, len(rows), films)


def _film(row: JudgedFilm, answer: str, remarks: tuple[str, ...]) -> GalleryFilm:
    picture = "" if row.thumbnail is None else encoded_uri(row.thumbnail, "WEBP")
    return GalleryFilm(row.film.name, picture, row.film.category, answer, remarks)
