"""A film judged again: at other settings, without the gate, turned; and what is kept of it for that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from pneumocascade import Cascade
from pneumocascade.model.gate import CHILDREN_ONLY, UNCHECKED, UNFAMILIAR
from pneumocascade.model.spec import OPERATING_POINTS
from pneumocascade.web.analysis import Analysis, analyse
from pneumocascade.web.examples import example_films
from pneumocascade.web.rejudging import AGAIN, judge_again, take_action
from pneumocascade.web.verdict_card import verdict_card
from tests.conftest import draw_chest
from tests.web.test_verdict_card import NORMAL, PNEUMONIA, text_of


@pytest.fixture
def turned(tmp_path: Path) -> Path:
    path = tmp_path / "turned.png"
    with Image.open(example_films()[1]) as film:
        film.convert("L").rotate(90, expand=True).save(path)
    return path


def test_the_small_copy_of_a_session_is_enough_for_stage_2(cascade: Cascade, tmp_path: Path) -> None:
    """A film larger than what is kept of it, pneumonia at one operating point and not at another."""
    path, findings = tmp_path / "chest.png", set()
    for opacity in np.linspace(0, 1, 8):
        Image.fromarray(draw_chest(2, 1200, 1500, opacity=float(opacity))).save(path)
        kept = analyse(cascade, path, "specific", 0.3, gate=False)
        assert kept.film is not None
        assert kept.film.shape[0] < 1200
        for point in OPERATING_POINTS:
            again = judge_again(cascade, kept, point, 0.3).prediction
            expected = cascade.predict(path, operating_point=point, prior=0.3, gate=False)
            assert again.stages == expected.stages
            assert again.warnings == expected.warnings
            findings.add((kept.prediction.finding, again.finding))
    assert ("normal", "pneumonia") in findings


def test_recorder_gets_another_operating_point_and_no_other_prior(cascade: Cascade) -> None:
    recorded: list[str] = []
    recording = Cascade(
        cascade.stage1,
        cascade.stage2,
        cascade.version,
        cascade.gate,
        recorder=lambda prediction: recorded.append(prediction.operating_point),
    )
    analysis = analyse(recording, example_films()[0], "balanced", 0.5)
    assert judge_again(recording, analysis, "balanced", 0.5) is analysis
    judge_again(recording, analysis, "balanced", 0.2)
    judge_again(recording, analysis, "sensitive", 0.2)
    judge_again(recording, analysis, "specific", 0.2, record=False)
    assert recorded == ["balanced", "sensitive"]
    with pytest.raises(gr.Error, match=AGAIN):
        judge_again(recording, analysis, "careful", 0.2)


def test_a_refused_film_is_turned_or_judged_all_the_same(cascade: Cascade, turned: Path) -> None:
    refused = replace(analyse(cascade, turned, "sensitive", 0.3), reference="bacterial")
    card = verdict_card(refused)
    assert 'data-action="repair">Turn upright and analyse' in card
    assert 'data-action="force">Analyse anyway' in card
    repaired = take_action(cascade, refused, "repair")
    expected = cascade.predict(example_films()[1], operating_point="sensitive", prior=0.3)
    assert repaired.prediction.stage1 == expected.stage1
    assert (repaired.name, repaired.reference, repaired.path) == ("turned.png", "bacterial", str(turned))
    assert "This picture was changed The film was turned by 90 degrees" in text_of(verdict_card(repaired))
    forced = take_action(cascade, refused, "force")
    assert forced.prediction.status == "ok"
    assert forced.prediction.operating_point == "sensitive"
    assert UNCHECKED in forced.prediction.warnings
    assert f"The gate was switched off {UNCHECKED}" in text_of(verdict_card(forced))
    with pytest.raises(gr.Error):
        take_action(cascade, repaired, "force")
    turned.unlink()
    with pytest.raises(gr.Error):
        take_action(cascade, refused, "repair")


def test_a_film_that_is_too_small_has_no_way_around_the_gate(cascade: Cascade, tmp_path: Path) -> None:
    path = tmp_path / "small.png"
    Image.fromarray(draw_chest(0, 64, 64)).save(path)
    refused = analyse(cascade, path, "balanced")
    assert "data-action" not in verdict_card(refused)
    for action in ("force", "repair", "", "delete"):
        with pytest.raises(gr.Error):
            take_action(cascade, refused, action)


@pytest.mark.parametrize(("warning", "who"), [(UNFAMILIAR, "The models may"), (CHILDREN_ONLY, "Stage 2 may")])
def test_films_that_the_models_do_not_know_have_a_banner(warning: str, who: str) -> None:
    unknown = replace(PNEUMONIA, warnings=(warning, "Something else."))
    html = verdict_card(Analysis(unknown))
    banner, card = html.split("<section", 1)
    assert f"{who} not know such films {warning}" in text_of(banner)
    assert warning not in text_of(card)
    assert "Something else." in text_of(card.split("pc-facts")[0])
    assert "pc-banner" not in verdict_card(Analysis(NORMAL))


def test_a_film_that_can_no_longer_be_read_is_not_put_right(cascade: Cascade, turned: Path) -> None:
    refused = analyse(cascade, turned, "balanced")
    turned.write_bytes(b"no film")
    answer = take_action(cascade, refused, "repair").prediction
    assert (answer.status, answer.source) == ("error", "turned.png")
    assert answer.error is not None
    assert answer.error.code == "unreadable_image"
