"""A notebook's card claims no more than the headline on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pneumocascade import Prediction, Radiograph
from pneumocascade.explain.card import card_html, plot_of
from tests.conftest import draw_chest
from tests.explain.test_verdict import answer, stage1_of, stage2_of


def borderline() -> Prediction:
    """Return an answer of a borderline stage 1 and a sure stage 2, with maps."""
    maps = np.ones((2, 2), np.float32)
    stage1 = replace(stage1_of(0.6, members={0, 1}), activation_map=maps)
    film = Radiograph(draw_chest(height=60, width=50), "a.png")
    return replace(answer(stage1, replace(stage2_of(0.9), activation_map=maps)), display=film)


def test_pictures_say_where_the_stage_cannot_tell() -> None:
    html = card_html(borderline())
    assert "<b>Borderline, above the threshold</b>" in html
    assert "what speaks for pneumonia (borderline)" in html
    assert "what speaks for viral (undetermined)" in html
    titles = [axes.get_title() for axes in plot_of(borderline()).axes]
    expected = ["pneumonia (borderline)", "viral (undetermined)"]
    assert titles == ["Film", *(f"What speaks for {label}" for label in expected)]
