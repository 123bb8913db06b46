"""From bytes to a data set; whatever is wrong with them becomes a :class:`FilmError`."""

from __future__ import annotations

import io
import zlib
from typing import BinaryIO

from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from pneumocascade.errors import FilmError, UnreadableImageError
from pneumocascade.imaging.dicom.detect import DICOM_HEAD, is_dicom
from pneumocascade.imaging.dicom.quiet import quiet

MAX_INFLATED = 1 << 28
"""Largest data set, in bytes, that a deflated object is inflated to: the largest picture in colour."""

_PIXEL_DATA = 0x7FE00008
"""Tag from which on a data set holds pixels (Float Pixel Data comes first)."""


def read_object(stream: BinaryIO, *, header_only: bool = False, limit: int = MAX_INFLATED) -> Dataset:
    """Read a DICOM object.

    Parameters
    ----------
    stream : binary file
        At its beginning; it must be able to seek.
    header_only : bool
        Stop where the pixels begin.
    limit : int
        Bytes that a deflated data set is inflated to at most.

    Returns
    -------
    pydicom.Dataset
        With ``file_meta.TransferSyntaxUID``, found out where the object does not say it.

    Raises
    ------
    UnreadableImageError
        ``unreadable_image`` where it is no DICOM object or a damaged one. What is wrong is told by the
        kind of pydicom's error alone: its text may quote the patient's name.
    """
    head = stream.read(DICOM_HEAD)
    if not is_dicom(head):
        raise UnreadableImageError("unreadable_image", "this is not a DICOM object")
    try:
        with quiet():
            return _read(stream, head, header_only, limit)
    except FilmError:
        raise
    except Exception as error:  # noqa: BLE001  pydicom raises many kinds on damaged bytes
        raise _damaged(error) from None


def encoded_dataset(dataset: Dataset) -> bytes:
    """Return a data set as the bytes of a file; it is left as it is.

    Raises
    ------
    UnreadableImageError
        ``unreadable_image`` where it cannot be written.
    """
    stream = io.BytesIO()
    encoding: dict[str, bool] = {}
    if "TransferSyntaxUID" not in getattr(dataset, "file_meta", ()):
        implicit, little = dataset.original_encoding
        encoding = {"implicit_vr": implicit is not False, "little_endian": little is not False}
    try:
        with quiet():
            dcmwrite(stream, dataset, enforce_file_format=False, **encoding)
    except Exception as error:  # noqa: BLE001  pydicom raises many kinds on values that make no sense
        raise UnreadableImageError(
            "unreadable_image", f"the DICOM data set cannot be encoded ({type(error).__name__})"
        ) from None
    return stream.getvalue()


def _damaged(error: Exception) -> UnreadableImageError:
    kind = type(error).__name__
    return UnreadableImageError(
        "unreadable_image", f"the DICOM object is damaged: it cannot be read ({kind})"
    )


def _read(stream: BinaryIO, head: bytes, header_only: bool, limit: int) -> Dataset:
    stream.seek(DICOM_HEAD if head[128:] == b"DICM" else 0)
    # DICOM PS3.10, 7.1: the file meta information is explicit VR little endian.
    meta = read_dataset(stream, is_implicit_VR=False, is_little_endian=True, stop_when=_after_meta)
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        return _inflated(stream, meta, header_only, limit)
    stream.seek(0)
    dataset = dcmread(stream, stop_before_pixels=header_only, force=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = _native_syntax(dataset)
    return dataset


def _after_meta(tag: BaseTag, vr: str | None, length: int) -> bool:  # noqa: ARG001  pydicom calls it
    return tag.group != 2


def _at_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:  # noqa: ARG001  pydicom calls it
    return bool(tag >= _PIXEL_DATA)


def _native_syntax(dataset: Dataset) -> UID:
    implicit, little = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _inflated(stream: BinaryIO, meta: Dataset, header_only: bool, limit: int) -> Dataset:
    """Inflate what comes behind the file meta information (DICOM PS3.5, A.5), up to a limit."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    content = inflater.decompress(stream.read(), limit)
    if inflater.unconsumed_tail:
        raise UnreadableImageError(
            "unreadable_image", f"the deflated DICOM object has more than {limit} bytes: it is not read"
        )
    dataset = read_dataset(
        io.BytesIO(content),
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=_at_pixels if header_only else None,
    )
    dataset.file_meta = FileMetaDataset(meta)
    # The data set is in plain explicit VR little endian now.
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset
