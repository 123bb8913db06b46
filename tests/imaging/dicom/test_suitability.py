"""What a film's acquisition says to the gate."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumocascade.imaging.dicom.suitability import OTHER_AGE, reasons_to_refuse, warnings_of
from pneumocascade.types import Acquisition


def codes(**said: Any) -> list[str]:
    return [reason.code for reason in reasons_to_refuse(Acquisition(**said))]


def test_what_is_not_said_refuses_nothing() -> None:
    assert codes() == []
    assert warnings_of(Acquisition()) == ()


@pytest.mark.parametrize("modality", ["CR", "DX", "SC", "OT", "RG", "RF", "DR", ""])
def test_modalities_of_radiographs_pass(modality: str) -> None:
    assert codes(modality=modality) == []


@pytest.mark.parametrize("modality", ["CT", "MR", "US", "MG", "NM", "PT", "XA", "IO", "PX", "XC", "SEG"])
def test_other_modalities_are_no_radiographs(modality: str) -> None:
    assert codes(modality=modality) == ["not_a_radiograph"]
    assert codes(modality=modality.lower()) == ["not_a_radiograph"]


@pytest.mark.parametrize(
    "part",
    [
        "CHEST",
        "THORAX",
        "CHEST PA",
        "PORT CHEST",
        "CHESTABDOMEN",
        "CHEST AND ABDOMEN",
        "NECK, CHEST AND ABDOMEN",
        "LUNG",
        "HEART",
        "RIB",
        "STERNUM",
        "WHOLEBODY",
        "TORSO",
        "THX",
        "UNKNOWN",
        "CHEST SPECIAL",
    ],
)
def test_what_may_be_a_chest_passes(part: str) -> None:
    assert codes(body_part=part) == []


@pytest.mark.parametrize(
    "part",
    [
        "ABDOMEN",
        "PELVIS",
        "SKULL",
        "HAND",
        "Hand",
        "FOOT",
        "KNEE",
        "HIP",
        "SHOULDER",
        "CLAVICLE",
        "BREAST",
        "CSPINE",
        "TSPINE",
        "LSPINE",
        "THORACIC SPINE",
        "SPINE",
        "LOWER LEG",
        "ABDOMEN AND PELVIS",
    ],
)
def test_other_parts_are_no_chest(part: str) -> None:
    assert codes(body_part=part) == ["not_a_chest_radiograph"]


@pytest.mark.parametrize("view", ["AP", "PA", "", "ANTERO-POSTERIOR", "FRONTAL", "AP SUPINE", "BILATERAL"])
def test_frontal_views_pass(view: str) -> None:
    assert codes(view_position=view) == []


@pytest.mark.parametrize(
    "view",
    [
        "LATERAL",
        "LL",
        "RL",
        "LLD",
        "RLD",
        "LLO",
        "RLO",
        "LAT",
        "LEFT LATERAL",
        "AP OBLIQUE",
        "RIGHT DECUBITUS",
    ],
)
def test_views_from_the_side_do_not(view: str) -> None:
    assert codes(view_position=view) == ["not_frontal"]


def test_every_reason_is_named() -> None:
    said = {"modality": "CT", "body_part": "KNEE", "view_position": "LL"}
    assert codes(**said) == ["not_a_radiograph", "not_a_chest_radiograph", "not_frontal"]


@given(st.text(max_size=40))
def test_the_answer_does_not_quote_the_object(name: str) -> None:
    """A damaged object may have a name anywhere."""
    found = reasons_to_refuse(Acquisition("CT", f"HAND {name}", f"LATERAL {name}"))
    messages = [reason.message for reason in reasons_to_refuse(Acquisition("CT", "HAND", "LATERAL"))]
    assert {reason.message for reason in found} <= set(messages)
    assert reasons_to_refuse(Acquisition(modality=f"CT {name}?")) == ()


@pytest.mark.parametrize(("years", "warned"), [(0.9, True), (1, False), (5.9, False), (6, True), (70, True)])
def test_ages_that_the_models_did_not_learn_from_are_warned_of(years: float, warned: bool) -> None:
    assert warnings_of(Acquisition(age_years=years)) == ((OTHER_AGE,) if warned else ())
