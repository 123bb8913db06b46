"""From stored values to the picture that a viewer would show: modality, VOI, polarity, exactly once each.

Values have 16 bits at most: every possible one is sent through the three steps once, and the pixels are
looked up in the table that comes out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import ExplicitVRBigEndian

from pneumocascade.errors import UnreadableImageError
from pneumocascade.i18n import gettext_noop
from pneumocascade.imaging.dicom.frames import PixelDescription
from pneumocascade.imaging.dicom.lut import (
    Floats,
    modality_values,
    says_window,
    table_of,
    windows_of,
)
from pneumocascade.imaging.dicom.values import number_of, text_of, value_of
from pneumocascade.imaging.dicom.window import Counts, leaves_nothing, window_from_histogram

NO_WINDOW = gettext_noop(
    "The DICOM object gives no window of grey values: one was computed from the histogram."
)
ABSURD_WINDOW = gettext_noop(
    "The DICOM object's window of grey values leaves nothing to see: one was computed from the histogram."
)
LATER_WINDOW = gettext_noop(
    "The DICOM object's first window of grey values leaves nothing to see: a later one of its own was used."
)
NARROW_TABLE = gettext_noop(
    "The DICOM object's VOI LUT says %(says)s bits and uses %(uses)s: its entries were scaled."
)
TWO_POLARITIES = gettext_noop(
    "Photometric Interpretation and Presentation LUT Shape of the DICOM object contradict each other: the "
    "latter was followed."
)
FOR_PROCESSING = gettext_noop("The DICOM object is raw (for processing): it was not made to be looked at.")

_BLOCK = 1 << 20
"""Pixels that are looked up at a time, so that a large film does not need several times its memory."""


class Voi(NamedTuple):
    """What grey values are shown by, as ``voi`` and ``window`` of ``Acquisition``."""

    kind: str
    window: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Histogram:
    """Every value that a pixel could have, rising, with the number of pixels; padding has none."""

    stored: Floats
    counts: Counts
    padding: NDArray[np.bool_]


def grey_picture(
    dataset: Dataset, described: PixelDescription, stored: NDArray[Any], index: int
) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], tuple[str, ...], Voi]:
    """Return a monochrome frame as it is shown, what had to be assumed, and what it is shown by.

    1. Modality LUT or rescaling (DICOM PS3.3, C.11.1).
    2. VOI LUT or window (C.11.2). A frame of more than 8 bits without one, and any whose own leaves
       nothing to see, gets a window from its histogram. One of up to 8 bits is shown whole.
    3. Polarity, by :func:`is_inverted`.
    4. Padding (C.7.5.1.1.2) is black, whatever the polarity.

    Overlays are not shown.

    Parameters
    ----------
    dataset : pydicom.Dataset
    described : PixelDescription
    stored : ndarray of integers, shape (H, W)
    index : int
        Of the frame, from 0.

    Returns
    -------
    picture : ndarray of uint8 or uint16, shape (H, W)
        uint8 where up to 8 bits are stored; 0 is black, the dtype's maximum white.
    warnings : tuple of str
    voi : Voi
    """
    histogram = _histogram(dataset, described, stored)
    values = modality_values(dataset, histogram.stored, index)
    shown, warnings, voi = _shown(dataset, described, histogram, values, index)
    inverted, contradiction = is_inverted(dataset)
    if inverted:
        shown = 1 - shown
    shown[histogram.padding] = 0
    deep = described.stored > 8
    table = np.round(shown * (65535 if deep else 255)).astype(np.uint16 if deep else np.uint8)
    if contradiction:
        warnings += (TWO_POLARITIES,)
    if text_of(dataset, "PresentationIntentType") == "FOR PROCESSING":
        warnings += (FOR_PROCESSING,)
    return _looked_up(stored, int(histogram.stored[0]), table), warnings, voi


def is_inverted(dataset: Dataset) -> tuple[bool, bool]:
    """Return whether the smallest value is white, and whether the object contradicts itself in this.

    MONOCHROME1 says that the smallest value is white (DICOM PS3.3, C.7.6.3.1.2). Presentation LUT Shape
    INVERSE says the same (C.11.6.1.1, and C.8.11.3.1.2, by which a DX image says both or neither): the two
    together are one inversion. Where one stands against the other, the Presentation LUT Shape is the last
    transformation of the chain and decides, as in DCMTK.
    """
    first = text_of(dataset, "PhotometricInterpretation") == "MONOCHROME1"
    shape = text_of(dataset, "PresentationLUTShape")
    if shape not in ("IDENTITY", "INVERSE"):
        return first, False
    return shape == "INVERSE", first != (shape == "INVERSE")


def _shown(
    dataset: Dataset, described: PixelDescription, histogram: _Histogram, values: Floats, index: int
) -> tuple[Floats, tuple[str, ...], Voi]:
    """Return what each value is shown as before polarity, 0..1."""
    warnings: tuple[str, ...] = ()
    for number, (own, notes, voi) in enumerate(_by_object(dataset, values, index)):
        if not leaves_nothing(own, histogram.counts):
            return own, (*notes, *((LATER_WINDOW,) if number else ())), voi
    if says_window(dataset, index):
        warnings = (ABSURD_WINDOW,)
    elif described.stored > 8:
        warnings = (NO_WINDOW,)
    window = window_from_histogram(values, histogram.counts) if warnings else None
    if window is not None:
        return window.of(values), warnings, Voi("histogram", (window.centre, window.width))
    low, high = float(values.min()), float(values.max())
    return (values - low) / max(high - low, 1e-9), (), Voi("range")


def _by_object(dataset: Dataset, values: Floats, index: int) -> Iterator[tuple[Floats, tuple[str, ...], Voi]]:
    """Yield what the object's own VOI LUT and windows make of the values, what was assumed, and which."""
    table = table_of(dataset, "VOILUTSequence", signed=bool(values.min() < 0))
    if table is not None and table.white > 0:
        narrow = table.bits_used < table.bits
        notes = (NARROW_TABLE % {"says": table.bits, "uses": table.bits_used},) if narrow else ()
        yield np.asarray(table.of(values) / table.white), notes, Voi("lut")
    for window in windows_of(dataset, index):
        yield window.of(values), (), Voi("window", (window.centre, window.width))


def _histogram(dataset: Dataset, described: PixelDescription, stored: NDArray[Any]) -> _Histogram:
    nominal = (
        -(1 << described.stored - 1) if described.signed else 0,
        1 << described.stored - described.signed,
    )
    low = min(nominal[0], int(stored.min()))
    high = max(nominal[1] - 1, int(stored.max()))
    counts = np.zeros(high - low + 1, np.int64)
    for block in _blocks(stored):
        counts += np.bincount(block.astype(np.int32) - low, minlength=counts.size)
    values = np.arange(low, high + 1, dtype=np.float64)
    padding = _padding(dataset, described, values)
    counts[padding] = 0
    return _Histogram(values, counts, padding)


def _padding(dataset: Dataset, described: PixelDescription, values: Floats) -> NDArray[np.bool_]:
    """Return which values are padding; both ends of a range are (DICOM PS3.3, C.7.5.1.1.2)."""
    value = number_of(dataset, "PixelPaddingValue")
    if value is None:
        return np.zeros(values.shape, np.bool_)
    limit = number_of(dataset, "PixelPaddingRangeLimit")
    ends = [_as_stored(end, described) for end in (value, value if limit is None else limit)]
    return np.asarray((values >= min(ends)) & (values <= max(ends)))


def _as_stored(value: float, described: PixelDescription) -> float:
    """Return a padding value with the sign of the pixels: its own VR may say another."""
    if described.signed and value >= 0x8000:
        return value - 0x10000
    return value + 0x10000 if not described.signed and value < 0 else value


def _blocks(stored: NDArray[Any]) -> list[NDArray[Any]]:
    flat = stored.reshape(-1)
    return [flat[at : at + _BLOCK] for at in range(0, flat.size, _BLOCK)]


def _looked_up(stored: NDArray[Any], low: int, table: NDArray[Any]) -> NDArray[Any]:
    picture = np.empty(stored.size, table.dtype)
    at = 0
    for block in _blocks(stored):
        picture[at : at + block.size] = table[block.astype(np.int32) - low]
        at += block.size
    return picture.reshape(stored.shape)


def colour_picture(dataset: Dataset, described: PixelDescription, stored: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a colour frame in red, green and blue (DICOM PS3.3, C.7.6.3.1.2 and C.7.9).

    Parameters
    ----------
    dataset : pydicom.Dataset
    described : PixelDescription
    stored : ndarray of integers, shape (H, W, 3), or (H, W) with a palette
        Red, green and blue, or entries of the palette.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
    """
    bits = described.stored
    if described.photometric == "PALETTE COLOR":
        try:
            _order_palette(dataset)
            stored = apply_color_lut(stored, dataset)[..., :3]
        except Exception as error:  # pydicom raises many kinds on damaged palettes
            raise UnreadableImageError(
                "unreadable_image", f"the DICOM object's colour palette is damaged ({type(error).__name__})"
            ) from error
        # Entries may be bytes, each in a word of its own (C.7.6.3.1.5).
        bits = 8 if int(dataset.RedPaletteColorLookupTableDescriptor[2]) <= 8 else 16
    if bits == 8 and stored.dtype == np.uint8:
        return np.ascontiguousarray(stored)
    scaled = np.clip(stored.astype(np.float32) * (255 / (2**bits - 1)), 0, 255)
    return np.asarray(np.round(scaled), np.uint8)


def _order_palette(dataset: Dataset) -> None:
    """Bring a palette's words into little endian, as pydicom takes them to be."""
    if dataset.file_meta.TransferSyntaxUID != ExplicitVRBigEndian:
        return
    for colour in ("Red", "Green", "Blue"):
        keyword = f"{colour}PaletteColorLookupTableData"
        if isinstance(data := value_of(dataset, keyword), bytes):
            setattr(dataset, keyword, np.frombuffer(data, ">u2").astype("<u2").tobytes())
