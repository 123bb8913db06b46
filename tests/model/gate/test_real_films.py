"""The bundled gate on films of the data set, where the caller has them.

The models have learnt from these films: docs/gate.md tells what the gate does with others.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pneumocascade import Cascade
from pneumocascade.datasets.films import LabelledFilm, find_films
from pneumocascade.evaluation.shift_suite import choose_films
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.model.preprocess import to_eight_bit

pytestmark = [pytest.mark.data, pytest.mark.slow]


@pytest.fixture(scope="module")
def gated(cascade: Cascade) -> Cascade:
    if cascade.gate is None:
        pytest.skip("the bundled models have no gate.npz")
    return cascade


def some_films(folder: Path, limit: int) -> list[LabelledFilm]:
    return choose_films(find_films(folder), limit)


def test_no_more_than_one_film_in_a_hundred_is_refused(data: Path, gated: Cascade) -> None:
    """In all renderings together: of one alone there are too few films to tell one per cent from two."""
    folders = [data / name for name in ("kermany224", "kermany-512", "kermany-original")]
    paths = [film.path for folder in folders if folder.is_dir() for film in some_films(folder, 100)]
    refused = [p.source for p in gated.predict_many(paths) if p.status == "refused"]
    assert len(refused) <= 0.01 * len(paths), refused


def test_stage_two_names_no_type_for_films_of_adults(data: Path, gated: Cascade) -> None:
    """Limits of the domain were chosen with these films in view; two of them it takes for children's."""
    folder = data / "other-films" / "frontal-adult"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    found = [p for p in gated.predict_many(sorted(folder.iterdir())) if p.stage2]
    assert len(found) > 60
    assert sum(len(p.stage2.prediction_set) < 2 for p in found if p.stage2) <= 2


def test_the_same_films_turned_or_negative_are_refused(data: Path, gated: Cascade) -> None:
    pixels = [to_eight_bit(read_radiograph(film.path).pixels) for film in some_films(data / "kermany224", 20)]
    for code, change in (
        ("inverted", lambda film: 255 - film),
        ("rotated", np.rot90),
        ("rotated", lambda film: film[::-1, ::-1]),
    ):
        found = [p.reasons[0].code for p in gated.predict_many(map(change, pixels)) if p.reasons]
        assert found.count(code) >= 19
