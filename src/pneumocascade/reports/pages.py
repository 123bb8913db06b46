"""What a report shows of one film: words and small pictures, and nothing that tells who the patient is.

A :class:`FilmPage` holds no film, only pictures of at most ``PICTURE_SIDE`` pixels: a report of many
films is made of an iterator, one film at a time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pneumocascade.errors import UsageError
from pneumocascade.explain.html import data_uri
from pneumocascade.explain.pictures import film_picture, step_pictures
from pneumocascade.explain.quality import quality_of
from pneumocascade.explain.verdict import NO_BREAK, Verdict, percent, verdict_of
from pneumocascade.model.gate import UNCHECKED
from pneumocascade.model.preprocess import steps_of, to_eight_bit
from pneumocascade.reports.stages import PagePicture, StageCard, stage_cards
from pneumocascade.types import Radiograph

if TYPE_CHECKING:
    from pneumocascade.explain.pictures import StepPicture
    from pneumocascade.inference.cascade import Cascade
    from pneumocascade.model.spec import ModelSpec
    from pneumocascade.types import Acquisition, Prediction

PICTURE_SIDE = 512
"""Longer side, in pixels, at which a film is shown: 140 and more pixels an inch on an A4 page."""

_NAME_LENGTH = 70
_SOURCE_LENGTH = 160
_SENTENCE_LENGTH = 400

Facts = tuple[tuple[str, str], ...]
"""Names and values, for people."""


@dataclass(frozen=True, slots=True)
class FilmPage:
    """What a report shows of one film; all text is as it should be read, and not yet escaped for HTML.

    Attributes
    ----------
    number : int
        Of the film in the report, from 1.
    name, source : str
        File name, and the path or address where that says more, else empty; both shortened.
    verdict : Verdict
        Its ``lines`` are what stands below the headline: one sentence, or why there is no finding.
    operating_point : str
    shares : tuple of str
        Probability of pneumonia, of bacterial and of viral; empty text for a stage that did not run.
    pictures : tuple of PagePicture
        The film and what the network sees; empty where the film could not be read.
    stages : tuple of StageCard
    quality, acquisition : Facts
    warnings : tuple of str
    """

    number: int
    name: str
    source: str
    verdict: Verdict
    operating_point: str
    shares: tuple[str, str, str]
    pictures: tuple[PagePicture, ...]
    stages: tuple[StageCard, StageCard]
    quality: Facts
    acquisition: Facts
    warnings: tuple[str, ...]


def make_page(
    number: int, prediction: Prediction, radiograph: Radiograph | None, cascade: Cascade
) -> FilmPage:
    """Return what a report shows of one film.

    Parameters
    ----------
    number : int
        Of the film in the report, from 1.
    prediction : Prediction
        With any status.
    radiograph : Radiograph or None
        Of the same film; ``None`` where it could not be read, and the page has no pictures.
    cascade : Cascade
        That answered.

    Raises
    ------
    UsageError
        Where other models answered: their thresholds and figures are not at hand.
    """
    if prediction.model_version != cascade.version:
        raise UsageError(
            f"the answer is of models {prediction.model_version}, the cascade has {cascade.version}; "
            "make the report with the cascade that answered"
        )
    verdict = verdict_of(prediction)
    lines = (verdict.sentence,) if verdict.sentence else tuple(map(_sentence, verdict.lines))
    last_part = re.split(r"[/\\]", prediction.source)[-1] or prediction.source
    source = "" if last_part == prediction.source else shorten(visible(prediction.source), _SOURCE_LENGTH)
    small = _small(radiograph) if radiograph is not None else None
    last = _last_step(radiograph, cascade) if radiograph is not None else None
    return FilmPage(
        number=number,
        name=shorten(visible(last_part), _NAME_LENGTH),
        source=source,
        verdict=replace(verdict, lines=lines),
        operating_point=prediction.operating_point,
        shares=_shares(prediction),
        pictures=_pictures(radiograph, small, last, cascade.stage1.spec),
        stages=stage_cards(prediction, small, cascade),
        quality=_quality(prediction, radiograph, last),
        acquisition=_acquisition(prediction.acquisition if radiograph is None else radiograph.acquisition),
        warnings=tuple(map(_sentence, prediction.warnings)),
    )


def visible(text: str) -> str:
    """Return text with every letter that is not shown written as its escape.

    Control letters, and those that turn the direction of writing, could make a name look like another;
    bytes that are not UTF-8 (lone surrogates, in Python) cannot be written at all.
    """
    return "".join(
        letter
        if letter.isprintable() or letter == NO_BREAK
        else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def shorten(text: str, length: int) -> str:
    """Return text of at most ``length`` letters; what is left out is taken from its middle."""
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return f"{text[: length - 1 - tail]}…{text[len(text) - tail :]}"


def _sentence(text: str) -> str:
    return shorten(visible(text), _SENTENCE_LENGTH)


def _shares(prediction: Prediction) -> tuple[str, str, str]:
    first, second = prediction.stage1, prediction.stage2
    pneumonia = percent(first.probabilities[first.positive]) if first is not None else ""
    if second is None:
        return pneumonia, "", ""
    bacterial, viral = (percent(value) for value in second.probabilities.values())
    return pneumonia, bacterial, viral


def _small(radiograph: Radiograph) -> Radiograph:
    """Return a film at the size of the report, 8 bits, aspect ratio kept up to 4 to 1."""
    longer = max(radiograph.height, radiograph.width)
    height = max(1, round(radiograph.height * min(PICTURE_SIDE, longer) / longer))
    return Radiograph(film_picture(radiograph, height)[..., 0].copy(), radiograph.source)


def _last_step(radiograph: Radiograph, cascade: Cascade) -> StepPicture:
    spec = cascade.stage1.spec
    return step_pictures(steps_of(radiograph, spec), spec)[-1]


def _pictures(
    radiograph: Radiograph | None, small: Radiograph | None, last: StepPicture | None, spec: ModelSpec
) -> tuple[PagePicture, ...]:
    if radiograph is None or small is None or last is None:
        return ()
    seen = f"What the network sees: {last.caption}, {spec.size} x {spec.size} pixels"
    if spec.input_size != spec.size:
        seen += f", shrunk to {spec.input_size} x {spec.input_size}"
    return (
        PagePicture(
            f"Film, {_size(radiograph)}",
            data_uri(to_eight_bit(small.pixels), "JPEG"),
        ),
        PagePicture(seen, data_uri(last.picture, "PNG")),
    )


def _size(radiograph: Radiograph) -> str:
    height, width = radiograph.size_read
    return f"{width} x {height} pixels"


def _quality(prediction: Prediction, radiograph: Radiograph | None, last: StepPicture | None) -> Facts:
    facts = [("Gate", _gate_verdict(prediction))]
    if radiograph is None or last is None:
        return tuple(facts)
    film, processed = quality_of(radiograph.pixels), quality_of(last.picture)
    facts += [
        ("Size", _size(radiograph)),
        ("Depth as read", f"{radiograph.bits_read} bits a pixel"),
        ("Grey values, mean", f"{film.mean:.1f} of 255 (processed {processed.mean:.1f})"),
        ("Standard deviation", f"{film.deviation:.1f} (processed {processed.deviation:.1f})"),
        ("Entropy", f"{film.entropy:.2f} bits (processed {processed.entropy:.2f})"),
        ("Michelson contrast", f"{film.michelson:.3f} (processed {processed.michelson:.3f})"),
    ]
    return tuple(facts)


def _gate_verdict(prediction: Prediction) -> str:
    if prediction.status == "refused":
        return "refused: " + ", ".join(reason.code for reason in prediction.reasons)
    if prediction.status == "error":
        return "not reached"
    return "switched off: only the size was checked" if UNCHECKED in prediction.warnings else "passed"


def _acquisition(acquisition: Acquisition | None) -> Facts:
    """Return how a film was made; age and identifiers, which tell of the patient, are left out."""
    if acquisition is None:
        return (("Source", "no DICOM object: nothing is known"),)
    named = (
        ("Modality", acquisition.modality),
        ("View position", acquisition.view_position),
        ("Body part", acquisition.body_part),
        ("Laterality", acquisition.laterality),
    )
    return tuple((name, shorten(visible(value), 40) if value else "not said") for name, value in named)
