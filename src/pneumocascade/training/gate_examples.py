"""The pictures that the gate is fitted on: films learnt from, what is made of them, projections, drawings.

See :mod:`pneumocascade.training.synthetic_pictures`, :mod:`pneumocascade.training.synthetic_radiographs` and
:mod:`pneumocascade.training.ct_projections`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from pneumocascade.datasets.perturbations import Grey
from pneumocascade.evaluation.shift_suite import choose_films
from pneumocascade.model.gate import LATERAL, UPRIGHT
from pneumocascade.training.augment import augment
from pneumocascade.training.ct_projections import frontal, lateral
from pneumocascade.training.data import Sample, grey_pixels
from pneumocascade.training.synthetic_pictures import FROM_FILMS, PICTURES, inverted, part_of, turned
from pneumocascade.training.synthetic_radiographs import LATERALS, OTHER_FILMS

Rng = np.random.Generator

AS_IT_IS = "as it is"
"""Sort of the films that are not changed."""


@dataclass(frozen=True, slots=True)
class GateExample:
    """What the checks learn from.

    Attributes
    ----------
    kind : str
        ``UPRIGHT`` or a key of :data:`pneumocascade.model.gate.REASONS`.
    sort : str
        A finer name, for the report: ``"turned 90"``, ``"hand"``.
    patient : str
        Whose film it is made from; of a drawing a name of its own.
    domain : str
        Of the film; empty for drawings and projections.
    pixels : ndarray of uint8, shape (H, W)
    """

    kind: str
    sort: str
    patient: str
    domain: str
    pixels: Grey


def film_pictures(samples: Sequence[Sample], limit: int, seed: int) -> Iterator[GateExample]:
    """Yield films as they are and changed as in training, and what must be refused made from them."""
    by_name = {sample.film.name: sample for sample in samples}
    chosen = [by_name[film.name] for film in choose_films([s.film for s in samples], limit, seed)]
    rng = np.random.default_rng(seed)
    for place in rng.permutation(len(chosen)).tolist():
        sample, donor = chosen[place], chosen[int(rng.integers(len(chosen)))]
        film = grey_pixels(sample.renderings[int(rng.integers(len(sample.renderings)))])
        patient = sample.film.patient
        domain = sample.film.domain
        yield GateExample(UPRIGHT, AS_IT_IS, patient, domain, film)
        changed = augment(film, rng, partial(grey_pixels, donor.film.path))
        yield GateExample(UPRIGHT, "changed", patient, domain, changed)
        for kind, sort, pixels in _spoilt(film[:, ::-1] if rng.random() < 0.5 else film, rng):
            yield GateExample(kind, sort, patient, domain, pixels)


def _spoilt(film: Grey, rng: Rng) -> Iterator[tuple[str, str, Grey]]:
    """Yield one to three pictures made from a film that must be refused."""
    quarters = int(rng.integers(1, 4))
    yield "turned", f"turned {90 * quarters}", turned(film, quarters)
    if rng.random() < 0.4:
        yield "inverted", "inverted", inverted(film)
    if rng.random() < 0.5:
        yield "part", "part", part_of(film, rng)
    for sort, spoil in FROM_FILMS.items():
        if rng.random() < 0.1:
            yield "picture", sort, spoil(film, rng)


def projected_pictures(each: int, seed: int) -> Iterator[GateExample]:
    """Yield projections of a chest CT, half of them changed as in training: from the front, from the side."""
    rng = np.random.default_rng(seed)
    for kind, name, make in ((UPRIGHT, "frontal", frontal), (LATERAL, "lateral", lateral)):
        for number in range(each):
            film = make(rng)
            pixels = augment(film, rng) if rng.random() < 0.5 else film
            yield GateExample(kind, f"projection, {name}", f"projection {name} {number}", "", pixels)


def drawn_pictures(each: int, seed: int) -> Iterator[GateExample]:
    """Yield drawings of every sort."""
    sorts = (("picture", PICTURES), (LATERAL, LATERALS), ("other film", OTHER_FILMS))
    for kind, drawings in sorts:
        for sort, draw in drawings.items():
            rng = np.random.default_rng((seed, *sort.encode()))
            for number in range(each):
                yield GateExample(kind, sort, f"{sort} {number}", "", draw(rng))
