"""Films drawn so that classes and blocks of neighbouring patient numbers are equally frequent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.special import logit

from pneumocascade.training.data import Sample
from pneumocascade.training.split import number_blocks

BLOCKS = 6
"""Of patient numbers; see :func:`pneumocascade.training.split.number_blocks`."""

Group = tuple[str, int, int]
"""Domain, label and block of a film; the films of another domain are one block."""


def balanced(samples: Sequence[Sample], rng: np.random.Generator) -> list[Sample]:
    """Return as many films, in which the classes of a domain and the blocks of a class are equally frequent.

    What goes along with a class (equipment, staff, season) changes from block to block. Less of it is learnt
    where large blocks do not count more than small ones. A domain keeps its share. All entries of a group are
    drawn before one is drawn again.

    The films carry the log-odds of the classes that their domain has, which the loss takes account of: what
    is learnt are probabilities in these shares. The best thresholds of the domains are closer together then.

    Parameters
    ----------
    samples : sequence of Sample
        Some films may be in it several times.
    rng : numpy.random.Generator
        Decides which entries of a group are drawn once more than others, or not at all.
    """
    entries: dict[str, dict[int, dict[int, list[int]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for index, (domain, label, block) in enumerate(groups_of(samples)):
        entries[domain][label][block].append(index)
    drawn: list[Sample] = []
    for _, labels in sorted(entries.items()):
        counts = {label: sum(map(len, blocks.values())) for label, blocks in labels.items()}
        films = sum(counts.values())
        log_odds = float(logit(counts[1] / films)) if len(counts) == 2 else 0.0
        for (_, blocks), of_label in zip(sorted(labels.items()), _shares(films, len(labels)), strict=True):
            for (_, group), count in zip(sorted(blocks.items()), _shares(of_label, len(blocks)), strict=True):
                indices = np.resize(rng.permutation(group), count).tolist()
                drawn += [replace(samples[index], log_odds=log_odds) for index in indices]
    return drawn


def _shares(total: int, parts: int) -> list[int]:
    """Return a number as a sum of parts that differ by at most one."""
    return [total * (part + 1) // parts - total * part // parts for part in range(parts)]


def groups_of(samples: Sequence[Sample]) -> list[Group]:
    """Return the group of each film."""
    films = {sample.film.name: sample.film for sample in samples if not sample.film.domain}
    block = number_blocks(list(films.values()), BLOCKS)
    return [
        (sample.film.domain, sample.label, 0 if sample.film.domain else block[sample.film.name])
        for sample in samples
    ]
