"""Rescaling, look-up tables and windows, against the standard's formulas and pydicom's functions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi, apply_windowing

from pneumocascade.imaging.dicom.lut import (
    LookUpTable,
    Window,
    modality_values,
    says_window,
    table_of,
    windows_of,
)
from tests.imaging.dicom.objects import DEEP, GREY, dataset, sequence, table

INPUTS = np.arange(4096, dtype=np.float64)
FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


@given(st.floats(-500, 5000), st.floats(2, 5000), st.sampled_from(FUNCTIONS))
def test_windows_are_those_of_pydicom(centre: float, width: float, function: str) -> None:
    item = dataset(DEEP, WindowCenter=round(centre, 3), WindowWidth=round(width, 3), VOILUTFunction=function)
    (window,) = windows_of(item, 0)
    with np.errstate(over="ignore"):
        expected = apply_windowing(INPUTS, item) / 4095
    assert np.abs(window.of(INPUTS) - expected).max() < 1e-6


def test_a_linear_window_as_the_standard_has_it() -> None:
    """The example of DICOM PS3.3, C.11.2.1.2.1: centre 2048, width 4096 is the whole range of 12 bits."""
    assert np.allclose(Window(2048, 4096).of(INPUTS), INPUTS / 4095)
    assert Window(0, 1).of(np.array([-1.0, -0.5, 0.0, 1.0])).tolist() == [0, 0, 1, 1]
    assert Window(100, 10, "LINEAR_EXACT").of(np.array([95.0, 100.0, 105.0])).tolist() == [0, 0.5, 1]
    assert Window(100, 10, "SIGMOID").of(np.array([-1e9, 100.0, 1e9])).tolist() == pytest.approx([0, 0.5, 1])


@given(st.floats(-100, 100), st.floats(1, 3000), st.sampled_from(FUNCTIONS))
def test_a_window_rises_from_black_to_white(centre: float, width: float, function: str) -> None:
    shown = Window(centre, width, function).of(np.linspace(-5000, 5000, 1001))
    assert (np.diff(shown) >= 0).all()
    assert 0 <= shown[0] < 0.05
    assert 0.95 < shown[-1] <= 1


@pytest.mark.parametrize("width", [0, -5, 0.5, None])
def test_a_window_without_width_is_none(width: float | None) -> None:
    item = dataset(DEEP, WindowCenter=100, WindowWidth=1)
    item.WindowWidth = width
    assert windows_of(item, 0) == []
    assert says_window(item, 0) == (width is not None)
    assert windows_of(dataset(DEEP), 0) == []


def test_all_windows_are_found_in_their_order() -> None:
    item = dataset(DEEP, WindowCenter=[1, 2048, 40], WindowWidth=[1, 4096, 0])
    assert windows_of(item, 0) == [Window(1, 1), Window(2048, 4096)]


def test_an_empty_look_up_table_says_nothing() -> None:
    assert not says_window(dataset(DEEP, VOILUTSequence=sequence(Dataset())), 0)


def test_a_narrow_exact_window_is_one() -> None:
    item = dataset(DEEP, WindowCenter=100, WindowWidth=0.5, VOILUTFunction="LINEAR_EXACT")
    assert windows_of(item, 0) == [Window(100, 0.5, "LINEAR_EXACT")]


@given(st.floats(-4, 4), st.floats(-2000, 2000))
def test_rescaling_is_that_of_pydicom(slope: float, intercept: float) -> None:
    item = dataset(DEEP, RescaleSlope=round(slope, 4) or 1, RescaleIntercept=round(intercept, 4))
    assert np.allclose(modality_values(item, INPUTS, 0), apply_modality_lut(INPUTS, item))


def test_a_slope_of_nought_is_left_out() -> None:
    assert np.array_equal(modality_values(dataset(DEEP, RescaleSlope=0), INPUTS, 0), INPUTS)


@pytest.mark.parametrize("first", [0, 100, -200])
@pytest.mark.parametrize(("bits", "kind"), [(16, np.uint16), (8, np.uint8)])
def test_look_up_tables_are_those_of_pydicom(first: int, bits: int, kind: type) -> None:
    entries: NDArray[np.integer] = np.random.default_rng(0).integers(0, 2**bits, 200).astype(kind)
    # pydicom's table wraps where it has 8 bits, and inputs lie 256 or more above the first.
    inputs = np.arange(-1000, 1000 if bits == 16 else first + 256)
    item = dataset(DEEP.astype(np.int16), 16, VOILUTSequence=sequence(table(first, entries, bits)))
    found = table_of(item, "VOILUTSequence", signed=True)
    assert found is not None
    assert np.array_equal(found.of(inputs.astype(np.float64)), apply_voi(inputs, item))
    item.ModalityLUTSequence = item.VOILUTSequence
    assert np.array_equal(
        modality_values(item, inputs.astype(np.float64), 0), apply_modality_lut(inputs, item)
    )


def test_what_pydicoms_tables_do_not_take() -> None:
    entries = (np.arange(4096) // 16).astype(np.uint8)
    for word in (True, False):  # bytes in words of their own, or two in a word
        item = dataset(DEEP, VOILUTSequence=sequence(table(0, entries, 8, word=word)))
        found = table_of(item, "VOILUTSequence", signed=False)
        assert found is not None
        assert np.array_equal(found.of(INPUTS), entries)
        assert found.bits == 8
    twelve = dataset(DEEP, ModalityLUTSequence=sequence(table(0, np.arange(4096)[::-1], 12)))
    assert np.array_equal(modality_values(twelve, INPUTS, 0), INPUTS[::-1])


def test_a_table_of_65536_entries_says_nought() -> None:
    entries = np.arange(65536)[::-1]
    item = dataset(DEEP, 16, VOILUTSequence=sequence(table(0, entries, 16)))
    assert item.VOILUTSequence[0].LUTDescriptor[0] == 0
    found = table_of(item, "VOILUTSequence", signed=False)
    assert found is not None
    assert np.array_equal(found.of(np.arange(65536.0)), entries)


def test_the_first_input_is_signed_where_there_are_negative_ones() -> None:
    item = dataset(DEEP, VOILUTSequence=sequence(table(65000, np.arange(100), 16)))
    unsigned, signed = (table_of(item, "VOILUTSequence", signed=signed) for signed in (False, True))
    assert unsigned is not None
    assert signed is not None
    assert (unsigned.first, signed.first) == (65000, 65000 - 65536)


def test_a_table_that_says_too_few_bits_gets_those_that_it_uses() -> None:
    item = dataset(DEEP, VOILUTSequence=sequence(table(0, np.arange(4096), 8)))
    found = table_of(item, "VOILUTSequence", signed=False)
    assert found is not None
    assert found.bits == 12


@pytest.mark.parametrize("change", ["no data", "no descriptor", "too short", "too deep", "two numbers"])
def test_a_damaged_table_is_none(change: str) -> None:
    item = table(0, np.arange(100), 12)
    if change == "no data":
        del item.LUTData
    elif change == "no descriptor":
        del item.LUTDescriptor
    elif change == "too short":
        item.LUTData = item.LUTData[:50]
    else:
        item["LUTDescriptor"].value = [100, 0, 99] if change == "too deep" else [100, 0]
    assert table_of(dataset(GREY, 8, VOILUTSequence=sequence(item)), "VOILUTSequence", signed=False) is None


def test_beyond_its_ends_a_table_goes_on_level() -> None:
    found = LookUpTable(10, np.array([3.0, 4.0, 5.0]), 8).of(np.array([-99.0, 10.4, 10.6, 12.0, 99.0]))
    assert found.tolist() == [3, 3, 4, 5, 5]
