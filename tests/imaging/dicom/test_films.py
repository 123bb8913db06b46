"""Films of the data set, made into 12-bit objects and back, where the caller has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pneumocascade import Cascade, Radiograph, read_radiograph
from pneumocascade.datasets.films import find_films
from pneumocascade.imaging.dicom.pixels import NO_WINDOW
from tests.imaging.dicom.objects import dataset, film_of

pytestmark = [pytest.mark.data, pytest.mark.slow]

EXPOSURES = ((1.0, 0, 4095), (1.0, 300, 3500), (1.0, 1200, 2600), (1.2, 100, 3900), (1 / 1.2, 100, 3900))
"""Gamma, stored value of black, stored value of white."""


def exposed(pixels: NDArray[np.uint8], index: int) -> tuple[NDArray[np.uint16], dict[str, Any]]:
    """Return a film as 12-bit stored values, and the attributes that say how to show it.

    Every other film is MONOCHROME1; the first two of four have a window, and a VOI that undoes the
    exposure's gamma is never said.
    """
    gamma, black, white = EXPOSURES[index % len(EXPOSURES)]
    noise = np.random.default_rng(index).uniform(-0.5, 0.5, pixels.shape)
    stored = black + (white - black) * (pixels / 255) ** gamma + noise
    values = np.clip(np.round(stored), 0, 4095).astype(np.uint16)
    attributes: dict[str, Any] = {}
    if index % 4 < 2:
        attributes = {"WindowCenter": (black + white) / 2 + 0.5, "WindowWidth": white - black + 1}
    if index % 2:
        values = 4095 - values
        attributes |= {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}
        if "WindowCenter" in attributes:
            attributes["WindowCenter"] = 4096 - attributes["WindowCenter"]
    return values, attributes


def test_findings_survive_the_way_through_dicom(data: Path, cascade: Cascade) -> None:
    paths = [film.path for film in find_films(data / "kermany-original")[::2]]
    originals = [prediction.finding for prediction in cascade.predict_many(paths)]
    warned = []

    def films() -> Iterator[NDArray[Any]]:
        for index, path in enumerate(paths):
            values, attributes = exposed(np.asarray(read_radiograph(path).pixels, np.uint8), index)
            film = film_of(dataset(values, **attributes))
            warned.append(NO_WINDOW in film.warnings)
            yield Radiograph(film.pixels, path.name, warnings=film.warnings).pixels

    found = [prediction.finding for prediction in cascade.predict_many(films())]
    agree = np.array([one == other for one, other in zip(found, originals, strict=True)])
    without = np.array(warned)
    print(f"with a window {agree[~without].mean():.3f}, without {agree[without].mean():.3f}")
    assert 0.4 < without.mean() < 0.6
    assert agree.mean() >= 0.98
    assert agree[without].mean() >= 0.97
