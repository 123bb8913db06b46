"""The shifts of the suite: how films may be acquired, stored or shown otherwise, at graded strengths.

None of them touches the finding of a film. After Hendrycks & Dietterich, "Benchmarking Neural Network
Robustness to Common Corruptions and Perturbations", ICLR 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from cv2 import INTER_NEAREST

from pneumocascade.datasets import perturbations as change
from pneumocascade.datasets.perturbations import Grey

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Rng: TypeAlias = np.random.Generator
    Change: TypeAlias = Callable[[Grey, float, Grey, Rng], Grey]


@dataclass(frozen=True, slots=True)
class Shift:
    """One way in which films may differ from those learnt from.

    Attributes
    ----------
    name : str
    unit : str
        What the strength is.
    strengths : tuple of float
        From mild to severe.
    change : callable
        Takes film, strength, a film of another category, and a source of chance.
    """

    name: str
    unit: str
    strengths: tuple[float, ...]
    change: Change


@dataclass(frozen=True, slots=True)
class Condition:
    """A shift at one strength; ``shift`` is ``None`` for films as they are."""

    shift: Shift | None = None
    strength: float = 0.0

    def __str__(self) -> str:
        return "clean" if self.shift is None else f"{self.shift.name} {self.strength:g}"

    def apply(self, film: Grey, donor: Grey, rng: Rng) -> Grey:
        """Return the changed film; the given one is left as it was."""
        return film if self.shift is None else self.shift.change(film, self.strength, donor, rng)


def _alone(change: Callable[[Grey, float], Grey]) -> Change:
    """Make a change of one that needs neither another film nor chance."""
    return lambda film, strength, _donor, _rng: change(film, strength)


def _repeated(change: Callable[[Grey, Rng], Grey]) -> Change:
    def apply(film: Grey, count: float, _donor: Grey, rng: Rng) -> Grey:
        for _ in range(int(count)):
            film = change(film, rng)
        return film

    return apply


_SHARE, _SIDES, _FACTOR, _EXPONENT = "share of the grey scale", "share of each side", "factor", "exponent"

SHIFTS: tuple[Shift, ...] = (
    Shift("darker", _SHARE, (0.1, 0.2, 0.3), _alone(lambda f, s: change.expose(f, brightness=-s))),
    Shift("lighter", _SHARE, (0.1, 0.2, 0.3), _alone(lambda f, s: change.expose(f, brightness=s))),
    Shift("gamma above 1", _EXPONENT, (1.3, 1.7, 2.2), _alone(lambda f, s: change.expose(f, gamma=s))),
    Shift("gamma below 1", _EXPONENT, (0.75, 0.55, 0.4), _alone(lambda f, s: change.expose(f, gamma=s))),
    Shift("less contrast", _FACTOR, (0.8, 0.6, 0.4), _alone(lambda f, s: change.expose(f, contrast=s))),
    Shift("more contrast", _FACTOR, (1.3, 1.7, 2.2), _alone(lambda f, s: change.expose(f, contrast=s))),
    Shift("tone of another", "weight", (0.3, 0.6, 1.0), lambda f, s, d, _: change.swap_tone(f, d, s)),
    Shift("detail of another", "weight", (0.5, 1.0, 1.5), lambda f, s, d, _: change.match_detail(f, d, s)),
    Shift("crop", _SIDES, (0.04, 0.08, 0.14), _alone(lambda f, s: change.crop(f, s, s, s, s))),
    Shift("collimation", _SIDES, (0.04, 0.08, 0.14), _alone(change.collimate)),
    Shift("frame of another", _SIDES, (0.05, 0.1, 0.15), lambda f, s, d, _: change.transplant_frame(f, d, s)),
    Shift("markers", "count", (1, 3, 6), _repeated(change.write_marker)),
    Shift("masked patches", "count", (1, 3, 6), _repeated(change.mask_patch)),
    Shift("rotation", "degrees", (5, 10, 15), _alone(change.rotate)),
    Shift("blur", "sigma in pixels", (0.8, 1.6, 2.4), _alone(change.blur)),
    Shift("sharpening", "amount", (0.5, 1.0, 2.0), _alone(change.sharpen)),
    Shift("noise", "grey values", (4, 8, 16), lambda f, s, _, rng: change.add_noise(f, s, rng)),
    Shift("JPEG", "quality", (60, 30, 15), _alone(lambda f, s: change.compress(f, int(s)))),
    Shift("resolution", "pixels", (160, 112, 80), _alone(lambda f, s: change.resize(f, int(s)))),
    Shift("aliasing", "pixels", (170, 120, 80), _alone(lambda f, s: change.resize(f, int(s), INTER_NEAREST))),
)
"""Lengths in pixels are those of a film of 224 pixels."""

CLEAN_CONDITION = Condition()

CONDITIONS: tuple[Condition, ...] = (
    CLEAN_CONDITION,
    *(Condition(s, strength) for s in SHIFTS for strength in s.strengths),
)
