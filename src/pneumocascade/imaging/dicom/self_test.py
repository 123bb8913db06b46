"""A tiny film sent through every decoder, to learn which of them work on this machine."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset, uid
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder

from pneumocascade.errors import FilmError
from pneumocascade.imaging.dicom.read import read_dicom

_SIDE = 32
_MOST = 3
"""Largest change of a grey value, of 255, by the lossy ways."""

_Encoder = Callable[[NDArray[np.uint8]], bytes]


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(picture, level=98))


def _lossless_jpeg(picture: NDArray[np.uint8]) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(picture, lossless=True, predictor=1))


def _jpegls(picture: NDArray[np.uint8]) -> bytes:
    return bytes(imagecodecs.jpegls_encode(picture))


def _jpeg2000(picture: NDArray[np.uint8]) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(picture, codecformat="j2k", reversible=True))


def _htj2k(picture: NDArray[np.uint8]) -> bytes:
    if not hasattr(imagecodecs, "htj2k_encode"):  # nor has any release for Python 3.10
        raise ImportError("this release of imagecodecs does not encode HTJ2K")
    return bytes(imagecodecs.htj2k_encode(picture, reversible=True))


ENCODERS: dict[uid.UID, _Encoder | None] = {
    uid.ImplicitVRLittleEndian: None,
    uid.ExplicitVRLittleEndian: None,
    uid.ExplicitVRBigEndian: None,
    uid.DeflatedExplicitVRLittleEndian: None,
    uid.RLELossless: None,
    uid.JPEGBaseline8Bit: _jpeg,
    uid.JPEGExtended12Bit: _jpeg,
    uid.JPEGLossless: _lossless_jpeg,
    uid.JPEGLosslessSV1: _lossless_jpeg,
    uid.JPEGLSLossless: _jpegls,
    uid.JPEGLSNearLossless: _jpegls,
    uid.JPEG2000Lossless: _jpeg2000,
    uid.JPEG2000: _jpeg2000,
    uid.HTJ2KLossless: _htj2k,
    uid.HTJ2KLosslessRPCL: _htj2k,
    uid.HTJ2K: _htj2k,
}
"""Every transfer syntax that is read (DICOM PS3.5, annex A), and what encodes a picture for it; ``None``
for those that pydicom writes."""


def try_decoders() -> dict[str, str]:
    """Encode a tiny film in every transfer syntax that is read, and read it back.

    Where the encoder is not in this imagecodecs, only whether the decoder can be had is told.

    Returns
    -------
    dict of str to str
        By the name of the transfer syntax (DICOM PS3.6, annex A): what went wrong, empty where the film came
        back as it was, lossy ways aside.
    """
    return {syntax.name: _tried(syntax, encode) for syntax, encode in ENCODERS.items()}


def _tried(syntax: uid.UID, encode: _Encoder | None) -> str:
    picture = _picture()
    try:
        data = _object(picture, syntax, encode)
    except ImportError:
        return "" if get_decoder(syntax).is_available else "no decoder is installed"
    try:
        found = read_dicom(data, max_pixels=_SIDE**2).pixels
    except FilmError as error:
        return str(error)
    if found.shape != picture.shape:
        return f"the picture has the shape {found.shape}, expected {picture.shape}"
    change = int(np.abs(found.astype(np.int32) - picture).max())
    return "" if change <= _MOST else f"grey values differ by up to {change} of 255"


def _picture() -> NDArray[np.uint8]:
    """Return a smooth slope over all grey values, which lossy ways keep, too."""
    across, down = np.meshgrid(np.arange(_SIDE), np.arange(_SIDE))
    return np.asarray(np.round((across + down) * 255 / (2 * _SIDE - 2)), np.uint8)


def _object(picture: NDArray[np.uint8], syntax: uid.UID, encode: _Encoder | None) -> bytes:
    """Return a secondary capture with nobody's name in it."""
    item: Any = Dataset()
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    item.SOPClassUID = uid.SecondaryCaptureImageStorage
    item.SOPInstanceUID = uid.generate_uid(entropy_srcs=["self-test"])
    item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
    item.Rows, item.Columns = picture.shape
    item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation = 8, 8, 7, 0
    if encode is None:
        item.PixelData = picture.tobytes()
    else:
        item.PixelData = encapsulate([encode(picture)])
        item["PixelData"].is_undefined_length = True
    item["PixelData"].VR = "OB"
    if syntax == uid.RLELossless:
        item.compress(syntax, encoding_plugin="pydicom", generate_instance_uid=False)
    item.file_meta.TransferSyntaxUID = syntax
    stream = io.BytesIO()
    item.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
