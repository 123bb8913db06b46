"""Class-activation maps: exact, in the film's geometry, and drawn as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pneumocascade import Cascade, Radiograph, StageResult, UsageError
from pneumocascade.explain.saliency import FULL_HEAT, evidence_for, heat_layer, overlay, saliency_of
from pneumocascade.model.onnx_classifier import OnnxClassifier
from tests.conftest import draw_chest
from tests.tiny_models import tiny_model, tiny_spec


def result_with(activation_map: NDArray[np.float32] | None, label: str = "pneumonia") -> StageResult:
    return StageResult({"normal": 0.3, "pneumonia": 0.7}, label, 0.5, ("pneumonia",), activation_map)


def test_the_map_adds_up_to_the_answer(tiny: Cascade) -> None:
    """Its mean is the log-odds, but for one constant of the model."""
    offsets = []
    for seed, brightness in enumerate((0.3, 0.5, 0.7)):
        film = Radiograph((draw_chest(seed, 224, 224) * brightness).astype(np.uint8), "film")
        result = tiny.stage_results(1, [film])[0]
        assert result.activation_map is not None
        probability = result.probabilities["pneumonia"]
        if 1e-4 < probability < 1 - 1e-4:
            offsets.append(np.log(probability / (1 - probability)) - result.activation_map.mean())
    assert len(offsets) >= 2
    assert np.ptp(offsets) < 0.01


def test_bright_places_of_the_film_are_where_the_brightness_model_looked(tiny: Cascade) -> None:
    pixels = np.full((300, 200), 60, np.uint8)
    pixels[150:, 100:] = 200
    film = Radiograph(pixels, "film")
    saliency = saliency_of(tiny.stage_results(1, [film])[0], 300, 200)
    assert saliency.shape == (300, 200)
    assert saliency.dtype == np.float32
    row, column = np.unravel_index(int(saliency.argmax()), saliency.shape)
    assert row > 150
    assert column > 100


def test_stretching_keeps_the_mean() -> None:
    rng = np.random.default_rng(0)
    coarse = rng.normal(size=(5, 5)).astype(np.float32)
    assert saliency_of(result_with(coarse), 500, 400).mean() == pytest.approx(coarse.mean(), abs=0.01)


def test_nothing_is_shown_where_the_network_did_not_look() -> None:
    result = replace(result_with(np.ones((5, 5), np.float32)), margin=0.1)
    expected = np.zeros((50, 80), np.float32)
    expected[5:45, 8:72] = 1
    np.testing.assert_array_equal(saliency_of(result, 50, 80), expected)
    assert heat_layer(result, 50, 80)[0, 0, 3] == 0


def test_a_model_tells_the_margin_with_its_map() -> None:
    models = tuple(
        OnnxClassifier(tiny_model(stage, replace(tiny_spec(stage), margin=0.1))) for stage in (1, 2)
    )
    result = Cascade(models[0], models[1], "1").stage_results(
        1, [Radiograph(draw_chest(1, 100, 80), "film")]
    )[0]
    assert result.margin == 0.1
    assert not saliency_of(result, 100, 80)[:10].any()
    assert saliency_of(result, 100, 80)[10:90, 8:72].all()


def test_evidence_turns_with_the_label() -> None:
    coarse = np.array([[1, -2], [0, 3]], np.float32)
    for_pneumonia = evidence_for(result_with(coarse), 2, 2)
    np.testing.assert_array_equal(for_pneumonia, coarse)
    np.testing.assert_array_equal(evidence_for(result_with(coarse, "normal"), 2, 2), -coarse)


def test_an_overlay_leaves_alone_what_does_not_speak_for_the_label() -> None:
    film = Radiograph(draw_chest(1, 100, 80), "film")
    nothing = overlay(film, result_with(np.full((5, 5), -1, np.float32)))
    assert nothing.shape == (100, 80, 3)
    np.testing.assert_array_equal(nothing, np.repeat(film.pixels[..., None], 3, axis=2))
    full = result_with(np.full((5, 5), FULL_HEAT, np.float32))
    np.testing.assert_array_equal(overlay(film, full, opacity=0), nothing)
    assert np.ptp(overlay(film, full, opacity=1).reshape(-1, 3), axis=0).max() == 0, "one colour all over"


def test_laying_the_heat_over_a_film_gives_the_overlay() -> None:
    """As a browser does: the layer's alpha times the opacity of the whole layer."""
    film = Radiograph(draw_chest(1, 100, 80), "film")
    rng = np.random.default_rng(0)
    result = result_with((3 * rng.normal(size=(5, 5))).astype(np.float32))
    layer = heat_layer(result, 100, 80).astype(np.float64)
    assert layer.shape == (100, 80, 4)
    assert np.array_equal(layer[..., 3] == 0, np.round(evidence_for(result, 100, 80) * 255 / FULL_HEAT) <= 0)
    weight = 0.6 * layer[..., 3:] / 255
    expected = film.pixels[..., None] * (1 - weight) + layer[..., :3] * weight
    assert np.abs(overlay(film, result, opacity=0.6) - expected).max() <= 0.51


def test_what_cannot_be_drawn_is_refused() -> None:
    film = Radiograph(draw_chest(1, 100, 80), "film")
    with pytest.raises(UsageError, match="no activation map"):
        overlay(film, result_with(None))
    with pytest.raises(UsageError, match="opacity is 2"):
        overlay(film, result_with(np.zeros((5, 5), np.float32)), opacity=2)


def test_the_map_is_not_part_of_what_makes_results_equal(tiny: Cascade, tmp_path: Path) -> None:
    film = Radiograph(draw_chest(1, 224, 224), str(tmp_path))
    result = tiny.stage_results(1, [film])[0]
    assert result == replace(result, activation_map=None)
    assert "activation_map" not in repr(result)
