"""Checks of a film's size, tones and colour, which need no model and come first."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pneumocascade.i18n import gettext_noop
from pneumocascade.imaging.dicom import suitability
from pneumocascade.model.gate.layout import layout_of
from pneumocascade.model.preprocess import to_square
from pneumocascade.types import Radiograph, Reason

MIN_JUDGED_SIDE = 100
"""Shortest side, in pixels, of a film that is judged; the training films have 224 and more."""

MIN_DEVIATION = 6.0
"""Least standard deviation of grey values (0..255) of a film with something on it."""

MAX_COLOURFULNESS = 20.0
"""Largest mean spread between red, green and blue (0..255); tinted films stay below."""

NEVER_JUDGED = frozenset({"too_small"})
"""Codes for which a film is refused even where the gate is switched off."""

UNCHECKED = gettext_noop("The gate was switched off: of this film only the size was checked.")
"""Warning that goes with every answer where the gate was switched off."""

TOO_SMALL = gettext_noop("The shorter side has %(shorter)s pixels; at least %(least)s are needed.")
BLANK = gettext_noop("The grey values hardly vary (standard deviation %(deviation)s of 255).")

_SQUARE = 64
"""Side, in pixels, of the square on which the grey values of a whole film are checked."""

_LARGE = 10 * _SQUARE
"""Shorter side, in pixels, from which on less than a tenth is left out for speed."""


class PixelChecks(NamedTuple):
    """What is seen of a film without a model.

    Attributes
    ----------
    reasons : tuple of Reason
        Why it must not be judged; empty where it may be.
    warnings : tuple of str
        What a reader of its answer should know.
    """

    reasons: tuple[Reason, ...]
    warnings: tuple[str, ...]


def check_pixels(radiograph: Radiograph) -> PixelChecks:
    """Return why a film must not be judged, as far as is seen without a model, and what to warn of.

    Codes
    -----
    ``too_small``
        The shorter side has fewer than ``MIN_JUDGED_SIDE`` pixels.
    ``blank``
        Nothing but one tone.
    ``several_films``, ``screenshot``, ``photograph``
        A film among other things: :mod:`pneumocascade.model.gate.layout`.
    ``not_a_radiograph``
        A picture in colour.

    Of a film that came as DICOM also what
    :func:`pneumocascade.imaging.dicom.suitability.reasons_to_refuse` says.
    """
    reasons: list[Reason] = []
    warnings: tuple[str, ...] = ()
    shorter = min(radiograph.height, radiograph.width)
    if shorter < MIN_JUDGED_SIDE:
        found = TOO_SMALL % {"shorter": shorter, "least": MIN_JUDGED_SIDE}
        reasons.append(Reason("too_small", found))
    coarse = _coarse(radiograph.pixels)
    deviation = float(np.std(coarse))
    if deviation < MIN_DEVIATION:
        found = BLANK % {"deviation": f"{deviation:.1f}"}
        reasons.append(Reason("blank", found))
    else:
        layout = layout_of(radiograph.pixels, coarse, radiograph.colourfulness)
        reasons += layout.reasons
        warnings = layout.warnings
    if radiograph.colourfulness > MAX_COLOURFULNESS:
        reasons.append(Reason("not_a_radiograph", "The picture is in colour; a radiograph is grey."))
    if radiograph.acquisition is not None:
        reasons += suitability.reasons_to_refuse(radiograph.acquisition)
    return PixelChecks(tuple(reasons), warnings)


def _coarse(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Average a film down to a square of ``_SQUARE``.

    Of a large film a few rows and columns at the ends are left out: OpenCV averages ten times faster
    by a whole number.
    """
    if min(pixels.shape) >= _LARGE:
        height, width = (side - side % _SQUARE for side in pixels.shape)
        pixels = pixels[:height, :width]
    return to_square(pixels, _SQUARE)
