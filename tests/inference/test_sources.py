"""Several films at once: folders, patterns, archives, stacks; a threshold of one's own."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pneumocascade import Cascade, UsageError
from tests.reports.sources import MEANS, film_object, film_of
from tests.tiny_models import write_tiny_models

VIRAL, NORMAL = film_of(MEANS["viral"]), film_of(MEANS["normal"])
PAIR = np.stack([VIRAL, NORMAL])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Cascade:
    return Cascade.load(write_tiny_models(tmp_path_factory.mktemp("tiny")), threads=1)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    (folder / "below").mkdir(parents=True)
    for name, pixels in {"below/b.png": NORMAL, "a.png": VIRAL}.items():
        Image.fromarray(pixels).save(folder / name)
    (folder / "notes.txt").write_text("no film")
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        for name in ("below/b.png", "a.png"):
            archive.write(folder / name, name)
    return folder


@pytest.mark.parametrize("kind", [str, Path])
def test_a_folder_a_pattern_and_an_archive_stand_for_their_films(
    tiny: Cascade, films: Path, kind: type
) -> None:
    paths = [str(films / "a.png"), str(films / "below" / "b.png")]
    given = {
        str(films): paths,
        f"{films}/**/*.png": paths,
        f"{films}/**": paths,
        f"{films}/**/[ab]*": paths,
        f"{films}/*.png": paths[:1],
        paths[0]: paths[:1],
        f"{films.parent}/study.zip": [
            f"{films.parent}/study.zip/{each}" for each in ("below/b.png", "a.png")
        ],
    }
    for named, expected in given.items():
        found = list(tiny.predict_many(kind(named)))
        assert [one.source for one in found] == expected
        assert {Path(one.source).name: one.outcome for one in found}["a.png"] == "viral"


STACKS: dict[str, Any] = {
    "(N, H, W)": PAIR,
    "(N, H, W, 1)": PAIR[..., None],
    "(N, H, W, 3)": np.repeat(PAIR[..., None], 3, axis=3),
    "(N, 1, H, W)": PAIR[:, None],
    "(N, 3, H, W)": np.repeat(PAIR[:, None], 3, axis=1),
    "tensor (N, 1, H, W)": torch.from_numpy(PAIR[:, None]),
    "tensor of floats": torch.from_numpy(PAIR).float() / 255,
}


@pytest.mark.parametrize("shape", STACKS)
def test_a_stack_is_as_its_films_one_by_one(tiny: Cascade, shape: str) -> None:
    found = list(tiny.predict_many(STACKS[shape]))
    assert [one.outcome for one in found] == ["viral", "normal"]
    assert [one.source for one in found] == ["array[0]", "array[1]"]
    chances = [one.stage1.probabilities["pneumonia"] for one in found if one.stage1]
    alone = [tiny.predict(film).stage1 for film in (VIRAL, NORMAL)]
    assert chances == pytest.approx([one.probabilities["pneumonia"] for one in alone if one], abs=1e-3)
    assert tiny.embed(STACKS[shape]).shape[0] == 2


def test_an_array_of_paths_is_a_list_of_them(tiny: Cascade, films: Path) -> None:
    column = np.array([str(films / "a.png")] * 2)
    assert [one.outcome for one in tiny.predict_many(column)] == ["viral", "viral"]


ONE: dict[str, Any] = {
    "(H, W)": VIRAL,
    "(H, W, 3)": np.repeat(VIRAL[..., None], 3, axis=2),
    "tensor (H, W)": torch.from_numpy(VIRAL),
    "bytes": b"film",
    "bytearray": bytearray(b"film"),
    "memoryview": memoryview(b"film"),
    "file": io.BytesIO(b"film"),
    "image": Image.fromarray(VIRAL),
    "data set": film_object(VIRAL),
}


@pytest.mark.parametrize("kind", ONE)
def test_one_film_is_given_to_predict(tiny: Cascade, kind: str) -> None:
    with pytest.raises(UsageError, match="give one film to predict"):
        tiny.predict_many(ONE[kind])


@pytest.mark.parametrize("wrong", [None, 5, 1.5])
def test_a_wrong_type_says_what_is_taken(tiny: Cascade, wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"paths, bytes, files, NumPy arrays, tensors.*not as"):
        tiny.predict_many(wrong)
    with pytest.raises(TypeError, match=r"path, bytes, file, NumPy array, tensor.*not as"):
        tiny.predict(wrong)
    with pytest.raises(TypeError, match=r"path, bytes, file"):
        list(tiny.predict_many([wrong]))


def test_a_threshold_decides_the_finding_and_is_told(tiny: Cascade) -> None:
    plain = tiny.predict(VIRAL)
    assert plain.stage1 is not None
    assert plain.stage2 is not None
    chance = plain.stage1.probabilities["pneumonia"]
    above, below = tiny.predict(VIRAL, threshold=chance), tiny.predict(VIRAL, threshold=chance + 1e-4)
    assert (above.finding, below.finding) == ("pneumonia", "normal")
    assert (above.operating_point, below.operating_point) == ("custom", "custom")
    assert above.stage1 is not None
    assert above.stage1.threshold == chance
    assert above.stage2 == plain.stage2
    assert below.stage2 is None
    moved = tiny.predict(VIRAL, threshold=0.2, prior=0.1)
    assert moved.stage1 is not None
    assert moved.stage1.threshold == 0.2, "on the probability that the answer shows"


@pytest.mark.parametrize("wrong", [0, 1, -0.1, 2, float("nan"), True, "0.5"])
def test_what_is_no_threshold_is_refused_at_the_call(tiny: Cascade, wrong: Any) -> None:
    with pytest.raises(UsageError, match="expected a probability above 0 and below 1"):
        tiny.predict_many([], threshold=wrong)


def test_a_threshold_and_an_operating_point_are_not_given_together(tiny: Cascade) -> None:
    with pytest.raises(UsageError, match="give one of them"):
        tiny.predict(VIRAL, threshold=0.5, operating_point="specific")
