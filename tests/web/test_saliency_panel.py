"""The map of a stage as a layer over the film, or why there is none."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pneumocascade import Prediction, StageResult
from pneumocascade.explain.saliency import heat_layer
from pneumocascade.web.analysis import Analysis
from pneumocascade.web.saliency_panel import saliency_view
from tests.web.test_verdict_card import NORMAL, PNEUMONIA, REFUSED, text_of

FILM = np.full((60, 80), 90, np.uint8)


def with_map(result: StageResult | None, seed: int) -> StageResult:
    assert result is not None
    coarse = np.random.default_rng(seed).normal(0, 3, (5, 4)).astype(np.float32)
    return replace(result, activation_map=coarse)


@pytest.fixture
def mapped() -> Prediction:
    return replace(PNEUMONIA, stage1=with_map(PNEUMONIA.stage1, 1), stage2=with_map(PNEUMONIA.stage2, 2))


def test_layers_are_the_heat_of_each_stage_that_ran(mapped: Prediction) -> None:
    html = saliency_view(Analysis(mapped, FILM), "single")
    layers = re.findall(r'data-stage="(\d)" alt="" src="data:image/png;base64,([^"]+)"', html)
    assert [stage for stage, _ in layers] == ["1", "2"]
    for (_, encoded), result in zip(layers, (mapped.stage1, mapped.stage2), strict=True):
        assert result is not None
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
            assert image.mode == "RGBA"
            assert np.array_equal(np.asarray(image), heat_layer(result, 60, 80))
    assert re.findall(r'value="(\d)"( checked)?>', html)[:2] == [("1", " checked"), ("2", "")]


def test_what_the_map_is_and_is_not_is_said(mapped: Prediction) -> None:
    text = text_of(saliency_view(Analysis(mapped, FILM), "single"))
    assert "4 x 5 places" in text
    assert "does not show where a disease is" in text
    assert "Stage 1: pneumonia" in text
    assert "Stage 2: bacterial" in text


def test_a_stage_that_did_not_run_has_no_map() -> None:
    normal = replace(NORMAL, stage1=with_map(NORMAL.stage1, 1))
    html = saliency_view(Analysis(normal, FILM), "single")
    assert 'data-stage="1"' in html
    assert 'data-stage="2"' not in html
    assert "Stage 2" not in html


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [(PNEUMONIA, "give no activation map"), (REFUSED, "There is no answer for this film")],
)
def test_where_there_is_no_map_a_sentence_says_so(prediction: Prediction, expected: str) -> None:
    html = saliency_view(Analysis(prediction, FILM), "single")
    assert expected in text_of(html)
    assert "<img" not in html
    assert "<input" not in html


def test_choices_of_two_tabs_are_kept_apart(mapped: Prediction) -> None:
    single, batch = (saliency_view(Analysis(mapped, FILM), prefix) for prefix in ("single", "batch"))
    assert not set(re.findall(r'(?:name|id)="([^"]+)"', single)) & set(
        re.findall(r'(?:name|id)="([^"]+)"', batch)
    )
