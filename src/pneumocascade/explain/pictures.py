"""What people look at: the steps of preprocessing, the verdict on a picture, distributions.

The steps shown are those of :func:`pneumocascade.model.preprocess.steps_of`, pixel by pixel: what is shown
is what the model was given.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pneumocascade.errors import UsageError
from pneumocascade.explain.palette import OKABE_ITO
from pneumocascade.explain.quality import grey_of
from pneumocascade.explain.saliency import overlay
from pneumocascade.explain.verdict import NO_BREAK, TONES, Verdict, verdict_of
from pneumocascade.i18n import gettext_noop
from pneumocascade.model.preprocess import Steps, steps_of
from pneumocascade.model.spec import ModelSpec
from pneumocascade.types import DISCLAIMER, Prediction, Radiograph

Rgb = NDArray[np.uint8]

STEP_COLOURS = tuple(OKABE_ITO[name] for name in ("purple", "green", "vermillion"))
"""Colours of the plots of the steps, readable on white and on black."""

_INK = "#fdfdfd"
_PAPER = "#10151c"
_MIN_BANNER_WIDTH = 448


@dataclass(frozen=True, slots=True, eq=False)
class StepPicture:
    """One step of preprocessing.

    Attributes
    ----------
    caption : str
    picture : ndarray of uint8, shape (S, S) or (S, S, 3)
    """

    caption: str
    picture: NDArray[np.uint8]


def step_pictures(steps: Steps, spec: ModelSpec) -> tuple[StepPicture, ...]:
    """Return the steps that a model's recipe has, with captions: grey, CLAHE, CLAHE + hot.

    Parameters
    ----------
    steps : Steps
        From :func:`pneumocascade.model.preprocess.steps_of` with the same ``spec``.
    spec : ModelSpec
    """
    shown = [StepPicture(gettext_noop("Grey"), steps.grey)]
    if spec.clahe_clip_limit is not None:
        shown.append(StepPicture("CLAHE", steps.equalised))
    if spec.colour_map is not None:
        before = "CLAHE" if spec.clahe_clip_limit is not None else "Grey"
        shown.append(StepPicture(f"{before} + {spec.colour_map}", steps.coloured))
    return tuple(shown)


def steps_picture(shown: Sequence[StepPicture]) -> Rgb:
    """Return the steps side by side with their captions, each pixel shown as 2 x 2.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
    """
    font = ImageFont.load_default(22)
    tiles = []
    for number, step in enumerate(shown, start=1):
        picture = _enlarged(_rgb(step.picture), 2)
        canvas = _canvas(picture.shape[1] + 16, picture.shape[0] + 52)
        canvas.paste(Image.fromarray(picture), (8, 8))
        below = (canvas.width / 2, canvas.height - 22)
        ImageDraw.Draw(canvas).text(below, f"{number}. {step.caption}", _INK, font, anchor="mm")
        tiles.append(np.asarray(canvas))
    return np.concatenate(tiles, axis=1)


def film_beside_steps(radiograph: Radiograph, coloured: Rgb) -> Rgb:
    """Return the film, at its own aspect ratio, to the left of the picture the model is given.

    Parameters
    ----------
    radiograph : Radiograph
    coloured : ndarray of uint8, shape (S, S, 3)

    Returns
    -------
    ndarray of uint8, shape (2 S, W, 3)
    """
    right = _enlarged(coloured, 2)
    return np.concatenate([film_picture(radiograph, right.shape[0]), right], axis=1)


def film_picture(radiograph: Radiograph, height: int) -> Rgb:
    """Return a film as an 8-bit RGB picture of a given height, aspect ratio kept.

    Films wider than four times their height are shown as wide as that.
    """
    width = round(radiograph.width * height / radiograph.height)
    size = (min(max(width, 1), 4 * height), height)
    way = cv2.INTER_AREA if height < radiograph.height else cv2.INTER_CUBIC
    resized = cv2.resize(grey_of(radiograph.pixels), size, interpolation=way)
    return _rgb(resized.astype(np.uint8, copy=False))


def with_banner(picture: NDArray[np.uint8], prediction: Prediction) -> Rgb:
    """Return a picture with the verdict in a banner below it.

    Parameters
    ----------
    picture : ndarray of uint8, shape (H, W) or (H, W, 3)
        Enlarged by a whole factor where it is too narrow for text.
    prediction : Prediction
        With any status.

    Returns
    -------
    ndarray of uint8, shape (H', W', 3)
    """
    picture = _rgb(picture)
    picture = _enlarged(picture, -(-_MIN_BANNER_WIDTH // picture.shape[1]))
    return np.concatenate([picture, _banner(picture.shape[1], verdict_of(prediction))])


def _banner(width: int, verdict: Verdict) -> Rgb:
    size = min(max(width // 24, 16), 22)
    margin, stripe = size, size // 2
    space = width - 2 * margin - stripe
    parts = [(verdict.title, 1.7 * size), *((line, 1.0 * size) for line in verdict.lines)]
    lines = [
        (line, points)
        for text, points in [*parts, (DISCLAIMER, 0.8 * size)]
        for line in _wrap(text, points, space)
    ]
    canvas = _canvas(width, round(2 * margin + sum(1.4 * points for _, points in lines)))
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((0, 0, stripe - 1, canvas.height), TONES[verdict.tone])
    top = float(margin)
    for line, points in lines:
        where = (stripe + margin, top + 0.7 * points)
        draw.text(where, line, _INK, ImageFont.load_default(points), anchor="lm")
        top += 1.4 * points
    return np.asarray(canvas)


def _wrap(text: str, points: float, space: int) -> list[str]:
    """Break a text into lines of at most ``space`` pixels; a longer word stands alone.

    Lines are not broken at ``NO_BREAK``; the font has no such letter, so that a space is drawn.
    """
    font = ImageFont.load_default(points)
    lines = [""]
    for part in re.split(r"[^\S\u00a0]+", text.strip()):
        word = part.replace(NO_BREAK, " ")
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > space:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _canvas(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), _PAPER)


def _rgb(picture: NDArray[np.uint8]) -> Rgb:
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)


def _enlarged(picture: Rgb, factor: int) -> Rgb:
    """Repeat each pixel, so that what is shown stays what the model was given."""
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def safe_stem(prediction: Prediction, radiograph: Radiograph) -> str:
    """Return a file name without suffix: the source's name made safe, and a digest.

    The digest is of the whole source and the pixels: two films of one name in different folders, or
    two arrays without a name, get different names; the same film gets the same again.
    """
    name = re.split(r"[/\\]", prediction.source)[-1].rsplit(".", 1)[0]
    safe = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_-")[:60] or "film"
    digest = hashlib.sha256(prediction.source.encode("utf-8", "surrogatepass"))
    digest.update(radiograph.pixels.tobytes())
    return f"{safe}-{digest.hexdigest()[:12]}"


def save_pictures(
    prediction: Prediction, radiograph: Radiograph, spec: ModelSpec, folder: Path
) -> list[Path]:
    """Write the steps of a film, the film with its verdict, and the saliency map of each stage, as PNG files.

    Parameters
    ----------
    prediction : Prediction
        Of this film.
    radiograph : Radiograph
    spec : ModelSpec
        Of the model whose steps are drawn.
    folder : Path
        Made where it is missing.

    Returns
    -------
    list of Path
        ``<name>-<digest>-steps.png`` and ``...-verdict.png``, and for each stage that ran and has an
        activation map ``...-stage1.png`` and ``...-stage2.png``, of the size of the display copy.

    Raises
    ------
    UsageError
        Where the folder cannot be made or written to.
    """
    steps = steps_of(radiograph, spec)
    pictures = {
        "steps": steps_picture(step_pictures(steps, spec)),
        "verdict": with_banner(film_beside_steps(radiograph, steps.coloured), prediction),
    }
    for number, result in prediction.stages.items():
        if result.activation_map is not None:
            pictures[f"stage{number}"] = overlay(radiograph, result)
    stem = safe_stem(prediction, radiograph)
    paths = [folder / f"{stem}-{what}.png" for what in pictures]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, picture in zip(paths, pictures.values(), strict=True):
            Image.fromarray(picture).save(path)
    except OSError as error:
        raise UsageError(f"pictures cannot be written to {folder}: {error}") from error
    return paths
