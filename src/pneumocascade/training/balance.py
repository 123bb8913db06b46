"""Films drawn so that classes and blocks of neighbouring patient numbers are equally frequent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from pneumocascade.training.data import Sample
from pneumocascade.training.split import number_blocks

BLOCKS = 6
"""Of patient numbers; see :func:`pneumocascade.training.split.number_blocks`."""

Group = tuple[str, int, int]
"""Domain, label and block of a film; films of other domains are of one block."""


def balanced(samples: Sequence[Sample], rng: np.random.Generator) -> list[Sample]:
    """Return as many films, in which the groups of each domain are equally frequent.

    What goes along with a class (equipment, staff, season) changes from block to block. Where large blocks do
    not count more than small ones, less of it is learnt. A domain keeps its share. All films of a group are
    drawn before one is drawn again.

    Parameters
    ----------
    samples : sequence of Sample
    rng : numpy.random.Generator
        Decides which films of a group are drawn once more than others, or not at all.
    """
    films_of: dict[Group, list[int]] = defaultdict(list)
    for index, group in enumerate(groups_of(samples)):
        films_of[group].append(index)
    drawn: list[Sample] = []
    for domain in sorted({group[0] for group in films_of}):
        own = sorted(group for group in films_of if group[0] == domain)
        total = sum(len(films_of[group]) for group in own)
        for number, group in enumerate(own):
            wanted = total * (number + 1) // len(own) - total * number // len(own)
            films = rng.permutation(films_of[group])
            drawn += [samples[films[index % len(films)]] for index in range(wanted)]
    return drawn


def groups_of(samples: Sequence[Sample]) -> list[Group]:
    """Return the group of each film."""
    films = {sample.film.name: sample.film for sample in samples if not sample.film.domain}
    block = number_blocks(list(films.values()), BLOCKS)
    return [
        (sample.film.domain, sample.label, 0 if sample.film.domain else block[sample.film.name])
        for sample in samples
    ]
