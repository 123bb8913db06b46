"""The only way through the models: order, laziness, bad films, one answer on every way in."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import pneumocascade
from pneumocascade import Cascade, Prediction, Radiograph, UsageError, read_radiograph
from pneumocascade.inference.cascade import neither_fits
from pneumocascade.model.gate import UNCHECKED
from pneumocascade.model.onnx_classifier import ModelOutput
from pneumocascade.model.spec import OPERATING_POINTS
from tests.conftest import draw_chest, vary_example
from tests.tiny_models import PNEUMONIA_FROM, SCALE, VIRAL_FROM, write_tiny_models

if TYPE_CHECKING:
    from pneumocascade.inference.prepare import AnySource

NORMAL, BACTERIAL, VIRAL = 60, 120, 180
"""Mean grey values that the tiny models call by these names."""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Cascade:
    """A cascade whose answers are known: see ``tiny_models``."""
    return Cascade.load(write_tiny_models(tmp_path_factory.mktemp("tiny")), threads=1)


def film_of(mean: float, seed: int = 0) -> NDArray[np.uint8]:
    """Return a film with a picture on it and, nearly, the given mean grey value."""
    chest = draw_chest(seed, height=224, width=224).astype(np.float32)
    return np.asarray(np.clip((chest - chest.mean()) * 0.3 + mean, 0, 255), np.uint8)


def without_time(prediction: Prediction) -> dict[str, Any]:
    content = prediction.to_dict()
    del content["elapsed_ms"]
    return content


def probabilities(prediction: Prediction) -> dict[str, float]:
    stages = [stage for stage in (prediction.stage1, prediction.stage2) if stage is not None]
    return {label: value for stage in stages for label, value in stage.probabilities.items()}


def assert_same_answer(found: Prediction, expected: Prediction, tolerance: float = 1e-3) -> None:
    assert (found.status, found.finding, found.aetiology) == (
        expected.status,
        expected.finding,
        expected.aetiology,
    )
    assert probabilities(found) == pytest.approx(probabilities(expected), abs=tolerance)


def assert_consistent(prediction: Prediction, cascade: Cascade) -> None:
    """Check what the contract promises of every answer."""
    assert prediction.model_version == cascade.version
    assert prediction.elapsed_ms > 0
    if prediction.status != "ok":
        assert (prediction.finding, prediction.aetiology, prediction.stage1, prediction.stage2) == (None,) * 4
        assert (prediction.error is None) == (prediction.status == "refused")
        assert bool(prediction.reasons) == (prediction.status == "refused")
        return
    assert prediction.reasons == ()
    assert prediction.error is None
    assert prediction.stage1 is not None
    assert prediction.finding == prediction.stage1.label
    assert (prediction.stage2 is None) == (prediction.finding == "normal")
    assert prediction.aetiology == (prediction.stage2.label if prediction.stage2 else None)
    for stage, model in ((prediction.stage1, cascade.model_of(1)), (prediction.stage2, cascade.model_of(2))):
        if stage is not None:
            negative, positive = model.spec.labels
            assert sum(stage.probabilities.values()) == pytest.approx(1, abs=1e-9)
            assert stage.threshold == model.spec.point(prediction.operating_point).threshold
            assert stage.label == (positive if stage.probabilities[positive] >= stage.threshold else negative)
            assert set(stage.prediction_set) <= {negative, positive}
            assert stage.label in stage.prediction_set or not stage.prediction_set
            empty = neither_fits(model.spec.stage)
            assert (empty in prediction.warnings) == (not stage.prediction_set)


# The contract, with the bundled models

EXAMPLE = Path(pneumocascade.__file__).parent / "examples" / "NORMAL2-IM-1442-0001.jpeg"


@pytest.fixture(scope="module")
def chests() -> list[NDArray[np.uint8]]:
    return [draw_chest(seed, opacity=seed / 4) for seed in range(4)]


@pytest.fixture(scope="module")
def one_by_one(cascade: Cascade, chests: list[NDArray[np.uint8]]) -> list[Prediction]:
    return [cascade.predict(film, gate=False) for film in chests]  # the gate takes phantoms for drawings


@pytest.mark.parametrize("point", OPERATING_POINTS)
def test_answers_of_the_bundled_models_are_consistent(cascade: Cascade, point: str) -> None:
    prediction = cascade.predict(EXAMPLE, operating_point=point)
    assert prediction.status == "ok"
    assert prediction.operating_point == point
    assert_consistent(prediction, cascade)


@pytest.mark.parametrize(("batch_size", "workers", "parallel"), [(1, 1, 1), (3, 2, 2), (16, 4, 1), (2, 1, 3)])
def test_batches_and_workers_do_not_change_the_answer(
    cascade: Cascade,
    chests: list[NDArray[np.uint8]],
    one_by_one: list[Prediction],
    batch_size: int,
    workers: int,
    parallel: int,
) -> None:
    settings: dict[str, Any] = {"batch_size": batch_size, "workers": workers, "parallel": parallel}
    found = list(cascade.predict_many(chests, **settings, gate=False))
    assert len(found) == len(chests)
    for prediction, expected in zip(found, one_by_one, strict=True):
        assert_same_answer(prediction, expected)
        assert_consistent(prediction, cascade)


def test_every_kind_of_source_gives_the_same_answer(
    cascade: Cascade, chest: NDArray[np.uint8], chest_png: Path
) -> None:
    image = Image.fromarray(chest)
    stream = io.BytesIO()
    image.save(stream, "TIFF")
    sources: dict[str, AnySource] = {
        str(chest_png): chest_png,
        "bytes": chest_png.read_bytes(),
        "array": np.repeat(chest[..., None], 3, axis=2),
        "image": image.convert("RGB"),
        "Radiograph": read_radiograph(chest, "Radiograph"),
    }
    expected = cascade.predict(str(chest_png), gate=False)
    assert expected.source == str(chest_png)
    for name, source in sources.items():
        found = cascade.predict(source, gate=False)
        assert found.source == name
        assert without_time(replace(found, source=expected.source)) == without_time(expected)
    assert_same_answer(cascade.predict(stream.getvalue(), gate=False), expected, 0)


def test_four_threads_get_the_same_answers(
    cascade: Cascade, chests: list[NDArray[np.uint8]], one_by_one: list[Prediction]
) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda film: cascade.predict(film, gate=False), chests))
    for prediction, expected in zip(found, one_by_one, strict=True):
        assert_same_answer(prediction, expected)


# Which stage runs when, with models whose answer is known


@pytest.mark.parametrize(
    ("mean", "finding", "aetiology"),
    [(NORMAL, "normal", None), (BACTERIAL, "pneumonia", "bacterial"), (VIRAL, "pneumonia", "viral")],
)
def test_stage_two_runs_only_where_stage_one_says_pneumonia(
    tiny: Cascade, mean: int, finding: str, aetiology: str | None
) -> None:
    film = film_of(mean)
    prediction = tiny.predict(film)
    assert (prediction.finding, prediction.aetiology) == (finding, aetiology)
    assert_consistent(prediction, tiny)
    logistic = 1 / (1 + np.exp(-(film.mean() - PNEUMONIA_FROM) / SCALE))
    assert prediction.stage1 is not None
    assert prediction.stage1.probabilities["pneumonia"] == pytest.approx(logistic, abs=0.02)
    if prediction.stage2 is not None:
        logistic = 1 / (1 + np.exp(-(film.mean() - VIRAL_FROM) / SCALE))
        assert prediction.stage2.probabilities["viral"] == pytest.approx(logistic, abs=0.02)


@settings(max_examples=25)
@given(st.floats(20, 230), st.sampled_from(OPERATING_POINTS))
def test_every_answer_is_consistent(tiny: Cascade, mean: float, point: str) -> None:
    assert_consistent(tiny.predict(film_of(mean), operating_point=point), tiny)


def test_the_operating_point_moves_the_finding_not_the_probability(tiny: Cascade) -> None:
    found = {
        point: tiny.predict(film_of(PNEUMONIA_FROM - 4), operating_point=point) for point in OPERATING_POINTS
    }
    assert {point: prediction.finding for point, prediction in found.items()} == {
        "balanced": "normal",
        "sensitive": "pneumonia",
        "specific": "normal",
    }
    stages = [prediction.stage1 for prediction in found.values() if prediction.stage1]
    assert len({stage.probabilities["pneumonia"] for stage in stages}) == 1
    assert [stage.threshold for stage in stages] == [0.5, 0.3, 0.7]


# The gate


INVERTED = 225
"""Mean grey value that the tiny gate takes for a negative's; it comes out a little lower."""


@pytest.fixture(scope="session")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Cascade:
    """The tiny cascade with a gate: see ``tiny_models``."""
    return Cascade.load(write_tiny_models(tmp_path_factory.mktemp("gated"), gate=True), threads=1)


def test_a_film_refused_by_its_features_gets_no_finding(gated: Cascade) -> None:
    prediction = gated.predict(film_of(INVERTED))
    assert (prediction.status, [reason.code for reason in prediction.reasons]) == ("refused", ["inverted"])
    assert_consistent(prediction, gated)
    assert prediction.warnings == ()


def test_refused_films_disturb_no_other(gated: Cascade, tiny: Cascade) -> None:
    means = [VIRAL, INVERTED, NORMAL, INVERTED, INVERTED, BACTERIAL, VIRAL]
    for batch_size in (1, 3, 16):
        found = list(gated.predict_many([film_of(mean) for mean in means], batch_size=batch_size))
        assert [outcome(prediction) for prediction in found] == [
            "refused" if mean == INVERTED else outcome(tiny.predict(film_of(mean))) for mean in means
        ]


def test_without_the_gate_every_film_is_judged_and_says_so(gated: Cascade, tiny: Cascade) -> None:
    blank = Radiograph(np.full((200, 200), 7, np.uint8), "film")
    colour = np.dstack([film_of(VIRAL), 255 - film_of(VIRAL), film_of(NORMAL)])
    sources: list[AnySource] = [film_of(INVERTED), blank, colour, film_of(NORMAL)]
    found = list(gated.predict_many(sources, gate=False))
    assert [prediction.status for prediction in found] == ["ok"] * 4
    assert [prediction.warnings for prediction in found] == [(UNCHECKED,)] * 4
    checked = tiny.predict(film_of(NORMAL))
    assert found[-1].familiarity is not None
    plain = replace(found[-1], warnings=(), elapsed_ms=0, familiarity=None)
    assert plain == replace(checked, elapsed_ms=0), "these models have no gate, so no familiarity"


def test_without_the_gate_too_small_stays_too_small(gated: Cascade) -> None:
    small = gated.predict(draw_chest(height=60, width=60), gate=False)
    assert (small.status, [reason.code for reason in small.reasons]) == ("refused", ["too_small"])
    assert small.warnings == (UNCHECKED,)


def test_of_what_was_not_read_nothing_was_checked(gated: Cascade) -> None:
    unread = gated.predict(b"not a film", gate=False)
    assert (unread.status, unread.warnings) == ("error", ())


def test_notes_of_reading_stand_before_the_warning(gated: Cascade) -> None:
    prediction = gated.predict(film_of(VIRAL).astype(np.uint16) * 16, gate=False)
    assert [note.split(";")[0] for note in prediction.warnings] == [
        "the film uses 12 of its 16 bits",
        UNCHECKED,
    ]


def test_one_stage_on_its_own_asks_no_gate(gated: Cascade) -> None:
    (result,) = gated.stage_results(1, [read_radiograph(film_of(INVERTED))])
    assert result.label == "pneumonia"


# Many films


MIXED: list[tuple[int | bytes, str]] = [
    (NORMAL, "normal"),
    (b"not a film", "error"),
    (VIRAL, "viral"),
    (b"", "error"),
    (0, "refused"),
    (BACTERIAL, "bacterial"),
    (b"\x89PNG\r\n\x1a\n", "error"),
    (NORMAL, "normal"),
    (VIRAL, "viral"),
]


def mixed_source(kind: int | bytes) -> NDArray[np.uint8] | bytes:
    if isinstance(kind, bytes):
        return kind
    return film_of(kind) if kind else draw_chest(height=60, width=60)


def outcome(prediction: Prediction) -> str:
    return prediction.aetiology or prediction.finding or prediction.status


@settings(max_examples=15)
@given(st.lists(st.sampled_from(MIXED), max_size=20), st.integers(1, 7), st.integers(1, 3), st.integers(1, 3))
def test_order_is_kept_and_bad_films_disturb_no_other(
    tiny: Cascade, chosen: list[tuple[int | bytes, str]], batch_size: int, workers: int, parallel: int
) -> None:
    sources = [mixed_source(kind) for kind, _ in chosen]
    names = [f"film {index}" for index in range(len(chosen))]
    settings: dict[str, Any] = {"batch_size": batch_size, "workers": workers, "parallel": parallel}
    found = list(tiny.predict_many(sources, **settings, names=names))
    assert [prediction.source for prediction in found] == names
    assert [outcome(prediction) for prediction in found] == [expected for _, expected in chosen]
    for prediction in found:
        assert_consistent(prediction, tiny)


def test_a_bad_film_says_why(tiny: Cascade, tmp_path: Path) -> None:
    missing = tmp_path / "missing.png"
    prediction = tiny.predict(missing)
    assert (prediction.source, prediction.status) == (str(missing), "error")
    assert prediction.error is not None
    assert prediction.error.code == "file_not_found"
    small = tiny.predict(draw_chest(height=60, width=60))
    assert [reason.code for reason in small.reasons] == ["too_small"]


def test_notes_of_reading_reach_the_answer(tiny: Cascade) -> None:
    prediction = tiny.predict(film_of(VIRAL).astype(np.uint16) * 16)
    assert prediction.warnings == ("the film uses 12 of its 16 bits; its grey values were stretched",)
    assert prediction.aetiology == "viral"


def test_films_are_taken_up_as_they_are_needed(tiny: Cascade) -> None:
    taken = 0

    def endless() -> Iterator[NDArray[np.uint8]]:
        nonlocal taken
        for mean in itertools.cycle((NORMAL, VIRAL)):
            taken += 1
            yield film_of(mean)

    answers = tiny.predict_many(endless(), batch_size=4, workers=2, names=map(str, itertools.count()))
    assert taken == 0
    first = list(itertools.islice(answers, 6))
    assert 8 <= taken <= 16, "two batches were asked for, two may be prefetched"
    assert [outcome(prediction) for prediction in first] == ["normal", "viral"] * 3
    assert [prediction.source for prediction in first] == list("012345")
    taken = 0
    list(itertools.islice(tiny.predict_many(endless(), batch_size=4, parallel=2), 6))
    assert 8 <= taken <= 4 * 8, "two batches were asked for; four may be in work, and two more prefetched"


def test_no_films_no_answers(tiny: Cascade) -> None:
    assert list(tiny.predict_many([])) == []


def test_names_are_shown_in_place_of_the_source(tiny: Cascade) -> None:
    film = film_of(VIRAL)
    assert tiny.predict(film).source == "array"
    assert tiny.predict(film, name="patient 1").source == "patient 1"
    assert tiny.predict(b"no film", name="patient 2").source == "patient 2"
    assert tiny.predict(read_radiograph(film, "mine"), name="yours").source == "yours"
    assert tiny.predict(read_radiograph(film, "mine")).source == "mine"


def test_a_radiograph_goes_through_the_gate_too(tiny: Cascade) -> None:
    grey = Radiograph(np.full((200, 200), 7, np.uint8), "film")
    prediction = tiny.predict(grey)
    assert (prediction.status, [reason.code for reason in prediction.reasons]) == ("refused", ["blank"])


def test_sixteen_threads_share_one_cascade(tiny: Cascade) -> None:
    means = [NORMAL, BACTERIAL, VIRAL] * 8
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda mean: outcome(tiny.predict(film_of(mean))), means))
    assert found == ["normal", "bacterial", "viral"] * 8


# Wrong usage


@pytest.mark.parametrize("point", ["", "best", "Balanced", None, 0.5])
def test_an_unknown_operating_point_is_an_error_at_the_call(tiny: Cascade, point: Any) -> None:
    with pytest.raises(UsageError, match="models store balanced, sensitive, specific"):
        tiny.predict(film_of(VIRAL), operating_point=point)
    with pytest.raises(UsageError, match="models store balanced, sensitive, specific"):
        tiny.predict_many([], operating_point=point)


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_size": 0},
        {"batch_size": -1},
        {"batch_size": 2.5},
        {"workers": 0},
        {"workers": "2"},
        {"parallel": 0},
    ],
    ids=str,
)
def test_a_batch_of_nothing_is_an_error_at_the_call(tiny: Cascade, settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="expected whole numbers, at least 1"):
        tiny.predict_many([], **settings)


def test_on_the_cpu_films_go_through_the_models_one_by_one(
    tiny: Cascade, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    run = tiny.stage1.run

    def note(batch: NDArray[np.float32]) -> ModelOutput:
        sizes.append(len(batch))
        return run(batch)

    monkeypatch.setattr(tiny.stage1, "run", note)
    films = [vary_example(seed, 130, 130) for seed in range(5)]
    list(tiny.predict_many(films))
    list(tiny.predict_many(films, batch_size=np.int64(5)))
    assert sizes == [1, 1, 1, 1, 1, 5]


@pytest.mark.parametrize(
    "one",
    [
        b"bytes",
        np.zeros((64, 64), np.uint8),
        Image.new("L", (64, 64)),
        Radiograph(np.zeros((64, 64), np.uint8), "film"),
    ],
    ids=["bytes", "array", "image", "Radiograph"],
)
def test_one_film_is_not_taken_for_many(tiny: Cascade, one: Any) -> None:
    with pytest.raises(UsageError, match="several films"):
        tiny.predict_many(one)


def test_as_many_names_as_films(tiny: Cascade) -> None:
    with pytest.raises(UsageError, match="1 names were given for 2 films"):
        tiny.predict_many(["a.png", "b.png"], names=["a"])
    with pytest.raises(UsageError, match="one name for each film"):
        tiny.predict_many(["a.png", "b.png"], names="ab")


@pytest.mark.parametrize("names", [["a"], ["a", "b", "c"]])
def test_as_many_lazy_names_as_films(tiny: Cascade, names: list[str]) -> None:
    answers = tiny.predict_many(iter(["a.png", "b.png"]), batch_size=1, names=iter(names))
    assert next(answers).source == "a"
    with pytest.raises(UsageError, match="names were given"):
        list(answers)


def test_one_stage_on_its_own(tiny: Cascade) -> None:
    films = [read_radiograph(film_of(mean)) for mean in (BACTERIAL, VIRAL)]
    assert [result.label for result in tiny.stage_results(2, films)] == ["bacterial", "viral"]
    assert tiny.stage_results(1, films[:1], "specific") == [
        tiny.predict(films[0], operating_point="specific").stage1
    ]
    assert tiny.stage_results(2, []) == []
    with pytest.raises(UsageError, match="stage is 3"):
        tiny.stage_results(3, films)
    with pytest.raises(UsageError, match="'lucky'"):
        tiny.stage_results(1, films, "lucky")
