"""From a data set to the stored values of one frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array

from pneumocascade.errors import FilmError, UnreadableImageError, UnsuitableImageError
from pneumocascade.imaging.dicom import jpeg
from pneumocascade.imaging.dicom.codestreams import Size, is_endless, is_whole, jpeg2000_size, jpeg_size
from pneumocascade.imaging.dicom.values import text_of, value_of, whole_of

MONOCHROME = ("MONOCHROME1", "MONOCHROME2")

COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")

NATIVE = frozenset({uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian})

_PLUGINS = {
    uid.RLELossless: "pydicom",
    uid.JPEGBaseline8Bit: "pillow",
    uid.JPEGExtended12Bit: jpeg.NAME,
    uid.JPEGLossless: jpeg.NAME,
    uid.JPEGLosslessSV1: jpeg.NAME,
    uid.JPEGLSLossless: "pyjpegls",
    uid.JPEGLSNearLossless: "pyjpegls",
    uid.JPEG2000Lossless: "pylibjpeg",
    uid.JPEG2000: "pylibjpeg",
    uid.HTJ2KLossless: "pylibjpeg",
    uid.HTJ2KLosslessRPCL: "pylibjpeg",
    uid.HTJ2K: "pylibjpeg",
}
"""pydicom's plugin for each compressed transfer syntax that is read."""

_JPEG_2000 = frozenset(
    {uid.JPEG2000Lossless, uid.JPEG2000, uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K}
)

_RLE_OVERHEAD = 1.1
"""Run-length encoding makes noise longer by one byte in 128, and no sane encoder by more."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What an object says of its pixels (DICOM PS3.3, C.7.6.3).

    Attributes
    ----------
    rows, columns, samples, frames : int
    allocated, stored, high_bit : int
        Bits of a sample; ``high_bit`` counts from 0.
    signed : bool
    photometric : str
        One of ``MONOCHROME`` and ``COLOUR``.
    """

    rows: int
    columns: int
    samples: int
    frames: int
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    photometric: str


def layout_of(dataset: Dataset, max_pixels: int) -> Layout:
    """Return what a data set says of its pixels.

    Parameters
    ----------
    dataset : pydicom.Dataset
    max_pixels : int
        Largest frame that is decoded.

    Raises
    ------
    UnsuitableImageError
        ``no_pixels``, ``too_many_pixels`` or ``bad_dtype``.
    UnreadableImageError
        ``truncated_image`` where an image ends before its pixels, ``unreadable_image`` where it
        contradicts itself, ``unsupported_format`` for a retired photometric interpretation.
    """
    if "PixelData" not in dataset:
        raise _without_pixels(dataset)
    try:
        layout = _layout(dataset)
    except ValueError as error:
        raise UnreadableImageError(
            "unreadable_image", f"the DICOM object is damaged: {error} is missing or no whole number"
        ) from None
    _check(layout)
    # Of the largest colour picture no more than 8 bits a sample fit in the memory that a film may take.
    if layout.rows * layout.columns * max(1, layout.samples * layout.allocated / 24) > max_pixels:
        raise UnsuitableImageError(
            "too_many_pixels",
            f"the picture has {layout.columns} x {layout.rows} pixels; at most "
            f"{max_pixels // 1_000_000} million are read (half as many in colour of 16 bits)",
        )
    return layout


def _without_pixels(dataset: Dataset) -> FilmError:
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        return UnsuitableImageError(
            "bad_dtype", "the DICOM object's pixels are floating point numbers, expected 8 or 16 bits"
        )
    if "Rows" in dataset and "Columns" in dataset:
        return UnreadableImageError("truncated_image", "the DICOM object ends before its pixels")
    kind = uid.UID(str(value_of(dataset, "SOPClassUID") or ""))
    return UnsuitableImageError("no_pixels", f"the DICOM object ({_name_of(kind)}) holds no picture")


def _name_of(identifier: uid.UID) -> str:
    """Return the name of a UID of the standard; any other is kept to itself, it may be damaged."""
    return identifier.name if identifier.name != str(identifier) else "of an unknown kind"


def _layout(dataset: Dataset) -> Layout:
    allocated = whole_of(dataset, "BitsAllocated", 0)
    stored = whole_of(dataset, "BitsStored", allocated)
    return Layout(
        whole_of(dataset, "Rows", 0),
        whole_of(dataset, "Columns", 0),
        whole_of(dataset, "SamplesPerPixel", 1),
        max(1, whole_of(dataset, "NumberOfFrames", 1)),
        allocated,
        stored,
        whole_of(dataset, "HighBit", stored - 1),
        whole_of(dataset, "PixelRepresentation", 0) == 1,
        text_of(dataset, "PhotometricInterpretation"),
    )


def _check(layout: Layout) -> None:
    if layout.rows < 1 or layout.columns < 1:
        found = f"a picture of {layout.columns} x {layout.rows} pixels"
        raise UnreadableImageError("unreadable_image", f"the DICOM object is damaged: it says {found}")
    if layout.allocated not in (8, 16):
        raise UnsuitableImageError(
            "bad_dtype", f"the DICOM object has {layout.allocated} bits a sample, expected 8 or 16"
        )
    if not 1 <= layout.stored <= layout.allocated:
        found = f"{layout.stored} of {layout.allocated} bits stored"
        raise UnreadableImageError("unreadable_image", f"the DICOM object is damaged: it says {found}")
    if layout.photometric not in (*MONOCHROME, *COLOUR):
        raise UnreadableImageError(
            "unsupported_format",
            f"the DICOM object's photometric interpretation is none of {', '.join((*MONOCHROME, *COLOUR))}",
        )
    expected = 1 if layout.photometric in (*MONOCHROME, "PALETTE COLOR") else 3
    if layout.samples != expected:
        found = f"{layout.samples} samples a pixel in {layout.photometric}"
        raise UnreadableImageError("unreadable_image", f"the DICOM object is damaged: it says {found}")


def stored_values(dataset: Dataset, layout: Layout, index: int) -> NDArray[Any]:
    """Return the stored values of a frame.

    Parameters
    ----------
    dataset : pydicom.Dataset
    layout : Layout
    index : int
        Of the frame, from 0.

    Returns
    -------
    ndarray of uint8, int8, uint16 or int16, shape (H, W) or (H, W, 3)
        Without what older objects keep in unused bits. Three samples are red, green and blue.

    Raises
    ------
    UnreadableImageError
        ``unsupported_transfer_syntax``, ``truncated_image`` or ``unreadable_image``.
    """
    syntax = uid.UID(str(dataset.file_meta.TransferSyntaxUID))
    if syntax in NATIVE:
        return _native(dataset, layout, index)
    return _compressed(dataset, layout, index, syntax)


def _native(dataset: Dataset, layout: Layout, index: int) -> NDArray[Any]:
    if layout.photometric != "YBR_FULL_422":
        frame = layout.rows * layout.columns * layout.samples * layout.allocated // 8
        found, expected = len(dataset.PixelData), layout.frames * frame
        if found < expected:
            raise UnreadableImageError(
                "truncated_image", f"the DICOM object has {found} of {expected} bytes of pixels"
            )
    values = _decoded(dataset, index, correct_unused_bits=False)
    return _used_bits(values, layout)


def _used_bits(values: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """Shift away the bits above and below the stored ones, an overlay perhaps (DICOM PS3.5, 8.1.1)."""
    if layout.stored == layout.allocated:
        return values
    high_bit = min(max(layout.high_bit, layout.stored - 1), layout.allocated - 1)
    above, unused = layout.allocated - 1 - high_bit, layout.allocated - layout.stored
    return (values << above) >> unused


def _compressed(dataset: Dataset, layout: Layout, index: int, syntax: uid.UID) -> NDArray[Any]:
    plugin = _PLUGINS.get(syntax)
    if plugin is None:
        raise UnreadableImageError(
            "unsupported_transfer_syntax",
            f"the DICOM object has a transfer syntax ({_name_of(syntax)}) that is not read",
        )
    codestream = _codestream(dataset, layout, index)
    if syntax == uid.RLELossless:
        whole = layout.rows * layout.columns * layout.samples * layout.allocated // 8
        if len(codestream) > _RLE_OVERHEAD * whole + 1024:
            raise UnreadableImageError("unreadable_image", "the run-length encoded pixels are damaged")
    elif syntax in _JPEG_2000:
        _check_codestream(codestream, jpeg2000_size(codestream), layout)
    else:
        _check_codestream(codestream, jpeg_size(codestream), layout)
        if is_endless(codestream):
            raise UnreadableImageError("unreadable_image", "the compressed pixels have too many scans")
    if plugin not in get_decoder(syntax).available_plugins:
        raise UnreadableImageError(
            "unsupported_transfer_syntax", f"no decoder for {syntax.name} is installed ({plugin})"
        )
    return _decoded(dataset, index, decoding_plugin=plugin)


def _codestream(dataset: Dataset, layout: Layout, index: int) -> bytes:
    try:
        offsets = None
        if "ExtendedOffsetTable" in dataset and "ExtendedOffsetTableLengths" in dataset:
            offsets = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
        return bytes(
            get_frame(dataset.PixelData, index, number_of_frames=layout.frames, extended_offsets=offsets)
        )
    except Exception as error:  # pydicom raises many kinds on damaged bytes
        raise UnreadableImageError(
            "truncated_image", f"frame {index + 1} cannot be found in the compressed pixels: {error}"
        ) from error


def _check_codestream(codestream: bytes, size: Size | None, layout: Layout) -> None:
    if size is None:
        raise UnreadableImageError("unreadable_image", "the compressed pixels have no header")
    if (size.rows, size.columns, size.samples) != (layout.rows, layout.columns, layout.samples):
        raise UnreadableImageError(
            "unreadable_image",
            f"the compressed pixels are {size.columns} x {size.rows} x {size.samples}, the DICOM object says "
            f"{layout.columns} x {layout.rows} x {layout.samples}",
        )
    if not is_whole(codestream):
        raise UnreadableImageError("truncated_image", "the compressed pixels end too early")


def _decoded(dataset: Dataset, index: int, **options: Any) -> NDArray[Any]:
    try:
        values = pixel_array(dataset, index=index, allow_excess_frames=False, **options)
    except Exception as error:  # decoders raise many kinds on damaged bytes
        raise UnreadableImageError(
            "unreadable_image", f"the DICOM object's pixels are damaged: {_last_line(error)}"
        ) from error
    return np.asarray(values).astype(values.dtype.newbyteorder("="), copy=False)


def _last_line(error: Exception) -> str:
    """Return what the last of pydicom's plugins said: it lists them, one a line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
