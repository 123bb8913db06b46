"""May this film be judged at all? Cheap checks on pixels, each with a code and a sentence."""

from __future__ import annotations

import numpy as np

from pneumocascade.preprocess import to_square
from pneumocascade.records import Radiograph, Reason

MIN_SIDE = 100
"""Shortest side, in pixels, of a film that is judged; the training films have 224 and more."""

MIN_DEVIATION = 6.0
"""Least standard deviation of grey values (0..255) of a film with something on it."""

MAX_COLOURFULNESS = 20.0
"""Largest mean spread between red, green and blue (0..255); tinted films stay below."""

_THUMBNAIL = 64


def reasons_to_refuse(radiograph: Radiograph) -> tuple[Reason, ...]:
    """Return why a film must not be judged; empty where it may be.

    Codes
    -----
    ``too_small``
        The shorter side has fewer than ``MIN_SIDE`` pixels.
    ``blank``
        Nothing but one tone.
    ``not_a_radiograph``
        A picture in colour.
    """
    reasons = []
    shorter = min(radiograph.height, radiograph.width)
    if shorter < MIN_SIDE:
        reasons.append(
            Reason("too_small", f"The shorter side has {shorter} pixels; at least {MIN_SIDE} are needed.")
        )
    deviation = float(np.std(to_square(radiograph.pixels, _THUMBNAIL)))
    if deviation < MIN_DEVIATION:
        found = f"The grey values hardly vary (standard deviation {deviation:.1f} of 255)."
        reasons.append(Reason("blank", found))
    if radiograph.colourfulness > MAX_COLOURFULNESS:
        reasons.append(Reason("not_a_radiograph", "The picture is in colour; a radiograph is grey."))
    return tuple(reasons)
