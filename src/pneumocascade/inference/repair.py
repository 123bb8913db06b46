"""A film that the gate refused as turned or inverted, put right and judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pneumocascade.i18n import gettext_noop

if TYPE_CHECKING:
    from pneumocascade.inference.cascade import Cascade
    from pneumocascade.types import Prediction, Radiograph

TURNED = gettext_noop("The film was turned by %(degrees)s degrees clockwise before it was judged.")

REPAIRS = {
    "rotated": tuple(TURNED % {"degrees": degrees} for degrees in (90, 180, 270)),
    "inverted": (gettext_noop("The film was inverted, light for dark, before it was judged."),),
}
"""What is tried, by the gate's code: the warning that an answer to such a film carries."""


def candidates(film: Radiograph, code: str) -> Iterator[Radiograph]:
    """Yield a film put right in each way that there is, each with a warning that says what was changed.

    Parameters
    ----------
    film : Radiograph
        Or its display copy.
    code : str
        Why the gate refused it; there are none for codes that are not in ``REPAIRS``.
    """
    for turns, warning in enumerate(REPAIRS.get(code, ()), start=1):
        pixels = film.pixels
        changed: NDArray[Any] = (
            np.rot90(pixels, -turns) if code == "rotated" else np.iinfo(pixels.dtype).max - pixels
        )
        yield replace(
            film,
            pixels=np.ascontiguousarray(changed),
            warnings=(*film.warnings, warning),
            original=None,  # of the film as it was
        )


def judge_repaired(
    cascade: Cascade, film: Radiograph, code: str, *, name: str, **options: Any
) -> Prediction | None:
    """Return the answer to a film put right; ``None`` where the gate refuses it in every way.

    Of several ways that pass, the most familiar one counts. Only that answer is recorded.

    Parameters
    ----------
    cascade : Cascade
    film : Radiograph
        Or its display copy.
    code : str
        Why the gate refused it, ``"rotated"`` or ``"inverted"``.
    name : str
        Shown as the answer's ``source``.
    **options
        Operating point and prior, as of ``Cascade.predict``.
    """
    tried = [
        cascade.predict(changed, name=name, display=True, record=False, **options)
        for changed in candidates(film, code)
    ]
    passed = [prediction for prediction in tried if prediction.status == "ok"]
    if not passed:
        return None
    return cascade.record(max(passed, key=lambda prediction: prediction.familiarity or 0.0))
