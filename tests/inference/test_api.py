"""What people write in Python: every kind of source, embeddings, pickles, tables, cards."""

from __future__ import annotations

import copy
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pneumocascade import (
    Cascade,
    FilmError,
    ModelError,
    Prediction,
    UsageError,
    prepare,
    read_radiograph,
    to_frame,
)
from pneumocascade.types import DISCLAIMER, ROW_COLUMNS
from tests.conftest import png
from tests.reports.sources import MEANS, film_object, film_of

VIRAL, NORMAL = film_of(MEANS["viral"]), film_of(MEANS["normal"])


SOURCES: dict[str, Callable[[], Any]] = {
    "bytearray": lambda: bytearray(png(VIRAL)),
    "memoryview": lambda: memoryview(png(VIRAL)),
    "file": lambda: io.BytesIO(png(VIRAL)),
    "image": lambda: Image.fromarray(VIRAL),
    "(H, W)": lambda: VIRAL,
    "(H, W, 1)": lambda: VIRAL[..., None],
    "(1, H, W)": lambda: VIRAL[None],
    "(H, W, 3)": lambda: np.repeat(VIRAL[..., None], 3, axis=2),
    "(3, H, W)": lambda: np.repeat(VIRAL[None], 3, axis=0),
    "tensor": lambda: torch.from_numpy(VIRAL),
    "tensor (1, H, W)": lambda: torch.from_numpy(VIRAL)[None],
    "tensor of floats": lambda: torch.from_numpy(VIRAL).float() / 255,
    "data set": lambda: film_object(VIRAL),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_of_source_gives_the_same_answer(tiny: Cascade, kind: str) -> None:
    expected = tiny.predict(png(VIRAL)).stage1
    found = tiny.predict(SOURCES[kind]()).stage1
    assert expected is not None
    assert found is not None
    assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-3)
    assert tiny(SOURCES[kind]()).stage1 == found


@pytest.mark.parametrize("source", [None, 7, object(), {"path": "film.png"}, io.StringIO("film")])
def test_a_wrong_type_is_a_type_error_that_names_what_is_taken(tiny: Cascade, source: Any) -> None:
    with pytest.raises(TypeError, match=r"path, bytes, file|binary mode"):
        tiny.predict(source)
    with pytest.raises(TypeError):
        read_radiograph(source)


def test_embeddings_are_what_the_classifier_works_on(tiny: Cascade) -> None:
    rows = tiny.embed([VIRAL, png(NORMAL)])
    for row, film in zip(rows, (VIRAL, NORMAL), strict=True):
        output = tiny.stage1.run(prepare(read_radiograph(film), tiny.stage1.spec))
        np.testing.assert_allclose(row, output.features.mean(axis=(2, 3))[0], rtol=1e-5)
    assert len(tiny.embed([])) == 0
    with pytest.raises(FilmError, match="no bytes"):
        tiny.embed([VIRAL, b""])
    with pytest.raises(UsageError, match="expected 1 or 2"):
        tiny.embed([VIRAL], stage=3)


def test_a_cascade_is_pickled_by_its_folder(tiny: Cascade, models: Path) -> None:
    again = copy.copy(tiny)  # by what pickling asks an object for
    assert again is not tiny
    assert again.predict(VIRAL).stage1 == tiny.predict(VIRAL).stage1
    assert repr(again) == repr(tiny)
    assert f"models {tiny.version}, input" in repr(tiny)
    manifest = models / "manifest.json"
    before = manifest.read_bytes()
    manifest.write_bytes(before + b" ")
    with pytest.raises(ModelError, match="other models"):
        copy.copy(tiny)
    manifest.write_bytes(before)
    answers: list[Prediction] = []
    recording = Cascade.load(models, threads=1, recorder=answers.append)
    with pytest.raises(UsageError, match="reader and recorder"):
        copy.copy(recording)


def test_answers_are_hashable(tiny: Cascade) -> None:
    answer = tiny.predict(VIRAL, display=True)
    assert len({answer, tiny.predict(NORMAL), copy.deepcopy(answer)}) == 2


def test_a_table_has_a_row_for_each_answer(tiny: Cascade) -> None:
    table = to_frame(tiny.predict_many([VIRAL, NORMAL, b""]))
    assert list(table.columns) == list(ROW_COLUMNS)
    assert list(table["status"]) == ["ok", "ok", "error"]
    assert list(table["finding"][:2]) == ["pneumonia", "normal"]
    assert table["finding"].isna().tolist() == [False, False, True]
    assert table["probability_viral"].isna().tolist() == [False, True, True]


def test_a_card_shows_the_film_where_there_is_a_copy_of_it(tiny: Cascade) -> None:
    for source in (VIRAL, NORMAL, b"", np.eye(50, dtype=np.uint8)):
        answer = tiny.predict(source, display=True, name="<b>film</b>")
        html = answer._repr_html_()
        assert html is not None
        assert DISCLAIMER in html
        assert "<b>film" not in html
        assert "<script" not in html
        assert len(re.findall("<img ", html)) == (1 + len(answer.stages) if answer.display else 0)
    assert "<img" not in str(tiny.predict(VIRAL)._repr_html_())


def test_a_plot_has_the_film_and_each_stage(tiny: Cascade) -> None:
    figure = tiny.predict(VIRAL, display=True).plot()
    assert len(figure.axes) == 3
    with pytest.raises(UsageError, match="display=True"):
        tiny.predict(VIRAL).plot()
    with pytest.raises(UsageError, match="display=True"):
        Prediction("film", "error", "balanced", "1").plot()
