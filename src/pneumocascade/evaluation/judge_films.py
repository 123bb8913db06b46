"""The answers to the films of a data set, each film read once and no more than a batch held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pneumocascade.datasets.perturbations import fine_detail
from pneumocascade.errors import FilmError
from pneumocascade.evaluation.gallery import thumbnail, wants_thumbnail
from pneumocascade.evaluation.markers import find_marker
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.model.preprocess import to_eight_bit
from pneumocascade.types import Prediction, Radiograph, StageResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import TypeAlias

    from pneumocascade.datasets.films import LabelledFilm
    from pneumocascade.evaluation.learnt_films import LearntFilms
    from pneumocascade.inference.cascade import Cascade

    ReportProgress: TypeAlias = Callable[[int, int], None]

BATCH = 16
"""Films that go through a model at once."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What is to be known of a film's pixels after they are gone.

    Attributes
    ----------
    height, width : int
        In pixels, above 0.
    marker : {"top", "side"} or None
        Where the side marker is; see :func:`~pneumocascade.evaluation.markers.find_marker`.
    detail : float
        Contrast of fine detail, in grey values of 0 to 255; see
        :func:`~pneumocascade.datasets.perturbations.fine_detail`.
    """

    height: int
    width: int
    marker: str | None
    detail: float


def traits_of(radiograph: Radiograph) -> Traits:
    """Return size, marker and detail of a film."""
    pixels = to_eight_bit(radiograph.pixels)
    return Traits(radiograph.height, radiograph.width, find_marker(pixels), fine_detail(pixels))


@dataclass(frozen=True, slots=True)
class JudgedFilm:
    """A film with its reference standard and what was said of it.

    Attributes
    ----------
    film : LabelledFilm
    prediction : Prediction
        What any reader would get.
    stage2 : StageResult or None
        Of a film that is pneumonia by the reference standard, whatever stage 1 said; ``None`` for
        other films and where the film was refused or could not be read.
    traits : Traits or None
        ``None`` where the film was refused or could not be read.
    thumbnail : bytes or None
        A small WebP picture of a film that was refused or answered wrongly; ``None`` for others.
    learnt : tuple of str
        How it is known as a film that the models were learnt from; see
        :mod:`~pneumocascade.evaluation.learnt_films`.
    """

    film: LabelledFilm
    prediction: Prediction
    stage2: StageResult | None
    traits: Traits | None
    thumbnail: bytes | None = None
    learnt: tuple[str, ...] = ()


def judge_films(
    films: Sequence[LabelledFilm],
    cascade: Cascade,
    operating_point: str,
    progress: ReportProgress | None = None,
    *,
    learnt: LearntFilms | None = None,
) -> Iterator[JudgedFilm]:
    """Put films through the cascade, and all true pneumonia films through stage 2.

    Parameters
    ----------
    films : sequence of LabelledFilm
    cascade : Cascade
    operating_point : {"balanced", "sensitive", "specific"}
    progress : callable, optional
        Is given the films done and the films there are, after each batch.
    learnt : LearntFilms, optional
        Those that the models were learnt from.

    Yields
    ------
    JudgedFilm
        One for each film, in order.

    Raises
    ------
    UsageError
        For an unknown operating point.
    """
    for start in range(0, len(films), BATCH):
        batch = films[start : start + BATCH]
        yield from _judge_batch(batch, cascade, operating_point, learnt)
        if progress is not None:
            progress(start + len(batch), len(films))


def _judge_batch(
    films: Sequence[LabelledFilm], cascade: Cascade, operating_point: str, learnt: LearntFilms | None
) -> list[JudgedFilm]:
    sources = [_read(film.path) for film in films]
    predictions = list(cascade.predict_many(sources, batch_size=BATCH, operating_point=operating_point))
    results = [
        prediction.stage2 if film.finding == "pneumonia" else None
        for film, prediction in zip(films, predictions, strict=True)
    ]
    missed: dict[int, Radiograph] = {
        index: source
        for index, source in enumerate(sources)
        if cascade.stage2 is not None
        and isinstance(source, Radiograph)
        and films[index].finding == "pneumonia"
        and predictions[index].status == "ok"
        and results[index] is None
    }
    found = cascade.stage_results(2, list(missed.values()), operating_point) if missed else []
    for index, result in zip(missed, found, strict=True):
        results[index] = result
    traits = [
        traits_of(source) if isinstance(source, Radiograph) and prediction.status == "ok" else None
        for source, prediction in zip(sources, predictions, strict=True)
    ]
    # Made of the pixels that are at hand: no film is decoded again for the report.
    thumbnails = [
        thumbnail(source) if isinstance(source, Radiograph) and wants_thumbnail(*row) else None
        for source, row in zip(sources, zip(films, predictions, results, strict=True), strict=True)
    ]
    known = [
        () if learnt is None else learnt.known(film.name, source if isinstance(source, Radiograph) else None)
        for film, source in zip(films, sources, strict=True)
    ]
    rows = zip(films, predictions, results, traits, thumbnails, known, strict=True)
    return [JudgedFilm(*row) for row in rows]


def _read(path: Path) -> Radiograph | Path:
    """Return the film, or its path where it cannot be read: the cascade's answer will say why."""
    try:
        return read_radiograph(path)
    except FilmError:
        return path
