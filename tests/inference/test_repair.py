"""Films that lie on a side or are inverted: put right, they get the answer of the upright film."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pneumocascade import Cascade
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.inference.repair import REPAIRS, candidates, judge_repaired
from pneumocascade.types import Radiograph

EXAMPLE = Path(__file__).parents[2] / "src" / "pneumocascade" / "examples" / "person1946_bacteria_4874.jpeg"


def turned_film(film: Radiograph, turns: int) -> Radiograph:
    """Return a film turned by so many quarters of a circle."""
    pixels: NDArray[np.uint8] = np.rot90(film.pixels.astype(np.uint8), turns).copy()
    return replace(film, pixels=pixels)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_film_is_turned_upright(cascade: Cascade, turns: int) -> None:
    upright = read_radiograph(EXAMPLE)
    turned = turned_film(upright, turns)
    assert [reason.code for reason in cascade.predict(turned).reasons] == ["rotated"]
    found = judge_repaired(cascade, turned, "rotated", name="turned", operating_point="sensitive")
    expected = cascade.predict(upright, operating_point="sensitive")
    assert found is not None
    assert found.stage1 == expected.stage1
    assert found.source == "turned"
    assert found.pixels_sha256 == expected.pixels_sha256
    assert found.warnings[0] == REPAIRS["rotated"][turns - 1]


def test_an_inverted_film_is_inverted_again(cascade: Cascade) -> None:
    film = read_radiograph(EXAMPLE)
    negative = replace(film, pixels=255 - film.pixels)
    found = judge_repaired(cascade, negative, "inverted", name="negative")
    assert found is not None
    assert found.stage1 == cascade.predict(film).stage1
    assert REPAIRS["inverted"][0] in found.warnings


def test_nothing_is_recorded_of_what_the_gate_refuses_in_every_way(cascade: Cascade) -> None:
    recorded: list[object] = []
    recording = Cascade(
        cascade.stage1, cascade.stage2, cascade.version, cascade.gate, recorder=recorded.append
    )
    noise = Radiograph(np.random.default_rng(0).integers(0, 256, (300, 300), np.uint8), "noise")
    assert judge_repaired(recording, noise, "rotated", name="noise") is None
    assert recorded == []
    upright = read_radiograph(EXAMPLE)
    turned = turned_film(upright, 1)
    assert recorded == [judge_repaired(recording, turned, "rotated", name="turned")]


def test_other_refusals_have_no_repair_and_sixteen_bits_are_inverted() -> None:
    film = Radiograph(np.arange(4, dtype=np.uint16).reshape(2, 2), "film")
    assert list(candidates(film, "cropped")) == []
    (negative,) = candidates(film, "inverted")
    assert negative.pixels.tolist() == [[65535, 65534], [65533, 65532]]
