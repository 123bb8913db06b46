"""The bundled gate on held-out films of the data set, where the caller has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pneumocascade import Cascade
from pneumocascade.datasets.films import LabelledFilm, Split, find_films
from pneumocascade.evaluation.shift_suite import choose_films
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.model.preprocess import to_eight_bit

pytestmark = [pytest.mark.data, pytest.mark.slow]

SPLIT = Path(__file__).parents[2] / "docs" / "data" / "split.json"


@pytest.fixture(scope="module")
def gated(cascade: Cascade) -> Cascade:
    if cascade.gate is None:
        pytest.skip("the bundled models have no gate.npz")
    return cascade


def held_out(folder: Path, limit: int) -> list[LabelledFilm]:
    names = Split.load(SPLIT).validation
    return choose_films([film for film in find_films(folder) if film.name in names], limit)


def test_no_more_than_one_held_out_film_in_a_hundred_is_refused(data: Path, gated: Cascade) -> None:
    """In all renderings together: of one alone there are too few films to tell one per cent from two."""
    folders = [data / name for name in ("kermany224", "kermany-512", "kermany-original")]
    paths = [film.path for folder in folders if folder.is_dir() for film in held_out(folder, 200)]
    refused = [p.source for p in gated.predict_many(paths) if p.status == "refused"]
    assert len(refused) <= 0.01 * len(paths), refused


def test_the_same_films_turned_or_negative_are_refused(data: Path, gated: Cascade) -> None:
    pixels = [to_eight_bit(read_radiograph(film.path).pixels) for film in held_out(data / "kermany224", 20)]
    for code, change in (
        ("inverted", lambda film: 255 - film),
        ("rotated", np.rot90),
        ("rotated", lambda film: film[::-1, ::-1]),
    ):
        found = [p.reasons[0].code for p in gated.predict_many(map(change, pixels)) if p.reasons]
        assert found.count(code) >= 19
