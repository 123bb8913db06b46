"""One film as the web app shows it: the cascade's answer, and the pictures that go with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pneumocascade.errors import FilmError
from pneumocascade.explain.pictures import StepPicture, film_picture, step_pictures, with_banner
from pneumocascade.explain.quality import Quality, quality_of
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.model.preprocess import steps_of

if TYPE_CHECKING:
    from pneumocascade.inference.cascade import Cascade
    from pneumocascade.types import Prediction, Radiograph

FILM_HEIGHT = 560
"""Height, in pixels, at which films are sent to the browser."""

_NO_FILM = np.full((224, 224, 3), 42, np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """What is shown of one film.

    Attributes
    ----------
    prediction : Prediction
    film : ndarray of uint8, shape (H, W), or None
        The film as a viewer shows it, at most ``FILM_HEIGHT`` high; ``None`` where it could not be
        read.
    width, height : int
        Of the film as it was given, in pixels; 0 where it could not be read.
    steps : tuple of StepPicture
        Steps of stage 1's preprocessing; empty where the film could not be read.
    quality : tuple of Quality
        Of the film and of the last step; empty where it could not be read.
    reference : str
        Reference standard, ``"normal"`` or the aetiology; empty where none is known.
    """

    prediction: Prediction
    film: NDArray[np.uint8] | None = None
    width: int = 0
    height: int = 0
    steps: tuple[StepPicture, ...] = ()
    quality: tuple[Quality, ...] = ()
    reference: str = ""

    @property
    def name(self) -> str:
        """File name."""
        return self.prediction.source

    @property
    def tile(self) -> NDArray[np.uint8]:
        """The last step with the verdict's banner, shape (H, W, 3)."""
        picture = self.steps[-1].picture if self.steps else _NO_FILM
        return with_banner(picture, self.prediction)


def analyse(
    cascade: Cascade,
    path: str | Path,
    operating_point: str,
    prior: float | None = None,
    *,
    record: bool = True,
) -> Analysis:
    """Ask the cascade about one file, and draw what it was given.

    Parameters
    ----------
    cascade : Cascade
    path : path
    operating_point : str
    prior : float, optional
        Share of pneumonia among such films; by default the stored one.
    record : bool
        Give the answer to the cascade's recorder.

    Raises
    ------
    UsageError
        For an unknown operating point.
    """
    name = Path(path).name
    prediction = cascade.predict(path, operating_point=operating_point, name=name, prior=prior, record=record)
    if prediction.status == "error":
        return Analysis(prediction)
    try:
        # Decoded once before, perhaps in a process of its own: it will not fail now, unless it is gone.
        radiograph = read_radiograph(path, name)
    except FilmError:
        return Analysis(prediction)
    return _drawn(cascade, radiograph, prediction)


def _drawn(cascade: Cascade, radiograph: Radiograph, prediction: Prediction) -> Analysis:
    spec = cascade.stage1.spec
    steps = step_pictures(steps_of(radiograph, spec), spec)
    film = film_picture(radiograph, min(FILM_HEIGHT, radiograph.height))
    return Analysis(
        prediction,
        film[..., 0].copy(),  # grey in three equal channels; a session keeps it for an hour
        radiograph.width,
        radiograph.height,
        steps,
        (quality_of(radiograph.pixels), quality_of(steps[-1].picture)),
    )


def thumbnail(path: Path, height: int) -> NDArray[np.uint8] | None:
    """Return a film at a small height, shape (height, W, 3); ``None`` where it cannot be read."""
    try:
        return film_picture(read_radiograph(path), height)
    except FilmError:
        return None
