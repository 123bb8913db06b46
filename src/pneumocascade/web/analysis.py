"""One film as the web app shows it: the cascade's answer, and the pictures that go with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pneumocascade.explain.html import encoded
from pneumocascade.explain.pictures import StepPicture, film_picture, step_pictures
from pneumocascade.explain.quality import Quality, quality_of
from pneumocascade.model.preprocess import steps_of, to_eight_bit

if TYPE_CHECKING:
    from pneumocascade.inference.cascade import Cascade
    from pneumocascade.model.spec import ModelSpec
    from pneumocascade.types import Prediction, Radiograph

FILM_HEIGHT = 560
"""Height, in pixels, at which films are sent to the browser."""

THUMBNAIL_HEIGHT = 220
"""Height, in pixels, of a film in the gallery."""


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
    full : bytes
        The film at the size of its display copy, as JPEG, for the viewer; empty where it could not be read.
    reference : str
        Reference standard, ``"normal"`` or the aetiology; empty where none is known.
    path : str
        Where the film lies, as long as it does; for what is made of the film itself.
    specs : tuple of ModelSpec
        Of the models that were asked, for their operating points.
    """

    prediction: Prediction
    film: NDArray[np.uint8] | None = None
    width: int = 0
    height: int = 0
    steps: tuple[StepPicture, ...] = ()
    quality: tuple[Quality, ...] = ()
    full: bytes = b""
    reference: str = ""
    path: str = ""
    specs: tuple[ModelSpec, ...] = ()

    @property
    def name(self) -> str:
        """File name."""
        return self.prediction.source

    @property
    def thumbnail(self) -> NDArray[np.uint8] | None:
        """The film at ``THUMBNAIL_HEIGHT``, shape (H, W, 3); ``None`` where it could not be read."""
        film = self.prediction.display
        return None if film is None else film_picture(film, THUMBNAIL_HEIGHT)


def analyse(
    cascade: Cascade,
    path: str | Path,
    operating_point: str,
    prior: float | None = None,
    *,
    gate: bool = True,
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
    gate : bool
        ``False``: judge it whatever it shows, unless it is too small.
    record : bool
        Give the answer to the cascade's recorder.

    Raises
    ------
    UsageError
        For an unknown operating point.
    """
    name = Path(path).name
    prediction = cascade.predict(
        path, operating_point=operating_point, name=name, prior=prior, gate=gate, display=True, record=record
    )
    return replace(drawn(cascade, prediction), path=str(path))


def drawn(cascade: Cascade, prediction: Prediction) -> Analysis:
    """Return what is shown of an answer that has its display copy; what it keeps of that copy is small."""
    if prediction.display is None:
        return Analysis(prediction, specs=cascade.specs)
    # A session keeps the analysis for an hour: the large copy as JPEG alone.
    return _pictured(cascade, prediction.display, prediction)


def _pictured(cascade: Cascade, radiograph: Radiograph, prediction: Prediction) -> Analysis:
    spec = cascade.stage1.spec
    steps = step_pictures(steps_of(radiograph, spec), spec)
    film = film_picture(radiograph, min(FILM_HEIGHT, radiograph.height))
    height, width = radiograph.size_read
    grey = film[..., 0].copy()  # of three equal channels; a session keeps it for an hour
    # The small copy holds the models' square: stage 2 can still run on it.
    small = replace(radiograph, pixels=grey)
    return Analysis(
        replace(prediction, display=small),
        grey,
        width,
        height,
        steps,
        (quality_of(radiograph.pixels), quality_of(steps[-1].picture)),
        encoded(to_eight_bit(radiograph.pixels), "JPEG"),
        specs=cascade.specs,
    )
