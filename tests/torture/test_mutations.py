"""Damage is damage, the same each time."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumocascade import read_radiograph
from tests.imaging.film_files import GREY, encode
from torture.mutations import SIMPLE, Mutation, mutated, truncated
from torture.writers import mended_png, zeros

FILMS = [encode(GREY, kind) for kind in ("PNG", "JPEG", "GIF")]


@pytest.mark.parametrize("mutation", SIMPLE, ids=lambda each: each.__name__)
def test_a_mutation_changes_a_film_and_can_be_repeated(mutation: Mutation) -> None:
    for film in FILMS:
        made = [mutation(film, np.random.default_rng(seed)) for seed in range(20)]
        assert made == [mutation(film, np.random.default_rng(seed)) for seed in range(20)]
        assert sum(each != film for each in made) >= 15


@given(st.integers(0, 2), st.integers(0, 2**32 - 1))
def test_the_same_seed_gives_the_same_input(which: int, seed: int) -> None:
    first, second = (mutated(FILMS, which, np.random.default_rng([1, seed])) for _ in range(2))
    assert first == second


def test_a_film_is_cut_at_each_hundredth() -> None:
    lengths = [len(truncated(FILMS[0], percent)) for percent in range(100)]
    assert lengths == sorted(lengths)
    assert lengths[0] == 0
    assert lengths[-1] < len(FILMS[0])


def test_damage_gets_past_the_checksums_of_a_png_file() -> None:
    damaged = bytearray(FILMS[0])
    damaged[24] = 16  # bits of a sample: the header's checksum is wrong now
    mended = mended_png(bytes(damaged))
    assert mended != bytes(damaged)
    assert len(mended) == len(damaged)
    assert mended_png(FILMS[0]) == FILMS[0]
    assert read_radiograph(mended_png(FILMS[0])).pixels.shape == GREY.shape


@pytest.mark.parametrize("count", [0, 100, 1 << 20, (3 << 20) + 5])
def test_zeros_are_as_many_as_asked_for(count: int) -> None:
    assert zlib.decompress(zeros(count, last=b"end")) == bytes(count) + b"end"
    assert zlib.decompress(zeros(count, raw=True), -zlib.MAX_WBITS) == bytes(count)
