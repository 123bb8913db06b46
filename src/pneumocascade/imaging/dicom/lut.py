"""Modality and VOI: from stored values to what is shown, by rescaling, look-up tables and windows.

pydicom has functions for these; its tests are held against them. They are not used here because its
look-up tables take no rescaled (float) input, wrap with more than 256 entries of 8 bits and know no
depth of 12 bits in a Modality LUT, and because its window turns a picture with a negative slope around.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian

from pneumocascade.imaging.dicom.values import (
    first_of,
    functional_group,
    items_of,
    number_of,
    numbers_of,
    text_of,
    value_of,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class LookUpTable:
    """A look-up table (DICOM PS3.3, C.11.1.1 and C.11.2.1.1).

    Attributes
    ----------
    first : int
        Input that the first entry is for; what lies below gets it, too.
    entries : ndarray of float64, shape (N,)
    bits : int
        Of an entry, as the descriptor says, or as many as the entries need.
    """

    first: int
    entries: Floats
    bits: int

    @property
    def bits_used(self) -> int:
        """Bits that the largest entry needs."""
        return max(1, int(self.entries.max()).bit_length())

    @property
    def white(self) -> float:
        """What white is: the largest entry where the entries use fewer bits than the descriptor says."""
        return float(self.entries.max()) if self.bits_used < self.bits else float(2**self.bits - 1)

    def of(self, values: Floats) -> Floats:
        """Return the entries for values, those beyond the ends getting the last ones."""
        index = np.clip(np.round(values) - self.first, 0, self.entries.size - 1).astype(np.intp)
        return self.entries[index]


@dataclass(frozen=True, slots=True)
class Window:
    """A window (DICOM PS3.3, C.11.2.1.2 and C.11.2.1.3).

    Attributes
    ----------
    centre, width : float
        In values after the modality transformation.
    function : str
        ``LINEAR``, ``LINEAR_EXACT`` or ``SIGMOID``; anything else counts as the first.
    """

    centre: float
    width: float
    function: str = "LINEAR"

    def of(self, values: Floats) -> Floats:
        """Return what is shown of values: 0 (black) to 1 (white)."""
        if self.function == "SIGMOID":
            steep = np.clip(-4 * (values - self.centre) / self.width, -700, 700)
            return np.asarray(1 / (1 + np.exp(steep)))
        if self.function == "LINEAR_EXACT":
            return np.clip((values - self.centre) / self.width + 0.5, 0, 1)
        if self.width <= 1:
            return (values > self.centre - 0.5).astype(np.float64)
        return np.clip((values - (self.centre - 0.5)) / (self.width - 1) + 0.5, 0, 1)


def modality_values(dataset: Dataset, stored: Floats, index: int) -> Floats:
    """Return what stored values mean: by Modality LUT, else by rescaling (DICOM PS3.3, C.11.1).

    Parameters
    ----------
    dataset : pydicom.Dataset
    stored : ndarray of float64
        Stored values, rising.
    index : int
        Of the frame, from 0: rescaling may stand in its functional group (C.7.6.16.2.9).
    """
    if (table := table_of(dataset, "ModalityLUTSequence", signed=stored[0] < 0)) is not None:
        return table.of(stored)
    group = functional_group(dataset, index, "PixelValueTransformationSequence")
    slope, intercept = number_of(group, "RescaleSlope"), number_of(group, "RescaleIntercept")
    return stored * (slope or 1.0) + (intercept or 0.0)  # a slope of 0 would leave nothing of the film


def windows_of(dataset: Dataset, index: int) -> list[Window]:
    """Return the usable windows of a frame, in their order (DICOM PS3.3, C.11.2 and C.7.6.16.2.10)."""
    group = functional_group(dataset, index, "FrameVOILUTSequence")
    function = text_of(group, "VOILUTFunction") or "LINEAR"
    pairs = zip(numbers_of(group, "WindowCenter"), numbers_of(group, "WindowWidth"), strict=False)
    return [
        Window(centre, width, function)
        for centre, width in pairs
        if centre is not None and width is not None and width >= (1 if function == "LINEAR" else 1e-9)
    ]


def says_window(dataset: Dataset, index: int) -> bool:
    """Return whether a frame comes with a window or a VOI LUT, usable or not; an empty one says nothing."""
    group = functional_group(dataset, index, "FrameVOILUTSequence")
    tables = items_of(dataset, "VOILUTSequence")
    return first_of(group, "WindowWidth") is not None or any(value_of(table, "LUTData") for table in tables)


def table_of(dataset: Dataset, keyword: str, *, signed: bool) -> LookUpTable | None:
    """Return the first look-up table of a sequence, ``None`` where there is none or it is damaged.

    Parameters
    ----------
    dataset : pydicom.Dataset
    keyword : str
        ``"ModalityLUTSequence"`` or ``"VOILUTSequence"``.
    signed : bool
        Whether there are negative inputs; the first input of the table counts as signed then.
    """
    for item in items_of(dataset, keyword)[:1]:
        descriptor = value_of(item, "LUTDescriptor")
        little = dataset.file_meta.TransferSyntaxUID != ExplicitVRBigEndian
        try:
            count, first, bits = (int(part) for part in descriptor)
            count = (count & 0xFFFF) or 1 << 16
            entries = _entries(value_of(item, "LUTData"), count, little)
        except (TypeError, ValueError):
            return None
        bits = max(bits, int(entries.max()).bit_length(), 1)
        return LookUpTable(_first(first, signed), entries, bits) if bits <= 16 else None
    return None


def _first(first: int, signed: bool) -> int:
    """Return the first input as it is meant: two bytes whose sign the object leaves open."""
    first &= 0xFFFF
    return first - 0x10000 if signed and first >= 0x8000 else first


def _entries(data: Any, count: int, little: bool) -> Floats:
    """Return the entries of a table: words, or bytes, two in a word (DICOM PS3.3, C.11.1.1.1)."""
    if isinstance(data, bytes):
        wide = len(data) >= 2 * count
        raw = np.frombuffer(data, (("<u2" if little else ">u2") if wide else np.uint8))
    else:
        raw = np.asarray(data, np.int64).reshape(-1).astype(np.uint16)
        if raw.size < count <= 2 * raw.size:
            raw = raw.astype("<u2").view(np.uint8)
    if raw.size < count:
        raise ValueError
    return raw[:count].astype(np.float64)
