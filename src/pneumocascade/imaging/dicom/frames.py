"""From a data set to the stored values of one frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array

from pneumocascade.errors import FilmError, UnreadableImageError, UnsuitableImageError
from pneumocascade.i18n import gettext_noop
from pneumocascade.imaging.dicom import jpeg
from pneumocascade.imaging.dicom.codestreams import (
    Size,
    end_of_jpeg,
    is_endless,
    is_whole_jpeg2000,
    jpeg2000_size,
    jpeg_marker,
    jpeg_size,
    jpeg_xl_size,
)
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

_JPEG_XL = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (110, 111, 112))
"""Transfer syntaxes of JPEG XL (DICOM Supplement 232, 2024); pydicom does not know them."""

READ_SYNTAXES = (
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    *_PLUGINS,
    *(uid.UID(each) for each in sorted(_JPEG_XL)),
)
"""Every transfer syntax that is read."""

_JPEG_2000 = frozenset(
    {uid.JPEG2000Lossless, uid.JPEG2000, uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K}
)

_ITEM = b"\xfe\xff\x00\xe0"
"""Tag of an item, which encapsulated pixels begin with (DICOM PS3.5, A.4)."""

_BY_FRAME = {0xC0: uid.JPEGBaseline8Bit, 0xC1: uid.JPEGExtended12Bit, 0xC3: uid.JPEGLossless}
"""Transfer syntax by the second byte of the marker that starts the frame (ITU-T T.81, table B.1)."""

COMPRESSED_AFTER_ALL = gettext_noop("The DICOM object says that its pixels are not compressed, but they are.")
NATIVE_AFTER_ALL = gettext_noop("The DICOM object says that its pixels are compressed, but they are not.")

_RLE_OVERHEAD = 1.1
"""Run-length encoding makes noise longer by one byte in 128, and no sane encoder by more."""


@dataclass(frozen=True, slots=True)
class PixelDescription:
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


def pixel_description_of(dataset: Dataset, max_pixels: int) -> PixelDescription:
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
        described = _description(dataset)
    except ValueError as error:
        raise UnreadableImageError(
            "unreadable_image", f"the DICOM object is damaged: {error} is missing or no whole number"
        ) from None
    _check(described)
    # Of the largest colour picture no more than 8 bits a sample fit in the memory that a film may take.
    if described.rows * described.columns * max(1, described.samples * described.allocated / 24) > max_pixels:
        raise UnsuitableImageError(
            "too_many_pixels",
            f"the picture has {described.columns} x {described.rows} pixels; at most "
            f"{max_pixels // 1_000_000} million are read (half as many in colour of 16 bits)",
        )
    return described


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


def _description(dataset: Dataset) -> PixelDescription:
    allocated = whole_of(dataset, "BitsAllocated", 0)
    stored = whole_of(dataset, "BitsStored", allocated)
    return PixelDescription(
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


def _check(described: PixelDescription) -> None:
    if described.rows < 1 or described.columns < 1:
        found = f"a picture of {described.columns} x {described.rows} pixels"
        raise UnreadableImageError("unreadable_image", f"the DICOM object is damaged: it says {found}")
    if described.allocated not in (8, 16):
        raise UnsuitableImageError(
            "bad_dtype", f"the DICOM object has {described.allocated} bits a sample, expected 8 or 16"
        )
    if not 1 <= described.stored <= described.allocated:
        found = f"{described.stored} of {described.allocated} bits stored"
        raise UnreadableImageError("unreadable_image", f"the DICOM object is damaged: it says {found}")
    if described.photometric not in (*MONOCHROME, *COLOUR):
        raise UnreadableImageError(
            "unsupported_format",
            f"the DICOM object's photometric interpretation is none of {', '.join((*MONOCHROME, *COLOUR))}",
        )
    expected = 1 if described.photometric in (*MONOCHROME, "PALETTE COLOR") else 3
    if described.samples != expected:
        found = f"{described.samples} samples a pixel in {described.photometric}"
        raise UnreadableImageError("unreadable_image", f"the DICOM object is damaged: it says {found}")


def stored_values(
    dataset: Dataset, described: PixelDescription, index: int
) -> tuple[NDArray[Any], PixelDescription, tuple[str, ...]]:
    """Return the stored values of a frame.

    Parameters
    ----------
    dataset : pydicom.Dataset
        Where it contradicts its own pixels, it is changed to agree with them.
    described : PixelDescription
    index : int
        Of the frame, from 0.

    Returns
    -------
    values : ndarray of uint8, int8, uint16 or int16, shape (H, W) or (H, W, 3)
        Without what older objects keep in unused bits. Three samples are red, green and blue.
    described : PixelDescription
        As the pixels have it.
    warnings : tuple of str

    Raises
    ------
    UnreadableImageError
        ``unsupported_transfer_syntax``, ``truncated_image`` or ``unreadable_image``.
    """
    _fill_in(dataset, described)
    warnings = _correct_syntax(dataset, described)
    syntax = uid.UID(str(dataset.file_meta.TransferSyntaxUID))
    if syntax in NATIVE:
        return _native(dataset, described, index), described, warnings
    codestream = _codestream(dataset, described, index)
    if syntax in _JPEG_XL:
        return _jpeg_xl(codestream, described), described, warnings
    if syntax not in (uid.RLELossless, *_JPEG_2000) and (size := jpeg_size(codestream)) is not None:
        described = _narrowed(dataset, described, size)
    return _compressed(dataset, described, index, syntax, codestream), described, warnings


def _fill_in(dataset: Dataset, described: PixelDescription) -> None:
    """Put in what is missing and has a default: decoders ask for it."""
    defaults = {
        "SamplesPerPixel": described.samples,
        "BitsStored": described.stored,
        "HighBit": described.high_bit,
        "PixelRepresentation": int(described.signed),
    }
    if described.samples == 3:
        defaults["PlanarConfiguration"] = 0
    for keyword, value in defaults.items():
        if value_of(dataset, keyword) in (None, ""):
            setattr(dataset, keyword, value)


def _correct_syntax(dataset: Dataset, described: PixelDescription) -> tuple[str, ...]:
    """Change a transfer syntax that the pixels contradict; return what had to be assumed."""
    data = dataset.PixelData
    syntax = uid.UID(str(dataset.file_meta.TransferSyntaxUID))
    native = (
        described.frames * described.rows * described.columns * described.samples * described.allocated // 8
    )
    if syntax not in NATIVE and data[:4] != _ITEM and len(data) in (native, native + native % 2):
        dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        return (NATIVE_AFTER_ALL,)
    if syntax in NATIVE and data[:4] == _ITEM and len(data) < native:
        found = _syntax_of(_codestream(dataset, described, 0))
        if found is not None:
            dataset.file_meta.TransferSyntaxUID = found
            return (COMPRESSED_AFTER_ALL,)
    return ()


def _syntax_of(codestream: bytes) -> uid.UID | None:
    """Return a transfer syntax that a codestream can be read by, ``None`` where it is of no known kind."""
    if codestream[:2] == b"\xff\x4f" or codestream[4:8] == b"jP  ":
        return uid.JPEG2000
    if codestream[:2] == b"\xff\x0a":
        return uid.UID(min(_JPEG_XL))
    marker = jpeg_marker(codestream)
    return uid.JPEGLSLossless if marker == 0xF7 else _BY_FRAME.get(marker or 0)


def _narrowed(dataset: Dataset, described: PixelDescription, size: Size) -> PixelDescription:
    """Return the description with 8 bits where a JPEG of 8 bits is said to have more."""
    if size.bits > 8 or described.allocated == 8:
        return described
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    return replace(described, allocated=8, stored=8, high_bit=7)


def _jpeg_xl(codestream: bytes, described: PixelDescription) -> NDArray[Any]:
    size = jpeg_xl_size(codestream)
    if size is None or (size.rows, size.columns) != (described.rows, described.columns):
        raise UnreadableImageError(
            "unreadable_image",
            "the JPEG XL pixels are damaged, or of another size than the DICOM object says",
        )
    try:
        values = np.asarray(imagecodecs.jpegxl_decode(codestream))
    except Exception as error:  # the decoder raises many kinds on damaged bytes
        raise UnreadableImageError("unreadable_image", "the JPEG XL pixels are damaged") from error
    shape = (described.rows, described.columns) + ((3,) if described.samples == 3 else ())
    if values.size != np.prod(shape) or values.dtype not in (np.uint8, np.uint16):
        raise UnreadableImageError("unreadable_image", "the JPEG XL pixels are not as the DICOM object says")
    return values.reshape(shape)


def _native(dataset: Dataset, described: PixelDescription, index: int) -> NDArray[Any]:
    if described.photometric != "YBR_FULL_422":
        frame = described.rows * described.columns * described.samples * described.allocated // 8
        found, expected = len(dataset.PixelData), described.frames * frame
        if found < expected:
            raise UnreadableImageError(
                "truncated_image", f"the DICOM object has {found} of {expected} bytes of pixels"
            )
    values = _decoded(dataset, index, correct_unused_bits=False)
    return _used_bits(values, described)


def _used_bits(values: NDArray[Any], described: PixelDescription) -> NDArray[Any]:
    """Shift away the bits above and below the stored ones, an overlay perhaps (DICOM PS3.5, 8.1.1)."""
    if described.stored == described.allocated:
        return values
    high_bit = min(max(described.high_bit, described.stored - 1), described.allocated - 1)
    above, unused = described.allocated - 1 - high_bit, described.allocated - described.stored
    return (values << above) >> unused


def _compressed(
    dataset: Dataset, described: PixelDescription, index: int, syntax: uid.UID, codestream: bytes
) -> NDArray[Any]:
    plugin = _PLUGINS.get(syntax)
    if plugin is None:
        raise UnreadableImageError(
            "unsupported_transfer_syntax",
            f"the DICOM object has a transfer syntax ({_name_of(syntax)}) that is not read",
        )
    if syntax == uid.RLELossless:
        whole = described.rows * described.columns * described.samples * described.allocated // 8
        if len(codestream) > _RLE_OVERHEAD * whole + 1024:
            raise UnreadableImageError("unreadable_image", "the run-length encoded pixels are damaged")
    elif syntax in _JPEG_2000:
        _check_size(jpeg2000_size(codestream), described)
        _check_whole(is_whole_jpeg2000(codestream))
    else:
        _check_size(jpeg_size(codestream), described)
        end = end_of_jpeg(codestream)
        _check_whole(end is not None)
        if is_endless(codestream):
            raise UnreadableImageError("unreadable_image", "the compressed pixels have too many scans")
        if codestream[end:].strip(b"\0\xff"):  # some decoders stumble over what lies behind
            dataset.PixelData, dataset.NumberOfFrames, index = encapsulate([codestream[:end]]), 1, 0
            for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
                dataset.pop(keyword, None)
    if plugin not in get_decoder(syntax).available_plugins:
        raise UnreadableImageError(
            "unsupported_transfer_syntax", f"no decoder for {syntax.name} is installed ({plugin})"
        )
    return _decoded(dataset, index, decoding_plugin=plugin)


def _codestream(dataset: Dataset, described: PixelDescription, index: int) -> bytes:
    try:
        offsets = None
        if "ExtendedOffsetTable" in dataset and "ExtendedOffsetTableLengths" in dataset:
            offsets = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
        return bytes(
            get_frame(dataset.PixelData, index, number_of_frames=described.frames, extended_offsets=offsets)
        )
    except Exception as error:  # pydicom raises many kinds on damaged bytes
        raise UnreadableImageError(
            "truncated_image", f"frame {index + 1} cannot be found in the compressed pixels"
        ) from error


def _check_size(size: Size | None, described: PixelDescription) -> None:
    if size is None:
        raise UnreadableImageError("unreadable_image", "the compressed pixels have no header")
    if (size.rows, size.columns, size.samples) != (described.rows, described.columns, described.samples):
        raise UnreadableImageError(
            "unreadable_image",
            f"the compressed pixels are {size.columns} x {size.rows} x {size.samples}, the DICOM object says "
            f"{described.columns} x {described.rows} x {described.samples}",
        )


def _check_whole(whole: bool) -> None:
    if not whole:
        raise UnreadableImageError("truncated_image", "the compressed pixels end too early")


def _decoded(dataset: Dataset, index: int, **options: Any) -> NDArray[Any]:
    try:
        values = pixel_array(dataset, index=index, allow_excess_frames=False, **options)
    except Exception as error:  # decoders raise many kinds on damaged bytes
        raise UnreadableImageError(
            "unreadable_image", "the DICOM object's pixels are damaged: they cannot be decoded"
        ) from error
    return np.asarray(values).astype(values.dtype.newbyteorder("="), copy=False)
